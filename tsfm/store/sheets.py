"""The first worksheet of an Excel file as a DataFrame. Rows are counted as Excel does: the first is row 1."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from tsfm.store.column_names import ITEM_NAMES
from tsfm.store.header import MAX_ROWS, check_header
from tsfm.store.number_text import MISSING, DecimalRule
from tsfm.store.numbers import column_numbers
from tsfm.store.sources import Table

NUM_ROWS = 2**20  # of a worksheet, at most
MAX_BYTES = 2**30  # that a file may unpack to
MAX_CELLS = 2**26  # rows x columns of a table, with empty cells, which are filled in


class Sheet(NamedTuple):
    """A worksheet."""

    frame: pd.DataFrame
    first_row: int  # number of its first row of data
    notes: list[str]


def read_sheet(table: Table) -> Sheet:
    """Return the first worksheet.

    Cells that hold an error of Excel, such as #DIV/0!, are text: in a column of numbers that is used they are refused;
    #N/A is missing.

    Raises
    ------
    ValueError
        When the file cannot be read, has no header, a name twice or a row with more cells than the header.
    """
    rows, sheets, unread = _rows(table)
    notes = [f"{table.file}: the first of its {len(sheets)} sheets was read, {sheets[0]!r}"] if len(sheets) > 1 else []
    if unread:
        notes.append(
            f"{table.file}: {len(unread)} formulas without a stored value (first {unread[0]}) are read as missing; "
            "open and save the file in Excel or LibreOffice, which store the values"
        )
    above = next((i for i, row in enumerate(rows) if row), None)
    if above is None:
        raise ValueError(f"{table.file} is empty; a table needs a header and rows")
    names = ["" if cell is None else str(cell).strip() for cell in rows[above]]
    rows = rows[above + 1 :]
    long = next((i for i, row in enumerate(rows) if len(row) > len(names)), None)
    if long is not None:
        raise ValueError(
            f"{table.file}, row {above + 2 + long}: found {len(rows[long])} cells, expected {len(names)} as in the "
            f"header, row {above + 1}; correct the row, or remove the lines above the header"
        )
    check_header(names, [_texts(row) for row in rows[:MAX_ROWS]], file=table.file)
    for i, name in enumerate(names):
        if name in names[:i] and name:
            raise ValueError(f"{table.file}: column {name!r} occurs twice; rename one")
    if len(rows) * len(names) > MAX_CELLS:
        raise ValueError(
            f"{table.file} has a table of {len(rows):,} rows and {len(names):,} columns, most of it empty; delete the "
            "cells beside the table, or save it as CSV"
        )
    names = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    columns = {name: _column([row[i] if i < len(row) else None for row in rows], name) for i, name in enumerate(names)}
    return Sheet(pd.DataFrame(columns), above + 2, notes)


def _rows(table: Table) -> tuple[list[list[Any]], list[str], list[str]]:
    """Return the cells of all rows without empty ones at the end, the names of the sheets, and unread formulas."""
    try:
        import openpyxl
    except ImportError:
        raise ValueError(
            f"{table.file} is an Excel file, and openpyxl is not installed; pip install 'tsfm-platform[excel]', or "
            "save it as CSV"
        ) from None
    try:
        with zipfile.ZipFile(table.data) as archive:
            size = sum(member.file_size for member in archive.infolist())
            has_formulas = size <= MAX_BYTES and _holds_formulas(archive)
        book = None if size > MAX_BYTES else openpyxl.load_workbook(table.data, read_only=True, data_only=True)
        if book is not None:
            names, sheet = [str(name) for name in book.sheetnames], book.worksheets[0]
            sheet.reset_dimensions()
            rows = _trimmed(sheet.iter_rows(max_row=NUM_ROWS, values_only=True))
            book.close()
            return rows, names, _unread_formulas(table, rows) if has_formulas else []
    except Exception as error:  # noqa: BLE001  openpyxl raises many kinds for damaged files
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{table.file} cannot be read as Excel ({reason}); is it damaged?") from None
    raise ValueError(f"{table.file} unpacks to {size:,} bytes; save it as CSV, or as Parquet")


def _holds_formulas(archive: zipfile.ZipFile) -> bool:
    """Return whether a worksheet may have a formula; without one it need not be read a second time."""
    for name in archive.namelist():
        if name.startswith("xl/worksheets/") and name.endswith(".xml"):
            with archive.open(name) as stream:
                end = b""
                while block := stream.read(2**20):
                    if b"<f>" in end + block or b"<f " in end + block:
                        return True
                    end = block[-2:]
    return False


def _unread_formulas(table: Table, rows: list[list[Any]]) -> list[str]:
    """Return the cells, such as C7, that hold a formula and no value: programs other than Excel do not store it."""
    import openpyxl

    book = openpyxl.load_workbook(table.data, read_only=True)
    sheet, cells = book.worksheets[0], []
    sheet.reset_dimensions()
    for row in sheet.iter_rows(max_row=NUM_ROWS):
        for cell in row:
            if cell.value is not None and cell.data_type == "f":
                values = rows[cell.row - 1] if cell.row <= len(rows) else []
                if cell.column > len(values) or values[cell.column - 1] is None:
                    cells.append(cell.coordinate)
    book.close()
    return cells


def _trimmed(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows without empty cells at their ends, and without empty rows at the end."""
    out: list[list[Any]] = []
    for row in rows:
        cells = [_cell(cell) for cell in row]
        while cells and cells[-1] is None:
            cells.pop()
        out.append(cells)
    while out and not out[-1]:
        out.pop()
    return out


def _cell(cell: Any) -> Any:
    """Return a cell: None where it is empty, whole numbers as integers."""
    if cell is None or (isinstance(cell, str) and (not cell.strip() or cell == "#N/A")):
        return None
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def _texts(row: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell) for cell in row]


def _column(cells: list[Any], name: str) -> Any:
    """Return cells with the dtype of what they hold; text between numbers may mean missing, or name an item."""
    column = pd.Series(cells, dtype=object, name=name)
    typed, texts = column.infer_objects(), [cell for cell in cells if isinstance(cell, str)]
    if typed.dtype == float and all(type(cell) in (int, type(None)) for cell in cells):
        return column.astype("Int64")  # item 8 is not 8.0
    if name.lower() in ITEM_NAMES:  # NA may be an item
        return typed
    if typed.dtype != object or len(texts) == column.count() or not all(text.strip() in MISSING for text in texts):
        return typed
    values, bad = column_numbers(column, DecimalRule(), label="the sheet")
    return typed if bad.any() else pd.Series(values, index=column.index)
