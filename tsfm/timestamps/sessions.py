"""Series that exist only in part of each week, such as the trading hours of an exchange: the open steps of a week.

A step within a day carries its open hours in its name: ``30min-1111100T0930T1530`` has a step every 30 minutes from
09:30 to 15:30 on Monday to Friday, and none in between. A group is the days of the week from Monday on, then the first
and the last step of each stretch of the day; groups are joined by ``_``, as where Friday closes early. Times are local.
L rows, W open steps of a week.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int

DAY = 86400 * 10**6  # microseconds
WEEK = 7 * DAY
MONDAY = -3 * DAY  # 1969-12-29, a Monday
_GROUP = re.compile(r"([01]{7})((?:T\d{4}(?:\d\d)?){2,})")
MIN_WEEKS = 2  # in which a step that never occurs is closed
MIN_PRESENT = 0.9  # of the open steps of all weeks
MIN_CLOSED = 0.1  # of a week
MAX_STRETCHES = 21  # of open steps in a week
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def is_session_anchor(anchor: str, micros: int) -> bool:
    """Return whether an anchor names open hours, whose times are on a grid of `micros` microseconds within a day."""
    if not anchor or not 0 < micros < DAY or DAY % micros:
        return False
    groups = [_GROUP.fullmatch(group) for group in anchor.split("_")]
    if not all(groups):
        return False
    stretches = [stretch for group in groups if group for stretch in _stretches(group[2])]
    valid = all(first <= last < DAY and (last - first) % micros == 0 for first, last in stretches)
    return valid and all(len(group[2].split("T")) % 2 for group in groups if group)


def _stretches(text: str) -> list[tuple[int, int]]:
    """Return the first and last step of each stretch of a day, in microseconds since midnight."""
    times = [_micros(time) for time in text.split("T")[1:]]
    return list(zip(times[::2], times[1::2], strict=False))


def _micros(time: str) -> int:
    return (int(time[:2]) * 3600 + int(time[2:4]) * 60 + int(time[4:] or 0)) * 10**6


@lru_cache(maxsize=64)
def open_steps(anchor: str, micros: int) -> Int[np.ndarray, " W"]:
    """Return the open steps of a week in microseconds since Monday 00:00, ascending."""
    steps: set[int] = set()
    for days, stretches in (match.groups() for match in _GROUP.finditer(anchor)):
        for first, last in _stretches(stretches):
            times = range(first, last + 1, micros)
            steps.update(day * DAY + time for day in range(7) if days[day] == "1" for time in times)
    return np.array(sorted(steps), dtype=np.int64)


def steps_of_day(anchor: str, micros: int) -> int:
    """Return the number of open steps of a day, the commonest one where days differ."""
    counts = np.bincount(open_steps(anchor, micros) // DAY, minlength=7)
    return int(np.bincount(counts[counts > 0]).argmax())


def session_index(times: np.ndarray | np.datetime64, anchor: str, micros: int) -> np.ndarray:
    """Return the number of the open step nearest to each timestamp (datetime64[us]), counted from a Monday of 1969."""
    steps = open_steps(anchor, micros)
    week, rest = np.divmod(times.astype("M8[us]").astype(np.int64) - MONDAY, WEEK)
    after = np.searchsorted(steps, rest)  # the first open step at or after the time
    wrapped = np.concatenate([[steps[-1] - WEEK], steps, [steps[0] + WEEK]])
    is_before = rest - wrapped[after] < wrapped[after + 1] - rest
    return week * len(steps) + after - is_before


def session_times(index: np.ndarray, anchor: str, micros: int) -> np.ndarray:
    """Return the timestamps of open steps, datetime64[us]; the inverse of `session_index`."""
    steps = open_steps(anchor, micros)
    week, position = np.divmod(np.asarray(index, dtype=np.int64), len(steps))
    return (MONDAY + week * WEEK + steps[position]).astype("M8[us]")


def find_sessions(times: np.ndarray, micros: int) -> str:
    """Return the anchor of the open hours of timestamps that are on a grid of `micros`; empty where there are none.

    A step of the week is closed where no week has it, in at least two weeks; the open ones have to be there nearly
    always, and to lie together.
    """
    if not 10**6 <= micros < DAY or DAY % micros or micros % 10**6 or len(times) < 4:
        return ""
    since = times.astype("M8[us]").astype(np.int64) - MONDAY
    phase = int(since[0] % micros)
    if ((since - phase) % micros).any():
        return ""
    num_steps = WEEK // micros
    first, last = (since[0] - phase) // micros, (since[-1] - phase) // micros
    num_weeks = (last - first + 1) / num_steps
    if num_weeks < MIN_WEEKS:
        return ""
    counts = np.bincount(((since - phase) // micros) % num_steps, minlength=num_steps)
    due = np.full(num_steps, (last - first + 1) // num_steps)
    due[np.arange(first, first + (last - first + 1) % num_steps) % num_steps] += 1
    is_open = counts > 0
    if is_open.mean() > 1 - MIN_CLOSED or counts.sum() < MIN_PRESENT * due[is_open].sum():
        return ""
    return _anchor(is_open, phase, micros)


def _anchor(is_open: np.ndarray, phase: int, micros: int) -> str:
    """Return the anchor of the open steps of a week; empty where they do not lie together."""
    by_day = is_open.reshape(7, -1)
    patterns: dict[str, list[int]] = {}
    num_stretches = 0
    for day in range(7):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], by_day[day].astype(np.int8), [0]])))
        stretches = [(begin, end - 1) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
        num_stretches += len(stretches)
        text = "".join(f"T{_format_time(step * micros + phase)}" for stretch in stretches for step in stretch)
        if text:
            patterns.setdefault(text, []).append(day)
    if num_stretches > MAX_STRETCHES or (by_day.sum(axis=1) == 1).any():
        return ""
    return "_".join("".join("01"[day in days] for day in range(7)) + text for text, days in patterns.items())


def _format_time(micros: int) -> str:
    """Return a time of day as hhmm, or hhmmss."""
    seconds = int(micros) // 10**6
    text = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}"
    return text if seconds % 60 == 0 else f"{text}{seconds % 60:02d}"


def describe_sessions(anchor: str) -> str:
    """Return open hours in words.

    Examples
    --------
    >>> describe_sessions("1111100T0930T1530")
    'Monday to Friday 09:30 to 15:30'
    >>> describe_sessions("1111000T0000T2300_0000100T0000T2100")
    'Monday to Thursday 00:00 to 23:00, Friday 00:00 to 21:00'
    """
    parts = []
    for days, text in (match.groups() for match in _GROUP.finditer(anchor)):
        numbers = [day for day in range(7) if days[day] == "1"]
        together = numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2
        names = (
            f"{DAY_NAMES[numbers[0]]} to {DAY_NAMES[numbers[-1]]}"
            if together
            else " and ".join(DAY_NAMES[day] for day in numbers)
        )
        times = text.split("T")[1:]
        hours = [f"{a[:2]}:{a[2:4]} to {b[:2]}:{b[2:4]}" for a, b in zip(times[::2], times[1::2], strict=True)]
        parts.append(f"{names} {' and '.join(hours)}")
    return ", ".join(parts)
