"""Tables with a whole series in each row: cells that hold lists become rows. L rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsfm.store.header import TEXT, cell_kind
from tsfm.store.number_text import MISSING
from tsfm.timestamps.calendars import make_timestamps
from tsfm.timestamps.parsing import parse_timestamps


def holds_lists(column: Any) -> bool:
    """Return whether the cells of a column are lists or arrays of numbers or timestamps; lists of labels are not.

    Examples
    --------
    >>> holds_lists(pd.Series([None, [1, 2]])), holds_lists(pd.Series(["a", "b"]))
    (True, False)
    >>> holds_lists(pd.Series([["new", "sale"]])), holds_lists(pd.Series([["2024-01-01", "2024-01-02"]]))
    (False, True)
    """
    if column.dtype != object:
        return False
    first = next((cell for cell in column.array if cell is not None and cell is not pd.NA), None)
    return isinstance(first, (list, tuple, np.ndarray)) and not any(map(_is_label, first))


def _is_label(cell: Any) -> bool:
    return isinstance(cell, str) and cell.strip() not in MISSING and cell_kind(cell.strip()) == TEXT


def spread_lists(
    frame: pd.DataFrame, rows: np.ndarray, *, file: str, time: str | None = None, freq: Any = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table with a row for each element of the lists of a row, and the row numbers; others stay as they are.

    Parameters
    ----------
    rows
        [L] row numbers, for messages.
    time
        The column of timestamps: where it holds no lists, each is that of the first element, and `freq` is needed.

    Raises
    ------
    ValueError
        When the lists of a row differ in length, a list is missing or holds lists, or `freq` is needed.

    Examples
    --------
    >>> table = pd.DataFrame({"item_id": ["a", "b"], "target": [[1.0, 2.0], [3.0]]})
    >>> spread_lists(table, np.arange(2), file="t.parquet")[0].values.tolist()
    [['a', 1.0], ['a', 2.0], ['b', 3.0]]
    """
    lists = {str(name): _arrays(frame[name], rows, file=file) for name in frame.columns if holds_lists(frame[name])}
    if not lists:
        return frame, rows
    first = next(iter(lists))
    lengths = np.array([len(cell) for cell in lists[first]], dtype=np.int64)
    for name, cells in lists.items():
        if differing := [row for row, cell in enumerate(cells) if len(cell) != lengths[row]]:
            row = differing[0]
            raise ValueError(
                f"{file}, row {rows[row]}: column {first!r} has a list of {lengths[row]} elements, column {name!r} one "
                f"of {len(cells[row])}; the lists of a row need the same length"
            )
    positions = np.repeat(np.arange(len(frame)), lengths)
    columns: dict[Any, Any] = {}
    for name in frame.columns:
        if name in lists:
            columns[name] = pd.Series(np.concatenate(lists[name]) if len(positions) else [])
        elif name == time:
            columns[name] = _counted(frame[name], lengths, rows, freq, file=file)
        else:
            columns[name] = frame[name].iloc[positions].reset_index(drop=True)
    return pd.DataFrame(columns), rows[positions]


def _arrays(column: Any, rows: np.ndarray, *, file: str) -> list[np.ndarray]:
    """Return each list of a column as an array of one dimension."""
    arrays = []
    for row, cell in zip(rows, column.array, strict=True):
        location = f"{file}, row {row}: column {column.name!r}"
        if not isinstance(cell, (list, tuple, np.ndarray)):
            raise ValueError(f"{location} holds {str(cell)[:40]!r} and no list; give every row its list, or drop it")
        array = cell if isinstance(cell, np.ndarray) else pd.Series(list(cell)).to_numpy()
        if array.ndim != 1 or (array.dtype == object and any(isinstance(x, (list, np.ndarray)) for x in array[:1])):
            raise ValueError(
                f"{location} holds lists of lists; give each channel a column of its own (labelled cases are read by "
                "data=cases)"
            )
        arrays.append(array)
    return arrays


def _counted(column: Any, lengths: np.ndarray, rows: np.ndarray, freq: Any, *, file: str) -> np.ndarray:
    """Return the timestamps of series of these lengths that begin at those of a column."""
    if freq is None:
        raise ValueError(
            f"{file}: column {column.name!r} holds the first timestamp of each list, not a list; give freq, for "
            "example freq='D'"
        )
    starts = parse_timestamps(column.reset_index(drop=True), location=lambda row: f"{file}, row {rows[row]}")
    if starts.zone is not None:
        raise ValueError(
            f"{file}: column {column.name!r} holds the first timestamp of each list, in a time zone; give a list of "
            "timestamps, or local times"
        )
    times = [make_timestamps(start, str(freq), int(count)) for start, count in zip(starts.values, lengths, strict=True)]
    return np.concatenate(times) if times else np.array([], "M8[us]")
