"""Worksheets are read cell by cell: errors of Excel, names twice, rows and lines around the table, large files."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tsfm.infer.frames import read_frame
from tsfm.store import sheets
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table
from tsfm.store.series_store import SeriesStore

openpyxl = pytest.importorskip("openpyxl")
HEADER = ["item_id", "timestamp", "target"]
ROWS = [["007", dt.datetime(2024, 1, day), float(day)] for day in range(1, 10)]


def written(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def with_cell(row: int, column: int, value: Any) -> list[list[Any]]:
    rows = [[*HEADER], *map(list, ROWS)]
    rows[row][column] = value
    return rows


REFUSED: dict[str, tuple[list[list[Any]], str]] = {
    "#DIV/0! as a value": (with_cell(4, 2, "#DIV/0!"), r"row 5.*'#DIV/0!'|target column 'target'.*'#DIV/0!'"),
    "#REF! as a timestamp": (with_cell(4, 1, "#REF!"), "'#REF!'"),
    "a date as a value": (with_cell(4, 2, dt.datetime(2024, 1, 1)), "target"),
    "a name twice": (with_cell(0, 2, "item_id"), "column 'item_id' occurs twice; rename one"),
    "a cell beyond the header": (
        [*with_cell(0, 0, "item_id")[:3], [*ROWS[2], 7], *ROWS[3:]],
        "row 4: found 4 cells, exp",
    ),
    "a title above the header": ([["Sales"], *with_cell(0, 0, "item_id")], "row 2: found 3 cells, expected 1 .*above"),
    "no header": (ROWS, "no header line"),
    "an empty sheet": ([], "is empty; a table needs a header"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_wrong_sheet_is_refused(tmp_path: Path, kind: str) -> None:
    rows, message = REFUSED[kind]
    path = written(tmp_path / "x.xlsx", rows)
    with pytest.raises(ValueError, match=message):
        ingest(path, tmp_path / "s", progress=False)
    with pytest.raises(ValueError, match=message):
        read_frame(read_table(path), prediction_length=1)


def test_errors_in_a_column_that_is_not_used_are_announced(tmp_path: Path) -> None:
    rows = [[*row, 1.0] for row in with_cell(0, 0, "item_id")]
    rows[0][3], rows[3][3] = "growth", "#DIV/0!"
    report = ingest(written(tmp_path / "x.xlsx", rows), tmp_path / "s", progress=False)
    assert "not used, because not numeric: growth" in report.notes


@pytest.mark.parametrize("missing", [None, "", " ", "#N/A", "NA", "?"])
def test_missing_cells_and_empty_rows(tmp_path: Path, missing: Any) -> None:
    rows = with_cell(4, 2, missing)
    path = written(tmp_path / "x.xlsx", [[], [], *rows[:3], [], *rows[3:], [None, " "], []])
    (item,) = read_frame(read_table(path), prediction_length=1).series
    assert np.array_equal(item.original, [[1, 2, 3, np.nan, 5, 6, 7, 8, 9]], equal_nan=True)
    report = ingest(path, tmp_path / "s", progress=False)
    assert (report.steps, report.missing) == (9, 1)


def test_rows_are_counted_as_excel_does(tmp_path: Path) -> None:
    path = written(tmp_path / "x.xlsx", [[], [], *with_cell(4, 2, "abc")])
    with pytest.raises(ValueError, match=r"x\.xlsx, item '007', row 7: column 'target' holds 'abc'"):
        ingest(path, tmp_path / "s", progress=False)


@pytest.mark.parametrize("names", [("1.50", 8, "007"), ("NA", 8)])
def test_text_and_numbers_as_items_keep_their_names(tmp_path: Path, names: tuple[Any, ...]) -> None:
    rows = [HEADER, *([name, *row[1:]] for name in names for row in ROWS)]
    path = written(tmp_path / "x.xlsx", rows)
    assert read_frame(read_table(path), prediction_length=1).ids.astype(str).tolist() == list(map(str, names))


def test_numbers_as_items_keep_their_names_beside_empty_rows(tmp_path: Path) -> None:
    rows = [HEADER, *([8, *row[1:]] for row in ROWS[:5]), [], *([8, *row[1:]] for row in ROWS[5:])]
    path = written(tmp_path / "x.xlsx", rows)
    assert read_frame(read_table(path), prediction_length=1).ids.astype(str).tolist() == ["8"]
    ingest(path, tmp_path / "s", progress=False)
    assert SeriesStore.open(tmp_path / "s").ids == ["8"]


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x.xlsx", [HEADER, *ROWS])
    monkeypatch.setattr(sheets, "MAX_BYTES", 2**22)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros.bin", bytes(2**23))
    with pytest.raises(ValueError, match=r"x.xlsx unpacks to .* bytes; save it as CSV"):
        read_table(path)


@pytest.mark.parametrize("where", ["target", "another column", "both"])
def test_formulas_without_a_stored_value_are_announced(tmp_path: Path, where: str) -> None:
    rows = [["timestamp", "target", "total"], *([f"2024-01-{day:02d}", float(day), day * 2] for day in range(1, 10))]
    cells = {"target": ["B5"], "another column": ["C3", "C10"], "both": ["B5", "C5"]}[where]
    for cell in cells:
        rows[int(cell[1:]) - 1]["ABC".index(cell[0])] = "=1+1"
    notes: list[str] = []
    frame = read_table(written(tmp_path / "t.xlsx", rows), notes=notes)
    assert notes == [
        f"t.xlsx: {len(cells)} formulas without a stored value (first {cells[0]}) are read as missing; open and save "
        "the file in Excel or LibreOffice, which store the values"
    ]
    missing = [f"{'ABC'[column]}{row + 2}" for row, column in np.argwhere(frame.isna().to_numpy())]
    assert missing == cells


def test_stored_values_of_formulas_are_read(tmp_path: Path) -> None:
    rows = [["timestamp", "target"], *([f"2024-01-{day:02d}", "=1+1"] for day in range(1, 6))]
    path, notes = written(tmp_path / "t.xlsx", rows), []
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"]
    assert sheet.count(b"<v></v>") + sheet.count(b"<v />") == 5
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"<v></v>", b"<v>2</v>").replace(b"<v />", b"<v>2</v>"))
    assert read_table(path, notes=notes)["target"].tolist() == [2] * 5
    assert not notes
