"""Time steps and their names.

A frequency is a pandas offset alias ("15min", "h", "D", "W-SUN", "MS", "BME", "SMS-15", "WOM-3FRI"), also an old one
("H", "15T", "A"). A duration may have several units ("1h30min") and decimals ("1.5h"); "30Hz" is a sampling rate;
"C-1111110" are the days of a week of six days, from Monday on; "30min-1111100T0930T1530" has open hours;
a whole number ("1") is the frequency of numbered steps. Offset objects and Timedeltas are read as well.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from tsfm.timestamps.sessions import is_session_anchor

DAY = 86400 * 10**6  # microseconds
MICROS = {"step": 1, "us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "D": DAY, "W": 7 * DAY}
DURATIONS = {"ns": 1, **{unit: 1000 * micros for unit, micros in MICROS.items() if unit != "step"}}  # nanoseconds
SESSION_UNITS = ("s", "min", "h")  # that may have open hours
MONTHS = {"M": 1, "Q": 3, "Y": 12}
MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAY_NAMES = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONDAY_TO_FRIDAY = "1111100"
SPELLINGS = {  # alias -> unit and edge (S start, E end of the month, quarter or year; BS, BE their business days)
    **{name: (name, "") for name in (*DURATIONS, "B", "C", "WOM", "LWOM")},
    **{"N": ("ns", ""), "US": ("us", ""), "L": ("ms", ""), "S": ("s", ""), "T": ("min", "")},
    **{"H": ("h", ""), "d": ("D", ""), "w": ("W", "")},
    **{"MS": ("M", "S"), "ME": ("M", "E"), "M": ("M", "E"), "QS": ("Q", "S"), "QE": ("Q", "E"), "Q": ("Q", "E")},
    **{"YS": ("Y", "S"), "YE": ("Y", "E"), "Y": ("Y", "E"), "AS": ("Y", "S"), "A": ("Y", "E")},
    **{f"B{unit}{edge}": (unit, f"B{edge}") for unit in MONTHS for edge in "SE"},
    **{"BM": ("M", "BE"), "BQ": ("Q", "BE"), "BA": ("Y", "BE"), "BY": ("Y", "BE"), "BAS": ("Y", "BS")},
    **{"SM": ("SM", "S"), "SMS": ("SM", "S"), "SME": ("SM", "E")},
}
EXAMPLES = "15min, h, D, W-SUN, MS, BME, QS-OCT or YS"


@dataclass(frozen=True)
class Step:
    """A time step of `count` units.

    `edge` is S (start) or E (end) for calendar units, BS or BE for their first or last business day. `anchor` is the
    name of a day or month (W-SUN, QS-OCT), the day of the month of SM, the days of the week of C, or 3FRI of WOM. The
    count of Hz is the rate.
    """

    count: int
    unit: str
    edge: str = ""
    anchor: str = ""

    @property
    def micros(self) -> int:
        """Return the length in microseconds, at least 1; 0 for steps of varying length (calendar, business days)."""
        if self.unit == "Hz":
            return max(1, round(10**6 / self.count))
        return max(1, self.count // 1000) if self.unit == "ns" else self.count * MICROS.get(self.unit, 0)

    @property
    def has_whole_micros(self) -> bool:
        """Return whether the length is constant, and `micros` is exact."""
        return self.unit in MICROS and not self.sessions

    @property
    def months(self) -> int:
        """Return the length in months; 0 for other than calendar steps."""
        return self.count * MONTHS.get(self.unit, 0)

    @property
    def weekmask(self) -> str:
        """Return the days of the week that business days and custom days have, from Monday on; empty for others."""
        return {"B": MONDAY_TO_FRIDAY, "C": self.anchor}.get(self.unit, "")

    @property
    def sessions(self) -> str:
        """Return the open hours of a step within a day, see `tsfm.timestamps.sessions`; empty where it has none."""
        return self.anchor if self.unit in SESSION_UNITS else ""

    @property
    def group(self) -> str:
        """Return the unit that seasons and horizons are listed by: C is B, WOM is M, Hz is us."""
        return {"C": "B", "WOM": "M", "Hz": "us", "ns": "us"}.get(self.unit, self.unit)

    def __str__(self) -> str:
        if self.unit == "step":
            return str(self.count)
        count = "" if self.count == 1 else str(self.count)
        name = f"B{self.unit}{self.edge[-1]}" if len(self.edge) == 2 else f"{self.unit}{self.edge}"
        return f"{count}{name}" + (f"-{self.anchor}" if self.anchor else "")


def parse_freq(freq: Any) -> Step:
    """Return the time step of an alias, a whole number of numbered steps, an offset object or a Timedelta.

    Raises
    ------
    ValueError
        If it is not known.

    Examples
    --------
    >>> parse_freq("15min")
    Step(count=15, unit='min', edge='', anchor='')
    >>> str(parse_freq("1.5h")), str(parse_freq(pd.Timedelta("90min"))), str(parse_freq(pd.offsets.BMonthEnd()))
    ('90min', '90min', 'BME')
    """
    if isinstance(freq, str):
        return _alias_step(freq.strip())
    if isinstance(freq, (dt.timedelta, np.timedelta64)):
        return duration_step(pd.Timedelta(freq).value, freq)
    if isinstance(freq, pd.offsets.BaseOffset):
        return _offset_step(freq)
    return _alias_step(str(freq).strip())


@lru_cache(maxsize=256)
def _alias_step(freq: str) -> Step:
    if freq.isdigit() and int(freq):
        return Step(int(freq), "step")
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(?:-([A-Za-z0-9_]+))?", freq)
    count, name, anchor = match.groups() if match else ("", "", None)
    if name.lower() == "hz" and count and int(count) and anchor is None:
        rate = int(count)
        return Step(rate, "Hz") if 10**9 % rate else duration_step(10**9 // rate, freq)
    unit, edge = SPELLINGS.get(name, ("", ""))
    if name == "LWOM":
        unit, anchor = "WOM", f"L{anchor}"
    anchor = (anchor or "").upper()
    if unit and not (count and int(count) == 0) and _is_anchor(unit, anchor, int(count or 1)):
        if unit == "SM":
            anchor = anchor or "15"
        return Step(int(count or 1), unit, edge, "" if (unit, edge, anchor) in _DEFAULT_ANCHORS else anchor)
    parts = re.findall(r"(\d+(?:\.\d+)?)([A-Za-z]+)", freq)
    if parts and "".join(map("".join, parts)) == freq.replace(" ", ""):
        units = [SPELLINGS.get(name, ("", ""))[0] for _, name in parts]
        if all(unit in DURATIONS for unit in units):
            nanos = sum(Decimal(number) * DURATIONS[unit] for (number, _), unit in zip(parts, units, strict=True))
            if nanos and nanos == int(nanos):
                return duration_step(int(nanos), freq)
    raise ValueError(f"frequency {freq!r} is not known; use an alias such as {EXAMPLES}")


_DEFAULT_ANCHORS = {("Y", "BS", "JAN"), ("Y", "BE", "DEC")}


def _is_anchor(unit: str, anchor: str, count: int) -> bool:
    """Whether a unit may have this anchor, empty for none."""
    if unit == "C":
        return re.fullmatch(r"(?!0000000)[01]{7}", anchor) is not None
    if unit == "WOM":
        return anchor[1:] in DAY_NAMES and anchor[:1] in "1234L"
    if unit == "SM":
        return not anchor or (anchor.isdigit() and 2 <= int(anchor) <= 27)
    if unit in SESSION_UNITS and anchor:
        return is_session_anchor(anchor, count * MICROS[unit])
    return not anchor or anchor in {"W": DAY_NAMES, "Q": MONTH_NAMES, "Y": MONTH_NAMES}.get(unit, ())


def duration_step(nanos: int, freq: object = "") -> Step:
    """Return the step of a fixed length in nanoseconds, in its largest unit below a week."""
    if nanos <= 0:
        raise ValueError(f"frequency {freq!r} is not longer than 0; use an alias such as {EXAMPLES}")
    unit = next(unit for unit in ("D", "h", "min", "s", "ms", "us", "ns") if nanos % DURATIONS[unit] == 0)
    return Step(nanos // DURATIONS[unit], unit)


def _offset_step(offset: pd.offsets.BaseOffset) -> Step:
    """Return the step of a pandas offset."""
    if isinstance(offset, pd.offsets.Tick):
        return duration_step(pd.Timedelta(offset).value, offset)
    if isinstance(offset, pd.offsets.CustomBusinessDay):
        calendar: Any = offset.calendar  # type: ignore[attr-defined]
        if len(calendar.holidays):
            raise ValueError(
                f"frequency {offset!r} has holidays; use the weekdays alone, e.g. freq='C-1111110' for Monday to "
                "Saturday, and the holidays are missing steps"
            )
        mask = "".join("1" if day else "0" for day in calendar.weekmask)
        return Step(offset.n, "B") if mask == MONDAY_TO_FRIDAY else Step(offset.n, "C", "", mask)
    if getattr(offset, "normalize", False) or offset.n < 1:
        raise ValueError(f"frequency {offset!r} is not a step forward; use an alias such as {EXAMPLES}")
    return _alias_step(offset.freqstr)
