"""Cells to numbers and stamps; a cell that is neither is named by file, item and row. L rows, C channels."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.tseries.api import guess_datetime_format

if TYPE_CHECKING:
    from jaxtyping import Float

Location = Callable[[int], str]  # position in the block -> "file, item, row"
ZONE = re.compile(r"\d\d:\d\d.*?\s*(Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d)$")
YEAR_FIRST = re.compile(r"\d{4}\D")
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "null", "NULL", "None", "?"]


def parse_numbers(
    frame: Any, columns: Sequence[str], location: Location, sentinel: Sequence[float] = ()
) -> Float[np.ndarray, "L C"]:
    """Return the columns as float32, NaN where missing (or equal to a sentinel); text and infinities are errors."""
    values = np.empty((len(frame), len(columns)), dtype=np.float64)
    for c, name in enumerate(columns):
        values[:, c] = _numeric(frame[name], name, location)
    if len(sentinel):
        values[np.isin(values, np.asarray(sentinel, dtype=np.float64))] = np.nan
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if np.isinf(single).any():
        row, c = np.argwhere(np.isinf(single))[0]
        problem = "infinite" if np.isinf(values[row, c]) else f"{values[row, c]:g}, too large for float32"
        raise ValueError(
            f"{location(int(row))}: column {columns[c]!r} is {problem}; correct the cell, or leave it empty"
        )
    return single


def _numeric(column: Any, name: str, location: Location) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        raise ValueError(
            f"{location(0)}: column {name!r} holds dates, not numbers; choose the columns with target=[...]"
        )
    if pd.api.types.is_numeric_dtype(column.dtype):  # bool counts as a number, 0 or 1
        return column.to_numpy(np.float64, na_value=np.nan)
    column = column.astype(object)
    parsed: Any = pd.to_numeric(column, errors="coerce")
    parsed_values = parsed.to_numpy(np.float64, na_value=np.nan)
    unparsed = np.isnan(parsed_values) & column.notna().to_numpy()
    for row in np.flatnonzero(unparsed):
        if str(column.iloc[row]).strip() not in MISSING:
            raise ValueError(
                f"{location(int(row))}: column {name!r} holds {str(column.iloc[row])[:40]!r}, which is not a number; "
                "correct it, choose the columns with target=[...], or name it in static=[...] if it labels the series"
            )
    return parsed_values


@dataclass
class TimestampParser:
    """Reads stamps; remembers the zone and the date format of what it has read, so that all of them agree."""

    zone: str | None = None  # "naive", an offset or a zone name
    dayfirst: bool | None = None
    notes: list[str] = field(default_factory=list)

    def new_file(self) -> None:
        """Files may write dates differently, but not in different zones."""
        self.dayfirst = None

    def stamps(self, column: Any, location: Location) -> np.ndarray:
        """[L] datetime64[us], in UTC if the stamps have a zone."""
        missing = column.isna().to_numpy()
        if missing.any():
            raise ValueError(f"{location(int(missing.argmax()))}: the timestamp is missing; every row needs one")
        dtype = column.dtype
        if isinstance(dtype, pd.DatetimeTZDtype):
            self._agree(str(dtype.tz), location(0))
            return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
        if pd.api.types.is_datetime64_dtype(dtype):
            self._agree("naive", location(0))
            return column.to_numpy("datetime64[us]")
        if pd.api.types.is_numeric_dtype(dtype):
            whole = column.to_numpy(np.float64)
            column = pd.Series([str(int(x)) if x == np.floor(x) else str(x) for x in whole])
        return self._text(np.array([str(cell).strip() for cell in column.to_numpy(object)], dtype=object), location)

    def _agree(self, zone: str, at: str) -> None:
        if self.zone is None and zone != "naive":
            self.notes.append(f"stamps of zone {zone} were converted to UTC")
        self.zone = self.zone or zone
        if zone != self.zone:
            names = ["has no time zone" if z == "naive" else f"is in zone {z}" for z in (zone, self.zone)]
            raise ValueError(f"{at}: the timestamp {names[0]}, and before it one {names[1]}; convert all to UTC")

    def _text(self, cells: np.ndarray, location: Location) -> np.ndarray:
        try:
            times = pa.array(cells, pa.string()).cast(pa.timestamp("us"))  # ISO 8601 without zone: the common case
        except pa.ArrowInvalid:
            return self._other(cells, location)
        self._agree("naive", location(0))
        return times.to_numpy()

    def _other(self, cells: np.ndarray, location: Location) -> np.ndarray:
        """Stamps with offsets, whole numbers, and dates that are not ISO 8601."""
        zones = [match[1] if (match := ZONE.search(cell)) else "naive" for cell in cells]
        zones = ["+00:00" if zone in ("Z", "UTC", "GMT", "+0000", "+00") else zone for zone in zones]
        for row, zone in enumerate(zones):
            if zone != zones[0] or row == 0:
                self._agree(zone, location(row))
        if all(cell.isdigit() for cell in cells):
            return self._digits(cells, location)
        if zones[0] != "naive":
            times = pd.to_datetime(pd.Series(cells), utc=True, errors="coerce", format="ISO8601")
            return self._checked(times.dt.tz_localize(None), cells, location)
        if self.dayfirst is None:
            self.dayfirst = not YEAR_FIRST.match(cells[0]) and self._is_dayfirst(cells)
        return self._checked(_dates(cells, dayfirst=self.dayfirst), cells, location)

    def _is_dayfirst(self, cells: np.ndarray) -> bool:
        """Whether 01/02/2020 is 1 February: decided by the first block of a file, said if it could be either."""
        american, european = _dates(cells, dayfirst=False), _dates(cells, dayfirst=True)
        if american.isna().sum() == european.isna().sum():
            if not american.equals(european):
                self.notes.append(f"dates such as {cells[0]} were read as month/day; write 2020-01-31 to be sure")
            return False
        return bool(american.isna().sum() > european.isna().sum())

    def _digits(self, cells: np.ndarray, location: Location) -> np.ndarray:
        """Whole numbers: 2020 is a year, 20200131 a day; anything else would be a guess."""
        for row, cell in enumerate(cells):
            if len(cell) not in (4, 8) or not "1000" <= cell[:4] <= "2999":
                raise ValueError(
                    f"{location(row)}: timestamp {cell} is a plain number; only a year (2020) or a day (20200131) "
                    "can be read: convert it to a date, or leave the column out and give freq to number the rows"
                )
        iso = [cell if len(cell) == 4 else f"{cell[:4]}-{cell[4:6]}-{cell[6:]}" for cell in cells]
        try:
            return np.array(iso, dtype="datetime64[us]")
        except ValueError:
            row = next(i for i, cell in enumerate(iso) if not _is_date(cell))
            raise ValueError(f"{location(row)}: timestamp {cells[row]} is not a date") from None

    def _checked(self, times: pd.Series, cells: np.ndarray, location: Location) -> np.ndarray:
        bad = times.isna().to_numpy()
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"{location(row)}: timestamp {cells[row]!r} cannot be read; write dates as 2020-01-31 14:30:00"
            )
        return times.to_numpy("datetime64[us]")


def _dates(cells: np.ndarray, *, dayfirst: bool) -> pd.Series:
    """Dates of one format, guessed from the first cell; NaT where a cell has another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns that a format it was asked for is not the American one
        guess = guess_datetime_format(cells[0], dayfirst=dayfirst)
    if guess is None:
        return pd.Series(np.full(len(cells), np.datetime64("NaT"), dtype="datetime64[us]"))
    return pd.to_datetime(pd.Series(cells), format=guess, errors="coerce")


def _is_date(text: str) -> bool:
    try:
        np.datetime64(text)
    except ValueError:
        return False
    return True
