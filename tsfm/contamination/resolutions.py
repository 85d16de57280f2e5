"""The resolutions at which the leak check compares series, and the windows of each that a sketch keeps.

C channels, L steps of a series, N windows, R derived series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.contamination.patterns import (
    MAX_AUTOCORRELATION,
    Channel,
    D,
    W,
    hash_pairs,
    hash_patterns,
    is_distinctive,
    is_distinctive_pair,
    second_differences,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

MIN_STEPS = 32  # steps that a series must have at a coarser resolution
MAX_WEEKLY_LENGTH = 2**13  # steps; longer series are not daily ones, so weekly means are not kept
MIN_SPACING, MAX_SPACING, MAX_COARSE_SPACING = 8, 96, 600  # steps between kept windows
MIN_WINDOWS, MIN_COARSE_WINDOWS = 64, 3  # kept per series; per offset of a coarser resolution
FEW_DISTINCTIVE = 7  # a series with fewer distinctive windows keeps pairs of windows as well
MAX_ORIGINAL_AUTOCORRELATION = 0.98  # of original values; subsampled and averaged cycles look alike
NUM_TRIES = 12  # windows tried in place of one that is not distinctive


class Resolution(NamedTuple):
    """A resolution: every `factor`-th step, or means of `factor` steps, from each `every`-th step of a series."""

    means: bool = False
    factor: int = 1
    every: int = 1

    def __str__(self) -> str:
        if self.factor == 1:
            return "its values"
        return f"means of {self.factor} steps" if self.means else f"one of {self.factor} steps"

    def windows(self, length: int) -> int:
        """Return the number of windows of a series of `length` steps."""
        return max(length - (W - 1) * self.factor - (self.factor - 1 if self.means else 0), 0)


def _mean_and_subsampled(factor: int, every: int = 1) -> tuple[Resolution, Resolution]:
    return Resolution(True, factor, every), Resolution(False, factor, every)


# A sketch keeps NESTED from every offset: means of 4 steps are found through means of 24, so a divisor of a kept factor
# need not be kept. It keeps ALIGNED only from the beginnings of natural units.
NESTED = (24, 12, 7, 6, 4, 3, 2)  # with 5, clean data sets with daily cycles would match each other
ALIGNED = ((48, 48), (96, 96), (144, 144), (168, 24), (288, 288))
PAIRS = Resolution(True, 1)  # original values, in pairs of windows that are not distinctive alone
ORIGINAL = (Resolution(), PAIRS)  # neither subsampled nor averaged
RESOLUTIONS = (
    *ORIGINAL,
    *(resolution for factor in NESTED for resolution in _mean_and_subsampled(factor)),
    *(resolution for factor, every in ALIGNED for resolution in _mean_and_subsampled(factor, every)),
)
QUERY_FACTORS = (
    2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 20, 24, 28, 30, 36, 42, 48, 56, 60, 72, 84, 96, 120, 144, 168, 240, 288,
    336, 360,
)  # fmt: skip
QUERY_RESOLUTIONS = (
    Resolution(),
    *(resolution for factor in QUERY_FACTORS for resolution in _mean_and_subsampled(factor)),
)  # of a query


@lru_cache(maxsize=4096)
def kept_resolutions(length: int) -> tuple[Resolution, ...]:
    """Return those of RESOLUTIONS that a sketch keeps of a series of `length` steps."""
    factors: list[int] = []
    for factor in NESTED:
        nested = any(other % factor == 0 for other in factors)
        if length // factor >= MIN_STEPS and not nested and (factor != 7 or length <= MAX_WEEKLY_LENGTH):
            factors.append(factor)
    factors += [1, *(factor for factor, _ in ALIGNED if length // factor >= MIN_STEPS)]
    return tuple(resolution for resolution in RESOLUTIONS if resolution.factor in factors)


def select_windows(
    channels: Sequence[Channel], resolutions: Sequence[Resolution] = RESOLUTIONS, *, spacing: int = 1
) -> Iterator[tuple[Resolution, Shaped[np.ndarray, " N"], Int[np.ndarray, " N"]]]:
    """Yield for each resolution the hashes of the windows that are kept, and the index of the channel of each.

    They are closer to each other in short series. Channels with few distinctive windows keep pairs (`PAIRS`).

    Parameters
    ----------
    spacing
        Factor of the distance between kept windows; 2 keeps half as many.
    """
    few = np.arange(len(channels))
    for resolution in resolutions:
        fitting = [
            index for index, channel in enumerate(channels) if resolution in kept_resolutions(len(channel.values))
        ]
        selected = few if resolution == PAIRS else np.array(fitting, np.int64)
        if len(selected):
            subset = [channels[int(index)] for index in selected]
            hashes, owners = (
                _distinctive_pairs(subset, spacing)
                if resolution == PAIRS
                else _distinctive_windows(subset, resolution, spacing)
            )
            if resolution == RESOLUTIONS[0]:
                few = np.flatnonzero(np.bincount(selected[owners], minlength=len(channels)) < FEW_DISTINCTIVE)
            yield resolution, hashes, selected[owners]


def _distinctive_windows(
    channels: Sequence[Channel], resolution: Resolution, spacing: int
) -> tuple[Shaped[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Hashes of distinctive windows, and the channel of each."""
    differences = second_differences(channels, means=resolution.means, factor=resolution.factor)
    grids = [_grid(len(channel.values), resolution, spacing) for channel in channels]
    owner = np.repeat(np.arange(len(channels)), [grid.shape[1] for grid in grids])
    start, distance = np.concatenate(grids, axis=1)
    limit = np.array([resolution.windows(len(channel.values)) for channel in channels])[owner]
    jump = np.maximum(distance // NUM_TRIES, 1) * resolution.factor
    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for _ in range(NUM_TRIES):
        patterns = differences.windows(start + differences.first[owner])
        distinctive = is_distinctive(
            patterns,
            max_autocorrelation=MAX_ORIGINAL_AUTOCORRELATION if resolution.factor == 1 else MAX_AUTOCORRELATION,
        )
        hashes.append(hash_patterns(patterns[:, distinctive]))
        owners.append(owner[distinctive])
        following = start + jump
        remaining = ~distinctive & (following < limit)
        owner, start, limit, jump = owner[remaining], following[remaining], limit[remaining], jump[remaining]
    return np.concatenate(hashes), np.concatenate(owners)


def _distinctive_pairs(
    channels: Sequence[Channel], spacing: int
) -> tuple[Shaped[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Hashes of distinctive pairs of windows that occur once in their channel, and the channel of each."""
    differences = second_differences(channels, means=False, factor=1)
    grids = [_grid(len(channel.values), PAIRS, spacing)[0] for channel in channels]
    owner = np.repeat(np.arange(len(channels)), [len(grid) for grid in grids])
    start = np.concatenate(grids) + differences.first[owner]
    patterns = [differences.windows(start), differences.windows(np.minimum(start + D, differences.num_windows - 1))]
    distinctive = is_distinctive_pair(*patterns)
    pairs = np.stack(
        [
            owner[distinctive].astype(np.uint64),
            hash_pairs(hash_patterns(patterns[0][:, distinctive]), hash_patterns(patterns[1][:, distinctive])),
        ]
    )
    pairs, count = np.unique(pairs, axis=1, return_counts=True)
    owners, hashes = pairs[:, count == 1]
    return hashes, owners.astype(np.int64)


def _grid(length: int, resolution: Resolution, spacing: int) -> Int[np.ndarray, "2 N"]:
    """First steps of evenly spaced windows of a series from each offset, and the number of windows between them."""
    min_spacing = 1 if resolution == PAIRS or resolution.factor > 1 else MIN_SPACING
    min_windows, max_spacing = (
        (MIN_WINDOWS, MAX_SPACING) if resolution.factor == 1 else (MIN_COARSE_WINDOWS, MAX_COARSE_SPACING)
    )
    total, grids = resolution.windows(length), [np.zeros((2, 0), np.int64)]
    for phase in range(0, resolution.factor, resolution.every):
        number = -(-(total - phase) // resolution.factor)
        if number > 0:
            distance = spacing * min(max(number // min_windows, min_spacing), max_spacing)
            index = np.arange(phase * distance // resolution.factor, number, distance)
            grids.append(np.stack([phase + resolution.factor * index, np.full(len(index), distance)]))
    return np.concatenate(grids, axis=1)


def monthly_series(
    values: Float[np.ndarray, "C L"], stamps: Shaped[np.ndarray, " L"]
) -> Float[np.ndarray, "R M"] | None:
    """Return the R = 2 C series of means, then of sums, of M calendar months, which no factor covers.

    None where a step is a month or longer, or there are fewer than `MIN_STEPS` months.
    """
    month = stamps.astype("datetime64[M]")
    first = np.flatnonzero(np.concatenate([[True], month[1:] != month[:-1]]))
    if len(first) < MIN_STEPS or len(first) == len(month):
        return None
    total = np.add.reduceat(values.astype(np.float64), first, axis=1)
    return np.concatenate([total / np.diff(first, append=len(month)), total])
