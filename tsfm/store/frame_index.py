"""The index and the column levels of a DataFrame, turned into plain columns where they hold times or items."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from tsfm.store.column_choice import holds_date_text
from tsfm.store.column_names import ITEM, ITEM_NAMES, TIME, TIME_NAMES, find_time
from tsfm.store.header import check_names
from tsfm.store.numbers import holds_dates, is_numeric


def plain_frame(
    df: pd.DataFrame, *, id_column: str, timestamp_column: str | None, label: str, notes: list[str]
) -> pd.DataFrame:
    """Return a DataFrame with the levels of its index that hold times or items as columns, and columns of one level.

    Levels are found by their names, and by what they hold: dates, or text that is dates, are the timestamps where no
    column is; in an index of several levels the only one of text names the items. A column of several levels is named
    by a tuple.

    Parameters
    ----------
    label
        The DataFrame, for messages.
    notes
        Assumptions are appended to it.

    Raises
    ------
    ValueError
        When the names of the columns are a row of data.
    """
    frame = flat_columns(df)
    check_names(frame, label=label)
    names = {id_column, *([] if timestamp_column is None else [timestamp_column])}
    names |= {*(ITEM_NAMES if id_column == ITEM else ()), *(TIME_NAMES if timestamp_column == TIME else ())}
    level_names: dict[int, Hashable] = {
        i: name for i, name in enumerate(df.index.names) if name in names and name not in frame.columns
    }
    if level_names:
        notes.append(f"{label}: index {', '.join(repr(name) for name in level_names.values())} is read as a column")
    if timestamp_column is not None and not find_time([*frame.columns, *level_names.values()], timestamp_column):
        level_names |= _time_level(df.index, frame, timestamp_column, level_names, label=label, notes=notes)
    if df.index.nlevels > 1 and not {*frame.columns, *level_names.values()} & {id_column, *ITEM_NAMES}:
        level_names |= _item_level(df.index, id_column, level_names, label=label, notes=notes)
    if not level_names:
        return frame
    frame = frame.reset_index(drop=True)
    for i, name in reversed(level_names.items()):
        frame.insert(0, name, df.index.get_level_values(i))  # type: ignore[arg-type]  # any hashable names a column
    return frame


def _time_level(
    index: pd.Index, frame: pd.DataFrame, name: str, level_names: dict[int, Hashable], *, label: str, notes: list[str]
) -> dict[int, Hashable]:
    """Return the level that holds dates, and its name as a column."""
    for i in range(index.nlevels):
        values = pd.Series(index.get_level_values(i))
        is_date = holds_dates(values) and values.dtype.kind != "m"
        if i in level_names or not (is_date or (not is_numeric(values) and holds_date_text(values))):
            continue
        own = index.names[i]
        notes.append(f"{label}: the {type(index.get_level_values(i)).__name__} is read as the timestamp")
        return {i: own if own is not None and own not in frame.columns else name}
    return {}


def _item_level(
    index: pd.Index, name: str, level_names: dict[int, Hashable], *, label: str, notes: list[str]
) -> dict[int, Hashable]:
    """Return the only other level of text, under its name or that of item ids."""
    free = [i for i in range(index.nlevels) if i not in level_names]
    texts = [i for i in free if not is_numeric(pd.Series(index.get_level_values(i)))]
    if len(texts) != 1:
        return {}
    own = index.names[texts[0]]
    notes.append(f"{label}: level {own if own is not None else texts[0]!r} of the index is read as the item id")
    return {texts[0]: name}


def flat_columns(df: pd.DataFrame) -> pd.DataFrame:
    """Return a DataFrame whose columns have one level: ("Close", "A") stays such a tuple, ("Date", "") is "Date"."""
    if not isinstance(df.columns, pd.MultiIndex):
        return df
    labels: list[Any] = []
    for label in df.columns.to_flat_index():
        used = [level for level in label if not (isinstance(level, str) and not level.strip())]
        labels.append(used[0] if len(used) == 1 else label)
    df = df.copy(deep=False)
    df.columns = pd.Index(labels, tupleize_cols=False)
    return df
