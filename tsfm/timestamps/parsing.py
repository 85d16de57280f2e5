"""Parse a column of timestamps: dates, text, objects, periods, numbers. L rows.

The forms of text are our own (`text_forms`), so that all versions of pandas read the same. Nothing without a year
becomes a date, and a reading that has to be assumed is returned as a note for the caller to announce.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tsfm.timestamps.number_forms import STEPS, read_numbers
from tsfm.timestamps.parsed import (
    Location,
    ParsedTimestamps,
    TimestampOptions,
    agreeing,
    find_timezone,
    in_zone,
    naive_values,
)
from tsfm.timestamps.readings import Reading, choose_reading
from tsfm.timestamps.text_columns import distinct_text, iso_times, text_array
from tsfm.timestamps.text_dates import read_text

if TYPE_CHECKING:
    from jaxtyping import Int

__all__ = ["ParsedTimestamps", "TimestampOptions", "parse_timestamps"]

NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)
YEAR_AND_MONTH = re.compile(r"\d{4}\.\d\d", re.ASCII)


def parse_timestamps(
    column: Any,
    *,
    items: Int[np.ndarray, " L"] | None = None,
    dayfirst: bool | None = None,
    date_format: str | None = None,
    timezone: str | None = None,
    steps: bool = False,
    like: ParsedTimestamps | None = None,
    location: Location | None = None,
) -> ParsedTimestamps:
    """Return a column as timestamps.

    Parameters
    ----------
    column
        Of any dtype: datetimes with or without a zone, text, numbers, periods, date and time objects.
    items
        [L] number of the item of each row. Where 01/02/2020 can be read in two ways, the reading with regular steps
        within items is taken.
    dayfirst
        Whether 01/02/2020 is 1 February; None finds out.
    date_format
        The format of text, as of ``datetime.strptime``.
    timezone
        Name of a time zone: instants are shown in it, and timestamps without a zone are local times in it.
    steps
        Whether whole numbers count steps (the frequency is a whole number).
    like
        Timestamps that belong together with these (an earlier block, or the past): the same readings are taken.
    location
        Beginning of a message about a row; None: "row 3".

    Raises
    ------
    ValueError
        If a row is missing or not a timestamp, if rows with and without a time zone are mixed, or if two readings are
        equally likely. The message names the first such row.

    Examples
    --------
    >>> parse_timestamps(["01/01/2020", "01/02/2020", "01/03/2020", "01/04/2020", "01/05/2020"] + ["13/05/2020"]).order
    'dmy'
    >>> parse_timestamps([1959, 1960, 1961]).notes
    ('numbers such as 1959 are read as years',)
    """
    series = column if isinstance(column, pd.Series) else pd.Series(column)
    where = location or (lambda row: f"row {row}")
    if not len(series):
        return ParsedTimestamps(np.array([], "M8[us]"), None, "datetime")
    missing = series.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"{where(int(missing.argmax()))} is missing ({int(missing.sum())} such rows); every row needs a timestamp: "
            "drop these rows or fill them in"
        )
    zone = None if timezone is None else find_timezone(timezone)
    parsed = _parse(series, items, where, _Reading(TimestampOptions(dayfirst, date_format, timezone, steps), like))
    parsed = in_zone(parsed, zone, where)
    return parsed if like is None else agreeing(parsed, like, where)


class _Reading(NamedTuple):
    """What is known about a column before it is parsed."""

    options: TimestampOptions
    like: ParsedTimestamps | None


def _parse(series: pd.Series, items: Any, where: Location, reading: _Reading) -> ParsedTimestamps:
    """Parse a column without missing cells, by its dtype."""
    dtype: Any = series.dtype
    if isinstance(dtype, pd.ArrowDtype) and pa.types.is_date(dtype.pyarrow_dtype):
        series, dtype = series.astype("datetime64[s]"), np.dtype("M8[s]")
    if isinstance(dtype, pd.ArrowDtype) and pa.types.is_timestamp(dtype.pyarrow_dtype):
        index = pd.DatetimeIndex(series.dt.tz_localize(None) if series.dt.tz is None else series)
        return _datetimes(index)
    if isinstance(dtype, pd.PeriodDtype):
        index = pd.DatetimeIndex(series.dt.to_timestamp())
        return ParsedTimestamps(naive_values(index), None, "periods", "", ("periods are read as their first moment",))
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _datetimes(pd.DatetimeIndex(series))
    if (
        pd.api.types.is_bool_dtype(dtype)
        or pd.api.types.is_timedelta64_dtype(dtype)
        or pd.api.types.is_complex_dtype(dtype)
    ):
        raise ValueError(
            f"{where(0)} is {series.iloc[0]} ({dtype}), not a timestamp; expected dates or numbers of steps"
        )
    if pd.api.types.is_numeric_dtype(dtype):
        integers = pd.api.types.is_integer_dtype(dtype)
        return _numbers(series.to_numpy(np.int64 if integers else np.float64), items, where, reading)
    return _objects(series, items, where, reading)


def _datetimes(index: pd.DatetimeIndex, kind: str = "datetime") -> ParsedTimestamps:
    return ParsedTimestamps(naive_values(index), index.tz, kind, unit=index.unit)


def _numbers(numbers: np.ndarray, items: Any, where: Location, reading: _Reading) -> ParsedTimestamps:
    if np.isinf(numbers).any():
        raise ValueError(f"{where(int(np.isinf(numbers).argmax()))} is infinite; correct the timestamp")
    steps = reading.options.steps or (reading.like is not None and reading.like.kind == STEPS)
    readings = read_numbers(numbers, location=where, steps=steps)
    if reading.like is not None:
        readings = [r for r in readings if r.kind == reading.like.kind] or readings
    best = readings[0]
    if len(readings) > 1:
        best = readings[choose_reading([Reading(r.kind, r.values) for r in readings], items) or 0]
    return ParsedTimestamps(best.values, None, best.kind, "", (best.note,))


def _objects(series: pd.Series, items: Any, where: Location, reading: _Reading) -> ParsedTimestamps:
    """Text, or Python objects: dates, datetimes, Timestamps, periods, numbers, or text among them."""
    if (text := text_array(series)) is not None:
        return _text_column(text, items, where, reading)
    cells = series.astype(object)
    kinds = set(map(type, cells))
    if all(issubclass(kind, pd.Period) for kind in kinds):
        return _parse(pd.Series(pd.PeriodIndex(cells)), items, where, reading)
    if all(issubclass(kind, (int, float, np.number)) and kind is not bool for kind in kinds):
        return _parse(pd.Series(pd.to_numeric(cells)), items, where, reading)
    has_text = any(issubclass(kind, str) for kind in kinds)
    if not has_text and all(issubclass(kind, (dt.date, np.datetime64)) for kind in kinds):
        zones = {str(cell.tzinfo): cell.tzinfo for cell in cells if getattr(cell, "tzinfo", None) is not None}
        if len(zones) <= 1 and all((getattr(cell, "tzinfo", None) is None) == (not zones) for cell in cells):
            return _datetimes(_from_objects(cells, *zones.values()))
    texts = [_as_text(cell, row, where) for row, cell in enumerate(cells)]
    codes, distinct = pd.factorize(np.array(texts, dtype=object))
    return _text(codes, [str(cell) for cell in distinct], items, where, reading)


def _from_objects(cells: pd.Series, zone: dt.tzinfo | None = None) -> pd.DatetimeIndex:
    """Return date and datetime objects of one zone."""
    naive = [np.datetime64(cell.replace(tzinfo=None) if isinstance(cell, dt.datetime) else cell) for cell in cells]
    if zone is None:
        return pd.DatetimeIndex(np.array(naive, dtype="M8[us]"))
    return pd.DatetimeIndex([pd.Timestamp(cell) for cell in cells])


def _as_text(cell: Any, row: int, where: Location) -> str:
    if isinstance(cell, str):
        return " ".join(cell.split())
    if isinstance(cell, np.datetime64):
        return str(cell.astype("M8[us]"))
    if isinstance(cell, (dt.datetime, dt.date)):
        return cell.isoformat()
    if isinstance(cell, (int, np.integer)) and not isinstance(cell, bool):
        return str(cell)
    raise ValueError(f"{where(row)} is {cell!r} ({type(cell).__name__}), not a timestamp; expected dates or text")


def _text_column(text: Any, items: Any, where: Location, reading: _Reading) -> ParsedTimestamps:
    """Text alone: ISO 8601 is parsed cell by cell in C++, other forms by their distinct cells; `_text` defines both."""
    if reading.options.date_format is None and (times := iso_times(text)) is not None:
        return ParsedTimestamps(times, None, "text", _known_order(reading))
    codes, cells = distinct_text(text)
    return _text(codes, cells, items, where, reading)


def _known_order(reading: _Reading) -> str:
    """Return the order of day, month and year that was given or found before, else an empty string."""
    if reading.options.dayfirst is not None:
        return "dmy" if reading.options.dayfirst else "mdy"
    return "" if reading.like is None else reading.like.order


def _text(codes: np.ndarray, cells: list[str], items: Any, where: Location, reading: _Reading) -> ParsedTimestamps:
    """Parse the distinct cells; `codes` is the number of the cell of each row."""
    is_number = all(map(NUMBER.fullmatch, cells)) and not all(map(YEAR_AND_MONTH.fullmatch, cells))
    if reading.options.date_format is None and is_number:
        exact = all(cell.lstrip("+-").isdigit() and len(cell) < 19 for cell in cells)
        numbers = np.array([int(cell) if exact else float(cell) for cell in cells], np.int64 if exact else np.float64)
        return _numbers(numbers[codes], items, where, reading)
    order = _known_order(reading)
    local_days = False if reading.options.timezone is not None else None
    if reading.like is not None:
        local_days = reading.like.local_days
    date_format = reading.options.date_format
    parsed = read_text(
        cells, codes, items=items, order=order, date_format=date_format, local_days=local_days, location=where
    )
    notes = tuple(parsed.notes)
    return ParsedTimestamps(parsed.values, parsed.zone, "text", parsed.order or order, notes, parsed.local_days)
