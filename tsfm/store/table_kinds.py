"""The columns and the rows of each kind of table, in bounded pieces. L rows of a piece.

Row numbers are those an editor shows: the header of a CSV or of a worksheet is row 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from tsfm.store.arrow_zones import check_zones
from tsfm.store.dialect import Dialect, find_dialect
from tsfm.store.number_text import DecimalRule, text_numbers
from tsfm.store.numbers import UnreadText
from tsfm.store.parquet_footer import chunk_lengths
from tsfm.store.sheets import read_sheet
from tsfm.store.sources import UNREADABLE, Table
from tsfm.store.text_table import TextBlock, text_blocks

BLOCK_CELLS = 2**20  # rows x columns parsed at a time
MIN_ROWS, MAX_ROWS = 1000, BLOCK_CELLS  # however wide the table
LIST_ROWS = 64  # of a folder or URL of Parquet files whose cells are lists
BOOLEANS = {"true": True, "false": False}
_compute: Any = pc  # the stubs of pyarrow lack most functions


class Piece(NamedTuple):
    """Some rows of a table: a DataFrame of the columns asked for, and its row numbers [L]."""

    frame: Any
    rows: np.ndarray


class Kind(NamedTuple):
    """How one kind of table is read.

    `pieces(table, text, numbers, notes)` yields the columns `text` as text and the columns `numbers` as numbers where
    they are; `num_rows` is None where the rows are not counted without reading.
    """

    columns: Callable[[Table], list[str]]
    pieces: Callable[[Table, Sequence[str], Sequence[str], list[str]], Iterator[Piece]]
    num_rows: Callable[[Table], int | None]


def _dialect(table: Table) -> Dialect:
    """Return how a text file is written, found once."""
    if table.dialect is None:
        table.dialect = find_dialect(table.data, table.text, file=table.file)
    return table.dialect


def _csv_columns(table: Table) -> list[str]:
    return _dialect(table).names


def _csv_pieces(table: Table, text: Sequence[str], numbers: Sequence[str], notes: list[str]) -> Iterator[Piece]:
    dialect = _dialect(table)
    notes += [note for note in dialect.notes if note not in notes]
    rule = DecimalRule(table.text.decimal, dialect.separator)
    size = piece_rows(len(dialect.names))
    for block in _text_blocks(table, dialect):
        for first in range(0, len(block.rows), size):
            rows = block.rows[first : first + size]
            cells = block.cells.slice(first, size)
            rule.look({name: cells.column(name) for name in numbers})
            columns: dict[str, Any] = {name: text_column(cells.column(name)) for name in text}
            for name in numbers:
                columns[name] = number_cells(cells.column(name), name, rule, rows, file=table.file)
            yield Piece(pd.DataFrame(columns, copy=False), rows)
    notes += [f"{table.file}: {note}" for note in rule.notes]


def _text_blocks(table: Table, dialect: Dialect) -> Iterator[TextBlock]:
    """Yield the blocks of a text file; who stops at the first, as a sample does, leaves it to the next reader."""
    begun, table.begun = table.begun, None
    blocks = text_blocks(table.data, dialect, file=table.file) if begun is None else begun[1]
    first = next(blocks, None) if begun is None else begun[0]
    if first is not None:
        table.begun = first, blocks
        yield first
        table.begun = None
        yield from blocks


def text_column(cells: pa.Array) -> Any:
    """Return cells as a column of text that stays in Arrow's memory, missing where empty."""
    empty = _compute.equal(cells, "")
    if _compute.any(empty).as_py():
        cells = _compute.if_else(empty, pa.scalar(None, pa.string()), cells)
    return pd.arrays.ArrowExtensionArray(cells)


def text_cells(cells: pa.Array) -> np.ndarray:
    """Return cells as text, None where empty."""
    texts = np.array(cells.to_numpy(zero_copy_only=False), dtype=object)
    texts[texts == ""] = None
    return texts


def number_cells(cells: pa.Array, name: str, rule: DecimalRule, rows: np.ndarray, *, file: str) -> np.ndarray:
    """Return cells as float64; as objects where some are no numbers, with the text (or truth value) of these."""
    values, bad = text_numbers(cells, name=name, rule=rule, location=lambda at: f"{file}, row {rows[at]}")
    if not bad.any():
        return values
    mixed, texts = values.astype(object), cells.filter(pa.array(bad)).dictionary_encode()
    distinct = np.empty(len(texts.dictionary), dtype=object)
    for number, cell in enumerate(texts.dictionary.to_pylist()):
        distinct[number] = BOOLEANS.get(cell.strip().lower(), UnreadText(cell))
    mixed[bad] = distinct[texts.indices.to_numpy()]
    return mixed


def _parquet_columns(table: Table) -> list[str]:
    return _stored_columns(pq.read_schema(table.data), table)


def _stored_columns(schema: pa.Schema, table: Table) -> list[str]:
    check_zones(schema, label=table.file)
    return schema.names


def _parquet_pieces(table: Table, text: Sequence[str], numbers: Sequence[str], notes: list[str]) -> Iterator[Piece]:
    del notes
    columns, row = [*text, *numbers], 1
    with pq.ParquetFile(table.data, page_checksum_verification=True) as file:
        size = max(1, piece_rows(len(columns)) // _list_length(file, columns, table))
        for batch in file.iter_batches(batch_size=size, columns=columns):
            yield _arrow_piece(batch, row)
            row += batch.num_rows


def _list_length(file: pq.ParquetFile, columns: Sequence[str], table: Table) -> int:
    """Return the mean length of the longest lists of a row group; 1 without lists."""
    longest = 1
    if not any(pa.types.is_nested(field.type) for field in file.schema_arrow):
        return longest
    leaves = [file.schema.column(at).path.partition(".")[0] in columns for at in range(len(file.schema.names))]
    for number, lengths in enumerate(chunk_lengths(table.data)):
        counts = [count for count, is_read in zip(lengths, leaves, strict=True) if is_read]
        longest = max(longest, -(-max(counts, default=0) // max(1, file.metadata.row_group(number).num_rows)))
    return longest


def _parquet_rows(table: Table) -> int | None:
    try:
        return pq.read_metadata(table.data).num_rows
    except UNREADABLE:
        return None


def _dataset(table: Table) -> Any:
    """Return a folder of Parquet files, or a URL, as a dataset; the keys of Hive partitions are text."""
    path: Any = str(table.data)
    filesystem = None
    if "://" in path:
        import fsspec

        remote, path = fsspec.core.url_to_fs(path)
        filesystem = pa_fs.PyFileSystem(pa_fs.FSSpecHandler(remote))
    scan = pa_dataset.ParquetFragmentScanOptions(page_checksum_verification=True)
    parquet = pa_dataset.ParquetFileFormat(default_fragment_scan_options=scan)
    options: dict[str, Any] = {"format": parquet, "filesystem": filesystem, "exclude_invalid_files": False}
    dataset = pa_dataset.dataset(path, partitioning="hive", **options)
    stored = pa_dataset.dataset(path, **options).schema.names
    keys = [name for name in dataset.schema.names if name not in stored]
    if not keys:
        return dataset
    partitioning = pa_dataset.partitioning(pa.schema([(key, pa.string()) for key in keys]), flavor="hive")
    return pa_dataset.dataset(path, partitioning=partitioning, **options)


def _dataset_columns(table: Table) -> list[str]:
    return _stored_columns(_dataset(table).schema, table)


def _dataset_pieces(table: Table, text: Sequence[str], numbers: Sequence[str], notes: list[str]) -> Iterator[Piece]:
    del notes
    columns, row, dataset = [*text, *numbers], 1, _dataset(table)
    size = LIST_ROWS if any(pa.types.is_nested(dataset.schema.field(name).type) for name in columns) else MAX_ROWS
    size = min(size, piece_rows(len(columns)))
    for batch in dataset.to_batches(columns=columns, batch_size=size, use_threads=False):
        yield _arrow_piece(batch, row)
        row += batch.num_rows


def _arrow_piece(batch: Any, row: int) -> Piece:
    table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
    for column in table.columns:
        if pa.types.is_string(column.type):
            column.validate(full=True)  # text of a damaged file that is not UTF-8 would fail only where it is used
    frame = table.to_pandas(types_mapper={pa.string(): pd.ArrowDtype(pa.string())}.get)  # text stays in Arrow's memory
    return Piece(frame, np.arange(row, row + batch.num_rows))


def _excel_columns(table: Table) -> list[str]:
    table.sheet = read_sheet(table)
    return list(table.sheet.frame.columns)


def _excel_pieces(table: Table, text: Sequence[str], numbers: Sequence[str], notes: list[str]) -> Iterator[Piece]:
    sheet = table.sheet or read_sheet(table)
    notes += [note for note in sheet.notes if note not in notes]
    yield Piece(sheet.frame[[*text, *numbers]], np.arange(sheet.first_row, sheet.first_row + len(sheet.frame)))
    table.sheet = None  # who stops before, as a sample does, leaves it to the next reader


def _memory_columns(table: Table) -> list[str]:
    return [str(name) for name in table.data.columns]


def _memory_pieces(table: Table, text: Sequence[str], numbers: Sequence[str], notes: list[str]) -> Iterator[Piece]:
    del notes
    frame, columns = table.data.rename(columns=str), [*text, *numbers]
    size = piece_rows(len(columns))
    for first in range(0, len(frame), size):
        piece = frame.iloc[first : first + size][columns]
        yield Piece(piece, np.arange(first + 1, first + 1 + len(piece)))


def piece_rows(num_columns: int) -> int:
    """Return how many rows are read at a time."""
    return max(MIN_ROWS, BLOCK_CELLS // max(1, num_columns))


def _unknown(table: Table) -> int | None:
    del table
    return None


KINDS = {
    "csv": Kind(_csv_columns, _csv_pieces, _unknown),
    "parquet": Kind(_parquet_columns, _parquet_pieces, _parquet_rows),
    "dataset": Kind(_dataset_columns, _dataset_pieces, _unknown),
    "excel": Kind(_excel_columns, _excel_pieces, _unknown),
    "frame": Kind(_memory_columns, _memory_pieces, lambda table: len(table.data)),
}
