"""Timestamps on the grid of a frequency: the timestamp of each step, and the step of each timestamp.

L rows, T steps. Timestamps are datetime64[us]: nanoseconds end in 2262, and yearly series do not. Steps of nanoseconds
and sampling rates give datetime64[ns]. A calendar step keeps the day of the month of the first step: a yearly series
that starts on 28 December stays there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.timestamps.sessions import session_index, session_times
from tsfm.timestamps.steps import DAY, DAY_NAMES, Step, parse_freq

if TYPE_CHECKING:
    from jaxtyping import Int

MONTH_DAYS = 365.2425 / 12


def time_of_day(stamps: np.ndarray | np.datetime64) -> np.ndarray:
    """Return the microseconds since midnight of datetime64[us] timestamps."""
    return (stamps - stamps.astype("M8[D]").astype("M8[us]")).astype(np.int64)


def day_of_month(stamps: np.ndarray | np.datetime64) -> np.ndarray:
    """Return the day of the month, 1 to 31."""
    return (stamps.astype("M8[D]") - stamps.astype("M8[M]").astype("M8[D]")).astype(np.int64) + 1


def month_length(stamps: np.ndarray | np.datetime64) -> np.ndarray:
    """Return the number of days in the month of each timestamp."""
    months = stamps.astype("M8[M]")
    return ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)


def weekday(stamps: np.ndarray | np.datetime64) -> np.ndarray:
    """Return the day of the week; Monday is 0."""
    return (stamps.astype("M8[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def business_edge(months: np.ndarray | np.datetime64, edge: str) -> np.ndarray:
    """Return the first (BS) or last (BE) business day of months."""
    if edge == "BS":
        return np.busday_offset(months.astype("M8[M]").astype("M8[D]"), 0, roll="forward")
    return np.busday_offset((months.astype("M8[M]") + 1).astype("M8[D]") - 1, 0, roll="backward")


def nth_weekday(months: np.ndarray | np.datetime64, anchor: str) -> np.ndarray:
    """Return the day of months that an anchor such as 3FRI or LFRI (the last Friday) names."""
    day = DAY_NAMES.index(anchor[1:])
    if anchor[0] == "L":
        last = (months.astype("M8[M]") + 1).astype("M8[D]") - 1
        return last - (weekday(last) - day) % 7
    first = months.astype("M8[M]").astype("M8[D]")
    return first + (day - weekday(first)) % 7 + 7 * (int(anchor[0]) - 1)


def calendar_timestamps(start: np.ndarray | np.datetime64, step: Step, index: np.ndarray) -> np.ndarray:
    """Return the timestamps `index` calendar steps after `start`; both broadcast.

    They keep the start's hour and its day of the month, limited to the length of the month.
    """
    months = start.astype("M8[M]") + index * step.months
    if len(step.edge) == 2:
        return business_edge(months, step.edge).astype("M8[us]") + time_of_day(start).astype("m8[us]")
    last, day = month_length(months), day_of_month(start)
    at_end = (day == month_length(start)) & (step.edge == "E")
    days = np.where(at_end, last, np.minimum(day, last))
    return months.astype("M8[D]").astype("M8[us]") + ((days - 1) * DAY + time_of_day(start)).astype("m8[us]")


def half_months(stamps: np.ndarray | np.datetime64, step: Step) -> np.ndarray:
    """Return the number of half-months since 1970 of timestamps with a semi-month frequency."""
    second = day_of_month(stamps) >= (int(step.anchor) if step.edge == "S" else int(step.anchor) + 1)
    return 2 * stamps.astype("M8[M]").astype(np.int64) + second


def half_month_days(halves: np.ndarray, step: Step) -> np.ndarray:
    """Return the days of half-months: the 1st and 15th (S), or the 15th and the last day (E) of a month."""
    months = (halves // 2).astype("M8[M]")
    day = int(step.anchor)
    first, second = (1, day) if step.edge == "S" else (day, month_length(months))
    return months.astype("M8[D]") + (np.where(halves % 2 == 0, first, second) - 1)


def timestamp_at(start: Any, freq: str, index: Any) -> Any:
    """Return the timestamps `index` steps (int64) after `start`, as datetime64[us] or [ns]; both broadcast."""
    step = parse_freq(freq)
    if not step.has_whole_micros and step.unit in ("ns", "Hz"):
        first = np.asarray(start).astype("M8[ns]")[()]
        return first + nanoseconds(step, index).astype("m8[ns]")
    first = np.asarray(start, dtype="M8[us]")[()]
    if step.months:
        return calendar_timestamps(first, step, index)
    time = time_of_day(first).astype("m8[us]")
    if step.weekmask:
        days = first.astype("M8[D]")
        return (
            np.busday_offset(days, index * step.count, roll="forward", weekmask=step.weekmask).astype("M8[us]") + time
        )
    if step.sessions:
        return session_times(session_index(first, step.sessions, step.micros) + index, step.sessions, step.micros)
    if step.unit == "SM":
        return half_month_days(half_months(first, step) + index * step.count, step).astype("M8[us]") + time
    if step.unit == "WOM":
        return nth_weekday(first.astype("M8[M]") + index * step.count, step.anchor).astype("M8[us]") + time
    return first + (index * step.micros).astype("m8[us]")


def nanoseconds(step: Step, index: Any) -> np.ndarray:
    """Return the nanoseconds of `index` steps of nanoseconds, or of a sampling rate, rounded."""
    index = np.asarray(index)
    if step.unit == "ns":
        return index * step.count
    seconds, rest = np.divmod(index, step.count)
    return seconds * 10**9 + np.rint(rest * 1e9 / step.count).astype(np.int64)


def make_timestamps(start: np.datetime64, freq: str, count: int) -> np.ndarray:
    """Return `count` timestamps; the first is `start`."""
    return timestamp_at(start, freq, np.arange(count, dtype=np.int64))


def nearest_steps(start: np.datetime64, step: Step, times: np.ndarray) -> Int[np.ndarray, " L"]:
    """Return the number of steps from `start`, which is on the grid, to the step nearest to each timestamp."""
    if step.unit in ("ns", "Hz"):
        elapsed = (times.astype("M8[ns]") - start.astype("M8[ns]")).astype(np.int64)
        if step.unit == "ns":
            return _round_divide(elapsed, step.count)
        seconds, rest = np.divmod(elapsed, 10**9)
        return seconds * step.count + np.rint(rest * (step.count / 1e9)).astype(np.int64)
    if step.sessions:
        first, steps = (session_index(stamps, step.sessions, step.micros) for stamps in (start, times))
        return steps - first
    elapsed = (times - start).astype(np.int64)
    if step.months:
        return np.rint(elapsed / (DAY * MONTH_DAYS * step.months)).astype(np.int64)
    if step.weekmask:
        first = np.busday_offset(start.astype("M8[D]"), 0, roll="forward", weekmask=step.weekmask)
        return np.busday_count(first, times.astype("M8[D]"), weekmask=step.weekmask) // step.count
    if step.unit == "SM":
        return (half_months(times, step) - half_months(start, step)) // step.count
    if step.unit == "WOM":
        return (times.astype("M8[M]").astype(np.int64) - start.astype("M8[M]").astype(np.int64)) // step.count
    if step.micros % DAY == 0:  # the day counts, and not the time of day
        days = (times.astype("M8[D]") - start.astype("M8[D]")).astype(np.int64)
        return _round_divide(days, step.micros // DAY)
    return _round_divide(elapsed, step.micros)


def _round_divide(values: np.ndarray, divisor: int) -> np.ndarray:
    """Return the nearest whole number of divisors."""
    return (values + divisor // 2) // divisor
