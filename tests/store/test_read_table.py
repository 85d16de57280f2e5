"""Laws of reading files: the same table whatever the dialect, nothing lost or read wrongly, damage is named."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.store import read_table as module
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table
from tsfm.store.series_store import SeriesStore
from tsfm.store.table_kinds import KINDS
from tsfm.store.text_table import BLOCK_BYTES, LINE_BYTES

VALUES = [1234.5, -0.25, np.nan, 98765.0]
TABLE = pd.DataFrame(
    {"item_id": "007", "timestamp": [f"2024-01-0{d}" for d in (1, 2, 3, 4)], "target": VALUES, "note": list("äbcd")}
)

TEXT = str(pd.Series(["a"]).dtype)  # object, or str from pandas 3 on


def text_of(decimal: str = ".", thousands: str = "", sep: str = ",", quote: str = "") -> str:
    """Return TABLE as text."""

    def number(value: float) -> str:
        if np.isnan(value):
            return ""
        plain = f"{value:,.2f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
        return f"{quote}{plain}{quote}"

    rows = [sep.join([i, t, number(v), n]) for i, t, v, n in TABLE.itertuples(index=False)]
    return "\n".join([sep.join(TABLE.columns), *rows]) + "\n"


DIALECTS = {
    "comma": (text_of(), {}),
    "semicolon": (text_of(sep=";"), {}),
    "tab": (text_of(sep="\t"), {}),
    "bar": (text_of(sep="|"), {}),
    "decimal comma": (text_of(sep=";", decimal=","), {}),
    "decimal comma, tab": (text_of(sep="\t", decimal=","), {}),
    "decimal comma, quoted": (text_of(decimal=",", quote='"'), {}),
    "thousands comma": (text_of(thousands=",", quote='"'), {}),
    "thousands point": (text_of(sep=";", decimal=",", thousands="."), {}),
    "thousands space": (text_of(sep=";", decimal=",", thousands=" "), {}),
    "thousands narrow space": (text_of(sep=";", decimal=",", thousands="\u202f"), {}),
    "thousands apostrophe": (text_of(thousands="'"), {}),
    "given": (text_of(sep=";", decimal=","), {"sep": ";", "decimal": ","}),
    "windows line ends": (text_of().replace("\n", "\r\n"), {}),
    "blank lines": (text_of().replace("\n", "\n\n"), {}),
    "empty rows": (text_of() + ",,,\n,\n", {}),
    "sep line": ("sep=;\n" + text_of(sep=";"), {}),
    "unicode minus": (text_of().replace("-0.25", "−0.25"), {}),
    "missing words": (text_of().replace(",,", ",NA,"), {}),
    "question mark": (text_of().replace(",,", ",?,"), {}),
    "spaces around": (text_of().replace("98765.00", " 98765.00 "), {}),
    "no last line end": (text_of().rstrip("\n"), {}),
    "quoted header": (text_of().replace("target", '"target"', 1), {}),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_same_table_and_the_same_store(tmp_path, name):
    text, options = DIALECTS[name]
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8", newline="")
    pd.testing.assert_frame_equal(read_table(path, **options), TABLE)
    ingest(path, tmp_path / "s", target="target", progress=False, **options)
    store = SeriesStore.open(tmp_path / "s")
    assert store.ids == ["007"]
    assert np.array_equal(store.read(0)[0], np.array(VALUES, np.float32), equal_nan=True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_encodings_are_found(tmp_path, encoding):
    (tmp_path / "t.csv").write_bytes(text_of().encode(encoding))
    notes: list[str] = []
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", notes=notes), TABLE)
    assert ("read as Latin-1" in " ".join(notes)) == (encoding in ("latin-1", "cp1252"))


def test_an_encoding_can_be_given(tmp_path):
    (tmp_path / "t.csv").write_bytes(text_of().encode("cp437"))
    assert read_table(tmp_path / "t.csv")["note"][0] != "ä"
    assert read_table(tmp_path / "t.csv", encoding="cp437")["note"][0] == "ä"
    (tmp_path / "t.csv").write_bytes(text_of().encode("utf-16-le"))  # without a byte-order mark
    assert read_table(tmp_path / "t.csv", encoding="utf-16-le")["note"][0] == "ä"


@pytest.mark.parametrize("ending", ["csv.gz", "tsv", "txt", "csv.bz2", "csv.xz", "parquet", "pq", "xlsx"])
def test_every_ending(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    if ending in ("parquet", "pq"):
        TABLE.to_parquet(path)
    elif ending == "xlsx":
        TABLE.to_excel(path, index=False)
    else:
        TABLE.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    pd.testing.assert_frame_equal(read_table(path), TABLE)
    ingest(path, tmp_path / "s", target="target", progress=False)
    assert np.array_equal(SeriesStore.open(tmp_path / "s").read(0)[0], np.array(VALUES, np.float32), equal_nan=True)


def test_types_of_columns(tmp_path):
    (tmp_path / "t.csv").write_text(
        "id,unique_id,n,x,flag,gaps,text,mixed\n1,01,5,5.0,True,,a,1\n2,02,-7,1e3,FALSE,3,,b\n"
    )
    frame = read_table(tmp_path / "t.csv")
    assert frame["id"].tolist() == ["1", "2"]
    assert frame["unique_id"].tolist() == ["01", "02"]
    assert [str(frame[name].dtype) for name in ("n", "x", "flag", "gaps", "text", "mixed")] == [
        "int64", "float64", "bool", "float64", TEXT, TEXT,
    ]  # fmt: skip
    assert frame["text"][0] == "a"
    assert pd.isna(frame["text"][1])
    assert frame["mixed"].tolist() == ["1", "b"]


@pytest.mark.parametrize("item", ["NA", "null", "nan", "None", "007", "1e5", "a b", "ü"])
def test_items_keep_their_names(tmp_path, item):
    frame = pd.DataFrame({"item_id": item, "date": pd.date_range("2024", periods=4), "x": range(4)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv")["item_id"].tolist() == [item] * 4
    ingest(tmp_path / "t.csv", tmp_path / "s", progress=False)
    assert SeriesStore.open(tmp_path / "s").ids == [item]


def test_numbers_are_those_of_the_text(tmp_path):
    values = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)
    pd.DataFrame({"x": values}).to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv")["x"].tolist() == values.tolist()


CLEAR = "item_id,date,x\na,2024-01-01,1\na,2024-01-02,2\na,2024-01-03,3\n"
BAD = {  # content, options, what the message says
    "too few cells": (CLEAR + "a,2024-01-04\na,2024-01-05,5\n", {}, "t.csv, row 5: found 2 cells, expected 3"),
    "too many cells": (CLEAR + "a,2024-01-04,4,5\n", {}, "t.csv, row 5: found 4 cells, expected 3"),
    "cut short": (CLEAR + "a,2024", {}, "t.csv, row 5: .*in a last line without an end; the file is cut short"),
    "cut in the item": (CLEAR + "a", {}, "row 5: found 1 cells, expected 3.*cut short"),
    "blank lines are counted": ("\n\n" + CLEAR + "\n,,\na,b\n", {}, "row 9: found 2 cells"),
    "no header": ("1,0.5\n2,0.7\n", {}, "t.csv has no header line"),
    "no header, dates": ("2024-01-01;0,5\n2024-01-02;0,7\n", {}, "no header line"),
    "no header, one column": ("1.5\n2.5\n", {}, "no header line"),
    "empty": ("", {}, "t.csv is empty"),
    "blank": ("\n \n", {}, "t.csv is empty"),
    "header alone": ("a,b\n", {}, "has a header but no rows"),
    "same name twice": ("a,a\n1,2\n", {}, "columns that share a name: a|'a' occurs twice"),
    "NUL": ("a,b\n1,\0\n", {}, "holds a NUL character"),
    "open quote": ('a,b\n"1,2\n3,4\n', {}, "t.csv, row 2"),
    "two ways": (
        "t\tx\n2024-01-01\t1,234\n2024-01-02\t2,345\n",
        {},
        "row 2: column 'x' holds '1,234', which may be 1234",
    ),
    "sep": (CLEAR, {"sep": ", "}, "sep is ', '; expected one character"),
    "decimal": (CLEAR, {"decimal": ";"}, "decimal is ';'; expected '.' or ','"),
    "sep and decimal": (CLEAR, {"sep": ",", "decimal": ","}, "sep and decimal are both ','"),
    "encoding": (CLEAR, {"encoding": "utf-99"}, "encoding is 'utf-99', which is not known"),
    "wrong encoding": ("ä,b\n1,2\n", {"encoding": "ascii"}, "not text in ascii"),
}


@pytest.mark.parametrize("door", ["read_table", "ingest"])
@pytest.mark.parametrize("name", BAD)
def test_damage_is_named(tmp_path, name, door):
    content, options, message = BAD[name]
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    time = "t" if "\t" in content else "timestamp"

    def read() -> None:
        if door == "read_table":
            read_table(tmp_path / "t.csv", **options)
        else:
            ingest(tmp_path / "t.csv", tmp_path / "s", progress=False, timestamp_column=time, freq="D", **options)

    with pytest.raises(ValueError, match=message):
        read()
    assert not (tmp_path / "s").exists()


def test_one_number_that_may_be_either_is_announced(tmp_path):
    notes: list[str] = []
    (tmp_path / "t.csv").write_text('x,y\n"1,234",a\n987,b\n')
    assert read_table(tmp_path / "t.csv", notes=notes)["x"].tolist() == [1234.0, 987.0]
    assert notes == ["t.csv: column 'x': 1,234 is read as 1234"]
    (tmp_path / "t.csv").write_text("x;y\n1,234;a\n987;b\n")
    assert read_table(tmp_path / "t.csv")["x"].tolist() == [1.234, 987.0]
    assert read_table(tmp_path / "t.csv", decimal=".")["x"].tolist() == [1234.0, 987.0]
    (tmp_path / "t.csv").write_text("x;y\n1.234;0,5\n987;1,5\n")  # the other column shows the decimal comma
    assert read_table(tmp_path / "t.csv")["x"].tolist() == [1234.0, 987.0]


def test_a_bad_cell_is_named_not_the_commas_around_it(tmp_path):
    rows = "".join(f"a;2024-01-0{d};{d},5\n" for d in range(1, 6)) + "a;2024-01-06;many\n"
    (tmp_path / "t.csv").write_text("item_id;date;x\n" + rows)
    with pytest.raises(ValueError, match="row 7: column 'x' holds 'many'"):
        ingest(tmp_path / "t.csv", tmp_path / "s", progress=False)


def test_a_packed_line_of_one_gigabyte_is_refused_in_bounded_memory(tmp_path):
    with gzip.open(tmp_path / "t.csv.gz", "wb", 1) as file:
        file.write(b"a,b\n")
        for _ in range(64):
            file.write(b"x" * 2**22)  # 256 MB are enough: what is read must not grow with it
    for door in (read_table, lambda path: ingest(path, tmp_path / "s", freq="D", progress=False)):
        with pytest.raises(ValueError, match=f"a row is longer than {LINE_BYTES:,} bytes"):
            door(tmp_path / "t.csv.gz")
    with gzip.open(tmp_path / "h.csv.gz", "wb", 1) as file:
        file.write(b"x" * 2**22)
    with pytest.raises(ValueError, match="the header is longer than"):
        read_table(tmp_path / "h.csv.gz")


def test_a_packed_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("a,b\n" + "1,2\n" * 10_000)
    assert len(read_table(tmp_path / "t.csv.gz")) == 10_000
    monkeypatch.setattr(module, "MIN_UNPACKED", 1000)
    with pytest.raises(ValueError, match=r"t.csv.gz unpacks to more than .* make a store of it with ingest"):
        read_table(tmp_path / "t.csv.gz")


def test_many_columns(tmp_path):
    names = ",".join(f"c{c}" for c in range(5000))
    rows = "".join(",".join(str(c + r) for c in range(5000)) + "\n" for r in range(3))
    (tmp_path / "t.csv").write_text(f"{names}\n{rows}")
    frame = read_table(tmp_path / "t.csv")
    assert frame.shape == (3, 5000)
    assert frame["c4999"].tolist() == [4999, 5000, 5001]


def test_a_folder_of_hive_partitions(tmp_path):
    folder = tmp_path / "sales"
    for item in ("007", "NA"):
        for year in (2023, 2024):
            frame = pd.DataFrame({"timestamp": pd.date_range(str(year), periods=365), "x": np.arange(365.0)})
            path = folder / f"item_id={item}" / f"year={year}"
            path.mkdir(parents=True)
            frame.to_parquet(path / "0.parquet")
    frame = read_table(folder)
    assert sorted(frame["item_id"].unique()) == ["007", "NA"]
    assert set(frame["year"]) == {"2023", "2024"}
    assert len(frame) == 4 * 365
    ingest(folder, tmp_path / "s", target="x", progress=False)
    store = SeriesStore.open(tmp_path / "s")
    assert (sorted(store.ids), store.lengths.tolist()) == (["007", "NA"], [730, 730])


def test_a_folder_of_csv_files(tmp_path):
    (tmp_path / "raw").mkdir()
    for name in "ba":
        TABLE.assign(item_id=name, note=1).to_csv(tmp_path / "raw" / f"{name}.csv", index=False)
    ingest(tmp_path / "raw", tmp_path / "s", target="target", progress=False)
    assert SeriesStore.open(tmp_path / "s").ids == ["a", "b"]
    with pytest.raises(ValueError, match="holds 2 tables; name one of them"):
        read_table(tmp_path / "raw")


def test_urls(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/reader/t.csv", text_of(sep=";", decimal=",").encode())
    with memory.open("/reader/t.parquet", "wb") as file:
        pq.write_table(pa.Table.from_pandas(TABLE, preserve_index=False), file)
    for url in ("memory://reader/t.csv", "memory://reader/t.parquet"):
        pd.testing.assert_frame_equal(read_table(url), TABLE, check_dtype=False)  # text of CSV stays in Arrow
    with pytest.raises(FileNotFoundError, match="there is no file memory://reader/none"):
        read_table("memory://reader/none.csv")


def test_excel(tmp_path, monkeypatch):
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        TABLE.to_excel(book, index=False, sheet_name="sales")
        TABLE.to_excel(book, index=False, sheet_name="other")
    notes: list[str] = []
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.xlsx", notes=notes), TABLE)
    assert notes == ["t.xlsx: the first of its 2 sheets was read, 'sales'"]
    (tmp_path / "bad.xlsx").write_text("no workbook")
    with pytest.raises(ValueError, match=r"bad\.xlsx cannot be read as Excel"):
        read_table(tmp_path / "bad.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ValueError, match=r"openpyxl is not installed; pip install 'tsfm-platform\[excel\]'"):
        read_table(tmp_path / "t.xlsx")


def test_only_tables_of_rows_are_read(tmp_path):
    (tmp_path / "t.ts").write_text("@data\n1,2\n")
    with pytest.raises(ValueError, match="not a table of rows; make a store of it"):
        read_table(tmp_path / "t.ts")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_table(tmp_path / "none.csv")
    assert set(KINDS) == {"csv", "parquet", "dataset", "excel", "frame"}


def test_rows_longer_than_a_block_are_read_once(tmp_path):
    lengths = {130_001: 2 * BLOCK_BYTES, 130_003: 3 * BLOCK_BYTES}
    rows = [f"{row},{'x' * lengths.get(row, 30)}\n" for row in range(130_010)]
    (tmp_path / "t.csv").write_text("number,note\n" + "".join(rows))
    frame = read_table(tmp_path / "t.csv")
    assert frame["number"].tolist() == list(range(130_010))
    assert frame["note"].str.len().nlargest(3).tolist() == [3 * BLOCK_BYTES, 2 * BLOCK_BYTES, 30]
    (tmp_path / "t.csv").write_text("number,note\n" + "".join(rows) + "\n7\n")
    with pytest.raises(ValueError, match="row 130013: found 1 cells"):
        read_table(tmp_path / "t.csv")
