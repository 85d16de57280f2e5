"""Find the id, timestamp and target columns by their usual names; what was taken under another name is noted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

ITEM, TIME, TARGET = "item_id", "timestamp", "target"
ITEM_NAMES = (ITEM, "unique_id", "series_id", "id")
TIME_NAMES = (TIME, "ds", "date", "datetime", "time", "Date", "Datetime", "DateTime", "Time", "Timestamp")
TIME_NAMES += ("DATE", "DATETIME", "TIMESTAMP", "TIME")
TARGET_NAMES = (TARGET, "y", "value")
PERIOD_NAMES = ("year", "quarter", "month", "week", "day", "hour", "step", "period", "time_idx", "t")  # of numbers
ROLES = {ITEM: "item id", TIME: "timestamp", TARGET: "target"}  # default name -> what the column is


def find_item(columns: Collection[Hashable], name: str, *, numbers_rows: Callable[[Hashable], bool]) -> Hashable | None:
    """Return the column of item ids: that of the name, or a usual one where the name is the default; else None.

    Parameters
    ----------
    numbers_rows
        Whether a column has another value in every row; a column `id` of this kind does not name items.
    """
    if name in columns:
        return name
    if name != ITEM:
        return None
    for other in ITEM_NAMES[1:]:
        for column in _same(columns, other):
            if other != "id" or not numbers_rows(column):
                return column
    return None


def find_time(columns: Collection[Hashable], name: str, *, taken: Collection[Hashable] = ()) -> list[Hashable]:
    """Return the columns that may be the time: one where it is clear, several usual ones, or none."""
    if name in columns:
        return [name]
    if name != TIME:
        return []
    if "ds" in columns and "ds" not in taken:
        return ["ds"]
    return [column for column in columns if column in TIME_NAMES and column not in taken]


def find_target(columns: Collection[Hashable]) -> Hashable | None:
    """Return the column of values by its usual names."""
    return next((column for other in TARGET_NAMES for column in _same(columns, other)), None)


def _same(columns: Collection[Hashable], name: str) -> list[Hashable]:
    """Return the column of a name, or those that differ from it in capitals only."""
    if name in columns:
        return [name]
    return [column for column in columns if isinstance(column, str) and column.lower() == name]


def guess_item(frame: Any, time: Hashable, texts: Sequence[Hashable]) -> Hashable | None:
    """Return the only text column, where timestamps repeat without it and not within its values: it names the items."""
    if len(texts) != 1:
        return None
    pair = frame[[time, texts[0]]]
    try:
        repeated, within = pair[time].duplicated().any(), pair.duplicated().any()
    except (TypeError, NotImplementedError):  # cells that are dicts or lists, also those of Arrow
        return None
    return texts[0] if repeated and not within and not pair[texts[0]].isna().any() else None


def is_row_number(column: Any) -> bool:
    """Return whether a column has another value in each of several rows."""
    try:
        return len(column) > 1 and bool(column.is_unique)
    except (TypeError, NotImplementedError):
        return False


def is_unnamed(column: Hashable) -> bool:
    """Return whether a column has no name, as the index that pandas writes into a CSV or Parquet file."""
    return not str(column).strip() or str(column).startswith(("Unnamed:", "__index_level_"))


def describe_choice(column: Hashable, default: str, *, label: str) -> str:
    """Return the note that a column was taken under another name."""
    return f"{label}: column {column!r} is read as the {ROLES[default]}"


def listing(columns: Sequence[Hashable]) -> str:
    """Return the names of columns for a message."""
    return ", ".join(map(str, columns[:30])) + (f", ... ({len(columns)} in all)" if len(columns) > 30 else "")
