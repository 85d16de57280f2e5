"""Where the grid of a series begins: the time of day, or the day of the month, that most of its rows have. L rows."""

from __future__ import annotations

import numpy as np

from tsfm.timestamps.calendars import day_of_month, month_length, time_of_day, timestamp_at
from tsfm.timestamps.jitter import MIN_JITTERED, month_boundary
from tsfm.timestamps.steps import DAY, Step

MIN_SHARE = 0.5  # of the rows that make a time of day, or a day of the month, the common one


def grid_start(times: np.ndarray, step: Step, *, is_given: bool) -> np.datetime64:
    """Return a timestamp of the grid near the first one, with the commonest time of day or day of the month."""
    if step.unit in ("ns", "Hz"):
        return times[0]
    times = times.astype("M8[us]")
    if step.months:
        return _calendar_start(times, step)
    if step.unit in ("SM", "WOM") or step.sessions:
        return timestamp_at(times[0], str(step), np.int64(0))
    if step.weekmask:
        return times[0].astype("M8[D]").astype("M8[us]") + np.timedelta64(_common_time(times), "us")
    residues = (times - times[0]).astype(np.int64) % step.micros
    if not residues.any():
        return times[0]
    common, share = _commonest(residues)
    if share >= MIN_SHARE or (not is_given and len(times) < MIN_JITTERED):
        return _nearest(times[0], common, step.micros)
    if step.micros % DAY == 0:  # the day of each timestamp counts
        return times[0].astype("M8[D]").astype("M8[us]") + np.timedelta64(_common_time(times), "us")
    from_midnight = (times - times[0].astype("M8[D]")).astype(np.int64) % step.micros
    distances = np.minimum(from_midnight, step.micros - from_midnight)
    if distances.max() <= step.micros // 4:
        return _nearest(times[0], int(from_midnight[0]) * -1, step.micros)
    angles = np.exp(2j * np.pi * residues / step.micros).mean()  # the circular mean
    return _nearest(times[0], int(np.angle(angles) / (2 * np.pi) * step.micros) % step.micros, step.micros)


def _nearest(first: np.datetime64, residue: int, length: int) -> np.datetime64:
    """Return the timestamp nearest to the first that is `residue` microseconds after it, but for whole steps."""
    residue %= length
    return first + np.timedelta64(residue if residue <= length // 2 else residue - length, "us")


def _common_time(times: np.ndarray) -> int:
    """Return the time of day that at least half of the timestamps have, else midnight."""
    common, share = _commonest(time_of_day(times))
    return common if share >= MIN_SHARE else 0


def _commonest(values: np.ndarray) -> tuple[int, float]:
    """Return the most common value, the first of several, and its share."""
    distinct, first, counts = np.unique(values, return_index=True, return_counts=True)
    best = np.lexsort((first, -counts))[0]
    return int(distinct[best]), float(counts[best] / len(values))


def _calendar_start(times: np.ndarray, step: Step) -> np.datetime64:
    """Return the first timestamp with the day of the month (or business day) that most timestamps have."""
    first = times[0]
    time = np.timedelta64(
        _common_time(times) if _commonest(time_of_day(times))[1] < 1 else int(time_of_day(first)), "us"
    )
    months = first.astype("M8[M]") + np.arange(-1, 2)
    day, last, boundary = day_of_month(times), month_length(times), month_boundary(times)
    if len(step.edge) == 2:
        candidates = timestamp_at(
            months.astype("M8[D]").astype("M8[us]"), str(Step(1, "M", step.edge)), np.zeros(3, np.int64)
        )
    elif step.edge == "E" and ((day == last).mean() >= MIN_SHARE or boundary == -1):
        candidates = ((months + 1).astype("M8[D]") - 1).astype("M8[us]")
    elif (day == np.minimum(day.max(), last)).all():
        return first
    else:
        common, share = _commonest(day)
        common = common if share > MIN_SHARE else 1 if boundary == 1 else int(np.median(day))
        days = np.minimum(common, month_length(months.astype("M8[D]")))
        candidates = (months.astype("M8[D]") + (days - 1)).astype("M8[us]")
    candidates = candidates + time
    return candidates[np.abs((candidates - first).astype(np.int64)).argmin()]
