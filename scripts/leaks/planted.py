"""Copies of benchmark series as a training corpus would hold them: scaled, shifted, flipped, coarser, reversed, ...

L steps of a series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from leaks.clean_sets import SAME_SOURCE, file_sets
from tsfm.contamination.patterns import is_distinctive, normalize_channel, second_differences

FACTORS = (1, 1, 2, 3, 4, 6, 7, 12, 24)  # of the copy's steps
MIN_LENGTH, LENGTH = 60, 250  # steps of a copy
MIN_DISTINCTIVE = 0.3  # share of the windows of a series and of a copy; smooth curves cannot be recognised


class Planted(NamedTuple):
    """A series that is evaluated, and the copy of a part of it that a corpus holds."""

    name: str
    evaluated: np.ndarray  # [L]
    copy: np.ndarray
    factor: int


def rescaled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return values that are scaled, shifted and in half of the cases flipped, in float32 as those of a file."""
    scale = np.float32(np.exp(rng.normal(0, 2)) * rng.choice([-1, 1]))
    shift = np.float32(rng.normal(0, 3) * np.nanstd(values) * scale)
    return (scale * values.astype(np.float32) + shift).astype(np.float32)


def coarser(values: np.ndarray, factor: int, kind: int) -> np.ndarray:
    """Return means of `factor` steps, one of them, or their sums."""
    rows = values[: len(values) // factor * factor].reshape(-1, factor)
    return (rows.mean(axis=1), rows[:, 0], rows.sum(axis=1))[kind % 3]


def plant(num: int, *, seed: int = 14, names: Sequence[str] | None = None) -> Iterator[Planted]:
    """Yield `num` copies of parts of series of benchmark sets (of all, or `names`) in turn; a series is used once."""
    rng = np.random.default_rng(seed)
    pool: dict[str, list[np.ndarray]] = {}
    for entry in file_sets(("forecasting",), max_values=300_000, names=names):
        if entry.role == "benchmark" and entry.file not in SAME_SOURCE:
            rows = [row for array in entry.series for row in array if len(row) >= MIN_LENGTH]
            pool.setdefault(entry.file, []).extend(rows)
    count = 0
    while count < num:
        pool = {name: rows for name, rows in pool.items() if rows}
        name = sorted(pool)[count % len(pool)]
        whole = pool[name].pop(int(rng.integers(len(pool[name]))))
        factor = int(rng.choice(FACTORS))
        if len(whole) < MIN_LENGTH * factor or share_distinctive(whole) < MIN_DISTINCTIVE:
            continue
        first = int(rng.integers(0, max(len(whole) - LENGTH * factor, 1)))
        copy = coarser(whole[first : first + LENGTH * factor], factor, count)
        if share_distinctive(copy) >= MIN_DISTINCTIVE:
            count += 1
            yield Planted(name, whole, rescaled(copy, rng), factor)


def share_distinctive(row: np.ndarray) -> float:
    """Return the share of the windows of a series that identify it."""
    differences = second_differences([normalize_channel(row)], means=False, factor=1)
    if not differences.num_windows:
        return 0.0
    return float(is_distinctive(differences.windows(slice(0, differences.num_windows))).mean())


def interpolated(values: np.ndarray, rate: float) -> np.ndarray:
    """Return values at `rate` times the sampling rate, on lines between the known ones."""
    steps = np.arange(0, len(values) - 1, 1 / rate)
    return np.interp(steps, np.arange(len(values)), values)


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "reversed": lambda values: values[::-1],
    "interpolated to 0.9 of the rate": lambda values: interpolated(values, 0.9),
    "interpolated to twice the rate": lambda values: interpolated(values, 2.0),
    "differences": np.diff,
    "rounded to 3 digits of the range": lambda values: np.round(values / np.ptp(values), 3),
}
