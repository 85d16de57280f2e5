"""Tables in bounded pieces: files and DataFrames become blocks of rows with timestamps and values.

L rows of a block, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tsfm.store.columns import ColumnOptions, ColumnPlan, plan_columns
from tsfm.store.list_columns import spread_lists
from tsfm.store.number_text import DecimalRule
from tsfm.store.numbers import holds_dates
from tsfm.store.sources import Table, readable
from tsfm.store.table_kinds import KINDS, Piece
from tsfm.store.value_parsing import TimestampParser, parse_numbers
from tsfm.timestamps.frequency import item_location
from tsfm.timestamps.text_columns import text_array

if TYPE_CHECKING:
    from jaxtyping import Float

_compute: Any = pc  # the stubs of pyarrow lack most functions


@dataclass
class RowBlock:
    """Some rows of one table, in file order."""

    file: str
    items: list[str]  # names of the items in this block
    code: np.ndarray  # [L] index into items
    rows: np.ndarray  # [L] row numbers
    times: np.ndarray | None  # [L] datetime64[us]; None if rows are numbered
    values: Float[np.ndarray, "L C"]  # float32, NaN where missing
    static: dict[str, np.ndarray]  # [L] each


def blocks(
    table: Table,
    options: ColumnOptions,
    timestamp_parser: TimestampParser,
    notes: list[str],
    unread: dict[str, str] | None = None,
) -> Iterator[tuple[ColumnPlan, RowBlock]]:
    """Yield the table's rows in order, a bounded number at a time.

    Parameters
    ----------
    notes
        What was guessed is added to it.
    unread
        Where given, takes the items that have a row that cannot be read, and the reason; else that is an error.
    """
    timestamp_parser.new_file()
    kind = KINDS[table.kind]
    with readable(table):
        columns = kind.columns(table)
    plan = plan_columns(columns, options, file=table.file, sample=lambda names: _first_rows(table, names))
    notes += [note for note in plan.notes if note not in notes]
    rule = DecimalRule(table.text.decimal)
    for frame, rows in _pieces(table, plan, options, notes):
        blank = _blank_rows(frame) if plan.time is not None else None
        if blank is not None:
            frame, rows = frame[~blank], rows[~blank]
        if not len(frame):
            continue
        read = partial(_block, table=table, plan=plan, options=options, timestamp_parser=timestamp_parser, rule=rule)
        try:
            block = read(frame, rows)
        except ValueError:
            if unread is None or plan.item is None:
                raise
            kept = _readable_rows(frame, rows, table, plan, read, timestamp_parser, unread)
            if not kept.any():
                continue
            block = read(frame[kept], rows[kept])
        yield plan, block


def _readable_rows(
    frame: Any,
    rows: np.ndarray,
    table: Table,
    plan: ColumnPlan,
    read: Callable[..., RowBlock],
    timestamp_parser: TimestampParser,
    unread: dict[str, str],
) -> np.ndarray:
    """Return which rows are of items all of whose rows here can be read; the others are added to `unread`."""
    code, items = number_items(frame[plan.item], lambda at: f"{table.file}, row {rows[at]}")
    kept = np.ones(len(frame), dtype=bool)
    for number, item in enumerate(items):
        own = code == number
        try:
            read(frame[own], rows[own], timestamp_parser=replace(timestamp_parser, notes=[]))
        except ValueError as error:
            unread.setdefault(item, str(error))
            kept &= ~own
    return kept


def _blank_rows(frame: Any) -> np.ndarray | None:
    """Return which rows are missing in every column; None if no row is."""
    blank = np.ones(len(frame), dtype=bool)
    for name in frame.columns:
        blank &= frame[name].isna().to_numpy()
        if not blank.any():
            return None
    return blank


def _first_rows(table: Table, names: Sequence[str]) -> pd.DataFrame:
    """Return the first rows of some columns, numbers where they hold nothing else."""
    with readable(table):
        piece = next(KINDS[table.kind].pieces(table, [], names, []), None)
    if piece is None:
        return pd.DataFrame(columns=pd.Index(names))
    return spread_lists(*piece, file=table.file)[0]


def _block(
    frame: Any,
    rows: np.ndarray,
    table: Table,
    plan: ColumnPlan,
    options: ColumnOptions,
    timestamp_parser: TimestampParser,
    rule: DecimalRule,
) -> RowBlock:
    code, items = np.zeros(len(frame), dtype=np.int64), [table.item]
    if plan.item is not None:
        code, items = number_items(frame[plan.item], lambda at: f"{table.file}, row {rows[at]}")

    def location(at: int) -> str:
        return item_location(items[code[at]], file=table.file, row=rows[at])

    times = None if plan.time is None else timestamp_parser.stamps(frame[plan.time], location, code)
    values = parse_numbers(frame, plan.target, location, options.sentinel, rule=rule)
    static = {name: _objects(frame[name]) for name in plan.static}
    return RowBlock(table.file, items, code, rows, times, values, static)


def _objects(column: Any) -> np.ndarray:
    """Return cells as Python objects; missing text of a file is None."""
    if isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_string(column.dtype.pyarrow_dtype):
        return column.to_numpy(object, na_value=None)
    return column.to_numpy(object)


def number_items(column: Any, location: Any) -> tuple[np.ndarray, list[str]]:
    """Return the index of each row's item, and the names of the items in the order of their first rows."""
    keeps_nul = isinstance(column.dtype, pd.ArrowDtype)  # then only the distinct names need to be looked at
    if not keeps_nul:
        _refuse_nul(column, location)
    try:
        code, names = pd.factorize(column)
    except TypeError:
        row = next(at for at, cell in enumerate(column) if not is_hashable(cell))
        raise ValueError(
            f"{location(row)}: column {column.name!r} holds {column.iloc[row]!r}; items are named by text or numbers"
        ) from None
    items = [str(name) for name in names]
    if keeps_nul and any("\0" in item for item in items):
        _refuse_nul(column, location)
    if (code < 0).any():
        raise ValueError(
            f"{location(int((code < 0).argmax()))}: column {column.name!r} is empty; every row needs its item"
        )
    return code, items


def _refuse_nul(column: pd.Series, location: Any) -> None:
    if (row := row_with_nul(column)) is not None:
        raise ValueError(
            f"{location(row)}: column {column.name!r} holds {column.iloc[row]!r}, with a NUL character; rename the item"
        )


def row_with_nul(column: pd.Series) -> int | None:
    """Return the first row whose text holds a NUL character, at which pandas ends it: two items would become one."""
    if pd.api.types.is_numeric_dtype(column.dtype) or holds_dates(column):
        return None
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = column.cat.categories
        bad = [number for number, name in enumerate(names) if isinstance(name, str) and "\0" in name]
        rows = np.flatnonzero(np.isin(column.cat.codes.to_numpy(), bad))
        return int(rows[0]) if len(rows) else None
    if column.dtype != object and (text := text_array(column)) is not None:
        rows = np.flatnonzero(_compute.match_substring(text, "\0"))
        return int(rows[0]) if len(rows) else None
    return next(
        (row for row, cell in enumerate(column.to_numpy(object)) if isinstance(cell, str) and "\0" in cell), None
    )


def is_hashable(cell: Any) -> bool:
    """Return whether a cell can name an item; a dict, a list or a tuple of them cannot."""
    try:
        hash(cell)
    except TypeError:
        return False
    return True


def _pieces(table: Table, plan: ColumnPlan, options: ColumnOptions, notes: list[str]) -> Iterator[Piece]:
    """Yield pieces of the planned columns."""
    empty = True
    with readable(table):
        for piece in KINDS[table.kind].pieces(table, plan.text, plan.target, notes):
            empty = empty and not len(piece.rows)
            yield Piece(*spread_lists(*piece, file=table.file, time=plan.time, freq=options.freq))
    if empty:
        raise ValueError(f"{table.file} has a header but no rows; leave the file out")


def total_rows(sources: Sequence[Table]) -> int | None:
    """Return the rows of all tables if that is known without reading them, for the progress bar."""
    counts = [KINDS[table.kind].num_rows(table) if table.kind in KINDS else None for table in sources]
    return None if None in counts else sum(count or 0 for count in counts)
