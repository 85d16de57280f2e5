"""Tell a line of names from a row of data: a table without a header would lose its first row as names.

Numbers and dates do name columns: items 1, 2, 3 of a wide table, the dates of a pivoted one, quantile levels 0.1, 0.9.
A header is therefore judged with the cells below it. It is a row of data in three cases:

1. a cell is a date, and so are the cells below it: a column of dates has another name than a date;
2. a cell is text that stands again below it, as an item id does, and another cell is a number or a date;
3. all cells are numbers, with dates among them or not. Only a table whose first column has no name, and holds dates or
   text, or counts 0, 1, 2, ..., may have different whole numbers as names: so pandas writes a wide DataFrame.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from tsfm.store.column_names import is_unnamed
from tsfm.store.number_text import MISSING
from tsfm.timestamps.text_forms import find_form, shape_of

PLAIN_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
GROUPED_NUMBER = re.compile(r"[+-]?\d[\d.,'’ \u00a0]*", re.ASCII)
WHOLE = re.compile(r"0|[1-9]\d*", re.ASCII)
MAX_ROWS = 50  # below the header, that are looked at
TEXT, NUMERIC, DATE = "text", "number", "date"


def cell_kind(cell: str) -> str:
    """Return whether a cell is a number, a date or text; an empty string where it says nothing.

    Examples
    --------
    >>> cell_kind("1.234,5"), cell_kind("Jan 5, 2020"), cell_kind("store 1"), cell_kind("NA")
    ('number', 'date', 'text', '')
    """
    cell = " ".join(cell.split())
    if cell in MISSING or is_unnamed(cell):
        return ""
    if PLAIN_NUMBER.fullmatch(cell):  # also 20240131 and 2024.05, which may be dates
        return NUMERIC
    if _is_date_shape(shape_of(cell)):
        return DATE
    return NUMERIC if GROUPED_NUMBER.fullmatch(cell) else TEXT


@lru_cache(maxsize=1000)
def _is_date_shape(shape: str) -> bool:
    return "9" in shape and not isinstance(find_form(shape), str)


def check_header(names: Sequence[str], rows: Sequence[Sequence[str]], *, file: str) -> None:
    """Raise a ValueError where the first line of a table is a row of data.

    Parameters
    ----------
    names
        The cells of the first line.
    rows
        Those of some lines below it.
    """
    names = [str(name).strip() for name in names]
    kinds = [cell_kind(name) for name in names]
    if not {NUMERIC, DATE} & set(kinds):
        return
    columns = [[row[i].strip() for row in rows[:MAX_ROWS] if i < len(row)] for i in range(len(names))]
    problem = _like_rows(names, kinds, columns) or _only_numbers(names, kinds, columns)
    if problem is not None:
        raise ValueError(
            f"{file} has no header line? Its first line {problem} and would be lost as names; add a line of names "
            "such as timestamp,target. Labelled cases, label first, are read from files called <name>_TRAIN and "
            "<name>_TEST, from .ts, .arff and Parquet"
        )


def check_names(frame: pd.DataFrame, *, label: str) -> None:
    """Raise a ValueError where the names of a DataFrame are a row of data, as after reading a file without a header.

    Names that are no text, such as the numbers of columns of an array, are names.
    """
    names = [name.strip() if isinstance(name, str) else "" for name in frame.columns]
    kinds = [cell_kind(name) for name in names]
    if not {NUMERIC, DATE} & set(kinds):
        return
    head = frame.iloc[:MAX_ROWS]
    columns = [[str(cell) for cell in head.iloc[:, i]] for i in range(len(names))]
    problem = _like_rows(names, kinds, columns)
    if problem is None and isinstance(frame.index, pd.RangeIndex) and not all(map(WHOLE.fullmatch, names)):
        problem = _only_numbers(names, kinds, columns)
    if problem is not None:
        raise ValueError(
            f"{label} has a row of data in place of names? The row of its column names {problem}; name the columns, "
            "e.g. pd.read_csv(file, header=None, names=['timestamp', 'target'])"
        )


def _like_rows(names: Sequence[str], kinds: Sequence[str], columns: Sequence[Sequence[str]]) -> str | None:
    """Return what shows that names are a row, by the cells below them (cases 1 and 2)."""
    for name, kind, cells in zip(names, kinds, columns, strict=True):
        if kind == DATE and (below := _first(cells)) is not None and cell_kind(below) == DATE:
            return f"holds {name!r}, a date like those below it,"
    for name, kind, cells in zip(names, kinds, columns, strict=True):
        if kind == TEXT and name in cells:
            return f"holds {name!r}, as rows below it do, next to numbers or dates,"
    return None


def _only_numbers(names: Sequence[str], kinds: Sequence[str], columns: Sequence[Sequence[str]]) -> str | None:
    """Return what shows that names are a row because they are all numbers (case 3)."""
    if NUMERIC not in kinds or TEXT in kinds:
        return None
    first = _first(columns[0])
    if not kinds[0] and first is not None and is_unnamed(names[0]):
        counts = [cell for cell in columns[0] if cell] == [str(i) for i in range(len(columns[0]))]
        whole = all(WHOLE.fullmatch(name) for name in names[1:]) and len(set(names)) == len(names)
        if whole and (counts or cell_kind(first) != NUMERIC):
            return None
    cells = [name for name in names if cell_kind(name)]
    listed = ", ".join(cells[:5]) + (", ..." if len(cells) > 5 else "")
    return f"holds only numbers ({listed})"


def _first(cells: Sequence[Any]) -> str | None:
    """Return the first cell that is not empty."""
    return next((cell for cell in cells if cell), None)
