"""The resolutions at which a leak check compares series, and the few windows of each that a sketch keeps.

C channels, L steps of a series, N windows, R rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.contamination.patterns import REPEATS, D, Row, W, bends, hashes, joined, telling, telling_pairs

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

SHORT = 32  # steps that a series must have at a coarser resolution
DAILY = 2**13  # steps; longer series are taken to be no daily ones, which weeks are made of
NEAR, FAR, COARSE = 8, 96, 600  # windows from one that is kept to the next: the fewest, the most, the most if coarser
LEAST, FEW = 64, 3  # kept windows of a series that is not so short; of each first step of a coarser resolution
HARDLY = 7  # telling windows of a series; where fewer are found, pairs of others are kept as well
OWN_REPEATS = 0.98  # as REPEATS, where nothing was thinned or averaged: cycles come out of those alike
TRIES = 12  # windows tried in place of one that tells nothing


class Scale(NamedTuple):
    """A resolution: every `factor`-th step, or means of `factor` steps; begun at each `every`-th step of a series."""

    means: bool = False
    factor: int = 1
    every: int = 1

    def __str__(self) -> str:
        if self.factor == 1:
            return "its values"
        return f"means of {self.factor} steps" if self.means else f"one of {self.factor} steps"

    def windows(self, length: int) -> int:
        """Windows of a series of `length` steps, from each step that one fits after."""
        return max(length - (W - 1) * self.factor - (self.factor - 1 if self.means else 0), 0)


def _both(factor: int, every: int = 1) -> tuple[Scale, Scale]:
    return Scale(True, factor, every), Scale(False, factor, every)


# A sketch keeps the first from each first step: means of 4 steps are found at means of 24, of which they are a part,
# so that a factor of a kept one need not be kept. The others it keeps from the beginnings of natural units only.
NESTED = (24, 12, 7, 6, 4, 3, 2)  # 5 hours, kept so, make clean sets of daily cycles look alike
ALIGNED = ((48, 48), (96, 96), (144, 144), (168, 24), (288, 288))
FAINT = Scale(True, 1)  # the values themselves, in pairs of windows that tell little each
OWN = (Scale(), FAINT)  # nothing thinned or averaged
SCALES = (
    *OWN,
    *(scale for factor in NESTED for scale in _both(factor)),
    *(scale for factor, every in ALIGNED for scale in _both(factor, every)),
)
FACTORS = (
    2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 20, 24, 28, 30, 36, 42, 48, 56, 60, 72, 84, 96, 120, 144, 168, 240, 288,
    336, 360,
)  # fmt: skip
ASKED = (Scale(), *(scale for factor in FACTORS for scale in _both(factor)))  # at which a query looks


@lru_cache(maxsize=4096)
def kept_scales(length: int) -> tuple[Scale, ...]:
    """Those of SCALES that a sketch keeps of a series of `length` steps."""
    taken: list[int] = []
    for factor in NESTED:
        nested = any(other % factor == 0 for other in taken)
        if length // factor >= SHORT and not nested and (factor != 7 or length <= DAILY):
            taken.append(factor)
    taken += [1, *(factor for factor, _ in ALIGNED if length // factor >= SHORT)]
    return tuple(scale for scale in SCALES if scale.factor in taken)


def keep(
    rows: Sequence[Row], scales: Sequence[Scale] = SCALES, *, thin: int = 1
) -> Iterator[tuple[Scale, Shaped[np.ndarray, " N"], Int[np.ndarray, " N"]]]:
    """For each of these resolutions, hashes of some windows of rows and the row of each: nearer to each other in short
    series, and `thin` times as far apart. Of rows of which the first keeps hardly any, FAINT keeps pairs."""
    silent = np.arange(len(rows))
    for scale in scales:
        long = [place for place, row in enumerate(rows) if scale in kept_scales(len(row.values))]
        some = silent if scale == FAINT else np.array(long, np.int64)
        if len(some):
            here = [rows[place] for place in some]
            hashed, which = _faint(here, thin) if scale == FAINT else _telling(here, scale, thin)
            if scale == SCALES[0]:
                silent = np.flatnonzero(np.bincount(some[which], minlength=len(rows)) < HARDLY)
            yield scale, hashed, some[which]


def _telling(rows: Sequence[Row], scale: Scale, thin: int) -> tuple[Shaped[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Hashes of telling windows, and the row of each."""
    bent = bends(rows, means=scale.means, factor=scale.factor)
    grids = [_grid(len(row.values), scale, thin) for row in rows]
    row = np.repeat(np.arange(len(rows)), [grid.shape[1] for grid in grids])
    start, apart = np.concatenate(grids, axis=1)
    limit = np.array([scale.windows(len(row.values)) for row in rows])[row]
    jump = np.maximum(apart // TRIES, 1) * scale.factor
    found, which = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for _ in range(TRIES):
        patterns = bent.windows(start + bent.first[row])
        good = telling(patterns, repeats=OWN_REPEATS if scale.factor == 1 else REPEATS)
        found.append(hashes(patterns[:, good]))
        which.append(row[good])
        ahead = start + jump
        left = ~good & (ahead < limit)
        row, start, limit, jump = row[left], ahead[left], limit[left], jump[left]
    return np.concatenate(found), np.concatenate(which)


def _faint(rows: Sequence[Row], thin: int) -> tuple[Shaped[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Hashes of telling pairs of windows that occur once in their row, and the row of each."""
    bent = bends(rows, means=False, factor=1)
    grids = [_grid(len(row.values), FAINT, thin)[0] for row in rows]
    row = np.repeat(np.arange(len(rows)), [len(grid) for grid in grids])
    start = np.concatenate(grids) + bent.first[row]
    both = [bent.windows(start), bent.windows(np.minimum(start + D, bent.count - 1))]
    good = telling_pairs(*both)
    pairs = np.stack([row[good].astype(np.uint64), joined(hashes(both[0][:, good]), hashes(both[1][:, good]))])
    pairs, count = np.unique(pairs, axis=1, return_counts=True)
    which, hashed = pairs[:, count == 1]
    return hashed, which.astype(np.int64)


def _grid(length: int, scale: Scale, thin: int) -> Int[np.ndarray, "2 N"]:
    """First steps of windows of a series, evenly spaced from each first step, and how many windows lie between."""
    near = 1 if scale == FAINT or scale.factor > 1 else NEAR
    least, most = (LEAST, FAR) if scale.factor == 1 else (FEW, COARSE)
    total, parts = scale.windows(length), [np.zeros((2, 0), np.int64)]
    for phase in range(0, scale.factor, scale.every):
        number = -(-(total - phase) // scale.factor)
        if number > 0:
            apart = thin * min(max(number // least, near), most)
            place = np.arange(phase * apart // scale.factor, number, apart)
            parts.append(np.stack([phase + scale.factor * place, np.full(len(place), apart)]))
    return np.concatenate(parts, axis=1)


def by_month(values: Float[np.ndarray, "C L"], stamps: Shaped[np.ndarray, " L"]) -> Float[np.ndarray, "R L"] | None:
    """R = 2 C rows: means, then sums of the months of the calendar, whose lengths differ, so that no factor makes them.
    None where a step is a month or longer, or SHORT months are not reached."""
    month = stamps.astype("datetime64[M]")
    first = np.flatnonzero(np.concatenate([[True], month[1:] != month[:-1]]))
    if len(first) < SHORT or len(first) == len(month):
        return None
    total = np.add.reduceat(values.astype(np.float64), first, axis=1)
    return np.concatenate([total / np.diff(first, append=len(month)), total])
