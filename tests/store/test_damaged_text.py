"""Damage to text is refused, or announced with its row: encodings, NUL characters, headers of series, time zones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.infer.frames import read_frame
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table

UMLAUTS = "".join(f"Zürich,2024-01-{day:02d},{day}\n" for day in range(1, 10))
TS = "@problemName X\n@timeStamps false\n@univariate true\n@classLabel true 1 2\n@data\n1,2,3:1\n4,5,6:2\n"
TSF = (
    "@relation x\n@attribute series_name string\n@attribute start_timestamp date\n@frequency daily\n@data\n"
    "T1:2024-01-01 00-00-00:1,2,3\n"
)
ARFF = (
    "@relation X\n@attribute a0 numeric\n@attribute a1 REAL\n@attribute target {1,'b c'}\n@data\n1.5,2.5,1\n3,4,'b c'\n"
)
HEADERS = {  # good file, what is replaced by what, message
    "a class that is not declared (.ts)": ("x.ts", TS, "4,5,6:2", "4,5,6:3", "row 7: the label '3' is none"),
    "a class that is not declared (.arff)": (
        "x.arff",
        ARFF,
        "{1,",
        "{0,",
        "row 6: the label '1' is none of the classes",
    ),
    "an attribute without a type (.arff)": (
        "x.arff",
        ARFF,
        "a1 REAL",
        "a1",
        "row 3: '@attribute a1' is not @attribute",
    ),
    "an unknown type (.arff)": ("x.arff", ARFF, "numeric", "numerie", "row 2: '@attribute a0 numerie' is not"),
    "a damaged @data (.arff)": ("x.arff", ARFF, "@data", "@datum", "expected an @ line before @data"),
    "an attribute without a type (.tsf)": ("x.tsf", TSF, " date", "", "'@attribute start_timestamp' is not a name"),
    "an unknown type (.tsf)": ("x.tsf", TSF, "string", "strinh", "'@attribute series_name strinh' is not a name and a"),
    "NUL in the header": ("x.ts", TS, "@timeStamps false", "@time\0\0\0 false", "x.ts, row 2: a NUL character"),
    "NUL in a comment": ("x.ts", TS, "@data", "# \0\n@data", "x.ts, row 5: a NUL character"),
}


def notes_of(path: Path, tmp_path: Path) -> list[str]:
    return ingest(path, tmp_path / "s", progress=False, overwrite=True).notes


@pytest.mark.parametrize("kind", HEADERS)
def test_a_damaged_header_of_series_is_refused(tmp_path: Path, kind: str) -> None:
    name, text, before, after, message = HEADERS[kind]
    assert before in text
    (tmp_path / name).write_text(text)
    notes_of(tmp_path / name, tmp_path)
    (tmp_path / name).write_text(text.replace(before, after, 1))
    with pytest.raises(ValueError) as error:
        notes_of(tmp_path / name, tmp_path)
    assert message in str(error.value)


def test_series_without_the_attribute_of_their_name_are_announced(tmp_path: Path) -> None:
    (tmp_path / "x.tsf").write_text(TSF.replace("series_name", "serias_name"))
    assert any("named after their lines" in note for note in notes_of(tmp_path / "x.tsf", tmp_path))


@pytest.mark.parametrize("name", ["sales.csv", "sales.txt"])
@pytest.mark.parametrize("byte", [b"\xb5", b"\xfc", b"\xc3", b"\x81"])
def test_utf_8_with_a_damaged_byte_is_refused(tmp_path: Path, name: str, byte: bytes) -> None:
    data = bytearray(f"item_id,timestamp,target\n{UMLAUTS}".encode())
    at = data.index(b"2024-01-05") - 3  # the c of Zürich
    data[at : at + 1] = byte
    (tmp_path / name).write_bytes(data)
    for read in (read_table, lambda path: notes_of(path, tmp_path)):
        with pytest.raises(ValueError, match=rf"{name} is not text in UTF-8 throughout \(row 6: 'Zü|Ã¼ri.*encoding="):
            read(tmp_path / name)


def test_latin_1_is_announced_with_the_first_row_that_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(f"item_id,timestamp,target\na,2024-01-01,1\n{UMLAUTS}".encode("latin-1"))
    notes: list[str] = []
    assert read_table(path, notes=notes)["item_id"].tolist() == ["a", *["Zürich"] * 9]
    (note,) = notes
    assert "is not UTF-8 and was read as Latin-1 (cp1252), first in row 3: 'Zürich,2024-01-0'; encoding=..." in note
    assert note in notes_of(path, tmp_path)


def test_bytes_that_are_neither_utf_8_nor_latin_1_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(b"item_id,timestamp,target\na,2024-01-01,1\n\x8da,2024-01-02,2\n")
    with pytest.raises(ValueError, match=r"sales.csv is neither UTF-8 nor Latin-1 .row 3"):
        read_table(path)


@pytest.mark.parametrize("zone", ["+82:00", "Mars/Phobos", "+02:75"])
@pytest.mark.parametrize("door", ["read_table", "ingest", "folder", "arrow"])
def test_time_zones_that_are_not_known_are_refused(tmp_path: Path, zone: str, door: str) -> None:
    times = pa.array(np.arange(9) * 3_600_000_000).cast(pa.timestamp("us", zone))
    table = pa.table({"timestamp": times, "target": np.arange(9.0)})
    path = tmp_path / "d" / "sales.parquet"
    path.parent.mkdir()
    pq.write_table(table, path)
    doors = {
        "read_table": lambda: read_table(path),
        "ingest": lambda: notes_of(path, tmp_path),
        "folder": lambda: read_table(path.parent),
        "arrow": lambda: ingest(table, tmp_path / "s", progress=False),
    }
    with pytest.raises(
        ValueError, match=r"column 'timestamp' is in the time zone .*, which is not known; expected a name"
    ):
        doors[door]()


def test_a_column_of_dates_without_a_name_is_the_time(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(",a,b\n" + "".join(f"2024-01-{day:02d},{day},{2 * day}\n" for day in range(1, 10)))
    frame = read_frame(read_table(path), prediction_length=1)
    assert (frame.targets, frame.series[0].freq) == (["a", "b"], "D")
    report = ingest(path, tmp_path / "s", progress=False)
    assert (report.channels, report.frequency) == (["a", "b"], "D")


def test_an_index_of_dates_that_pandas_stores_is_the_time(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=9)
    pd.DataFrame({"a": np.arange(9.0), "b": 1.0}, index=days).to_parquet(tmp_path / "sales.parquet")
    report = ingest(tmp_path / "sales.parquet", tmp_path / "s", progress=False)
    assert (report.channels, report.frequency) == (["a", "b"], "D")


def test_parquet_with_dtypes_that_pandas_cannot_name_is_read(tmp_path: Path) -> None:
    ids = pd.Series(["a"] * 9, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())))
    frame = pd.DataFrame({"item_id": ids, "timestamp": pd.date_range("2024-01-01", periods=9), "target": 1.0})
    frame.to_parquet(tmp_path / "sales.parquet")
    assert read_table(tmp_path / "sales.parquet")["item_id"].tolist() == ["a"] * 9


@pytest.mark.parametrize("cell", ["yesterday", "2024-02-30", "2024-01-05 00:00+02:00", ""])
def test_a_wrong_date_does_not_number_the_rows(tmp_path: Path, cell: str) -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 10)]
    days[4] = cell
    frame = pd.DataFrame({"when": days, "sales": np.arange(9.0)})
    for read in (
        lambda: read_frame(frame, prediction_length=1), lambda: ingest(frame, tmp_path / "s", progress=False)
    ):  # fmt: skip
        with pytest.raises(
            ValueError, match=r"column 'when' are dates, .*timestamp_column=None|'when' in row 4|row 5: the timestamp"
        ):
            read()
    assert read_frame(frame, prediction_length=1, timestamp_column=None).targets == ["sales"]
