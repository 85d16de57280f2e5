"""A column of timestamps as it was read, and its time zone. L rows."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tsfm.timestamps.number_forms import STEPS
from tsfm.timestamps.text_offsets import INVALID, offset_minutes
from tsfm.timestamps.timezones import as_unit, naive_utc

Location = Callable[[int], str]
# without the first and the last day of Python's calendar, which other time zones move out of it
FIRST, LAST = np.datetime64("0001-01-02", "us"), np.datetime64("9999-12-31", "us")
DEFAULT_UNIT: str = pd.to_datetime(["2020-01-01"]).unit


@dataclass(frozen=True)
class TimestampOptions:
    """How to read timestamps; see `parse_timestamps`."""

    dayfirst: bool | None = None
    date_format: str | None = None
    timezone: str | None = None
    steps: bool = False


@dataclass(frozen=True)
class ParsedTimestamps:
    """A column of timestamps, and how it was read.

    Attributes
    ----------
    values
        [L] datetime64[us], or [ns] where microseconds would lose digits. In UTC where there is a zone, else local time.
        Numbered steps are microseconds since 1970.
    zone
        The time zone in which to show them; None without one.
    kind
        "datetime", "text", "periods", "steps", or the name of the numbers, such as "years" or "excel".
    order
        "dmy", "mdy" or "ymd" where the order of day, month and year had to be chosen, else "".
    notes
        What was assumed.
    local_days
        Whether offsets from UTC were left out, because they change while the time of day does not.
    unit
        The resolution in which to show them: that of the column, else the default of pandas.
    """

    values: np.ndarray
    zone: dt.tzinfo | None
    kind: str
    order: str = ""
    notes: tuple[str, ...] = ()
    local_days: bool = False
    unit: str = DEFAULT_UNIT

    @property
    def numbered(self) -> bool:
        """Return whether the timestamps number steps."""
        return self.kind == STEPS

    @property
    def index(self) -> pd.DatetimeIndex:
        """Return the timestamps in their time zone."""
        index = pd.DatetimeIndex(self.values)
        return as_unit(index if self.zone is None else index.tz_localize("UTC").tz_convert(self.zone), self.unit)

    @property
    def axis(self) -> np.ndarray:
        """Return local times without a zone, or the numbers of steps, to draw or to sort."""
        local = np.asarray(self.index.tz_localize(None))
        return self.values.astype("M8[us]").astype(np.int64) if self.numbered else local

    def format(self, row: int) -> str:
        """Return the timestamp of a row as it is shown."""
        return str(self.axis[row] if self.numbered else self.index[row])


def naive_values(index: pd.DatetimeIndex) -> np.ndarray:
    """Return timestamps without a zone (UTC where they have one) in microseconds, or nanoseconds if these are used."""
    values = np.asarray(naive_utc(index))
    micros = values.astype("M8[us]")
    return micros if (micros.astype(values.dtype) == values).all() else values


def find_timezone(name: str) -> dt.tzinfo:
    """Return a time zone by its name, or by its offset from UTC such as +01:00.

    Raises
    ------
    ValueError
        If there is no such zone.
    """
    if match := re.fullmatch(r"(?:UTC)?([+-])(\d\d):?(\d\d)", name):
        minutes = int(offset_minutes(-1 if match[1] == "-" else 1, int(match[2]), int(match[3])))
        if minutes == INVALID:
            raise ValueError(f"timezone is {name!r}; expected an offset from UTC of -15:59 to +15:59, such as +01:00")
        return dt.timezone(dt.timedelta(minutes=minutes))
    if name in ("UTC", "Z"):
        return dt.timezone.utc
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"timezone is {name!r}, not a known time zone; expected a name such as Europe/Berlin"
        ) from None


def in_zone(parsed: ParsedTimestamps, zone: dt.tzinfo | None, where: Location) -> ParsedTimestamps:
    """Return timestamps in the zone that was asked for; those without a zone are local times in it."""
    if zone is None or parsed.numbered:
        return parsed
    values, notes = parsed.values, list(parsed.notes)
    if ((values < FIRST) | (values >= LAST)).any() and zone != dt.timezone.utc:
        row = int(((values < FIRST) | (values >= LAST)).argmax())
        raise ValueError(f"{where(row)} is {pd.Timestamp(values[row])}, too far from now for {zone}; correct it")
    if parsed.zone is None and not parsed.kind.startswith("epoch"):
        index = pd.DatetimeIndex(values)
        local = index.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
        if local.isna().any():
            row = int(np.asarray(local.isna()).argmax())
            raise ValueError(
                f"{where(row)} is {index[row]}, which daylight saving in {zone} repeats or leaves out; write the "
                "offset from UTC, such as 2020-01-31 14:30+01:00"
            )
        values = naive_values(local)
        notes.append(f"timestamps without a time zone are read as local times in {zone}")
    return replace(parsed, values=values, zone=zone, notes=tuple(notes))


def agreeing(parsed: ParsedTimestamps, like: ParsedTimestamps, where: Location) -> ParsedTimestamps:
    """Return timestamps in the zone of those that they belong to; both have a zone, or neither."""
    if parsed.numbered != like.numbered:
        names = ["numbered steps" if stamps.numbered else "dates" for stamps in (parsed, like)]
        raise ValueError(
            f"{where(0)} and after are {names[0]}, and the timestamps before are {names[1]}; write all alike"
        )
    if (parsed.zone is None) != (like.zone is None):
        names = [
            "has no time zone" if zone is None else f"is in the time zone {zone}" for zone in (parsed.zone, like.zone)
        ]
        raise ValueError(
            f"{where(0)} {names[0]}, and an earlier timestamp {names[1]}: rows with and without a time zone are mixed; "
            "write the offset from UTC in all of them or in none"
        )
    return replace(parsed, zone=like.zone)
