"""Find the id, timestamp and target columns of a DataFrame by name, also under their usual other names."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsfm.messages import did_you_mean
from tsfm.store.column_names import (
    ITEM,
    ITEM_NAMES,
    TARGET,
    TIME,
    TIME_NAMES,
    describe_choice,
    find_item,
    find_target,
    find_time,
    guess_item,
    is_row_number,
    is_unnamed,
    listing,
)
from tsfm.store.foreign_frames import check_frame
from tsfm.store.numbers import holds_dates, is_numeric


@dataclass(frozen=True)
class Columns:
    """A DataFrame, with its index turned to columns where needed, and the names of its columns.

    `item` is None where there is no id column: all rows are one series.
    """

    frame: pd.DataFrame
    item: str | None
    timestamp: str
    targets: list[str]

    def column(self, name: str) -> pd.Series:
        """Return one column."""
        return self.frame[name]  # type: ignore[return-value]  # names are unique, so this is a Series


def _missing_column(kind: str, name: str, frame: pd.DataFrame, *, label: str) -> ValueError:
    return ValueError(
        f"{label} has no {kind} column {name!r}; {did_you_mean(str(name), [str(known) for known in frame.columns])}. "
        f"Name it with {kind if kind == 'target' else kind + '_column'}="
    )


def _check_frame(df: Any, *, label: str) -> None:
    check_frame(df, label=label)
    if df.empty and not (len(df) and df.index.names != [None]):
        raise ValueError(f"{label} is empty ({df.shape[0]} rows, {df.shape[1]} columns); give at least one row")


def _index_to_columns(df: pd.DataFrame, names: Sequence[str], *, label: str, notes: list[str]) -> pd.DataFrame:
    """Turn index levels of one of the names into columns; an unnamed index of dates becomes the timestamp.

    Parameters
    ----------
    names
        The id column, the timestamp column, and other names that a level may have.
    """
    index_names = [name for name in df.index.names if name is not None and name in names and name not in df.columns]
    if index_names:
        notes.append(f"{label}: index {', '.join(map(repr, index_names))} is read as a column")
        df = df.reset_index(level=index_names)
    timestamp = names[1]
    if isinstance(df.index, (pd.DatetimeIndex, pd.PeriodIndex)) and not find_time(df.columns, timestamp):
        notes.append(f"{label}: the {type(df.index).__name__} is read as the timestamp")
        df = df.assign(**{timestamp: df.index}).reset_index(drop=True)
    return df


def flat_columns(df: pd.DataFrame) -> pd.DataFrame:
    """Return a DataFrame whose columns have one level: ("Close", "A") stays such a tuple, ("Date", "") is "Date"."""
    if not isinstance(df.columns, pd.MultiIndex):
        return df
    labels = []
    for label in df.columns.to_flat_index():
        used = [level for level in label if not (isinstance(level, str) and not level.strip())]
        labels.append(used[0] if len(used) == 1 else label)
    df = df.copy(deep=False)
    df.columns = pd.Index(labels, tupleize_cols=False)
    return df


def find_columns(
    df: pd.DataFrame,
    *,
    id_column: str,
    timestamp_column: str,
    target: str | Sequence[str] | None,
    label: str,
    notes: list[str],
) -> Columns:
    """Return the columns of a DataFrame by their names.

    Parameters
    ----------
    target
        A column or several. Where the default is absent: a column `y` or `value`, else the only numeric column, else,
        in a DataFrame without item ids, all numeric columns. None: no target is needed, as in a future DataFrame.
    label
        The DataFrame, for messages: "df", "future_df".
    notes
        Assumptions are appended to it.

    Raises
    ------
    ValueError
        When `df` is not a DataFrame or is empty, when column names repeat, or when a column is missing.
    """
    _check_frame(df, label=label)
    known = [*(ITEM_NAMES if id_column == ITEM else ()), *(TIME_NAMES if timestamp_column == TIME else ())]
    frame = _index_to_columns(flat_columns(df), [id_column, timestamp_column, *known], label=label, notes=notes)
    if not frame.columns.is_unique:
        repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise ValueError(f"{label} has columns that share a name: {', '.join(repeated)}; rename or drop them")
    named = [] if target is None else _named_targets(target, frame)
    timestamp = _timestamp(frame, timestamp_column, named, label=label, notes=notes)
    item = _item(frame, id_column, timestamp, named, label=label, notes=notes)
    targets = _targets(frame, named, item, timestamp, label=label, notes=notes)
    if target is not None and (not targets or len(set(targets)) < len(targets) or {item, timestamp} & set(targets)):
        raise ValueError(
            f"target is {target!r}; expected one or more different columns, none of them the id or timestamp"
        )
    return Columns(frame, item, timestamp, targets)


def _named_targets(target: Any, frame: pd.DataFrame) -> list[Any]:
    """Return the target columns that the user named; the name of a column may be a number or a tuple."""
    is_name = isinstance(target, str) or (isinstance(target, Hashable) and target in frame.columns)
    if is_name:
        return [target]
    if not np.iterable(target):
        raise ValueError(f"target is {target!r}; expected the name of a column or a list of names")
    return list(target)


def _timestamp(frame: pd.DataFrame, name: str, targets: Sequence[Any], *, label: str, notes: list[str]) -> Any:
    column = find_time(frame.columns, name, taken=targets)
    if len(column) > 1:
        raise ValueError(f"{label}: {listing(column)} could each be the timestamp; name it with timestamp_column=")
    if not column:
        raise _missing_column("timestamp", name, frame, label=label)
    if column[0] != name:
        notes.append(describe_choice(column[0], TIME, label=label))
    return column[0]


def _item(
    frame: pd.DataFrame, name: str, timestamp: Any, targets: Sequence[Any], *, label: str, notes: list[str]
) -> Any:
    free = [column for column in frame.columns if (column not in targets or column == name) and column != timestamp]
    column = find_item(free, name, numbers_rows=lambda column: is_row_number(frame[column]))
    if column is not None:
        if column != name:
            notes.append(describe_choice(column, ITEM, label=label))
        return column
    if name != ITEM:
        raise _missing_column("id", name, frame, label=label)
    texts = [c for c in free if not is_unnamed(c) and not is_numeric(frame[c]) and not holds_dates(frame[c])]
    column = guess_item(frame, timestamp, texts)
    if column is not None:
        notes.append(f"{label}: column {column!r}, the only one of text, is read as the item id")
    return column


def _targets(
    frame: pd.DataFrame, named: Sequence[Any], item: Any, timestamp: Any, *, label: str, notes: list[str]
) -> list[Any]:
    targets: list[Any] = []
    for name in named:
        if name in frame.columns:
            targets.append(name)
        elif columns := [c for c in frame.columns if isinstance(c, tuple) and c[0] == name]:
            notes.append(f"{label}: the columns below {name!r} are the targets: {listing(columns)}")
            targets += columns
        elif name == TARGET and len(named) == 1:
            return _usual_targets(frame, item, timestamp, label=label, notes=notes)
        else:
            raise _missing_column("target", name, frame, label=label)
    return targets


def _usual_targets(frame: pd.DataFrame, item: Any, timestamp: Any, *, label: str, notes: list[str]) -> list[Any]:
    """Return the targets of a DataFrame without a column `target`."""
    others = [column for column in frame.columns if column not in (item, timestamp)]
    if (column := find_target(others)) is not None:
        notes.append(describe_choice(column, TARGET, label=label))
        return [column]
    numeric = [column for column in others if not is_unnamed(column) and is_numeric(frame[column])]
    if len(numeric) == 1:
        notes.append(f"{label}: column {numeric[0]!r}, the only numeric one, is read as the target")
    elif numeric and item is None:
        notes.append(f"{label}: there is no column 'target', so all {len(numeric)} numeric columns are targets")
    elif numeric:
        raise ValueError(
            f"{label} has no target column 'target'; the numeric columns are {listing(numeric)}. Name one or several "
            "with target="
        )
    elif any(isinstance(column, tuple) for column in frame.columns):
        raise ValueError(
            f"{label} has columns of several levels ({listing(others)}); flatten them, for example df.columns = "
            "['_'.join(map(str, names)) for names in df.columns], or name one with target="
        )
    else:
        raise _missing_column("target", TARGET, frame, label=label)
    return numeric
