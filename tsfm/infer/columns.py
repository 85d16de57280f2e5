"""Find the id, timestamp and target columns of a DataFrame by name, also under their usual other names."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsfm.store.column_choice import ColumnChooser
from tsfm.store.column_names import TARGET, describe_choice, find_target, listing
from tsfm.store.foreign_frames import check_frame
from tsfm.store.frame_index import plain_frame


@dataclass(frozen=True)
class Columns:
    """A DataFrame, with its index turned to columns where needed, and the names of its columns.

    `item` is None where there is no id column: all rows are one series.
    """

    frame: pd.DataFrame
    item: str | None
    timestamp: str | None  # None: the rows of each item are numbered
    targets: list[str]

    def column(self, name: str) -> pd.Series:
        """Return one column."""
        return self.frame[name]  # type: ignore[return-value]  # names are unique, so this is a Series


def _check_frame(df: Any, *, label: str) -> None:
    check_frame(df, label=label)
    if df.empty and not (len(df) and df.index.names != [None]):
        raise ValueError(f"{label} is empty ({df.shape[0]} rows, {df.shape[1]} columns); give at least one row")


def find_columns(
    df: pd.DataFrame,
    *,
    id_column: str,
    timestamp_column: str | None,
    target: str | Sequence[str] | None,
    label: str,
    notes: list[str],
) -> Columns:
    """Return the columns of a DataFrame, as `tsfm.store.column_choice` chooses them.

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
    frame = plain_frame(df, id_column=id_column, timestamp_column=timestamp_column, label=label, notes=notes)
    if not frame.columns.is_unique:
        repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise ValueError(f"{label} has columns that share a name: {', '.join(repeated)}; rename or drop them")
    named = [] if target is None else _named_targets(target, frame)
    chooser = ColumnChooser(frame.columns.tolist(), label=label, sample=lambda _: frame, notes=notes)
    timestamp = chooser.time(timestamp_column, taken=named)
    item = chooser.item(id_column, time=timestamp, taken=named)
    if timestamp is None:
        notes.append(f"{label}: without a timestamp column the rows of each item are numbered 0, 1, 2, ...")
    targets = _targets(chooser, named, item, [c for c in frame.columns if c not in (item, timestamp)])
    roles = {column for column in (item, timestamp) if column is not None}
    if target is not None and (not targets or len(set(targets)) < len(targets) or roles & set(targets)):
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


def _targets(chooser: ColumnChooser, named: Sequence[Any], item: Any, others: Sequence[Any]) -> list[Any]:
    """Return the targets: those that the user named, or that are usual among columns without another role."""
    targets: list[Any] = []
    for name in named:
        if name in chooser.columns:
            targets.append(name)
        elif columns := [c for c in chooser.columns if isinstance(c, tuple) and c[0] == name]:
            chooser.notes.append(f"{chooser.label}: the columns below {name!r} are the targets: {listing(columns)}")
            targets += columns
        elif name == TARGET and len(named) == 1:
            return _usual_targets(chooser, item, others)
        else:
            raise chooser.missing("target", name)
    return targets


def _usual_targets(chooser: ColumnChooser, item: Any, others: Sequence[Any]) -> list[Any]:
    """Return the targets of a DataFrame without a column `target`."""
    label, notes = chooser.label, chooser.notes
    if (column := find_target(others)) is not None:
        notes.append(describe_choice(column, TARGET, label=label))
        return [column]
    numeric = chooser.numeric(others)
    if len(numeric) == 1:
        notes.append(f"{label}: column {numeric[0]!r}, the only numeric one, is read as the target")
    elif numeric and item is None:
        notes.append(f"{label}: there is no column 'target', so all {len(numeric)} numeric columns are targets")
    elif numeric:
        raise ValueError(
            f"{label} has no target column 'target'; the numeric columns are {listing(numeric)}. Name one or several "
            "with target="
        )
    elif any(isinstance(column, tuple) for column in chooser.columns):
        raise ValueError(
            f"{label} has columns of several levels ({listing(others)}); flatten them, for example df.columns = "
            "['_'.join(map(str, names)) for names in df.columns], or name one with target="
        )
    else:
        raise chooser.missing("target", TARGET)
    return numeric
