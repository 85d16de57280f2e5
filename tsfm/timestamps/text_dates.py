"""Parse text as timestamps by the forms of `text_forms`. U distinct cells, L rows, N cells of one form."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.timestamps.date_fields import days_and_nanos
from tsfm.timestamps.offsets import format_timestamp
from tsfm.timestamps.readings import Reading, choose_reading
from tsfm.timestamps.text_columns import iso_times
from tsfm.timestamps.text_forms import NUMERIC_ORDERS, Form, find_form, read_numbers, shape_of
from tsfm.timestamps.text_offsets import NAIVE, check_offsets, offset_minutes, to_utc

if TYPE_CHECKING:
    from jaxtyping import Int

NANOS_PER_DAY = 86400 * 10**9
ORDER_NAMES = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}


@dataclass(frozen=True)
class TextTimestamps:
    """Timestamps of text: UTC where there is a zone."""

    values: np.ndarray  # [L] datetime64[us] or [ns]
    zone: dt.tzinfo | None = None
    order: str = ""
    notes: list[str] = field(default_factory=list)
    local_days: bool = False  # offsets were left out


def read_text(
    cells: list[str],
    codes: Int[np.ndarray, " L"],
    *,
    items: Int[np.ndarray, " L"] | None,
    order: str,
    date_format: str | None,
    local_days: bool | None,
    location: Callable[[int], str],
) -> TextTimestamps:
    """Return the timestamps of text.

    Parameters
    ----------
    cells
        [U] distinct cells.
    codes
        [L] number of the cell of each row.
    order
        "dmy", "mdy" or "ymd" where it is known.
    local_days
        Whether offsets from UTC are left out; None does that where they change and the time of day does not.

    Raises
    ------
    ValueError
        If a cell is not a timestamp, or the order of day and month cannot be decided.
    """
    if date_format is not None:
        return _by_format(cells, codes, date_format, location)
    if (iso := iso_times(cells)) is not None:
        return TextTimestamps(iso[codes])
    fields = _Fields.read(cells, codes, location)
    orders = [order] if order in fields.orders or not fields.orders else list(fields.orders)
    dates = {name: fields.local_times(name) for name in orders}
    chosen = orders[0]
    if len(orders) > 1:
        best = choose_reading([Reading(name, values[codes]) for name, values in dates.items()], items)
        if best is None:
            raise ValueError(_ask_for_order(cells, codes, fields, dates, location))
        chosen = orders[best]
    local = dates[chosen]
    if np.isnat(local).any():
        row = int(np.isnat(local[codes]).argmax())
        reading = f" as {ORDER_NAMES[chosen]}" if chosen else ""
        raise ValueError(
            f"{location(row)} is {cells[codes[row]]!r}, not a timestamp{reading}; correct it, or give dayfirst= or "
            "date_format="
        )
    _check_days_without_year(fields, cells, codes, local, location)
    notes = fields.describe(cells, codes, local, chosen, num_readings=len(orders))
    check_offsets(fields.offsets, cells, codes, location)
    values, zone = to_utc(local, fields.offsets, local_days, notes)
    is_local = zone is None and bool((fields.offsets != NAIVE).all())
    return TextTimestamps(_shorten(values)[codes], zone, chosen, notes, is_local)


def _by_format(cells: list[str], codes: np.ndarray, date_format: str, location: Callable[[int], str]) -> TextTimestamps:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        has_zone = "%z" in date_format or "%Z" in date_format
        try:
            times = pd.to_datetime(pd.Series(cells), format=date_format, errors="coerce", utc=has_zone)
        except ValueError as error:
            raise ValueError(f"date_format is {date_format!r}: {error}; expected directives such as %d/%m/%Y") from None
    if not any(directive in date_format for directive in ("%Y", "%y", "%G", "%c", "%x", "ISO8601")):
        raise ValueError(f"date_format is {date_format!r}, which has no year; timestamps need one (%Y or %y)")
    if times.isna().any():
        row = int(times.isna().to_numpy()[codes].argmax())
        raise ValueError(
            f"{location(row)} is {cells[codes[row]]!r}, which does not have the date_format {date_format!r}"
        )
    zone = dt.timezone.utc if has_zone else None
    values = np.asarray(times.dt.tz_localize(None) if has_zone else times)
    return TextTimestamps(_shorten(values.astype("M8[ns]") if values.dtype != "M8[us]" else values)[codes], zone)


@dataclass(frozen=True)
class _Fields:
    """The numbers of all distinct cells, group by group of one form."""

    groups: list[tuple[Form, Int[np.ndarray, " _"], dict[str, np.ndarray]]]  # form, cells, numbers
    offsets: Int[np.ndarray, " U"]  # minutes from UTC
    orders: tuple[str, ...]  # readings to choose from

    @classmethod
    def read(cls, cells: list[str], codes: np.ndarray, location: Callable[[int], str]) -> _Fields:
        """Sort cells by their shape, and read the numbers of each shape together."""
        shapes, names = pd.factorize(np.array([shape_of(cell) for cell in cells], dtype=object))
        groups, offsets = [], np.full(len(cells), NAIVE)
        for number, shape in enumerate(names):
            members = np.flatnonzero(shapes == number)
            form = find_form(str(shape))
            if isinstance(form, str):
                row = int(np.isin(codes, members).argmax())
                raise ValueError(f"{location(row)} is {cells[codes[row]]!r}, {form}")
            numbers = read_numbers([cells[i] for i in members], form)
            if form.has_offset:
                offsets[members] = offset_minutes(form.sign, numbers.get("oh", 0), numbers.get("om", 0))
            groups.append((form, members, numbers))
        orders = {name for form, *_ in groups for name in form.orders}
        choices = [form.orders for form, *_ in groups if form.orders]
        common = [name for name in NUMERIC_ORDERS if name in orders and all(name in choice for choice in choices)]
        return cls(groups, offsets, tuple(common or [name for name in NUMERIC_ORDERS if name in orders]))

    def local_times(self, order: str) -> np.ndarray:
        """Return all cells as local datetime64[ns] or [us] in one reading; NaT where the reading does not fit."""
        columns = [(members, *days_and_nanos(form, numbers, order)) for form, members, numbers in self.groups]
        nanos = any((column[2] % 1000).any() for column in columns)
        unit, per_day = ("ns", NANOS_PER_DAY) if nanos else ("us", NANOS_PER_DAY // 1000)
        out = np.full(len(self.offsets), np.datetime64("NaT"), dtype=f"M8[{unit}]")
        for members, days, time in columns:
            values = days.astype(np.int64) * per_day + (time if nanos else time // 1000)
            out[members] = np.where(np.isnat(days), np.datetime64("NaT"), values.astype(f"M8[{unit}]"))
        return out

    def describe(
        self, cells: list[str], codes: np.ndarray, local: np.ndarray, order: str, *, num_readings: int
    ) -> list[str]:
        """Return notes on what was assumed."""
        notes, first = [], int(codes[0])
        if order and num_readings > 1:
            notes.append(
                f"dates are read as {ORDER_NAMES[order]} ({cells[first]!r} is {format_timestamp(local[first])})"
            )
        short = [members for form, members, _ in self.groups if form.has_short_year]
        spans = [members for form, members, _ in self.groups if form.is_span]
        for groups, note in (
            (short, "years of two digits are read as 1969 to 2068"),
            (spans, "quarters, half-years and weeks are read as their first day"),
        ):
            if groups:
                first = int(groups[0][0])
                notes.append(f"{note} ({cells[first]!r} is {format_timestamp(local[first])})")
        return notes


def _ask_for_order(
    cells: list[str], codes: np.ndarray, fields: _Fields, dates: dict[str, np.ndarray], location: Callable[[int], str]
) -> str:
    """Return the message about dates that can be read in several ways."""
    row = 0
    for name in list(dates)[1:]:
        differs = dates[name][codes] != dates[fields.orders[0]][codes]
        if differs.any():
            row = int(differs.argmax())
            break
    readings = [f"{format_timestamp(values[codes[row]])} ({ORDER_NAMES[name]})" for name, values in dates.items()]
    options = "dayfirst=True or dayfirst=False" if "mdy" in dates else "date_format=, e.g. date_format='%d-%b-%y'"
    return (
        f"{location(row)} is {cells[codes[row]]!r}, which can be {' or '.join(readings)}, and both readings are "
        f"equally regular; give {options}"
    )


def _check_days_without_year(
    fields: _Fields, cells: list[str], codes: np.ndarray, local: np.ndarray, location: Callable[[int], str]
) -> None:
    """Refuse Jan-01, Jan-08, Jan-15, ...: these are days of a month, and not the Januaries of 2001, 2008 and 2015."""
    if {form.name for form, *_ in fields.groups} != {"named month, short year"}:
        return
    numbers = np.zeros(len(cells), dtype=np.int64)
    for _, members, values in fields.groups:
        numbers[members] = values["y"]
    months = local.astype("M8[M]").astype(np.int64) % 12
    days = (np.datetime64("2000-01", "M") + months).astype("M8[D]") + (numbers - 1)  # of a leap year
    steps = np.diff(np.unique(days)).astype(np.int64)
    is_monthly = len(np.unique(months)) > 2 and len(np.unique(numbers)) <= 1 + len(cells) // 6
    if (numbers < 1).any() or (numbers > 31).any() or len(steps) < 2 or is_monthly:
        return
    if np.median(steps) <= 7:
        raise ValueError(
            f"{location(0)} is {cells[codes[0]]!r}, which can be a day without a year, or a month of a year of two "
            "digits; write the year, such as 2020-01-31, or give date_format='%b-%y'"
        )


def _shorten(values: np.ndarray) -> np.ndarray:
    """Return microseconds unless nanoseconds are used."""
    micros = values.astype("M8[us]")
    return micros if values.dtype == micros.dtype or (micros.astype(values.dtype) == values).all() else values
