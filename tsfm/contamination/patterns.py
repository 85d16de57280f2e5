"""Patterns of short stretches of series that scaling, shifting and flipping can't change: what a leak check compares.

A window is W values, `factor` steps apart: values as they are, or means of `factor` steps each. Its pattern are the
D = W - 2 second differences: each one's sign, and the logarithm of its size relative to the window's, in 16 levels.
L steps of a series, N windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

W = 16  # values of a window
D = W - 2
BITS = 40  # of a hash; 0 stands for a window with a gap, or without a bend
LEVELS, WIDTH, LOWEST = 16, 0.4, -3.7  # of sizes: the logarithm of the lowest one's end is LOWEST + WIDTH
FINE = 14  # binary digits kept below a level, so that what is rounded hardly ever decides
TINY = 1e-7  # about float32's precision: a second difference below this share of the largest value is 0
TURNS, KINDS, MOVES = 4, 6, 11  # of a telling window: changes of sign, different levels, second differences but 0
PAIR_TURNS, NEWS = 6, 6  # of two windows: changes of sign, sizes that are new
REPEATS = 0.85  # correlation of a pattern with itself some steps later, from which on it is a cycle like many others
GROUPS = ((0, 5), (5, 10), (10, 14))  # second differences that fit into 32 bits together
ODD = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93))
MIX = tuple(np.uint64(odd) for odd in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))  # those of splitmix64


class Row(NamedTuple):
    """One channel of one series, with mean 0 and deviation 1; NaN is missing, and sizes up to `tiny` are 0."""

    values: Float[np.ndarray, " L"]
    tiny: float
    series: int = 0
    channel: int = 0


def normal(values: Float[np.ndarray, " L"], *, series: int = 0, channel: int = 0) -> Row:
    """The row of a channel; one that never changes is all NaN."""
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    largest = np.nanmax(np.abs(values), initial=0.0)
    values = values / (largest or 1.0)  # squares of what is huge would overflow
    seen = values[~np.isnan(values)]
    scale = seen.std() if len(seen) else 0.0
    if scale <= TINY:
        return Row(np.full(len(values), np.nan), 0.0, series, channel)
    return Row((values - seen.mean()) / scale, TINY / float(scale), series, channel)


@dataclass(frozen=True)
class Bends:
    """The second differences of rows that lie one after another, at one resolution: sign, logarithm of the size in
    fixed point, root of the size. Row i begins at first[i]."""

    sign: Int[np.ndarray, " L"]
    level: Int[np.ndarray, " L"]
    root: Float[np.ndarray, " L"]
    first: Int[np.ndarray, " N"]
    factor: int

    @property
    def count(self) -> int:
        """Windows, with those that reach over the end of a row, whose pattern is all 0."""
        return max(len(self.sign) - (D - 1) * self.factor, 0)

    def windows(self, where: slice | Int[np.ndarray, " N"]) -> Int[np.ndarray, "D N"]:
        """The patterns of the windows that begin at `where`: signed levels, all of them 0 at a gap."""

        def tap(values: np.ndarray, j: int) -> np.ndarray:
            ahead = j * self.factor
            return (
                values[where.start + ahead : where.stop + ahead] if isinstance(where, slice) else values[where + ahead]
            )

        roots = tap(self.root, 0).copy()
        for j in range(1, D):
            roots += tap(self.root, j)
        seen = roots > 0  # NaN is not
        base = _fixed(2 * np.log(np.where(seen, roots, 1.0) / D) + LOWEST)
        out = np.empty((D, len(roots)), np.int32)
        for j in range(D):
            np.subtract(tap(self.level, j), base, out=out[j])
            out[j] >>= FINE
            np.clip(out[j], 0, LEVELS - 1, out=out[j])
            out[j] *= tap(self.sign, j)
        if not seen.all():
            out[:, ~seen] = 0
        return out

    def locate(self, window: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """The row of each window, and the step of the row at which it begins."""
        row = np.searchsorted(self.first, window, side="right") - 1
        return row, window - self.first[row]


def bends(rows: Sequence[Row], *, means: bool, factor: int) -> Bends:
    """The second differences of at least one row: of its values, or of means of `factor` steps from each step on."""
    gap = np.full(factor, np.nan)  # no window reaches over it
    values = np.concatenate([part for row in rows for part in (row.values, gap)])
    sizes = np.array([len(row.values) + factor for row in rows])
    first = np.cumsum(sizes) - sizes
    tiny = np.repeat([row.tiny for row in rows], sizes)
    if means and factor > 1:
        values = _means(values, factor)
    if len(values) <= 2 * factor:
        empty = np.zeros(0, np.int32)
        return Bends(empty, empty, empty.astype(np.float32), first, factor)
    bend = values[2 * factor :] - 2 * values[factor:-factor] + values[: -2 * factor]
    size = np.abs(bend)
    flat = size <= tiny[: len(size)]
    size[flat] = 0
    with np.errstate(divide="ignore"):
        logarithm = np.nan_to_num(np.log(size), copy=False, nan=0.0, neginf=-1e3)
    sign = np.sign(np.nan_to_num(bend, copy=False)).astype(np.int32)
    sign[flat] = 0
    return Bends(sign, _fixed(logarithm), np.sqrt(size).astype(np.float32), first, factor)


def _fixed(logarithm: Float[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    return np.rint(logarithm * (2**FINE / WIDTH)).astype(np.int32)


def _means(values: Float[np.ndarray, " L"], factor: int) -> Float[np.ndarray, " L"]:
    """Means of `factor` steps from each step on, NaN where one of them is."""
    missing = np.isnan(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(missing, 0.0, values))])
    holes = np.concatenate([[0], np.cumsum(missing)])
    means = (total[factor:] - total[:-factor]) / factor
    means[holes[factor:] > holes[:-factor]] = np.nan
    return means


def hashes(patterns: Int[np.ndarray, "D N"]) -> Shaped[np.ndarray, " N"]:
    """uint64 of BITS binary digits, the same for a pattern and its negative; 0 for one of nothing but 0."""
    total = np.zeros(patterns.shape[1], np.uint64)
    for (first, stop), odd in zip(GROUPS, ODD, strict=True):
        part = patterns[first].copy()
        for j in range(first + 1, stop):
            part *= 2 * LEVELS - 1
            part += patterns[j]
        total += part.astype(np.int64).view(np.uint64) * odd
    total = np.minimum(total, np.uint64(0) - total)  # the sum is linear: a negative pattern has the negative sum
    for odd, shift in zip(MIX, (30, 27), strict=True):
        total ^= total >> np.uint64(shift)
        total *= odd
    return total >> np.uint64(64 - BITS)


def joined(one: Shaped[np.ndarray, " N"], other: Shaped[np.ndarray, " N"]) -> Shaped[np.ndarray, " N"]:
    """A hash of pairs of windows from the hashes of both."""
    return (one * ODD[0] + other * ODD[1]) >> np.uint64(64 - BITS)


def news(patterns: Int[np.ndarray, "D N"]) -> Int[np.ndarray, " N"]:
    """How many sizes of each pattern are not those of the cycle that suits it best."""
    sizes = np.abs(patterns)
    return np.min([(sizes[lag:] != sizes[:-lag]).sum(axis=0) for lag in range(1, D // 2 + 1)], axis=0)


def telling(patterns: Int[np.ndarray, "D N"], *, repeats: float = REPEATS) -> Shaped[np.ndarray, " N"]:
    """Whether each pattern is rich enough to tell where it is from: no smooth curve, no few jumps, no even cycle."""
    sizes = np.abs(patterns)
    kinds = sum((sizes == level).any(axis=0).astype(np.int64) for level in range(LEVELS))
    bend = np.sign(patterns) * np.exp(WIDTH * sizes)
    even = np.zeros(patterns.shape[1], bool)
    for lag in range(1, D // 2 + 1):
        ahead, behind = bend[lag:], bend[:-lag]
        even |= np.abs((ahead * behind).sum(axis=0)) > repeats * np.sqrt(
            np.square(ahead).sum(axis=0) * np.square(behind).sum(axis=0)
        )
    return (turns(patterns) >= TURNS) & (kinds >= KINDS) & ((sizes > 0).sum(axis=0) >= MOVES) & ~even


def telling_pairs(one: Int[np.ndarray, "D N"], other: Int[np.ndarray, "D N"]) -> Shaped[np.ndarray, " N"]:
    """Whether two patterns, one after the other, are rich enough together: they may be an even cycle, with news."""
    both = np.concatenate([one, other])
    return (turns(both) >= PAIR_TURNS) & ((both != 0).sum(axis=0) >= 2 * MOVES) & (news(both) >= NEWS)


def turns(patterns: Int[np.ndarray, "D N"]) -> Int[np.ndarray, " N"]:
    """Changes of sign."""
    return (patterns[1:] * patterns[:-1] < 0).sum(axis=0)
