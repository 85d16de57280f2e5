"""Seasonal lag features: the values of a series one season earlier, and on average over the last seasons.

B batch, C channels, T steps, N rows (batch and channels together), F features of each step, G features of a channel,
K lags. Lags are found on the visible values alone, so a hidden value can change neither a lag nor a feature. Of all
inputs, lag features improve small training budgets most (TinyCast, arXiv:2608.15767; lags of Moirai-2 re-trainings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from tsfm.model.fill import Neighbours, find_neighbours, has_no_gaps, interpolate, visible_extent
from tsfm.model.scalers import arcsinh
from tsfm.model.season_search import MIN_AUTOCORRELATION, find_seasonal_lags
from tsfm.types import Patches

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MAX_SEASONS = 4  # the mean over seasons uses at most so many
MIN_UNIT = 1e-4  # smallest unit, in scaled values
FEATURES_PER_LAG = 3  # of each step: the value one season earlier, the mean over seasons, and that mean shifted


class LagFeatures(NamedTuple):
    """Features of every step and channel that follow from the seasonal lags.

    Attributes
    ----------
    values
        For each lag the value one season earlier, the mean over the last seasons, and that mean shifted to the level of
        the visible neighbours; finally the value one season later. Interpolated where there is none.
    deviation
        Interpolated value minus the last visible one in the channel's `unit`, by arcsinh over 4: changes of a smooth
        or trending series near its end are too small to be seen in units of its whole range.
    channel_features
        For each lag its autocorrelation, and log2 of its length over 10; then log10 of the typical errors of the
        previous value and of the value one season earlier.
    unit
        The smaller one of these two errors, at most 1.
    """

    values: Float[Tensor, "B C T F"]
    deviation: Float[Tensor, "B C T 1"]
    channel_features: Float[Tensor, "B C G"]
    unit: Float[Tensor, "B C 1"]

    def patches(self, patches: Patches) -> LagFeatures:
        """Return the features of some patches, as windows of one channel."""
        return LagFeatures(
            values=patches.cut(self.values),
            deviation=patches.cut(self.deviation),
            channel_features=patches.of_channels(self.channel_features),
            unit=patches.of_channels(self.unit),
        )


class Lags(NamedTuple):
    """Seasonal lags of rows (batch and channels together).

    Attributes
    ----------
    lag
        Steps, at least 1.
    strength
        Autocorrelation at the lag, 0 where there is no season; 1 for a known season.
    known
        Whether the last lag is the known season.
    """

    lag: Int[Tensor, "N K"]
    strength: Float[Tensor, "N K"]
    known: bool


def num_step_features(num_lags: int) -> int:
    """Return the number of features in `LagFeatures.values`."""
    return FEATURES_PER_LAG * num_lags + 1


def num_channel_features(num_lags: int) -> int:
    """Return the number of features in `LagFeatures.channel_features`."""
    return 2 * num_lags + 2


def compute_lag_features(
    values: Float[Tensor, "B C T"],
    visible: Bool[Tensor, "B C T"],
    *,
    interpolated: Float[Tensor, "B C T"],
    num_lags: int,
    neighbours: Neighbours | None = None,
    seasons: Int[Tensor, "B K"] | None = None,
    lags: Lags | None = None,
) -> LagFeatures:
    """Return the lag features of each channel, without gradients.

    Parameters
    ----------
    values, visible
        Scaled values and which of them are visible.
    interpolated
        As from `interpolate`.
    num_lags
        1 or 2: of two lags, the first is the shortest strong one (a day), the second the strongest one (a week). They
        are equal where one explains all.
    neighbours
        As from `find_neighbours`, where they are known.
    seasons
        Season lengths in steps that are known without the values, ascending, 0 where there is none: one lag more, the
        longest of them that fits once into the visible part. None: only the lags found in the values.
    lags
        As from `find_lags`, where they are known; `num_lags` and `seasons` then have no effect.
    """
    # a compiler must leave this as it is; a decorator for that would import the compiler, for seconds, at every start
    compute: Any = torch.compiler.disable(_compute) if torch.compiler.is_compiling() else _compute
    neighbours = find_neighbours(visible, dtype=torch.float32) if neighbours is None else neighbours
    if lags is None:
        find: Any = torch.compiler.disable(find_lags) if torch.compiler.is_compiling() else find_lags
        lags = find(values, visible, num_lags=num_lags, seasons=seasons)
    return compute(values, visible, interpolated=interpolated, neighbours=neighbours, lags=lags)


@torch.no_grad()
def find_lags(
    values: Float[Tensor, "B C T"],
    visible: Bool[Tensor, "B C T"],
    *,
    num_lags: int,
    seasons: Int[Tensor, "B K"] | None = None,
) -> Lags:
    """Return the seasonal lags of each channel, with the known season last; see `compute_lag_features`."""
    channels, rows, visible = values.shape[1], values.flatten(0, 1).float(), visible.flatten(0, 1)
    lag, strength = (result[:, :num_lags] for result in find_seasonal_lags(rows, visible))
    if seasons is not None:
        known_lag = longest_visible_season(seasons.repeat_interleave(channels, dim=0), visible)
        lag = torch.cat([lag, known_lag.clamp_min(1)], dim=-1)
        strength = torch.cat([strength, (known_lag > 0).to(strength.dtype)], dim=-1)
    return Lags(lag, strength, seasons is not None)


@torch.no_grad()
def _compute(
    values: Float[Tensor, "B C T"],
    visible: Bool[Tensor, "B C T"],
    *,
    interpolated: Float[Tensor, "B C T"],
    neighbours: Neighbours,
    lags: Lags,
) -> LagFeatures:
    batch = values.shape[0]
    rows, visible = values.flatten(0, 1).float(), visible.flatten(0, 1)
    line = interpolated.flatten(0, 1).float()
    fraction = neighbours.fraction.to(rows.dtype)
    neighbours = Neighbours(*(field.flatten(0, 1) for field in (*neighbours[:3], fraction)))
    lag, strength, num_lags = lags.lag, lags.strength, lags.lag.shape[-1]
    is_seasonal = strength > MIN_AUTOCORRELATION
    log_lag = torch.where(is_seasonal, lag.clamp_min(1).float().log2() / 10, 0.0)
    channel_features = torch.stack([strength, log_lag], dim=-1).flatten(1)
    # all lags at once, N K T: few large steps are faster than many small ones
    folded = fold_by_phase(rows.repeat_interleave(num_lags, 0), visible.repeat_interleave(num_lags, 0), lag.flatten())
    previous, mean, following = (feature.unflatten(0, (-1, num_lags)) for feature in folded)
    exists = is_seasonal[..., None] & ~previous.isnan()
    previous, mean = (torch.where(exists, feature, line[:, None]) for feature in (previous, mean))
    expanded = Neighbours(*(field[:, None].expand_as(previous) for field in neighbours))
    shifted = mean + interpolate(rows[:, None] - mean, visible[:, None], neighbours=expanded)
    following = torch.where(is_seasonal[:, :1] & ~following[:, 0].isnan(), following[:, 0], previous[:, 0])
    step_error = mean_absolute(rows[:, 1:] - rows[:, :-1], visible[:, 1:] & visible[:, :-1])
    has_season = visible & exists[:, 0]
    season_error = mean_absolute(rows - previous[:, 0], has_season)
    if lags.known:  # the known season counts where the values show none
        has_known = visible & exists[:, -1]
        known_error = mean_absolute(rows - previous[:, -1], has_known)
        season_error = torch.where(has_season.any(dim=-1), season_error, known_error)
        has_season = has_season | has_known
    season_error = torch.where(has_season.any(dim=-1), season_error, step_error)
    unit = torch.minimum(step_error, season_error).clamp(MIN_UNIT, 1.0)
    log_errors = torch.stack([step_error, season_error], dim=-1).clamp(MIN_UNIT, 10.0).log10()
    deviation = arcsinh((line - last_visible(rows, visible)) / unit[:, None]) / 4
    # in memory the steps of each feature are contiguous
    step_features = [
        torch.stack([previous, mean, shifted], dim=2).flatten(1, 2),
        following[:, None],
        deviation[:, None],
    ]
    joined = rearrange(torch.cat(step_features, dim=1), "(b c) f t -> b c t f", b=batch)
    return LagFeatures(
        values=joined[..., :-1],
        deviation=joined[..., -1:],
        channel_features=rearrange(torch.cat([channel_features, log_errors], dim=-1), "(b c) g -> b c g", b=batch),
        unit=rearrange(unit, "(b c) -> b c 1", b=batch),
    )


def longest_visible_season(seasons: Int[Tensor, "N K"], visible: Bool[Tensor, "N T"]) -> Int[Tensor, "N 1"]:
    """Return the longest of the seasons that the visible part of each row contains once; 0 where there is none."""
    first, last = visible_extent(visible)
    fits = (seasons >= 2) & (seasons <= last - first + 1)
    return torch.where(fits, seasons, 0).amax(dim=-1, keepdim=True)


def mean_absolute(errors: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, " N"]:
    """Return the mean absolute error where `mask` is True; 1, the spread of a scaled row, where it never is."""
    count = mask.sum(dim=-1)
    mean = torch.where(mask, errors.abs(), 0.0).sum(dim=-1) / count.clamp_min(1)
    return torch.where(count > 0, mean, 1.0)


def last_visible(rows: Float[Tensor, "N T"], visible: Bool[Tensor, "N T"]) -> Float[Tensor, "N 1"]:
    """Return the last visible value of each row; 0 where there is none."""
    _, last = visible_extent(visible)
    return torch.where(last >= 0, rows.gather(-1, last.clamp_min(0)), 0.0)


def fold_by_phase(
    rows: Float[Tensor, "N T"], visible: Bool[Tensor, "N T"], lag: Int[Tensor, " N"]
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"], Float[Tensor, "N T"]]:
    """Return three seasonal values of every step, NaN where there is none.

    Steps are sorted by phase, and by time within a phase; cumulative counts and sums then give all three.

    Returns
    -------
    tuple
        `[rows, time]` each: the last visible value a whole number of seasons earlier, the mean of the last
        `MAX_SEASONS` of these, and the first visible value a whole number of seasons later.
    """
    first, last = visible_extent(visible)
    if has_no_gaps(visible, first=first, last=last):  # a third of the time
        return _fold_without_gaps(rows, lag[:, None], first=first, last=last)
    num, size = rows.shape
    steps = torch.arange(size, device=rows.device).expand(num, size)
    num_seasons, remainder = size // lag[:, None], size % lag[:, None]  # the first phases have one season more
    phase = steps % lag[:, None]
    rank = phase * num_seasons + torch.minimum(phase, remainder) + steps // lag[:, None]
    order = torch.empty_like(rank).scatter_(-1, rank, steps)
    sorted_visible = visible.gather(-1, order)
    value = torch.where(sorted_visible, rows.gather(-1, order), 0.0)
    sorted_phase = phase.gather(-1, order)
    count = sorted_visible.cumsum(dim=-1)  # visible steps up to each step, in this order
    begins = torch.cat([torch.ones_like(sorted_visible[:, :1]), sorted_phase[:, 1:] != sorted_phase[:, :-1]], dim=-1)
    earlier = count - sorted_visible.long()  # before each step
    before_phase = torch.where(begins, earlier, -1).cummax(dim=-1).values
    ends = torch.cat([begins[:, 1:], torch.ones_like(begins[:, :1])], dim=-1)
    upto_phase_end = torch.where(ends, count, size + 1).flip(-1).cummin(dim=-1).values.flip(-1)
    compact = torch.zeros(num, size + 1, dtype=rows.dtype, device=rows.device)
    compact.scatter_(-1, torch.where(sorted_visible, count - 1, size), value)  # i-th visible value; last slot unused
    sums = torch.nn.functional.pad(compact[:, :size].double().cumsum(dim=-1), (1, 0))
    depth = (earlier - before_phase).clamp_max(MAX_SEASONS)
    missing = torch.full_like(rows, torch.nan)
    previous = torch.where(depth > 0, compact.gather(-1, (earlier - 1).clamp_min(0)), missing)
    total = sums.gather(-1, earlier) - sums.gather(-1, earlier - depth)
    mean = torch.where(depth > 0, (total / depth.clamp_min(1)).to(rows.dtype), missing)
    following = torch.where(count < upto_phase_end, compact.gather(-1, count.clamp_max(size - 1)), missing)
    return previous.gather(-1, rank), mean.gather(-1, rank), following.gather(-1, rank)


def _fold_without_gaps(
    rows: Float[Tensor, "N T"], lag: Int[Tensor, "N 1"], *, first: Int[Tensor, "N 1"], last: Int[Tensor, "N 1"]
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"], Float[Tensor, "N T"]]:
    """`fold_by_phase` of rows that are visible from `first` to `last`: indices are plain arithmetic."""
    # as floats, exact for windows of less than 2^24 steps: a CPU divides integers one by one
    end = rows.shape[-1] + 1  # padded with a step at each end, 0 and this, that represent all steps beyond
    steps = torch.arange(1, end, dtype=rows.dtype, device=rows.device)
    lag, first, last = lag.to(rows.dtype), first.to(rows.dtype) + 1, last.to(rows.dtype) + 1
    padded = torch.where((steps >= first) & (steps <= last), rows, torch.nan)
    padded = torch.nn.functional.pad(padded, (1, 1), value=torch.nan)

    def take(index: Tensor) -> Tensor:
        return padded.gather(-1, index.clamp(0, end).long())

    previous_index = steps - lag * ((steps - last + lag - 1) / lag).floor_().clamp_min_(1)
    depth = ((previous_index - first) / lag).floor_().add_(1).clamp_(0, MAX_SEASONS)
    previous = take(previous_index)
    total = previous.clone()
    for seasons in range(1, MAX_SEASONS):
        total += take(previous_index - seasons * lag).nan_to_num_()
    following_index = steps + lag * ((first - steps + lag - 1) / lag).floor_().clamp_min_(1)
    return previous, total / depth, take(following_index)
