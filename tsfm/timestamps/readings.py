"""Choose between two ways to read the same timestamps: the one with regular steps. L rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.timestamps.frequency import grid_index, infer_freq

if TYPE_CHECKING:
    from jaxtyping import Int

MAX_ITEMS = 20  # items whose steps are judged
MIN_COVERAGE = 0.5  # rows per step of the grid of a regular reading
CLEARLY_BETTER = 2.0  # ratio of coverages at which a reading wins


class Reading(NamedTuple):
    """Timestamps as one of the readings gives them."""

    name: str
    values: np.ndarray  # [L] datetime64, NaT where a row does not fit


def choose_reading(readings: list[Reading], items: Int[np.ndarray, " L"] | None = None) -> int | None:
    """Return the number of the reading to take, or None if several are equally likely.

    A reading of more rows is better than one of fewer. Then the one with regular steps is taken: the rows fill more
    than half of its grid, and twice as much as in the others. Then one whose rows are in time order.
    """
    unread = np.array([int(np.isnat(reading.values).sum()) for reading in readings])
    best = np.flatnonzero(unread == unread.min())
    best = _without_equals(readings, best)
    if len(best) == 1:
        return int(best[0])
    groups = _groups(items, len(readings[0].values))
    coverage = np.array([_coverage(readings[i].values, groups) for i in best])
    order = np.argsort(-coverage)
    first, second = coverage[order[0]], coverage[order[1]]
    if first >= MIN_COVERAGE and first >= CLEARLY_BETTER * second:
        return int(best[order[0]])
    if first >= MIN_COVERAGE:
        best = best[coverage * CLEARLY_BETTER > first]
    ascending = np.array([_is_ascending(readings[i].values, groups) for i in best])
    return int(best[ascending.argmax()]) if ascending.sum() == 1 else None


def _without_equals(readings: list[Reading], candidates: np.ndarray) -> np.ndarray:
    """Return the candidates that differ from all before them."""
    kept: list[int] = []
    for i in candidates:
        if not any(np.array_equal(readings[i].values, readings[j].values) for j in kept):
            kept.append(int(i))
    return np.array(kept)


def _groups(items: np.ndarray | None, num_rows: int) -> list[np.ndarray]:
    """Return the rows of the items with the most rows."""
    if items is None:
        return [np.arange(num_rows)]
    codes, counts = np.unique(items[items >= 0], return_counts=True)
    largest = codes[np.argsort(-counts, kind="stable")[:MAX_ITEMS]]
    return [np.flatnonzero(items == code) for code in largest]


def _coverage(values: np.ndarray, groups: list[np.ndarray]) -> float:
    """Return the share of grid steps that have a row, the mean of the items; 0 for items without regular steps."""
    shares = []
    for rows in groups:
        times = np.unique(values[rows])
        times = times[~np.isnat(times)]
        share = 0.0
        if len(times) >= 3:
            try:
                share = len(times) / (1 + int(grid_index(times, freq=infer_freq(times))[-1]))
            except ValueError:
                share = 0.0
        shares.append(share)
    return float(np.mean(shares)) if shares else 0.0


def _is_ascending(values: np.ndarray, groups: list[np.ndarray]) -> bool:
    """Whether the rows of each item are in time order, and not all at one time."""
    steps = [np.diff(values[rows].astype("M8[us]").astype(np.int64)) for rows in groups]
    return all((step >= 0).all() for step in steps) and any((step > 0).any() for step in steps)
