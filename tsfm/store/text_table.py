"""Text tables in bounded pieces: blocks of rows whose cells are text. L rows of a block.

Rows are counted as an editor does: the first line of the file is row 1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from tsfm.store.arrow_memory import SMALL_PAGES
from tsfm.store.dialect import COMPRESSED, Dialect, open_bytes
from tsfm.store.file_ending import Ending, ends_in_quotes
from tsfm.store.quotes import text_after_quotes

LINE_BYTES = 2**23  # the longest row
BLOCK_BYTES = 2**20  # of a file that are parsed together; pyarrow reads 32 such blocks ahead
JOINED_BYTES = 2**22  # of small blocks that are passed on together
BLOCK_LINES = 64  # as long as the header, that a block holds at least


@dataclass
class TextBlock:
    """Some rows of a text table."""

    cells: pa.RecordBatch  # every column as text
    rows: np.ndarray  # [L] row numbers


class _LongRow(Exception):
    """A row is longer than a block."""


def text_blocks(path: str | Path, dialect: Dialect, *, file: str) -> Iterator[TextBlock]:
    """Yield all rows in order; rows without any text in their cells are passed over where they are too short or long.

    Raises
    ------
    ValueError
        When a row has too few or too many cells, or is longer than `LINE_BYTES`; the message names the row.
    """
    num_done = 0
    header = sum(len(name) + 1 for name in dialect.names)
    for size in (min(max(BLOCK_BYTES, BLOCK_LINES * header), LINE_BYTES), LINE_BYTES):
        try:
            for block in _joined(_without_first(num_done, _read_blocks(path, dialect, size, file=file))):
                num_done += len(block.rows)
                yield block
            return
        except _LongRow:
            continue
    raise ValueError(
        f"{file} cannot be read: a row is longer than {LINE_BYTES:,} bytes; is a quotation mark not closed, or is it "
        "no table?"
    )


def _without_first(count: int, blocks: Iterator[TextBlock]) -> Iterator[TextBlock]:
    """Yield all rows but the first `count`."""
    for block in blocks:
        dropped = min(count, len(block.rows))
        count -= dropped
        if dropped:
            block = TextBlock(block.cells.slice(dropped), block.rows[dropped:])
        yield block


def _joined(blocks: Iterator[TextBlock]) -> Iterator[TextBlock]:
    """Yield the rows of small blocks together: a block costs time however few its rows are."""
    held: list[TextBlock] = []
    for block in blocks:
        held.append(block)
        if sum(piece.cells.nbytes for piece in held) >= JOINED_BYTES:
            yield _concatenated(held)
            held = []
    if held:
        yield _concatenated(held)


def _concatenated(blocks: list[TextBlock]) -> TextBlock:
    if len(blocks) == 1:
        return blocks[0]
    cells = pa.concat_batches([block.cells for block in blocks], memory_pool=SMALL_PAGES)
    return TextBlock(cells, np.concatenate([block.rows for block in blocks]))


def _read_blocks(path: str | Path, dialect: Dialect, size: int, *, file: str) -> Iterator[TextBlock]:
    """Yield all rows in order, of `size` bytes at a time."""
    empty_rows: list[int] = []  # passed over
    last: tuple[str, Any] | None = None  # cell, and its row
    wrong: list[Any] = []
    above = dialect.lines_above

    def judge(row: Any) -> str:
        if not row.text.strip(f"{dialect.separator}\t \r\n"):
            empty_rows.append(row.number)
            return "skip"
        wrong.append(row)
        return "error"

    with _open_stream(path) as stream:
        ending = Ending(stream)
        source: Any = ending if ending.is_needed(path) else stream
        try:
            reader = pa_csv.open_csv(
                source,
                read_options=pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=size,
                    skip_rows=above,
                    skip_rows_after_names=1,
                    column_names=dialect.names,
                    encoding=dialect.encoding,
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=dialect.separator,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=judge,
                ),
                convert_options=_as_text(dialect),
                memory_pool=SMALL_PAGES,
            )
            next_row = above + 2
            for batch in reader:
                rows = _number_rows(next_row, batch.num_rows, empty_rows)
                next_row = int(rows[-1]) + 1 if len(rows) else next_row
                del empty_rows[: bisect_left(empty_rows, next_row)]
                if len(rows):
                    last = str(batch.column(batch.num_columns - 1)[-1]), rows[-1]
                yield TextBlock(batch, rows)
            if last is not None and ends_in_quotes(ending.bytes(path), last[0], dialect.separator, dialect.encoding):
                raise ValueError(
                    f"{file}, row {last[1]}: a quotation mark is not closed ({last[0][:60]!r}); the file is cut short, "
                    "or correct the row"
                )
            if ending.has_quotes(path):
                _check_quotes(path, dialect, file=file)
        except pa.ArrowInvalid as error:
            if not wrong and "straddling" in str(error):
                raise _LongRow from None
            raise _explained(error, wrong, path, dialect, file=file) from None


def _check_quotes(path: str | Path, dialect: Dialect, *, file: str) -> None:
    """Raise a ValueError that names the first row with text after a closing quotation mark."""
    if dialect.encoding == "utf-16" or "://" in str(path):
        return
    with open_bytes(path) as stream:
        wrong = text_after_quotes(stream, dialect.separator)
    if wrong is not None:
        raise ValueError(
            f"{file}, row {wrong[0]}: text follows a closing quotation mark ({wrong[1][:60]!r}); correct the row, or "
            "double the quotation marks inside a cell"
        )


def _open_stream(path: str | Path) -> Any:
    """Open a file for pyarrow, which reads (and unpacks) a local one itself: faster, and with less memory."""
    if "://" in str(path):
        return open_bytes(path)
    ending = Path(path).suffix.lower()
    if ending == ".gz":
        return pa.input_stream(str(path), compression="gzip")
    return open_bytes(path) if ending in COMPRESSED else pa.OSFile(str(path), memory_pool=SMALL_PAGES)


def _as_text(dialect: Dialect) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        column_types=pa.schema([(name, pa.string()) for name in dict.fromkeys(dialect.names)]),
        strings_can_be_null=False,
        check_utf8=True,
    )


def _number_rows(first: int, count: int, passed_over: list[int]) -> np.ndarray:
    """Return the numbers of the next `count` rows, without those that were passed over."""
    rows = np.arange(first, first + count + len(passed_over))
    return rows[~np.isin(rows, passed_over)][:count]


def _explained(error: Exception, wrong: list[Any], path: str | Path, dialect: Dialect, *, file: str) -> ValueError:
    """Return the error of a row, or of a file that is not a table."""
    if wrong:
        row = wrong[0]
        number, text = row.number, " ".join(row.text.split())
        problem = (
            f"{file}, row {number}: found {row.actual_columns} cells, expected {row.expected_columns} as in the header"
        )
        if row.actual_columns < row.expected_columns and _ends_with(path, row.text):
            return ValueError(f"{problem} ({text[-60:]!r}), in a last line without an end; the file is cut short")
        return ValueError(f"{problem} ({text[:60]!r}); correct the row, or give the sep=... of the file")
    reason = " ".join(str(error).split())[:200]
    if "UTF8" in reason or "UTF-8" in reason:
        return ValueError(
            f"{file} is not text in {dialect.encoding} ({reason}); save it as UTF-8, or give encoding=..."
        )
    return ValueError(f"{file} cannot be read: {reason.strip('.')}; is it damaged or cut short?")


def _ends_with(path: str | Path, text: str) -> bool:
    """Whether a file that is not compressed ends with this text, without the end of a line."""
    if "://" in str(path) or Path(path).suffix.lower() in COMPRESSED:
        return False
    expected = text.encode("utf-8", errors="replace")
    with open(path, "rb") as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - len(expected)))
        return stream.read() == expected
