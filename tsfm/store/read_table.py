"""Read a whole file as a DataFrame. L rows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsfm.messages import announce
from tsfm.store.arrow_zones import check_zones
from tsfm.store.column_names import ITEM_NAMES, TIME_NAMES
from tsfm.store.dialect import COMPRESSED, TextOptions, find_dialect
from tsfm.store.list_columns import spread_lists
from tsfm.store.number_text import DECIMALS, DecimalRule, text_numbers
from tsfm.store.parquet_footer import chunk_lengths
from tsfm.store.sheets import read_sheet
from tsfm.store.sources import Table, find_tables, readable
from tsfm.store.table_kinds import BOOLEANS, KINDS, text_cells
from tsfm.store.text_table import TextBlock, text_blocks

MIN_UNPACKED, MAX_UNPACKED = 2**30, 100  # bytes, and times its size, that a compressed file may unpack to in memory
_compute: Any = pc  # the stubs of pyarrow lack most functions


def read_table(
    path: str | Path,
    *,
    sep: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    text_columns: Sequence[str] = (),
    notes: list[str] | None = None,
) -> pd.DataFrame:
    r"""Read a file as a DataFrame, as every command reads it.

    CSV of any dialect (.csv, .tsv, .txt, also compressed), Parquet (.parquet, .pq, a folder of them with Hive
    partitions), Excel (.xlsx), and CSV and Parquet behind URLs of fsspec such as s3://bucket/sales.parquet.

    Parameters
    ----------
    path
        The file, folder or URL.
    sep, decimal, encoding
        How a text file is written: the character between cells, the decimal sign ("." or ","), and the encoding. None
        finds them.
    text_columns
        Columns that stay text, so that "007" stays "007"; the usual names of item ids are among them.
    notes
        What was assumed is appended to it; None logs it.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file cannot be read, or a row has too few or too many cells; the message names the row.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "sales.csv"
    >>> _ = file.write_text("item_id;date;target\n007;2024-01-01;1.234,5\n007;2024-01-02;?\n")
    >>> read_table(file).values.tolist()
    [['007', '2024-01-01', 1234.5], ['007', '2024-01-02', nan]]
    """
    announced: list[str] = []
    options = TextOptions(sep, decimal, encoding)
    matches = find_tables(str(path), options)
    if len(matches) > 1:
        raise ValueError(f"{path} holds {len(matches)} tables; name one of them, or make a store of all with ingest")
    with readable(matches[0]):
        frame = _READERS.get(matches[0].kind, _not_a_table)(matches[0], {*ITEM_NAMES, *text_columns}, announced)
    if notes is None:
        announce(announced)
    else:
        notes += announced
    return frame


def _not_a_table(table: Table, text: set[str], notes: list[str]) -> pd.DataFrame:
    del text, notes
    raise ValueError(
        f"{table.file} holds whole series or labelled cases, not a table of rows; make a store of it with ingest"
    )


def _parquet(table: Table, text: set[str], notes: list[str]) -> pd.DataFrame:
    del text, notes
    with pq.ParquetFile(table.data, page_checksum_verification=True) as file:
        check_zones(file.schema_arrow, label=table.file)
        cells = file.metadata.num_rows * file.metadata.num_columns
        if any(pa.types.is_nested(field.type) for field in file.schema_arrow):
            cells = sum(map(sum, chunk_lengths(table.data)))
        _check_size(8 * cells, table)
        stored = file.read()
    try:
        frame = stored.to_pandas()
    except (ValueError, TypeError, KeyError):  # dtypes in the notes of pandas that this version does not know
        frame = stored.replace_schema_metadata(None).to_pandas()
    return spread_lists(frame, np.arange(1, len(frame) + 1), file=table.file)[0]


def _dataset(table: Table, text: set[str], notes: list[str]) -> pd.DataFrame:
    del text
    columns = KINDS["dataset"].columns(table)
    pieces = [spread_lists(*piece, file=table.file)[0] for piece in KINDS["dataset"].pieces(table, columns, [], notes)]
    if not pieces:
        raise ValueError(f"{table.file} has no rows")
    return pd.concat(pieces, ignore_index=True)


def _excel(table: Table, text: set[str], notes: list[str]) -> pd.DataFrame:
    del text
    sheet = read_sheet(table)
    notes += sheet.notes
    frame = sheet.frame
    if any(name in TIME_NAMES for name in frame.columns):  # else an empty row is a missing step
        frame = frame.dropna(how="all", ignore_index=True)
    return frame


def _csv(table: Table, text: set[str], notes: list[str]) -> pd.DataFrame:
    """Return a text table: numbers and truth values where a column holds nothing else, text elsewhere."""
    dialect = find_dialect(table.data, table.text, file=table.file)
    notes += dialect.notes
    if repeated := sorted(name for name, count in Counter(dialect.names).items() if count > 1):
        raise ValueError(f"{table.file} has columns that share a name: {', '.join(repeated)}; rename or drop them")
    blocks = []
    size, packed = 0, "://" not in str(table.data) and Path(table.data).suffix.lower() in COMPRESSED
    for block in text_blocks(table.data, dialect, file=table.file):
        size += block.cells.nbytes
        if packed:
            _check_size(size, table)
        blocks.append(block)
    if not sum(len(block.rows) for block in blocks):
        raise ValueError(f"{table.file} has a header but no rows")
    columns, rows = _joined(blocks, dialect.names)
    rule = DecimalRule(table.text.decimal, dialect.separator)
    rule.look({name: cells for name, cells in columns.items() if name not in text})
    frame = {}
    for number, (name, cells) in enumerate(columns.items()):
        kept = name in text
        frame[name or f"Unnamed: {number}"] = (
            text_cells(cells) if kept else _typed(cells, name, rule, rows, file=table.file)
        )
    notes += [f"{table.file}: {note}" for note in rule.notes]
    return pd.DataFrame(frame)


def _check_size(num_bytes: int, table: Table) -> None:
    """Refuse a compressed file that fills far more memory than its own size."""
    limit = max(MIN_UNPACKED, MAX_UNPACKED * Path(table.data).stat().st_size)
    if num_bytes > limit:
        raise ValueError(f"{table.file} unpacks to more than {limit:,} bytes; make a store of it with ingest")


def _joined(blocks: Sequence[TextBlock], names: Sequence[str]) -> tuple[dict[str, pa.Array], np.ndarray]:
    """Return the columns of all blocks and the row numbers, without rows that are empty."""
    table = pa.Table.from_batches([block.cells for block in blocks])
    rows = np.concatenate([block.rows for block in blocks])
    filled = np.zeros(len(rows), dtype=bool)
    for name in names:
        filled |= np.asarray(_compute.not_equal(table.column(name), ""))
    timed = any(name in TIME_NAMES for name in names)
    last = int(np.flatnonzero(filled)[-1]) + 1 if filled.any() else 0
    kept = filled if timed else np.arange(len(rows)) < last  # without a time column an empty row is a missing step
    if not kept.all():
        table, rows = table.filter(pa.array(kept)), rows[kept]
    columns = {name: table.column(name).combine_chunks() for name in names}
    return {name: _one_array(column) for name, column in columns.items()}, rows


def _one_array(column: Any) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())


def _typed(cells: pa.Array, name: str, rule: DecimalRule, rows: np.ndarray, *, file: str) -> np.ndarray:
    """Return cells as int64, float64 or bool where they are nothing else or missing; else as text."""
    with contextlib.suppress(pa.ArrowInvalid):
        whole = _compute.cast(cells, pa.int64())
        if not _compute.any(_compute.match_substring(cells, "x", ignore_case=True)).as_py():  # 0x10 is text
            return np.array(whole)
    head, signs = cells.slice(0, 100), [rule.decimal] if rule.decimal else DECIMALS
    if all(text_numbers(head, name=name, rule=DecimalRule(sign), location=str)[1].all() for sign in signs):
        return _booleans(text_cells(cells))  # no cell of the first is a number
    values, bad = text_numbers(cells, name=name, rule=rule, location=lambda at: f"{file}, row {rows[at]}")
    if not bad.any():
        return values
    return _booleans(text_cells(cells))


def _booleans(texts: np.ndarray) -> np.ndarray:
    """Return text as truth values where it holds nothing else, or None where missing; else as it is."""
    tokens = {str(cell).strip().lower() for cell in pd.unique(texts)} if len(pd.unique(texts[:1000])) < 9 else set()
    if tokens and tokens <= {*BOOLEANS, "none"}:
        return np.array(
            [BOOLEANS.get(str(cell).strip().lower()) for cell in texts], bool if "none" not in tokens else object
        )
    return texts


_READERS = {"csv": _csv, "parquet": _parquet, "dataset": _dataset, "excel": _excel}
