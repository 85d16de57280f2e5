"""Timestamps that are near a grid, and on it only by chance: a clock that is late by seconds, a job at changing hours.

L rows. Lengths are in the unit of the timestamps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsfm.timestamps.calendars import day_of_month, month_length
from tsfm.timestamps.steps import DAY, DURATIONS, Step, duration_step

if TYPE_CHECKING:
    from jaxtyping import Int

MIN_JITTERED = 10  # rows that show a grid by being near it; fewer are near one by chance
MAX_JITTER = 4  # a timestamp is moved by at most a step divided by this
MIN_SINGLE = 0.5  # of the steps between rows that have to be one step of the grid
ROUNDING = 0.01  # by how much the average step may differ from a whole number of its unit
BOUNDARY_DAYS = 4  # around the first day of a month


def jittered_step(times: np.ndarray, nanos_per_unit: int) -> Step | None:
    """Return the step of the grid that all timestamps are near, by at most a quarter of a step; None if there is none.

    The average step counts: that of an hourly series that is late by up to ten minutes is an hour, whatever single
    steps are.
    """
    if len(times) < MIN_JITTERED:
        return None
    ticks = times.astype(np.int64)
    sizes = np.diff(ticks)
    index = np.rint(sizes / np.median(sizes)).astype(np.int64)
    if (index < 1).any() or (index == 1).mean() < MIN_SINGLE:
        return None
    average = (ticks[-1] - ticks[0]) / index.sum() * nanos_per_unit
    nanos = _round_length(average)
    if nanos is None or nanos % nanos_per_unit:
        return None
    length = nanos // nanos_per_unit
    residues = (ticks - ticks[0]) % length
    centre = np.angle(np.exp(2j * np.pi * residues / length).mean()) / (2 * np.pi) * length
    steps = np.rint((ticks - ticks[0] - centre) / length)
    distances = np.abs(ticks - ticks[0] - centre - steps * length)
    is_near = distances.max() <= length / MAX_JITTER and (np.diff(steps) > 0).all()
    return duration_step(nanos) if is_near else None


def _round_length(nanos: float) -> int | None:
    """Return the length nearest to an average that is a whole number of the largest unit; None if none is near."""
    for unit in ("D", "h", "min", "s", "ms", "us"):
        length = round(nanos / DURATIONS[unit]) * DURATIONS[unit]
        if length and abs(length - nanos) <= ROUNDING * nanos:
            return int(length)
    return None


def month_boundary(times: np.ndarray) -> int | None:
    """Return 1 or -1 where timestamps lie around the first or the last day of months; None where elsewhere.

    The median counts: starts of months that are a day early or late are starts of months, though a third of them are
    the last day of one.

    Examples
    --------
    >>> month_boundary(np.array(["2024-01-01", "2024-01-31", "2024-03-02"], "M8[us]"))
    1
    >>> month_boundary(np.array(["2024-01-31", "2024-02-28", "2024-04-01"], "M8[us]"))
    -1
    """
    day, last = day_of_month(times), month_length(times)
    distance = np.where(day <= last // 2, day - 1, day - last - 1)  # days from the nearest first day of a month
    has_both = bool((distance < 0).any() and (distance >= 0).any())
    if not has_both or np.abs(distance).max() > BOUNDARY_DAYS:
        return None
    return {0: 1, -1: -1}.get(int(np.floor(np.median(distance) + 0.5)))


def has_changing_hours(times: np.ndarray, sizes: Int[np.ndarray, " _"]) -> bool:
    """Return whether rows are about a day or more apart, each on a day of its own, at different times of the day."""
    days = times.astype("M8[D]")
    if len(times) < MIN_JITTERED or times.dtype != "M8[us]" or np.median(sizes) < DAY * 3 / 4:
        return False
    return len(np.unique(days)) == len(days) and len(np.unique(times - days)) > 1
