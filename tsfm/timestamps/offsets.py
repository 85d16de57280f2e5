"""Time steps: frequency aliases, timestamps on a grid, season lengths. T steps.

A frequency is a pandas offset alias ("15min", "h", "D", "W-SUN", "MS", "QS-OCT", "YS"); old ones ("H", "15T", "A") too.
A whole number ("1") is the frequency of numbered steps; step k is k microseconds after 1970.
Timestamps are datetime64[us]: nanoseconds end in 2262, and yearly series do not. A calendar step (month, quarter, year)
keeps the day and the hour of the series' first timestamp: a yearly series that starts on 28 December stays there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

DAY = 86400 * 10**6  # microseconds
MICROS = {"step": 1, "us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "D": DAY, "W": 7 * DAY}
MONTHS = {"M": 1, "Q": 3, "Y": 12}
MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAY_NAMES = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
SPELLINGS = {  # alias -> unit and edge (S start, E end of the month, quarter or year)
    **{name: (name, "") for name in (*MICROS, "B") if name != "step"},
    **{
        "US": ("us", ""),
        "L": ("ms", ""),
        "S": ("s", ""),
        "T": ("min", ""),
        "H": ("h", ""),
        "d": ("D", ""),
        "w": ("W", ""),
    },
    **{"MS": ("M", "S"), "ME": ("M", "E"), "M": ("M", "E"), "QS": ("Q", "S"), "QE": ("Q", "E"), "Q": ("Q", "E")},
    **{"YS": ("Y", "S"), "YE": ("Y", "E"), "Y": ("Y", "E"), "AS": ("Y", "S"), "A": ("Y", "E")},
}
YEARS = {7: 365, 5: 261}  # steps of a week -> steps of a year: of all days, of business days
SEASONS = {
    "step": 1,
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


@dataclass(frozen=True)
class Step:
    """A time step of `count` units.

    `edge` is S (start) or E (end) for calendar units, `anchor` the name of a day or month, as in W-SUN.
    """

    count: int
    unit: str
    edge: str = ""
    anchor: str = ""

    @property
    def micros(self) -> int:
        """Return the length in microseconds; 0 for calendar steps and business days, whose length varies."""
        return self.count * MICROS.get(self.unit, 0)

    @property
    def months(self) -> int:
        """Return the length in months; 0 for other than calendar steps."""
        return self.count * MONTHS.get(self.unit, 0)

    def __str__(self) -> str:
        if self.unit == "step":
            return str(self.count)
        count = "" if self.count == 1 else str(self.count)
        return f"{count}{self.unit}{self.edge}" + (f"-{self.anchor}" if self.anchor else "")


@lru_cache(maxsize=256)
def parse_freq(freq: str | int) -> Step:
    """Return the time step of an alias; a whole number counts numbered steps.

    Raises
    ------
    ValueError
        If the alias is not known.

    Examples
    --------
    >>> parse_freq("15min")
    Step(count=15, unit='min', edge='', anchor='')
    """
    if str(freq).isdigit() and int(freq):
        return Step(int(freq), "step")
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(?:-([A-Za-z]{3}))?", str(freq).strip())
    count, name, anchor = match.groups() if match else ("", "", None)
    unit, edge = SPELLINGS.get(name, ("", ""))
    names = {"W": DAY_NAMES, "Q": MONTH_NAMES, "Y": MONTH_NAMES}.get(unit, ())
    if not unit or (count and int(count) == 0) or (anchor and anchor.upper() not in names):
        raise ValueError(f"frequency {freq!r} is not known; use an alias such as 15min, h, D, W-SUN, MS, QS-OCT or YS")
    return Step(int(count or 1), unit, edge, (anchor or "").upper())


def base_freq(freq: str) -> str:
    """Return the alias without anchor and edge, to compare series of one data set: W-SUN is W, QS-OCT is Q, B is D."""
    step = parse_freq(freq)
    return str(Step(step.count, "D" if step.unit == "B" else step.unit))


def format_timestamp(stamp: Any) -> str:
    """Return a timestamp as people write it: 2020-01-31, or 2020-01-31 14:30:00 unless it is midnight."""
    text = str(stamp.astype("M8[us]")).replace("T", " ")
    return text.removesuffix(".000000").removesuffix(" 00:00:00")


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


def calendar_timestamps(start: np.ndarray | np.datetime64, step: Step, index: np.ndarray) -> np.ndarray:
    """Return the timestamps `index` calendar steps after `start`; both broadcast.

    They keep the start's hour and its day of the month, limited to the length of the month.
    """
    months = start.astype("M8[M]") + index * step.months
    last, day = month_length(months), day_of_month(start)
    at_end = (day == month_length(start)) & (step.edge == "E")
    days = np.where(at_end, last, np.minimum(day, last))
    return months.astype("M8[D]").astype("M8[us]") + ((days - 1) * DAY + time_of_day(start)).astype("m8[us]")


def timestamp_at(start: Any, freq: str, index: Any) -> Any:
    """Return the timestamps `index` steps (int64) after `start` as datetime64[us]; both broadcast."""
    step, first = parse_freq(freq), np.asarray(start, dtype="M8[us]")[()]
    if step.months:
        return calendar_timestamps(first, step, index)
    if step.unit == "B":
        days = np.busday_offset(first.astype("M8[D]"), index * step.count, roll="forward")
        return days.astype("M8[us]") + time_of_day(first).astype("m8[us]")
    return first + (index * step.micros).astype("m8[us]")


def make_timestamps(start: np.datetime64, freq: str, count: int) -> np.ndarray:
    """Return `count` timestamps as datetime64[us]; the first is `start`."""
    return timestamp_at(start, freq, np.arange(count, dtype=np.int64))


def default_start(freq: str) -> np.datetime64:
    """Return the first timestamp of 1970 that fits `freq`: the start of a series without timestamps."""
    step, month = parse_freq(freq), np.datetime64("1970-01", "M")
    if step.unit == "W" and step.anchor:
        days = (DAY_NAMES.index(step.anchor) - 3) % 7  # 1970-01-01 was a Thursday
        return np.datetime64("1970-01-01").astype("M8[us]") + np.timedelta64(days * DAY, "us")
    if step.unit in ("Q", "Y"):
        anchor = MONTH_NAMES.index(step.anchor) if step.anchor else (11 if step.edge == "E" else 0)
        month = month + (anchor if step.unit == "Y" else anchor % 3)
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
    season, rest = divmod(table[step.unit], step.count)
    return season if not rest and season else 1
