"""Season lengths and first timestamps of frequencies; timestamps as text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tsfm.timestamps.calendars import business_edge, day_of_month, make_timestamps, month_length, timestamp_at
from tsfm.timestamps.sessions import steps_of_day
from tsfm.timestamps.steps import DAY, DAY_NAMES, MICROS, MONTH_NAMES, Step, parse_freq

__all__ = [
    "DAY",
    "DAY_NAMES",
    "MICROS",
    "MONTH_NAMES",
    "Step",
    "base_freq",
    "day_of_month",
    "default_start",
    "format_timestamp",
    "gift_season_length",
    "make_timestamps",
    "month_length",
    "nested_seasons",
    "parse_freq",
    "season_length",
    "timestamp_at",
]

YEARS = {7: 365, 5: 261}  # steps of a week -> steps of a year: of all days, of business days
SEASONS = {
    "step": 1,
    "SM": 24,
    "h": 24,
    "M": 12,
    "Q": 4,
    "Y": 1,
    "B": 5,
    "D": 7,
    "W": 52,
    "min": 1440,
    "s": 3600,
    "ms": 1000,
    "us": 1,
}


@lru_cache(maxsize=256)
def base_freq(freq: str) -> str:
    """Return the alias without anchor and edge, to compare series of one data set: W-SUN is W, QS-OCT is Q, B is D."""
    step = parse_freq(freq)
    return str(Step(step.count, {"B": "D", "C": "D", "WOM": "M"}.get(step.unit, step.unit)))


def format_timestamp(stamp: Any) -> str:
    """Return a timestamp as people write it: 2020-01-31, or 2020-01-31 14:30:00 unless it is midnight."""
    micros = stamp.astype("M8[us]")
    text = str(micros if micros.astype(stamp.dtype) == stamp else stamp).replace("T", " ")
    return text.removesuffix(".000000").removesuffix(" 00:00:00")


def default_start(freq: str) -> np.datetime64:
    """Return the first timestamp of 1970 that fits `freq`: the start of a series without timestamps."""
    step, month = parse_freq(freq), np.datetime64("1970-01", "M")
    first = np.datetime64("1970-01-01", "us")
    if step.unit == "W" and step.anchor:
        days = (DAY_NAMES.index(step.anchor) - 3) % 7  # 1970-01-01 was a Thursday
        return first + np.timedelta64(days * DAY, "us")
    if step.weekmask or step.sessions or step.unit in ("SM", "WOM"):
        return timestamp_at(first, str(step), np.int64(0))
    if step.unit in ("Q", "Y"):
        anchor = MONTH_NAMES.index(step.anchor) if step.anchor else (11 if step.edge[-1:] == "E" else 0)
        month = month + (anchor if step.unit == "Y" else anchor % 3)
    if len(step.edge) == 2:
        return business_edge(month, step.edge).astype("M8[us]")[()]  # type: ignore[return-value]
    last = int(month_length(month)) if step.edge == "E" else 1
    return (month.astype("M8[D]") + (last - 1)).astype("M8[us]")


def season_length(freq: str) -> int:
    """Return the steps of the usual season of a frequency.

    A day for hours and minutes, a week for days, a year for weeks and longer; 1 where that is not a whole number of
    steps.

    Examples
    --------
    >>> season_length("h"), season_length("15min"), season_length("MS")
    (24, 96, 12)
    """
    return _season(freq, SEASONS)


def nested_seasons(season_length: int) -> tuple[int, int]:
    """Return a season and the next longer one that series of its frequency have, 0 where there is none.

    A week for a day, and a year for a week.

    Examples
    --------
    >>> nested_seasons(24), nested_seasons(7), nested_seasons(12), nested_seasons(1)
    ((24, 168), (7, 365), (12, 0), (0, 0))
    """
    if season_length < 2:
        return 0, 0
    if season_length in YEARS:
        return season_length, YEARS[season_length]
    is_day = season_length > 12 and 1440 % season_length == 0
    return season_length, 7 * season_length if is_day else 0


def gift_season_length(freq: str) -> int:
    """Return the season length of GIFT-Eval's MASE (arXiv:2410.10393, GluonTS get_seasonality): 1 for days and "
    "weeks.
    """
    return _season(freq, {**SEASONS, "D": 1, "W": 1})


def _season(freq: str, table: dict[str, int]) -> int:
    step = parse_freq(freq)
    if step.unit in ("Hz", "ns"):
        return 1
    if step.sessions:
        return steps_of_day(step.sessions, step.micros)
    units = step.weekmask.count("1") if step.unit == "C" else table[step.group]
    season, rest = divmod(units, step.count)
    return season if not rest and season else 1
