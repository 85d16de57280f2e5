"""Several forecasts of one window that share the tokens of their common context, for training.

B windows, G forecast origins, V views, T steps, H steps of a tail, P patches of a tail, D width, N tokens.

The tokens of the tail after an origin attend to each other and to the context tokens before the origin. Context tokens
before the first origin attend to each other, later ones to all earlier ones (a prefix language model, arXiv:1910.10683,
section 3.2.1). One pass thus gives G forecasts for little more than the cost of one. Location, scale and lags follow
from what is visible before the first origin; the features of a tail from what is visible before its own origin. No
forecast depends on a value at or after its origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from tsfm.model.backbone import Backbone
from tsfm.model.fill import Neighbours, find_neighbours, interpolate
from tsfm.model.heads import Head
from tsfm.model.lag_features import LagFeatures, Lags, compute_lag_features, find_lags
from tsfm.model.patching import Patching, from_first
from tsfm.model.scalers import Scaler, arcsinh
from tsfm.model.seasonal_skip import SeasonalSkip
from tsfm.types import Answer, Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def forecast_origins(
    problem: Problem,
    *,
    scaler: Scaler,
    patching: Patching,
    backbone: Backbone,
    head: Head,
    skip: SeasonalSkip,
    num_lags: int,
    seasons: Int[Tensor, "B K"] | None,
    time_tokens: Float[Tensor, "B 1 P D"] | None = None,
) -> Answer:
    """Return the answer for the tail of each origin, `[batch, origins, tail, quantile]`, by the parts of a model.

    `time_tokens` is what is added to the tokens of the whole window.

    Raises
    ------
    ValueError
        If the origins or the tail are not on the grid of the patches.
    """
    origins, tail, patch = problem.origins, problem.tail, patching.patch
    check_origins(origins, tail=tail, patch=patch, num_steps=problem.values.shape[-1])
    values, visible = problem.visible_values(), problem.visible
    before = torch.arange(values.shape[-1], device=values.device) < origins[0]
    state = scaler.fit(values, visible & before)
    views = make_views(scaler.apply(values, state), visible, origins=origins, num_lags=num_lags, seasons=seasons)
    tails = stack_tails(views, origins, tail)
    context = embed_context(views, origins, patching)
    tokens = torch.cat([context, rearrange(tails.tokens(patching), "b g p d -> b 1 (g p) d")], dim=2)
    if time_tokens is not None:
        bounds = [(0, origins[-1]), *((origin, origin + tail) for origin in origins)]
        added = [time_tokens[:, :, first // patch : last // patch] for first, last in bounds]
        tokens = tokens + torch.cat(added, dim=2)
    valid = valid_tokens(views, origins, tail=tail, patch=patch)
    allowed, positions = (field.to(values.device) for field in attention_layout(origins, tail=tail, patch=patch))
    outputs = backbone.attend(tokens, valid, allowed=allowed, positions=positions)[:, 0, context.shape[2] :]
    hidden = rearrange(outputs, "b (g p) d -> b g p d", g=len(origins))
    prediction = head(hidden, torch.ones_like(hidden[..., 0], dtype=torch.bool)).float()
    prediction = skip(prediction, hidden, interpolated=tails.interpolated, lag_features=tails.features)
    return Answer(
        hidden=hidden,
        prediction=scaler.undo(prediction, state),
        loc=state.loc.expand(-1, len(origins), -1),
        scale=state.scale.expand(-1, len(origins), -1),
        quantile_levels=head.quantile_levels,
    )


class Views(NamedTuple):
    """Inputs of the network for each origin, and last for the context between the origins; all scaled."""

    scaled: Float[Tensor, "B V T"]
    visible: Bool[Tensor, "B V T"]
    neighbours: Neighbours
    interpolated: Float[Tensor, "B V T"]
    features: LagFeatures

    def steps(self, view: int, start: int, stop: int) -> Views:
        """Return one view of the steps from `start` to `stop`; positions of neighbours count from `start`."""
        views, steps = slice(view, view + 1) if view >= 0 else slice(view, None), slice(start, stop)
        before, after, is_leading, fraction = (field[:, views, steps] for field in self.neighbours)
        return Views(
            self.scaled[:, views, steps],
            self.visible[:, views, steps],
            Neighbours(before - start, after - start, is_leading, fraction),
            self.interpolated[:, views, steps],
            LagFeatures(
                self.features.values[:, views, steps],
                self.features.deviation[:, views, steps],
                self.features.channel_features[:, views],
                self.features.unit[:, views],
            ),
        )

    def tokens(self, patching: Patching) -> Float[Tensor, "B V P D"]:
        """Return the tokens of the steps."""
        return patching(
            self.scaled,
            self.visible,
            filled=self.interpolated,
            step_features=(self.features.values, self.features.deviation),
            channel_features=self.features.channel_features,
            neighbours=self.neighbours,
        )[0]


def check_origins(origins: Sequence[int], *, tail: int, patch: int, num_steps: int) -> None:
    """Raise a ValueError unless the origins and the tail are on the grid of the patches and inside the window."""
    aligned = num_steps % patch == 0 and tail % patch == 0 and all(origin % patch == 0 for origin in origins)
    inside = tail > 0 and all(0 < origin <= num_steps - tail for origin in origins)
    if not origins or list(origins) != sorted(set(origins)) or not aligned or not inside:
        raise ValueError(
            f"origins are {list(origins)} with tails of {tail} steps; expected ascending multiples of the patch of "
            f"{patch} steps, and a window of {num_steps} steps that contains all tails in whole patches"
        )


def make_views(
    scaled: Float[Tensor, "B 1 T"],
    visible: Bool[Tensor, "B 1 T"],
    *,
    origins: Sequence[int],
    num_lags: int,
    seasons: Int[Tensor, "B K"] | None,
) -> Views:
    """Return a view for each origin, in which the steps before it are visible, and one for the steps between them.

    In the last view a missing step has the last value before it, not an interpolated one, and its features contain
    nothing of later steps; location, unit and lags are those before the first origin.
    """
    num = len(origins) + 1
    bounds = torch.tensor([*origins, origins[-1]], device=scaled.device)
    steps = torch.arange(scaled.shape[-1], device=scaled.device)
    prefix = visible & (steps < origins[0])
    visible = visible & (steps < bounds[:, None])
    values = torch.where(visible, scaled, 0.0)
    neighbours = find_neighbours(visible, dtype=scaled.dtype)
    before, after, is_leading, fraction = (field.clone() for field in neighbours)
    after[:, -1], fraction[:, -1] = before[:, -1], 0.0
    neighbours = Neighbours(before, after, is_leading, fraction)
    interpolated = interpolate(values, visible, neighbours=neighbours)
    prefix_lags = find_lags(torch.where(prefix, scaled, 0.0), prefix, num_lags=num_lags, seasons=seasons)
    lag, strength = (field.repeat_interleave(num, 0) for field in (prefix_lags.lag, prefix_lags.strength))
    lags = Lags(lag, strength, prefix_lags.known)
    features = compute_lag_features(
        values, visible, interpolated=interpolated, num_lags=num_lags, neighbours=neighbours, lags=lags
    )
    step_features, deviation, channel_features, unit = (field.clone() for field in features)
    step_features[:, -1, :, -1] = step_features[:, -1, :, 0]  # no value of a later season
    last = interpolated[:, 0, -1:]
    deviation[:, -1, :, 0] = arcsinh((interpolated[:, -1] - last) / unit[:, 0]) / 4
    channel_features[:, -1], unit[:, -1] = channel_features[:, 0], unit[:, 0]
    return Views(
        values, visible, neighbours, interpolated, LagFeatures(step_features, deviation, channel_features, unit)
    )


def stack_tails(views: Views, origins: Sequence[int], tail: int) -> Views:
    """Return the tail of each origin as a view of `tail` steps."""
    tails = [views.steps(index, origin, origin + tail) for index, origin in enumerate(origins)]
    scaled, visible, interpolated = (
        torch.cat([getattr(view, name) for view in tails], dim=1) for name in ("scaled", "visible", "interpolated")
    )
    neighbours = Neighbours(
        *(torch.cat(field, dim=1) for field in zip(*(view.neighbours for view in tails), strict=True))
    )
    features = LagFeatures(*(torch.cat(field, dim=1) for field in zip(*(v.features for v in tails), strict=True)))
    return Views(scaled, visible, neighbours, interpolated, features)


def embed_context(views: Views, origins: Sequence[int], patching: Patching) -> Float[Tensor, "B 1 P D"]:
    """Return the tokens of the context up to the last origin."""
    prefix = views.steps(0, 0, origins[0]).tokens(patching)
    if len(origins) == 1:
        return prefix
    return torch.cat([prefix, views.steps(-1, origins[0], origins[-1]).tokens(patching)], dim=2)


def valid_tokens(views: Views, origins: Sequence[int], *, tail: int, patch: int) -> Bool[Tensor, "B 1 N"]:
    """Return which tokens of the context and the tails are valid: from the first visible step on."""
    visible = views.visible[:, -1:, : origins[-1]].unflatten(-1, (-1, patch)).any(dim=-1)
    tails = visible.new_ones(len(visible), 1, len(origins) * (tail // patch))
    return torch.cat([from_first(visible), tails], dim=-1)


def attention_layout(origins: Sequence[int], *, tail: int, patch: int) -> tuple[Bool[Tensor, "N N"], Int[Tensor, " N"]]:
    """Return which tokens (columns) each token (row) attends to, and the position of each token in patches.

    The tokens are those of the context up to the last origin, then the tails one after the other.
    """
    bounds, length = [origin // patch for origin in origins], tail // patch
    num_context = bounds[-1]
    positions = torch.cat([torch.arange(num_context), *(torch.arange(bound, bound + length) for bound in bounds)])
    tail_index = torch.arange(len(bounds)).repeat_interleave(length)
    group = torch.cat([torch.full((num_context,), -1), tail_index])
    bound = torch.cat([torch.zeros(num_context, dtype=torch.long), torch.tensor(bounds)[tail_index]])
    query, key, is_context = positions[:, None], positions[None], group == -1
    in_order = (key <= query) | ((query < bounds[0]) & (key < bounds[0]))
    within_context = is_context[:, None] & is_context[None] & in_order
    to_context = ~is_context[:, None] & is_context[None] & (key < bound[:, None])
    within_tail = ~is_context[:, None] & (group[:, None] == group[None])
    return within_context | to_context | within_tail, positions
