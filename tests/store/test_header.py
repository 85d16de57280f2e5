"""A row of data is never taken as the header, and names that are numbers or dates are names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsfm.infer.frames import read_frame
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table

DAYS = pd.date_range("2024-01-13", periods=12)
VALUES = np.arange(12) * 1.5 + 0.5
ROWS = {  # tables without a header, as columns
    "item, date, number": ["a", DAYS.strftime("%Y-%m-%d"), VALUES],
    "item, day first, number": ["a", DAYS.strftime("%d.%m.%Y"), VALUES],
    "item, named month, number": ["a", DAYS.strftime("%d %b %Y"), VALUES],
    "item, stamp with an offset, number": ["a", DAYS.strftime("%Y-%m-%d 00:00:00+02:00"), VALUES],
    "item, epoch, number": ["a", np.asarray(DAYS.astype("int64")) // 10**9, VALUES],
    "item, Excel day, number": ["store 1", np.arange(45000, 45012), VALUES],
    "number as item, compact date, number": ["007", DAYS.strftime("%Y%m%d"), VALUES],
    "date, number": [DAYS.strftime("%Y-%m-%d"), VALUES],
    "date, missing number": [DAYS.strftime("%Y-%m-%d"), ["NA", *VALUES[1:]]],
    "epoch, missing number": [np.asarray(DAYS.astype("int64")) // 10**9, ["?", *VALUES[1:]]],
    "row number, item, date, number": [range(12), "a", DAYS.strftime("%Y-%m-%d"), VALUES],
    "item, label, year, number": ["a", "north", range(2000, 2012), VALUES],
    "numbers": [VALUES, VALUES + 1],
    "number": [VALUES],
}
NAMES: dict[str, tuple[list[Any], str]] = {  # names of value columns, and of the column of dates
    "items 1, 2, 3": ([1, 2, 3], "date"),
    "years": ([2019, 2020], "timestamp"),
    "quantile levels": ([0.1, 0.5, 0.9], "timestamp"),
    "dates": (["2024-01-01", "2024-02-01"], "date"),
    "items 1, 2, 3 beside an index without a name": ([1, 2, 3], ""),
    "article numbers of eight digits": (["10000001", "10000002"], "ds"),
    "age groups": (["0-9", "10-19"], "date"),
}


def written(columns: list[Any], separator: str = ",") -> str:
    table = pd.DataFrame(dict(enumerate(columns)), index=range(12))
    return table.to_csv(index=False, header=False, sep=separator)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("rows", ROWS)
def test_a_file_without_a_header_is_refused_at_every_door(tmp_path: Path, rows: str, separator: str) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(written(ROWS[rows], separator))
    with pytest.raises(ValueError, match=r"sales.csv has no header line.*add a line of names"):
        read_table(path)
    with pytest.raises(ValueError, match=r"sales.csv has no header line.*add a line of names"):
        ingest(path, tmp_path / "s", progress=False)


@pytest.mark.parametrize("rows", ROWS)
def test_a_frame_read_without_a_header_is_refused(tmp_path: Path, rows: str) -> None:
    frame = pd.read_csv(io.StringIO(written(ROWS[rows])))
    with pytest.raises(ValueError, match=r"row of data in place of names\?.*header=None"):
        read_frame(frame, prediction_length=1)
    with pytest.raises(ValueError, match=r"row of data in place of names\?.*header=None"):
        ingest(frame, tmp_path / "s", progress=False)


def test_a_worksheet_without_a_header_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    path = tmp_path / "sales.xlsx"
    pd.DataFrame({0: "a", 1: DAYS, 2: VALUES}).to_excel(path, index=False, header=False)
    with pytest.raises(ValueError, match=r"sales.xlsx has no header line.*'2024-01-13"):
        read_table(path)


@pytest.mark.parametrize("kind", NAMES)
def test_names_that_are_numbers_or_dates_are_read(tmp_path: Path, kind: str) -> None:
    names, time = NAMES[kind]
    wide = pd.DataFrame({name: VALUES + i for i, name in enumerate(names)})
    wide.insert(0, time, DAYS)
    path = tmp_path / "wide.csv"
    wide.to_csv(path, index=False)
    for source in (read_table(path), wide, wide.set_index(time)):
        frame = read_frame(source, prediction_length=1)
        assert list(map(str, frame.targets)) == list(map(str, names))
        assert frame.series[0].freq == "D"
        assert frame.series[0].original[:, 0].tolist() == [0.5 + i for i in range(len(names))]
    report = ingest(path, tmp_path / "s", progress=False, layout="wide")
    assert (report.channels, report.frequency, report.steps) == (list(map(str, names)), "D", 12)


def test_an_index_of_row_numbers_beside_numbered_items_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    pd.DataFrame(np.arange(24.0).reshape(12, 2)).to_csv(path)  # ,0,1
    assert read_table(path)["1"].tolist() == list(np.arange(1.0, 24, 2))


def test_text_that_names_its_column_is_no_row_unless_numbers_are_names(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    rows = "".join(f"{day:%Y-%m-%d},{'promo' if day.day % 2 else 'none'},{day.day}\n" for day in DAYS)
    path.write_text("date,promo,sales\n" + rows)
    assert len(read_table(path)) == 12
