"""Forecast any horizon: one pass within the trained horizon, and beyond it from the model's own forecasts.

B batch, C target channels, K covariates, L past steps, R future steps, W = L + R, H horizon, Q quantile levels,
M values with a weight.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from tsfm.model.model import Model
from tsfm.types import NO_TIMESTAMP, Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

CHUNK_VALUES = 2**18  # values in a pass on a CPU, so that its tensors stay in the cache
KEPT_BYTES = 2**25 - 2**16  # below glibc's largest threshold, 32 MiB


def rollout(
    model: Model,
    values: Float[Tensor, "B C L"],
    observed: Bool[Tensor, "B C L"],
    known: Float[Tensor, "B K W"] | None = None,
    timestamps: Int[Tensor, "B W"] | None = None,
    *,
    horizon: int,
    any_horizon: bool = False,
    num_time_features: int = 0,
    flip: bool = False,
    seasons: Sequence[int] = (),
) -> Float[Tensor, "B C H Q"]:
    """Return quantiles of the next `horizon` steps, in as many passes as that takes.

    Beyond the first pass, a quantile forecast continues along one path for each quantile level; the next quantiles are
    those of the forecasts of all paths, so that uncertainty adds up. Chronos-Bolt does that, too, but gives all paths
    the same weight, which is right for evenly spaced levels only. Here a path, and a quantile of its forecast, has the
    probability between its level and those next to it (`level_masses`). A point forecast continues from itself.

    A path follows its level all along, so a step of it is not independent of the one before; and it is smoother than a
    series, so that the model is too sure after it. The two errors partly cancel. A model of any horizon therefore
    forecasts long horizons without paths, see `tsfm.infer.long_horizon`.

    Parameters
    ----------
    known
        Covariates, NaN where unknown; the last `num_time_features` of them are not scaled.
    timestamps
        In seconds since 1970, for a model that reads them.
    any_horizon
        Whether the model was trained for horizons of any length: a pass then has no more steps than needed, in whole
        patches. Otherwise each pass has the horizon of the model.
    flip
        Forecast the series times -1 too, and return the mean of both.
    seasons
        Season lengths of the frequency in steps, for a model that reads them.
    """
    _keep_pages()
    covariates: dict[str, Any] = {"num_time_features": num_time_features, "flip": flip, "seasons": seasons}
    pass_length = steps_of_pass(model, horizon if any_horizon else None)
    inputs: dict[str, Tensor | None] = {"known": known, "timestamps": timestamps}
    quantiles = predict_horizon(model, values, observed, horizon=pass_length, **inputs, **covariates)
    blocks, num_steps = [quantiles], pass_length
    quantile_levels = torch.tensor(model.quantile_levels, dtype=quantiles.dtype, device=quantiles.device)
    num_paths, mass = len(quantile_levels), level_masses(quantile_levels)
    mass = (mass[:, None] * mass).flatten()  # of a path, times that of a quantile of its forecast
    if num_steps < horizon:
        values = repeat(values, "b c l -> (b q) c l", q=num_paths)
        observed = repeat(observed, "b c l -> (b q) c l", q=num_paths)
        inputs = {name: x if x is None else x.repeat_interleave(num_paths, dim=0) for name, x in inputs.items()}
    while num_steps < horizon:
        # quantiles of a network may cross; those of a path may not
        paths = rearrange(quantiles.sort(dim=-1).values, "b c h q -> (b q) c h")
        values = torch.cat([values, paths.to(values.dtype)], dim=-1)
        observed = torch.cat([observed, torch.ones_like(paths, dtype=torch.bool)], dim=-1)
        pass_length = steps_of_pass(model, horizon - num_steps if any_horizon else None)
        quantiles = predict_horizon(model, values, observed, horizon=pass_length, **inputs, **covariates)
        quantiles = rearrange(quantiles, "(b p) c h q -> b c h (p q)", p=num_paths)
        if num_paths > 1:
            quantiles = weighted_quantiles(quantiles, mass, quantile_levels)
        blocks.append(quantiles)
        num_steps += pass_length
    return torch.cat(blocks, dim=-2)[..., :horizon, :]


def level_masses(quantile_levels: Float[Tensor, " Q"]) -> Float[Tensor, " Q"]:
    """Return the probability that each level stands for: between the midpoints to its neighbours, or to 0 and 1.

    Examples
    --------
    >>> level_masses(torch.tensor([0.1, 0.5, 0.9]))
    tensor([0.3000, 0.4000, 0.3000])
    """
    middle = (quantile_levels[1:] + quantile_levels[:-1]) / 2
    return torch.cat([middle.new_zeros(1), middle, middle.new_ones(1)]).diff()


def weighted_quantiles(
    values: Float[Tensor, "B C H M"], mass: Float[Tensor, " M"], quantile_levels: Float[Tensor, " Q"]
) -> Float[Tensor, "B C H Q"]:
    """Return quantiles of values with a probability each.

    A value is the quantile of the level in the middle of its probability; between two values a quantile is linear.
    """
    ordered, order = values.sort(dim=-1)
    weight = mass[order]
    level = weight.cumsum(dim=-1) - weight / 2
    requested = quantile_levels.expand(*values.shape[:-1], -1).contiguous()
    right = torch.searchsorted(level, requested).clamp(1, values.shape[-1] - 1)
    low, high = level.gather(-1, right - 1), level.gather(-1, right)
    share = ((requested - low) / (high - low)).clamp(0, 1)
    return torch.lerp(ordered.gather(-1, right - 1), ordered.gather(-1, right), share)


def steps_of_pass(model: Model, num_steps: int | None) -> int:
    """Return the steps of one pass; `num_steps` is what is still to be forecast, None for a model of one horizon."""
    config = model.config
    if num_steps is None or model.fixed_length:
        return config.horizon
    return max(1, min(config.horizon, -(-num_steps // config.patch) * config.patch))


def predict_horizon(
    model: Model,
    values: Float[Tensor, "B C L"],
    observed: Bool[Tensor, "B C L"],
    *,
    horizon: int,
    known: Float[Tensor, "B K W"] | None = None,
    timestamps: Int[Tensor, "B W"] | None = None,
    num_time_features: int = 0,
    flip: bool = False,
    seasons: Sequence[int] = (),
) -> Float[Tensor, "B C H Q"]:
    """Return quantiles of the next `horizon` steps in one pass; see `rollout` for the parameters."""
    num_targets = values.shape[1]
    problem = _pose(model, values, observed, horizon=horizon)
    first = values.shape[-1] + horizon - problem.values.shape[-1]  # the step at which the window begins
    if known is not None:
        problem = _with_covariates(problem, known, first=first, num_time_features=num_time_features)
    if seasons:
        known_seasons = torch.tensor(sorted(seasons), device=values.device).expand(len(values), -1)
        problem = replace(problem, seasons=known_seasons)
    if timestamps is not None and model.time_features is not None:
        window = _cut_window(timestamps, first, problem.values.shape[-1], fill=NO_TIMESTAMP)
        problem = replace(problem, timestamps=window)
    problems = [problem]
    if flip:
        flipped = torch.cat([-problem.values[:, :num_targets], problem.values[:, num_targets:]], dim=1)
        problems.append(replace(problem, values=flipped))
    results = []
    for posed in problems:
        chunks = []
        for chunk in _chunks(posed):
            chunks.append(model(chunk, last=horizon).prediction[:, :num_targets])
        results.append(torch.cat(chunks))
    if not flip:
        return results[0]
    return (results[0].sort(dim=-1).values + (-results[1].flip(-1)).sort(dim=-1).values) / 2


def _pose(model: Model, values: Tensor, observed: Tensor, *, horizon: int) -> Problem:
    """Return the problem of the most recent context and the hidden horizon."""
    context = model.config.context
    if not model.fixed_length:  # patches without an observed step would only cost time
        patch = model.config.patch
        context = min(context, -(-values.shape[-1] // patch) * patch)
    values, observed = _pad_left(values[..., -context:], context), _pad_left(observed[..., -context:], context)
    future = torch.zeros(*values.shape[:2], horizon, dtype=values.dtype, device=values.device)
    hidden = torch.zeros_like(future, dtype=torch.bool)
    return Problem(
        values=torch.cat([values, future], dim=-1),
        visible=torch.cat([observed, hidden], dim=-1),
        wanted=torch.cat([torch.zeros_like(observed), ~hidden], dim=-1),
    )


def _with_covariates(problem: Problem, known: Tensor, *, first: int, num_time_features: int) -> Problem:
    """Add covariates from step `first` on below the targets of the problem: visible where known, and not wanted."""
    num_targets, num_steps = problem.values.shape[1:]
    window = _cut_window(known, first, num_steps, fill=torch.nan)
    visible = torch.isfinite(window)
    unscaled = torch.zeros(len(window), num_targets + window.shape[1], dtype=torch.bool, device=window.device)
    if num_time_features:
        unscaled[:, -num_time_features:] = True
    return Problem(
        values=torch.cat([problem.values, torch.where(visible, window, 0.0)], dim=1),
        visible=torch.cat([problem.visible, visible], dim=1),
        wanted=torch.cat([problem.wanted, torch.zeros_like(visible)], dim=1),
        unscaled=unscaled,
    )


def _chunks(problem: Problem) -> Iterator[Problem]:
    """On a CPU some windows at a time, so that their tensors stay in its cache; elsewhere all of them."""
    num_values = problem.values.numel() if problem.values.device.type == "cpu" else 0
    num_chunks = min(max(-(-num_values // CHUNK_VALUES), 1), len(problem.values))
    fields = (
        *(problem.values, problem.visible, problem.wanted),
        *(problem.unscaled, problem.seasons, problem.timestamps),
    )
    chunks = zip(
        *([None] * num_chunks if field is None else field.tensor_split(num_chunks) for field in fields), strict=True
    )
    for values, visible, wanted, unscaled, seasons, timestamps in chunks:
        yield Problem(
            values=values,
            visible=visible,
            wanted=wanted,
            unscaled=unscaled,
            seasons=seasons,
            timestamps=timestamps,
        )


@functools.cache
def _keep_pages() -> None:
    """Free one large block, once: glibc then keeps pages that it otherwise returns to the system after each pass.

    To get them again costs up to a fifth of a pass. After a block of this size was freed, glibc keeps twice as much;
    with another allocator this does nothing.
    """
    torch.empty(KEPT_BYTES, dtype=torch.uint8)


def _cut_window(x: Tensor, first: int, num_steps: int, *, fill: float) -> Tensor:
    """Return `num_steps` steps from step `first` on, `fill` where there are none."""
    window = x[..., max(first, 0) : max(first + num_steps, 0)]
    window = _pad_left(window, window.shape[-1] + max(-first, 0), fill=fill)
    return torch.nn.functional.pad(window, (0, num_steps - window.shape[-1]), value=fill)


def _pad_left(x: Tensor, length: int, *, fill: float = 0.0) -> Tensor:
    """Zeros (False), or `fill`, before the first step up to `length` steps."""
    return torch.nn.functional.pad(x, (length - x.shape[-1], 0), value=fill)
