"""Find the id, timestamp and target columns of a DataFrame by name, also under their usual other names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsfm.messages import did_you_mean

# used where a column of our default name is absent
ALTERNATIVE_NAMES = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}


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
        f"{label} has no {kind} column {name!r}; {did_you_mean(name, [str(known) for known in frame.columns])}. "
        f"Name it with {kind if kind == 'target' else kind + '_column'}="
    )


def _find(frame: pd.DataFrame, name: str, *, kind: str, default: str, label: str, notes: list[str]) -> str | None:
    """Return the column of that name; where it was left at its default and is absent, that of its alternative name."""
    if name in frame.columns:
        return name
    other = ALTERNATIVE_NAMES[default]
    if name == default and other in frame.columns:
        notes.append(f"{label}: column {other!r} is read as the {kind}")
        return other
    return None


def _index_to_columns(df: pd.DataFrame, names: Sequence[str], *, label: str, notes: list[str]) -> pd.DataFrame:
    """Index levels of one of the names become columns; an unnamed DatetimeIndex becomes the timestamp, `names[1]`."""
    index_names = [name for name in df.index.names if name is not None and name in names and name not in df.columns]
    if index_names:
        notes.append(f"{label}: index {', '.join(map(repr, index_names))} is read as a column")
        df = df.reset_index(level=index_names)
    timestamp = names[1]
    alternative = timestamp == "timestamp" and ALTERNATIVE_NAMES["timestamp"] in df.columns
    absent = timestamp not in df.columns and not alternative
    if absent and isinstance(df.index, (pd.DatetimeIndex, pd.PeriodIndex)):
        notes.append(f"{label}: the {type(df.index).__name__} is read as the timestamp")
        df = df.assign(**{timestamp: df.index}).reset_index(drop=True)
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
        None: no target is needed, as in a future DataFrame.
    label
        The DataFrame, for messages: "df", "future_df".
    notes
        Assumptions are appended to it.

    Raises
    ------
    ValueError
        When `df` is not a DataFrame or is empty, when column names repeat, or when a column is missing.
    """
    if not isinstance(df, pd.DataFrame):
        raise ValueError(f"{label} is a {type(df).__name__}; expected a pandas DataFrame")
    if df.empty:
        raise ValueError(f"{label} is empty ({df.shape[0]} rows, {df.shape[1]} columns); give at least one row")
    names = [id_column, timestamp_column]
    alternatives = [ALTERNATIVE_NAMES[name] for name in names if name in ALTERNATIVE_NAMES]
    frame = _index_to_columns(df, names + alternatives, label=label, notes=notes)
    if not frame.columns.is_unique:
        repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise ValueError(f"{label} has columns that share a name: {', '.join(repeated)}; rename or drop them")
    timestamp = _find(frame, timestamp_column, kind="timestamp", default="timestamp", label=label, notes=notes)
    if timestamp is None:
        raise _missing_column("timestamp", timestamp_column, frame, label=label)
    item = _find(frame, id_column, kind="item id", default="item_id", label=label, notes=notes)
    if item is None and id_column != "item_id":
        raise _missing_column("id", id_column, frame, label=label)
    if not (target is None or isinstance(target, str) or np.iterable(target)):
        raise ValueError(f"target is {target!r}; expected the name of a column or a list of names")
    targets = []
    for name in [target] if isinstance(target, str) else [] if target is None else list(target):
        column = _find(frame, name, kind="target", default="target", label=label, notes=notes)
        if column is None:
            raise _missing_column("target", name, frame, label=label)
        targets.append(column)
    repeats = len(set(targets)) < len(targets) or bool({item, timestamp} & set(targets))
    if target is not None and (not targets or repeats):
        raise ValueError(
            f"target is {target!r}; expected one or more different columns, none of them the id or timestamp"
        )
    return Columns(frame, item, timestamp, targets)
