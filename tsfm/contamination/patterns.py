"""Patterns of short windows that do not change under scaling, shifting and flipping: what the leak check compares.

A window is W values, `factor` steps apart: original values, or means of `factor` steps each. Its pattern is its
D = W - 2 second differences: the sign of each, and the logarithm of its size relative to the window's, in 16 levels.
L steps of a series, N windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

W = 16  # values of a window
D = W - 2
BITS = 40  # of a hash; 0 stands for a window with a gap, or with all second differences 0
NUM_LEVELS, LEVEL_WIDTH, LOWEST_LEVEL = 16, 0.4, -3.7  # of sizes: the lowest level ends at LOWEST_LEVEL + LEVEL_WIDTH
FRACTION_BITS = 14  # bits kept below a level, so that rounding rarely decides
NEGLIGIBLE = 1e-7  # about float32's precision: a second difference below this share of the largest value is 0
MIN_SIGN_CHANGES, MIN_LEVELS, MIN_NONZERO = 4, 6, 11  # of a distinctive window: sign changes, levels, nonzeros
PAIR_MIN_SIGN_CHANGES, PAIR_MIN_NEW_LEVELS = 6, 6  # of a pair of windows: sign changes, levels that are new
MAX_AUTOCORRELATION = 0.85  # of a pattern at any lag; above it the window is a cycle like many others
MIN_FREE = 8  # of a window that is evidence: second differences that do not follow from others
PEAK_LEVELS = 2  # by which the middle of (a, -2a, a) is larger: log(2) is 1.7 levels
GROUPS = ((0, 5), (5, 10), (10, 14))  # second differences that fit into 32 bits together
MULTIPLIERS = tuple(
    np.uint64(multiplier) for multiplier in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93)
)
MIXERS = tuple(np.uint64(multiplier) for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))  # those of splitmix64


class Channel(NamedTuple):
    """A channel with mean 0 and standard deviation 1; NaN is missing, sizes up to `negligible` count as 0."""

    values: Float[np.ndarray, " L"]
    negligible: float
    series: int = 0
    channel: int = 0


def normalize_channel(values: Float[np.ndarray, " L"], *, series: int = 0, channel: int = 0) -> Channel:
    """Return the standardized channel; a constant one is all NaN."""
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    largest = np.nanmax(np.abs(values), initial=0.0)
    values = values / (largest or 1.0)  # squares of huge values would overflow
    observed = values[~np.isnan(values)]
    scale = observed.std() if len(observed) else 0.0
    if scale <= NEGLIGIBLE:
        return Channel(np.full(len(values), np.nan), 0.0, series, channel)
    return Channel((values - observed.mean()) / scale, NEGLIGIBLE / float(scale), series, channel)


@dataclass(frozen=True)
class SecondDifferences:
    """Second differences of concatenated channels at one resolution.

    `sign`, `level` (the logarithm of the size in fixed point), `root` (square root of the size). Channel i begins at
    ``first[i]``.
    """

    sign: Int[np.ndarray, " L"]
    level: Int[np.ndarray, " L"]
    root: Float[np.ndarray, " L"]
    first: Int[np.ndarray, " N"]
    factor: int

    @property
    def num_windows(self) -> int:
        """Return the number of windows, including those that cross the end of a channel, whose pattern is all 0."""
        return max(len(self.sign) - (D - 1) * self.factor, 0)

    @cached_property
    def reference(self) -> tuple[Int[np.ndarray, " N"], Shaped[np.ndarray, " N"]]:
        """The size of each window, in the unit of `level`, and whether its pattern is not all 0."""
        two, factor = self.root[: -self.factor] + self.root[self.factor :], self.factor
        four = two[: -2 * factor] + two[2 * factor :]
        roots = four[: -4 * factor] + four[4 * factor :]  # the sum of 8, then of 14
        num = self.num_windows
        roots = roots[:num] + four[8 * factor : 8 * factor + num] + two[12 * factor : 12 * factor + num]
        nonzero = roots > 0  # NaN is not
        roots[~nonzero] = 1
        return _fixed(2 * np.log(roots / D) + LOWEST_LEVEL), nonzero

    def rows(self, starts: slice | Int[np.ndarray, " N"]) -> Iterator[Int[np.ndarray, " N"]]:
        """Yield each of the D signed levels of the windows that begin at `starts`, in one array that is used again."""
        if not self.num_windows:
            yield from np.zeros((D, len(self.sign[starts])), np.int32)
            return
        reference, nonzero = (values[starts] for values in self.reference)
        has_gap = not nonzero.all()
        out = np.empty(len(reference), np.int32)
        for j in range(D):
            offset = j * self.factor
            here = slice(starts.start + offset, starts.stop + offset) if isinstance(starts, slice) else starts + offset
            np.subtract(self.level[here], reference, out=out)
            np.right_shift(out, FRACTION_BITS, out=out)
            np.maximum(out, 0, out=out)
            np.minimum(out, NUM_LEVELS - 1, out=out)
            np.multiply(out, self.sign[here], out=out)
            if has_gap:
                out *= nonzero
            yield out

    def windows(self, starts: slice | Int[np.ndarray, " N"]) -> Int[np.ndarray, "D N"]:
        """Return the patterns of the windows that begin at `starts`: signed levels, all 0 where there is a gap."""
        return np.stack([row.copy() for row in self.rows(starts)])

    def locate(self, window: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """Return the channel of each window, and the step of the channel at which it begins."""
        channel = np.searchsorted(self.first, window, side="right") - 1
        return channel, window - self.first[channel]


def second_differences(channels: Sequence[Channel], *, means: bool, factor: int) -> SecondDifferences:
    """Compute second differences of at least one channel: of its values, or of means of `factor` steps."""
    gap = np.full(factor, np.nan)  # no window crosses it
    values = np.concatenate([values for channel in channels for values in (channel.values, gap)])
    sizes = np.array([len(channel.values) + factor for channel in channels])
    first = np.cumsum(sizes) - sizes
    negligible = np.repeat([channel.negligible for channel in channels], sizes)
    if means and factor > 1:
        values = _means(values, factor)
    if len(values) <= 2 * factor:
        empty = np.zeros(0, np.int32)
        return SecondDifferences(empty, empty, empty.astype(np.float32), first, factor)
    difference = values[2 * factor :] - values[factor:-factor]
    difference -= values[factor:-factor]
    difference += values[: -2 * factor]
    size = np.abs(difference)
    is_zero = size <= negligible[: len(size)]
    size[is_zero] = 0
    root = np.sqrt(size).astype(np.float32)
    sign = np.sign(difference, out=difference)
    missing = np.isnan(size)
    is_zero |= missing
    sign[is_zero], size[is_zero] = 0, 1
    return SecondDifferences(sign.astype(np.int32), _fixed(np.log(size.astype(np.float32))), root, first, factor)


def _fixed(logarithm: Float[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    logarithm *= 2**FRACTION_BITS / LEVEL_WIDTH
    return np.rint(logarithm, out=logarithm).astype(np.int32)


def _means(values: Float[np.ndarray, " L"], factor: int) -> Float[np.ndarray, " N"]:
    """Means of `factor` steps from each step on; NaN where one of them is NaN."""
    missing = np.isnan(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(missing, 0.0, values))])
    holes = np.concatenate([[0], np.cumsum(missing)])
    means = (total[factor:] - total[:-factor]) / factor
    means[holes[factor:] > holes[:-factor]] = np.nan
    return means


def hash_patterns(patterns: Iterable[Int[np.ndarray, " N"]]) -> Shaped[np.ndarray, " N"]:
    """Return BITS-bit hashes as uint64, equal for a pattern and its negative; 0 for a pattern of zeros.

    Parameters
    ----------
    patterns
        The D rows of patterns, `SecondDifferences.windows` or `SecondDifferences.rows`.
    """
    rows = iter(patterns)
    total: Any = np.uint64(0)
    for (first, stop), multiplier in zip(GROUPS, MULTIPLIERS, strict=True):
        group = next(rows).copy()
        for _ in range(first + 1, stop):
            group *= 2 * NUM_LEVELS - 1
            group += next(rows)
        term = group.astype(np.int64).view(np.uint64)
        term *= multiplier
        total = term if first == 0 else np.add(total, term, out=total)
    total = np.minimum(total, np.uint64(0) - total)  # the sum is linear: a negative pattern has the negative sum
    for multiplier, shift in zip(MIXERS, (30, 27), strict=True):
        total ^= total >> np.uint64(shift)
        total *= multiplier
    total >>= np.uint64(64 - BITS)
    return total


def hash_pairs(first: Shaped[np.ndarray, " N"], second: Shaped[np.ndarray, " N"]) -> Shaped[np.ndarray, " N"]:
    """Return the hashes of pairs of windows from the hashes of both."""
    return (first * MULTIPLIERS[0] + second * MULTIPLIERS[1]) >> np.uint64(64 - BITS)


def count_new_levels(patterns: Int[np.ndarray, "D N"]) -> Int[np.ndarray, " N"]:
    """Return how many levels of each pattern differ from those of the cycle that fits it best."""
    sizes = np.abs(patterns)
    return np.min([(sizes[lag:] != sizes[:-lag]).sum(axis=0) for lag in range(1, D // 2 + 1)], axis=0)


def count_free(patterns: Int[np.ndarray, "D N"]) -> Int[np.ndarray, " N"]:
    """Return how many second differences of each pattern are not 0 and do not follow from their neighbours.

    Two of a peak between equal values follow from the third (a, -2a, a), and one that is as large as the one before it
    may. Solar power at four times of the day, or a sparse count, has 14 second differences and few free values.
    """
    sizes = np.abs(patterns)
    is_peak = (patterns[2:] == patterns[:-2]) & (patterns[1:-1] * patterns[2:] < 0)
    is_peak &= (sizes[1:-1] - sizes[2:] >= 1) & (sizes[1:-1] - sizes[2:] <= PEAK_LEVELS)
    is_repeated = (sizes[1:] == sizes[:-1]) & (sizes[1:] > 0)
    return (sizes > 0).sum(axis=0) - is_repeated.sum(axis=0) - 2 * is_peak.sum(axis=0)


def is_distinctive(
    patterns: Int[np.ndarray, "D N"], *, max_autocorrelation: float = MAX_AUTOCORRELATION
) -> Shaped[np.ndarray, " N"]:
    """Return whether each pattern identifies its series: not a smooth curve, a few jumps or a regular cycle."""
    sizes = np.abs(patterns)
    num_levels = sum((sizes == level).any(axis=0).astype(np.int64) for level in range(NUM_LEVELS))
    differences = np.sign(patterns) * np.exp(LEVEL_WIDTH * sizes)
    is_cycle = np.zeros(patterns.shape[1], bool)
    for lag in range(1, D // 2 + 1):
        later, earlier = differences[lag:], differences[:-lag]
        is_cycle |= np.abs((later * earlier).sum(axis=0)) > max_autocorrelation * np.sqrt(
            np.square(later).sum(axis=0) * np.square(earlier).sum(axis=0)
        )
    return (
        (count_sign_changes(patterns) >= MIN_SIGN_CHANGES)
        & (num_levels >= MIN_LEVELS)
        & ((sizes > 0).sum(axis=0) >= MIN_NONZERO)
        & ~is_cycle
    )


def is_distinctive_pair(first: Int[np.ndarray, "D N"], second: Int[np.ndarray, "D N"]) -> Shaped[np.ndarray, " N"]:
    """Return whether two consecutive patterns together identify their series: a regular cycle must have deviations."""
    patterns = np.concatenate([first, second])
    return (
        (count_sign_changes(patterns) >= PAIR_MIN_SIGN_CHANGES)
        & ((patterns != 0).sum(axis=0) >= 2 * MIN_NONZERO)
        & (count_new_levels(patterns) >= PAIR_MIN_NEW_LEVELS)
    )


def count_sign_changes(patterns: Int[np.ndarray, "D N"]) -> Int[np.ndarray, " N"]:
    """Return the number of sign changes of each pattern."""
    return (patterns[1:] * patterns[:-1] < 0).sum(axis=0)
