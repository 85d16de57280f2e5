"""Timestamps that are numbers: years, 202001, 20200131, Excel days, seconds since 1970, and numbered steps.

The range of all numbers of a column decides, and what was decided is returned as a note. N rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from tsfm.timestamps.offsets import DAY, month_length

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, Num

YEARS = (1500, 2500)
EXCEL_DAYS = (15_000, 80_000)  # 1941 to 2119
EXCEL_ORIGIN = np.datetime64("1899-12-30", "us")  # day 60 is 29 February 1900 in Excel, so days count from here
EPOCH_UNITS = {
    "s": (10**8, 10**11),
    "ms": (10**11, 10**14),
    "us": (10**14, 10**17),
    "ns": (10**17, 2**63 - 1),
}  # 1973 on
CALENDAR_NUMBERS = {  # digits -> name, and how many digits each of year, month, day, hour, minute and second has
    4: ("years", (4,)),
    6: ("year and month (yyyymm)", (4, 2)),
    8: ("days (yyyymmdd)", (4, 2, 2)),
    10: ("hours (yyyymmddhh)", (4, 2, 2, 2)),
    12: ("minutes (yyyymmddhhmm)", (4, 2, 2, 2, 2)),
    14: ("seconds (yyyymmddhhmmss)", (4, 2, 2, 2, 2, 2)),
}
EARLIEST_HOURS = np.datetime64("1900-01-01", "us")  # of numbers such as yyyymmddhh that may be seconds since 1970
STEPS = "steps"


class NumberReading(NamedTuple):
    """One way to read numbers as timestamps."""

    kind: str  # "years", ..., "excel", "epoch s", ... or "steps"
    values: np.ndarray  # [N] datetime64[us] or [ns]; a numbered step k is k microseconds after 1970
    note: str


def read_numbers(
    numbers: Num[np.ndarray, " N"], *, location: Callable[[int], str], steps: bool = False
) -> list[NumberReading]:
    """Return the ways to read numbers as timestamps, the most likely first; mostly there is a single one.

    Parameters
    ----------
    steps
        Whether the numbers count steps, because the frequency is a whole number.

    Raises
    ------
    ValueError
        If the numbers are no timestamps; the message names the first row that is none.
    """
    whole = numbers == np.floor(numbers)
    if steps or _are_steps(numbers, whole):
        if not whole.all():
            row = int((~whole).argmax())
            raise ValueError(
                f"{location(row)} is {numbers[row]:g}, not a whole number of steps; number the steps 0, 1, 2, ..."
            )
        return [_steps(numbers.astype(np.int64))]
    if whole.all():
        integers = numbers.astype(np.int64)
        readings = [reading for reading in (_calendar(integers), _epoch(numbers), _excel(numbers)) if reading]
        if len(readings) > 1 and readings[0].values.max() < EARLIEST_HOURS:  # 1672012800 is of 2022, not of 1672
            readings = [*readings[1:], readings[0]]
        return readings or [_steps(integers)]
    readings = [reading for reading in (_excel(numbers), _epoch(numbers)) if reading]
    if not readings:
        row = int((~whole).argmax())
        raise ValueError(
            f"{location(row)} is the number {numbers[row]:.10g}; expected years (1959), 202001, 20200131, Excel days "
            "(43831), seconds since 1970 or whole numbers of steps: convert it, e.g. pd.to_datetime(column, unit='s')"
        )
    return readings


def _are_steps(numbers: np.ndarray, whole: Bool[np.ndarray, " N"]) -> bool:
    """Whether numbers begin too low for a year: 0, 1, 2, ... or 1, 2, 3, ..."""
    return bool(whole.all()) and bool(numbers.min() < YEARS[0])


def _steps(numbers: Int[np.ndarray, " N"]) -> NumberReading:
    note = f"whole numbers ({numbers.min()} to {numbers.max()}) are read as numbered steps"
    return NumberReading(STEPS, numbers.astype("M8[us]"), note)


def _calendar(numbers: Int[np.ndarray, " N"]) -> NumberReading | None:
    """Years, months, days, ... written as one number; None if a number is none."""
    digits = len(str(int(numbers.min())))
    if digits not in CALENDAR_NUMBERS or len(str(int(numbers.max()))) != digits:
        return None
    name, widths = CALENDAR_NUMBERS[digits]
    fields, rest = [], numbers
    for width in reversed(widths):
        rest, field = np.divmod(rest, 10**width)
        fields.insert(0, field)
    year, month, day, hour, minute, second = [*fields, *([np.int64(1)] * 2 + [np.int64(0)] * 3)[len(fields) - 1 :]]
    valid = (year >= YEARS[0]) & (year <= YEARS[1]) & (month >= 1) & (month <= 12)
    if not np.all(valid):
        return None
    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    valid = (day >= 1) & (day <= month_length(months)) & (hour < 24) & (minute < 60) & (second < 60)
    if not np.all(valid):
        return None
    micros = (day - 1) * DAY + ((hour * 60 + minute) * 60 + second) * 10**6
    values = months.astype("M8[D]").astype("M8[us]") + np.broadcast_to(micros, numbers.shape).astype("m8[us]")
    return NumberReading(
        name.split()[0] if digits == 4 else name, values, f"numbers such as {numbers[0]} are read as {name}"
    )


def _epoch(numbers: Num[np.ndarray, " N"]) -> NumberReading | None:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970."""
    for unit, (low, high) in EPOCH_UNITS.items():
        if numbers.min() >= low and numbers.max() < high:
            integers = numbers == np.floor(numbers)
            if integers.all():
                values = numbers.astype(np.int64).astype(f"M8[{unit}]")
            else:  # 0.1 microseconds is more than float64 can hold next to seconds since 1970
                micros = np.rint(numbers.astype(np.float64) * {"s": 10**6, "ms": 1000}.get(unit, 1))
                values = micros.astype(np.int64).astype("M8[us]")
            nanos = unit == "ns" and bool((values.astype(np.int64) % 1000).any())
            values = values.astype("M8[ns]" if nanos else "M8[us]")
            name = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
            note = f"numbers such as {numbers[0]:.0f} are read as {name} since 1970 (UTC)"
            return NumberReading(f"epoch {unit}", values, note)
    return None


def _excel(numbers: Num[np.ndarray, " N"]) -> NumberReading | None:
    """Days of Excel, whose fraction is the time of day; rounded to milliseconds."""
    if numbers.min() < EXCEL_DAYS[0] or numbers.max() >= EXCEL_DAYS[1]:
        return None
    millis = np.rint(numbers.astype(np.float64) * (DAY // 1000)).astype(np.int64)
    values = EXCEL_ORIGIN + (millis * 1000).astype("m8[us]")
    day = str(values[0].astype("M8[D]"))
    note = f"numbers such as {numbers[0]:g} are read as days of Excel ({day}); pass freq=1 if they number steps"
    return NumberReading("excel", values, note)


def restore_steps(index: pd.DatetimeIndex, *, numbered: bool) -> pd.DatetimeIndex | pd.Index:
    """Return timestamps as whole numbers where they number steps, else unchanged."""
    return pd.Index(np.asarray(index).astype("M8[us]").astype(np.int64)) if numbered else index
