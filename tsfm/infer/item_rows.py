"""The rows of a DataFrame, sorted by item and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tsfm.infer.column_values import read_timestamps
from tsfm.infer.columns import Columns
from tsfm.infer.item_errors import ItemProblems
from tsfm.messages import format_id
from tsfm.store.read_options import ReadSettings
from tsfm.store.readers import is_hashable, row_with_nul
from tsfm.timestamps.number_forms import STEPS
from tsfm.timestamps.parsing import ParsedTimestamps


@dataclass(frozen=True)
class ItemRows:
    """Rows sorted by item and time; item i has those in `span(i)`."""

    code: np.ndarray  # [rows] number of the item, -1 where it is not used
    row: np.ndarray  # [rows] number of the row in the DataFrame as given
    timestamps: pd.DatetimeIndex  # [rows] in the time zone of the DataFrame
    values: np.ndarray  # [rows, columns] float64
    bounds: np.ndarray  # [items + 1]
    parsed: ParsedTimestamps  # of all rows of the DataFrame, in their order

    def span(self, item: int) -> slice:
        """Return the rows of an item."""
        return slice(self.bounds[item], self.bounds[item + 1])


def number_items(columns: Columns, *, label: str) -> tuple[np.ndarray, pd.Series]:
    """Return the item number of each row, and the ids in the order of their first rows.

    Raises
    ------
    ValueError
        When an id is missing; the message names the row.
    """
    if columns.item is None:
        return np.zeros(len(columns.frame), np.int64), pd.Series(["0"])
    ids = columns.column(columns.item)
    if (row := row_with_nul(ids)) is not None:
        raise ValueError(
            f"{label}: the id column {columns.item!r} holds {ids.iloc[row]!r} in row {row}, with a NUL character; "
            "rename the item"
        )
    try:
        codes, _ = pd.factorize(ids)
    except TypeError:
        row = next(row for row, cell in enumerate(ids) if not is_hashable(cell))
        raise ValueError(
            f"{label}: the id column {columns.item!r} holds {ids.iloc[row]!r} in row {row}; items are named by text or "
            "numbers"
        ) from None
    if (codes < 0).any():
        raise ValueError(
            f"{label}: the id column {columns.item!r} is missing in row {int(np.argmax(codes < 0))}; name the item"
        )
    first_rows = np.empty(codes.max() + 1, np.int64)
    first_rows[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last one that is assigned stays
    return codes, ids.iloc[first_rows].reset_index(drop=True)


def number_rows(codes: np.ndarray, first: np.ndarray | None = None) -> ParsedTimestamps:
    """Return the rows of each item numbered as steps, from 0 or from `first` [items] on, in their order."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], codes[order])  # where the rows of the item begin
    numbers = np.empty(len(codes), np.int64)
    numbers[order] = np.arange(len(codes)) - starts
    if first is not None:
        numbers += np.where(codes >= 0, first[codes], 0)
    return ParsedTimestamps(numbers.astype("M8[us]"), None, STEPS)


def row_times(
    columns: Columns, codes: np.ndarray, *, label: str, notes: list[str], settings: ReadSettings, **like: Any
) -> ParsedTimestamps:
    """Return the timestamps of the rows, or their numbers where there is no column of timestamps; see `sort_rows`."""
    if columns.timestamp is None:
        return number_rows(codes, like.get("first"))
    column = columns.column(columns.timestamp)
    options = settings.timestamps
    return read_timestamps(column, label=label, notes=notes, items=codes, options=options, like=like.get("like"))


def sort_rows(
    columns: Columns,
    codes: np.ndarray,
    ids: pd.Series,
    values: np.ndarray,
    *,
    label: str,
    notes: list[str],
    settings: ReadSettings,
    like: ParsedTimestamps | None = None,
    first: np.ndarray | None = None,
    problems: ItemProblems | None = None,
) -> ItemRows:
    """Return the rows sorted by item and time.

    Parameters
    ----------
    codes
        [rows] item number of each row, -1 for rows that are not used.
    values
        [rows, columns]
    settings
        How the DataFrame is read; with grid="keep" a timestamp may occur twice.
    like
        The timestamps that these continue.
    first
        [items] number of the first row of each item where rows are numbered; None: 0.
    problems
        Where given, takes the items with rows that cannot be read, in place of an error.

    Raises
    ------
    ValueError
        When an item has a timestamp twice; the message names the item and the row.
    """
    try:
        parsed = row_times(columns, codes, label=label, notes=notes, settings=settings, like=like, first=first)
    except ValueError:
        if problems is None or problems.at_once or columns.timestamp is None:
            raise
        read = partial(read_timestamps, label=label, notes=notes, options=settings.timestamps, like=like)
        parsed, codes = _readable_timestamps(columns.column(columns.timestamp), codes, read, problems)
    timestamps, utc = parsed.index, parsed.values
    order, unsorted = np.arange(len(codes)), np.array([], np.int64)
    if not _is_sorted(codes, utc):
        order = np.lexsort((utc, codes))
        unsorted = np.unique(codes[order[order != np.argsort(codes, kind="stable")]])
        unsorted = unsorted[unsorted >= 0]
        codes, utc, values, timestamps = codes[order], utc[order], values[order], timestamps[order]
    if len(unsorted):
        notes.append(
            f"{label}: rows of {len(unsorted)} items (first {format_id(ids[unsorted[0]])}) are not in time order; "
            "sorted"
        )
    repeats = (codes[1:] == codes[:-1]) & (utc[1:] == utc[:-1])
    repeated = np.flatnonzero(repeats & (codes[1:] >= 0) & (settings.grid != "keep"))
    if len(repeated):
        hint = "" if columns.item else " (no id column was found, so all rows are one series: pass id_column=)"

        def reason(again: int) -> str:
            row = int(order[again])
            return (
                f"{label}: item {format_id(ids[codes[again]])} has {parsed.format(row)} twice, again in row {row}; "
                f"{len(repeated)} such rows, drop or average them{hint}"
            )

        if problems is None:
            raise ValueError(reason(int(repeated[0]) + 1))
        problems.add_rows(repeated + 1, reason, codes)
    bounds = np.searchsorted(codes, np.arange(len(ids) + 1))
    return ItemRows(codes, order, pd.DatetimeIndex(timestamps), values, bounds, parsed)


def _is_sorted(codes: np.ndarray, times: np.ndarray) -> bool:
    """Whether rows are in the order of items and, within these, of time."""
    same = codes[1:] == codes[:-1]
    return bool(((codes[1:] > codes[:-1]) | (same & (times[1:] >= times[:-1]))).all())


def _readable_timestamps(
    column: pd.Series, codes: np.ndarray, read: Callable[..., ParsedTimestamps], problems: ItemProblems
) -> tuple[ParsedTimestamps, np.ndarray]:
    """Return the timestamps of the items whose timestamps can be read, and the item numbers with -1 for all others."""
    good, like = np.zeros(len(codes), dtype=bool), read.keywords.get("like")  # type: ignore[attr-defined]
    for item in range(len(problems.ids)):
        rows = np.flatnonzero(codes == item)
        if not len(rows):
            continue
        try:
            parsed = read(column.iloc[rows].reset_index(drop=True), items=codes[rows], rows=rows, notes=[], like=like)
        except ValueError as error:
            problems.add(item, str(error))
        else:
            good[rows], like = True, like or parsed
    parsed = read(column.loc[good].reset_index(drop=True), items=codes[good], rows=np.flatnonzero(good))
    values = np.full(len(codes), parsed.values[0])
    values[good] = parsed.values
    return replace(parsed, values=values), np.where(good, codes, -1)
