"""Choose the id, timestamp and target columns of a table: of a file and of a DataFrame by the same rules.

Names decide first, then what the columns hold; what was chosen otherwise than by the names that the user gave is noted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsfm.messages import did_you_mean
from tsfm.store.column_names import (
    ITEM,
    ITEM_NAMES,
    PERIOD_NAMES,
    TIME,
    describe_choice,
    find_item,
    find_time,
    guess_item,
    is_row_number,
    is_unnamed,
    listing,
)
from tsfm.store.header import DATE, cell_kind
from tsfm.store.numbers import UnreadText, holds_dates, is_numeric
from tsfm.timestamps.parsing import NUMBER, parse_timestamps

Sample = Callable[[Sequence[Any]], Any]  # names of columns -> a DataFrame of them, or of its first rows
MAX_CELLS = 50  # that show whether text is dates
MIN_DATES = 0.8  # of them, where a column is taken for one of dates with wrong cells
NOT_VALUES = ("split",)  # official train and test marks next to the values of known benchmark files


class ColumnChooser:
    """Chooses the columns of one table.

    Parameters
    ----------
    columns
        All names.
    label
        The table, for messages: the file, "df", "future_df".
    sample
        Returns some columns, or their first rows.
    notes
        What is assumed is appended to it.
    """

    def __init__(self, columns: Sequence[Hashable], *, label: str, sample: Sample, notes: list[str]):
        self.columns, self.label, self.sample, self.notes = list(columns), label, sample, notes

    def time(self, name: str | None, *, taken: Collection[Hashable] = ()) -> Any:
        """Return the column of timestamps; None where there is none, so that the rows are numbered.

        Parameters
        ----------
        name
            The name that the user gave; the default stands for the usual names, and for the only column of dates.
        taken
            Columns that have another role.

        Raises
        ------
        ValueError
            When there is no column of the name, or several may be the time.
        """
        if name is None:
            return None
        candidates = find_time(self.columns, name, taken=taken)
        if not candidates and name != TIME:
            raise self.missing("timestamp", name)
        free = [column for column in self.columns if column not in taken]
        for columns in (candidates, *(() if candidates else self._by_content(free))):
            if len(columns) > 1:
                raise ValueError(
                    f"{self.label}: {listing(columns)} could each be the timestamp; name it with timestamp_column="
                )
            if columns:
                if columns[0] != name:
                    self.notes.append(describe_choice(columns[0], TIME, label=self.label))
                return columns[0]
        self._check_almost_dates(free)
        return None

    def _check_almost_dates(self, free: list[Any]) -> None:
        """Raise a ValueError where a column would be the time but for a few cells: its rows would be numbered."""
        frame = self.sample(free) if free else {}
        for column in free:
            cells = [] if is_numeric(frame[column]) or holds_dates(frame[column]) else _first_cells(frame[column])
            if len(cells) < 3 or sum(map(is_date, cells)) < MIN_DATES * len(cells):
                continue
            try:
                parse_timestamps(pd.Series(cells, dtype=object), location=lambda _: "a cell")
            except ValueError as error:
                raise ValueError(
                    f"{self.label}: most cells of column {column!r} are dates, and one is not: {error}. Without a "
                    "column of timestamps the rows are numbered: give timestamp_column=None for that"
                ) from None

    def _by_content(self, free: list[Any]) -> list[list[Any]]:
        """Return the columns that hold dates, those whose text is dates, and those that number years or steps.

        A column without a name, as pandas writes an index of dates, counts where no other holds dates.
        """
        frame = self.sample(free) if free else {}
        dates = [column for column in free if holds_dates(frame[column]) and frame[column].dtype.kind != "m"]
        if dates:
            return [_named_first(dates)]
        texts = [column for column in free if not is_numeric(frame[column]) and holds_date_text(frame[column])]
        free = [column for column in free if not is_unnamed(column)]
        items = len(free) > len(self.numeric(free)) or any(column in ITEM_NAMES for column in self.columns)
        numbers = [
            column
            for column in free
            if str(column).lower() in PERIOD_NAMES
            and is_numeric(frame[column])
            and _is_counted(frame[column], may_restart=items)
        ]
        return [_named_first(texts), numbers if len(numbers) == 1 else []]

    def item(self, name: str, *, time: Any, taken: Collection[Hashable] = (), guess: bool = True) -> Any:
        """Return the column that names the items; None where all rows are one series.

        Parameters
        ----------
        time
            The column of timestamps.
        taken
            Columns that have another role.
        guess
            Whether the only column of text may name the items.

        Raises
        ------
        ValueError
            When there is no column of a name that the user gave.
        """
        free = [column for column in self.columns if (column not in taken or column == name) and column != time]
        column = find_item(free, name, numbers_rows=lambda column: is_row_number(self.sample([column])[column]))
        if column is not None:
            if column != name:
                self.notes.append(describe_choice(column, ITEM, label=self.label))
            return column
        if name != ITEM:
            raise self.missing("id", name)
        column = self._only_text(time, free) if guess else None
        if column is not None:
            self.notes.append(f"{self.label}: column {column!r}, the only one of text, is read as the item id")
        return column

    def _only_text(self, time: Any, free: list[Any]) -> Any:
        """Return the only column of text, where it names items whose timestamps, or rows, follow each other."""
        free = [column for column in free if not is_unnamed(column) and column not in NOT_VALUES]
        frame = self.sample([*([] if time is None else [time]), *free])
        if not len(frame):
            return None
        texts = [column for column in free if not is_numeric(frame[column]) and not holds_dates(frame[column])]
        if time is not None:
            return guess_item(frame, time, texts)
        return texts[0] if len(texts) == 1 and _names_blocks(frame[texts[0]]) else None

    def numeric(self, columns: Sequence[Any]) -> list[Any]:
        """Return the columns of numbers, without those that have no name and those of train and test marks."""
        columns = [column for column in columns if not is_unnamed(column) and column not in NOT_VALUES]
        frame = self.sample(columns) if columns else {}
        return [column for column in columns if is_numeric(frame[column])]

    def missing(self, kind: str, name: Any) -> ValueError:
        """Return the error of a column that the user named and that is not there; `kind` is id, timestamp or target."""
        known = did_you_mean(str(name), [str(column) for column in self.columns])
        return ValueError(
            f"{self.label} has no {kind} column {name!r}; {known}. Name it with "
            f"{kind if kind == 'target' else kind + '_column'}="
        )


def _named_first(columns: list[Any]) -> list[Any]:
    """Return the columns that have a name, else all."""
    return [column for column in columns if not is_unnamed(column)] or columns


def holds_date_text(column: Any) -> bool:
    """Return whether the first cells of a column are text, or objects, that are read as dates; numbers are not."""
    cells = distinct_cells(column)
    texts = [cell for cell in cells if not isinstance(cell, str) or not NUMBER.fullmatch(cell.strip())]
    if len(cells) < 2 or len(texts) < len(cells):
        return False
    try:
        parse_timestamps(pd.Series(texts, dtype=object))
    except ValueError as error:
        return "dayfirst" in str(error)  # dates that can be read in two ways
    return True


def distinct_cells(column: Any) -> list[Any]:
    """Return the first distinct cells of a column; none where they are lists or dicts."""
    cells = column.dropna().drop_duplicates().head(MAX_CELLS) if _is_hashable(column) else []
    return [cell.text if isinstance(cell, UnreadText) else cell for cell in cells]


def _first_cells(column: Any) -> list[Any]:
    """Return the first distinct cells of a column, or where some are lists or dicts the first cells."""
    return distinct_cells(column) if _is_hashable(column) else list(column.dropna().head(MAX_CELLS))


def is_date(cell: Any) -> bool:
    """Return whether a cell alone is a date or a period, or text in the form of a date."""
    return isinstance(cell, (dt.date, np.datetime64, pd.Period)) or (isinstance(cell, str) and cell_kind(cell) == DATE)


def _is_hashable(column: Any) -> bool:
    try:
        column.head(MAX_CELLS).nunique()
    except TypeError:
        return False
    return True


def _is_counted(column: Any, *, may_restart: bool) -> bool:
    """Whether numbers rise by equal steps from row to row; with several items they may begin anew."""
    values = np.array([float(cell) for cell in column.dropna()])
    if len(values) < 2 or len(values) < len(column):
        return False
    steps = values[1:] - values[:-1]
    rising = steps[steps > 0]
    restarts = int((steps < 0).sum())
    is_even = len(rising) + restarts == len(steps) and len(rising) > 0 and bool((rising == rising[0]).all())
    return is_even and (may_restart or not restarts)


def _names_blocks(column: Any) -> bool:
    """Whether each text of a column stands in several rows that follow each other."""
    if column.isna().any() or not _is_hashable(column):
        return False
    values = column.astype(str)
    num_blocks = 1 + int((values.to_numpy()[1:] != values.to_numpy()[:-1]).sum())
    return num_blocks == values.nunique() and bool((values.value_counts() > 1).all()) and num_blocks < len(values)
