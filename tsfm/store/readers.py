"""Tables in bounded pieces: CSV, Parquet and DataFrames become blocks of rows with stamps and float32 values.

L rows of a block, C channels. Row numbers are those an editor shows: the header of a CSV is row 1.
"""

from __future__ import annotations

import glob
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm.store.columns import TIME, ColumnOptions, ColumnPlan, plan_columns
from tsfm.store.value_parsing import MISSING, TimestampParser, parse_numbers
from tsfm.timestamps.frequency import item_location

if TYPE_CHECKING:
    from jaxtyping import Float

BLOCK_CELLS = 2**20  # rows x columns parsed at a time
MIN_ROWS = 1000  # however wide the table
CSV, PARQUET, SERIES_FILES = (".csv", ".csv.gz", ".tsv", ".tsv.gz"), (".parquet", ".pq"), (".ts", ".tsf")
UNREADABLE = (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeError, pd.errors.ParserError)


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


@dataclass
class Table:
    """One table to read: a file, or a DataFrame in memory."""

    file: str  # how errors name it
    item: str  # the name of its series if the whole table is one item
    kind: str  # csv, parquet, frame, ts or tsf
    data: Any  # its path, or the DataFrame


def tables(source: Any) -> list[Table]:
    """Return the tables behind a path, a glob, a DataFrame or a list of these, files in the order of their names."""
    sources: list[Table] = []
    for entry in source if isinstance(source, (list, tuple)) else [source]:
        if isinstance(entry, pd.DataFrame):
            sources.append(
                Table("DataFrame", "series" if len(sources) == 0 else f"series{len(sources)}", "frame", entry)
            )
            continue
        sources += [Table(path.name, _stem(path), kind_of(path), path) for path in _paths(str(entry))]
    if not sources:
        raise ValueError("the list of sources is empty; give at least one file, glob or DataFrame")
    return sources


def _paths(entry: str) -> list[Path]:
    path = Path(entry)
    if path.is_file():
        return [path]
    if path.is_dir():
        raise ValueError(f"{entry} is a folder; say which files with a glob, for example {entry.rstrip('/')}/*.csv")
    if glob.has_magic(entry):
        hits = sorted(Path(hit) for hit in glob.glob(entry, recursive=True) if Path(hit).is_file())
        if not hits:
            raise FileNotFoundError(f"no file matches {entry!r}; check the folder and the ending")
        return hits
    raise FileNotFoundError(f"file {entry} does not exist; check the path")


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def kind_of(path: Path) -> str:
    """csv, parquet, ts or tsf, by the file's ending."""
    name = path.name.lower()
    if name.endswith(CSV):
        return "csv"
    if name.endswith(PARQUET):
        return "parquet"
    if name.endswith(SERIES_FILES):
        return name.rsplit(".", 1)[1]
    raise ValueError(f"{path} has an ending tsfm does not read; known: {', '.join((*CSV, *PARQUET, *SERIES_FILES))}")


def blocks(
    table: Table, options: ColumnOptions, timestamp_parser: TimestampParser, notes: list[str]
) -> Iterator[tuple[ColumnPlan, RowBlock]]:
    """Yield the table's rows in order, a bounded number at a time; what was guessed is added to `notes`."""
    timestamp_parser.new_file()
    with _readable(table):
        columns = {"csv": _csv_columns, "parquet": _parquet_columns, "frame": _memory_columns}[table.kind](table.data)
    plan = plan_columns(columns, options, file=table.file)
    notes += [note for note in plan.notes if note not in notes]
    for frame, first_row in _frames(table, plan):
        rows = np.arange(first_row, first_row + len(frame))
        blank = frame.isna().all(axis=1).to_numpy() & (plan.time is not None)
        if blank.any():
            frame, rows = frame[~blank], rows[~blank]
        if len(frame):
            yield plan, _block(frame, rows, table, plan, options, timestamp_parser)


def _block(
    frame: Any,
    rows: np.ndarray,
    table: Table,
    plan: ColumnPlan,
    options: ColumnOptions,
    timestamp_parser: TimestampParser,
) -> RowBlock:
    code, items = np.zeros(len(frame), dtype=np.int64), [table.item]
    if plan.item is not None:
        code, names = pd.factorize(frame[plan.item])
        if (code < 0).any():
            row = rows[int((code < 0).argmax())]
            raise ValueError(f"{table.file}, row {row}: column {plan.item!r} is empty; every row needs its item")
        items = [str(name) for name in names]

    def location(at: int) -> str:
        return item_location(items[code[at]], file=table.file, row=rows[at])

    times = None if plan.time is None else timestamp_parser.stamps(frame[plan.time], location, code)
    values = parse_numbers(frame, plan.target, location, options.sentinel)
    static = {name: frame[name].to_numpy(object) for name in plan.static}
    return RowBlock(table.file, items, code, rows, times, values, static)


def _frames(table: Table, plan: ColumnPlan) -> Iterator[tuple[Any, int]]:
    """DataFrames of the planned columns, each with the number of its first row."""
    frames = {"csv": _csv, "parquet": _parquet, "frame": _memory}[table.kind](table.data, plan)
    empty = True
    with _readable(table):
        for frame, row in frames:
            empty = empty and not len(frame)
            yield frame, row
    if empty:
        raise ValueError(f"{table.file} has a header but no rows; leave the file out")


@contextmanager
def _readable(table: Table) -> Iterator[None]:
    """Damage is an error that names the file."""
    try:
        yield
    except pd.errors.EmptyDataError:
        raise ValueError(f"{table.file} is empty; a table needs a header and rows") from None
    except PermissionError:
        raise PermissionError(f"no permission to read {table.data}") from None
    except UnicodeError as error:
        raise ValueError(
            f"{table.file} is not text in UTF-8 ({error}); save it as UTF-8, or is it no table at all?"
        ) from None
    except UNREADABLE as error:
        message = str(error).replace("\n", " ").removeprefix("Error tokenizing data. C error: ")
        message = message[:200].strip().rstrip(".")
        raise ValueError(f"{table.file} cannot be read: {message}; is it damaged or cut short?") from None


def _separator(path: Path) -> str:
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return max(",;\t", key=file.readline().decode("utf-8-sig").count)


def _csv_columns(path: Path) -> list[str]:
    return list(pd.read_csv(path, sep=_separator(path), nrows=0, encoding="utf-8-sig").columns)


def _csv(path: Path, plan: ColumnPlan) -> Iterator[tuple[Any, int]]:
    every = _csv_columns(path)
    chunks = pd.read_csv(  # all columns, for with usecols pandas passes over rows that are too long
        path,
        sep=_separator(path),
        encoding="utf-8-sig",
        chunksize=max(MIN_ROWS, BLOCK_CELLS // len(every)),
        dtype=dict.fromkeys(plan.text, str),
        keep_default_na=False,
        na_values={name: [""] if name in plan.text else MISSING for name in every},  # an item may be called NA
        skip_blank_lines=False,  # else row numbers are not those of an editor
        low_memory=False,
    )
    row = 2
    with chunks:
        for frame in chunks:
            if not isinstance(frame.index, pd.RangeIndex):
                raise pd.errors.ParserError(f"row {row} has more cells than the header has names")
            yield frame[[*plan.text, *plan.target]], row
            row += len(frame)


def _parquet_columns(path: Path) -> list[str]:
    return [name for name in pq.read_schema(path).names if not name.startswith("__index_level_")]


def _parquet(path: Path, plan: ColumnPlan) -> Iterator[tuple[Any, int]]:
    columns = [*plan.text, *plan.target]
    row = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=max(MIN_ROWS, BLOCK_CELLS // len(columns)), columns=columns):
            yield pa.table(batch).replace_schema_metadata(None).to_pandas(), row
            row += batch.num_rows


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn a named index, or one of dates, into a column."""
    if isinstance(frame.index, pd.DatetimeIndex) or frame.index.name or isinstance(frame.index, pd.MultiIndex):
        name = frame.index.name or TIME
        if isinstance(frame.index, pd.MultiIndex):
            frame = frame.reset_index()
        elif name not in frame.columns:
            frame = frame.rename_axis(name).reset_index()
    return frame.rename(columns=str)


def _memory_columns(frame: pd.DataFrame) -> list[str]:
    return list(_with_index(frame.iloc[:0]).columns)


def _memory(frame: pd.DataFrame, plan: ColumnPlan) -> Iterator[tuple[Any, int]]:
    columns = [*plan.text, *plan.target]
    size = max(MIN_ROWS, BLOCK_CELLS // len(columns))
    for first in range(0, len(frame), size):
        yield _with_index(frame.iloc[first : first + size])[columns], first + 1


def total_rows(sources: Sequence[Table]) -> int | None:
    """Rows of all tables if that is known without reading them, for the progress bar."""
    total = 0
    for table in sources:
        if table.kind == "parquet":
            try:
                total += pq.read_metadata(table.data).num_rows
            except UNREADABLE:
                return None
        elif table.kind == "frame":
            total += len(table.data)
        else:
            return None
    return total
