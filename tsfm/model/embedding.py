"""From the visible values of a problem to tokens. B batch, C channels, T steps, P patches, D width, M packed tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from tsfm.model.fill import find_neighbours, interpolate
from tsfm.model.lag_features import LagFeatures, compute_lag_features
from tsfm.model.patching import Patching
from tsfm.model.scalers import Scaler, State
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Embedded(NamedTuple):
    """Tokens, which of them are valid, the state of the scaler; interpolated values and lag features, both scaled.

    The tokens are `[batch, channels, patches, width]`, or `[packed, width]` where only some of them are kept.
    """

    tokens: Float[Tensor, "*tokens D"]
    valid: Bool[Tensor, "B C P"]
    state: State
    interpolated: Float[Tensor, "B C T"] | None
    lag_features: LagFeatures | None


def embed(
    problem: Problem,
    *,
    scaler: Scaler,
    patching: Patching,
    length: int,
    fills: bool,
    num_lags: int,
    seasons: Int[Tensor, "B K"] | None,
    kept: Bool[Tensor, "B C P"] | None = None,
) -> Embedded:
    """Return the tokens of the first `length` steps.

    Parameters
    ----------
    problem
        Windows; only their visible values have an effect.
    scaler, patching
        Parts of a model.
    length
        Steps that become tokens.
    fills
        Whether hidden steps are interpolated.
    num_lags, seasons
        As in `compute_lag_features`; 0 lags: there are no lag features.
    kept
        As in `Patching`.
    """
    values, visible = problem.visible_values()[..., :length], problem.visible[..., :length]
    state = scaler.fit(values, visible)
    if problem.unscaled is not None:
        state = state.without(problem.unscaled)
    scaled = scaler.apply(values, state)
    if not fills:
        tokens, valid = patching(scaled, visible, kept=kept)
        return Embedded(tokens, valid, state, None, None)
    neighbours = find_neighbours(visible, dtype=scaled.dtype)
    filled = interpolate(scaled, visible, neighbours=neighbours)
    if not num_lags:
        tokens, valid = patching(scaled, visible, filled=filled, kept=kept)
        return Embedded(tokens, valid, state, filled, None)
    features = compute_lag_features(
        scaled, visible, interpolated=filled, num_lags=num_lags, neighbours=neighbours, seasons=seasons
    )
    tokens, valid = patching(
        scaled,
        visible,
        filled=filled,
        step_features=(features.values, features.deviation),
        channel_features=features.channel_features,
        neighbours=neighbours,
        kept=kept,
    )
    return Embedded(tokens, valid, state, filled, features)
