"""Parquet lists, partitioned folders and URLs give the store of the plain table; hostile files end in an error."""

import gzip
import json
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.store import assembly, read_table, sheets
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore
from tsfm.store.table_kinds import KINDS, piece_rows

VALUES = [[1.0, 2.5, 3.0, -4.0], [5.0, 6.0, 7.25, 8.0]]
TIMES = [np.datetime64(day, "us") + np.arange(4) * np.timedelta64(1, "D") for day in ("2024-01-01", "2024-02-01")]
LISTS = {
    "list": pa.list_(pa.float64()),
    "large": pa.large_list(pa.float32()),
    "fixed": pa.list_(pa.float32(), 4),
    "view": pa.list_view(pa.float64()),
    "large view": pa.large_list_view(pa.float64()),
    "decimal": pa.list_(pa.decimal128(10, 2)),
}


def long_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"item_id": np.repeat(["007", "008"], 4), "timestamp": np.concatenate(TIMES), "target": np.concatenate(VALUES)}
    )


def stored(source, folder: Path, **options) -> tuple:
    ingest(source, folder / "store", overwrite=True, progress=False, warn=False, **options)
    store = SeriesStore.open(folder / "store")
    return store.ids, store.starts.tolist(), store.freqs, store.fingerprints


@pytest.fixture
def expected(tmp_path) -> tuple:
    return stored(long_frame(), tmp_path)


def nested(kind: pa.DataType, **columns) -> pa.Table:
    values = [[Decimal(str(x)) for x in row] for row in VALUES] if "decimal" in str(kind) else VALUES
    return pa.table({"item_id": ["007", "008"], **columns, "target": pa.array(values, kind)})


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_every_kind_are_series(kind: str, tmp_path, expected) -> None:
    """With a list of timestamps, or the first timestamp of each; in one file, in a folder, and as a DataFrame."""
    table = nested(LISTS[kind], timestamp=pa.array([list(times) for times in TIMES], pa.list_(pa.timestamp("us"))))
    started = nested(LISTS[kind], start=pa.array([times[0] for times in TIMES], pa.timestamp("us")))
    (tmp_path / "folder").mkdir()
    for name, content in (("t", table), ("s", started), ("folder/t", table)):
        pq.write_table(content, tmp_path / f"{name}.parquet", row_group_size=1)
    for source, options in (("t.parquet", {}), ("s.parquet", {"freq": "D"}), ("folder", {})):
        assert stored(tmp_path / source, tmp_path, **options) == expected
    assert stored(table.to_pandas(), tmp_path) == expected
    frame = read_table.read_table(tmp_path / "t.parquet")
    assert frame["target"].astype(float).tolist() == long_frame()["target"].tolist()
    assert frame["timestamp"].tolist() == long_frame()["timestamp"].tolist()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"target": [[1.0, 2.0], [3.0]], "price": [[1.0, 2.0], []]}, "row 2: column 'target' has a list of 1 elements"),
        ({"target": [[[1.0]], [[2.0]]]}, "row 1: column 'target' holds lists of lists"),
        ({"target": [[1.0], None]}, "row 2: column 'target' holds 'None' and no list"),
        (
            {"start": TIMES[0][:2], "target": [[1.0], [2.0]]},
            "'start' holds the first timestamp",
        ),
    ],
)
def test_lists_that_are_no_series_are_named(columns: dict, message: str, tmp_path) -> None:
    pq.write_table(pa.table({"item_id": ["a", "b"], **columns}), tmp_path / "t.parquet")
    target = ["target", "price"] if "price" in columns else None
    with pytest.raises(ValueError, match=message):
        ingest(tmp_path / "t.parquet", tmp_path / "s", target=target, progress=False, warn=False)


def test_long_lists_are_read_a_few_rows_at_a_time(tmp_path) -> None:
    table = pa.table({"item_id": [str(i) for i in range(60)], "target": pa.array([[1.0] * 20_000] * 60)})
    pq.write_table(table, tmp_path / "t.parquet")
    (source,) = read_table.find_tables(str(tmp_path / "t.parquet"), read_table.TextOptions())
    pieces = list(KINDS["parquet"].pieces(source, ["item_id"], ["target"], []))
    assert sum(len(piece.rows) for piece in pieces) == 60
    assert max(len(piece.rows) for piece in pieces) * 20_000 <= piece_rows(2) + 20_000


def test_folders_with_hive_partitions(tmp_path, expected) -> None:
    frame = long_frame()
    frame.to_parquet(tmp_path / "by_item", partition_cols=["item_id"])
    assert stored(tmp_path / "by_item", tmp_path) == expected
    regions = frame.assign(region=np.where(frame["item_id"] == "007", "eu", "us"), year=2024)
    regions.to_parquet(tmp_path / "by_region", partition_cols=["year", "region"])
    assert stored(tmp_path / "by_region", tmp_path, static=["region"]) == expected
    assert SeriesStore.open(tmp_path / "store").static["region"].tolist() == ["eu", "us"]
    assert stored(f"file://{tmp_path / 'by_item'}", tmp_path) == expected


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.parquet"])
def test_urls_of_fsspec(name: str, tmp_path, expected) -> None:
    frame, sep = long_frame(), "\t" if ".tsv" in name else ","
    text = frame.to_csv(index=False, sep=sep).encode()
    memory = fsspec.filesystem("memory")
    with memory.open(f"/urls/{name}", "wb") as file:
        if name.endswith("parquet"):
            frame.to_parquet(file)
        else:
            file.write(gzip.compress(text) if name.endswith("gz") else text)
    memory.get(f"/urls/{name}", str(tmp_path / name))
    for url in (f"memory://urls/{name}", f"file://{tmp_path / name}"):
        assert stored(url, tmp_path) == expected
        assert read_table.read_table(url)["target"].tolist() == frame["target"].tolist()
    with pytest.raises(FileNotFoundError, match="there is no file memory://urls/none"):
        ingest(f"memory://urls/none{name}", tmp_path / "s", progress=False)


def excel(path: Path, sheet: bytes) -> Path:
    """Write an Excel file with another sheet."""
    pytest.importorskip("openpyxl")
    long_frame().to_excel(path, index=False)
    with zipfile.ZipFile(path) as book:
        entries = {entry: book.read(entry) for entry in book.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for entry, content in entries.items():
            book.writestr(entry, sheet if entry == "xl/worksheets/sheet1.xml" else content)
    return path


def test_an_excel_file_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch) -> None:
    path = excel(tmp_path / "t.xlsx", b"<worksheet><sheetData>" + b" " * 10**6 + b"</sheetData></worksheet>")
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(sheets, "MAX_BYTES", 10**6)
    for door in (read_table.read_table, lambda path: ingest(path, tmp_path / "s", progress=False)):
        with pytest.raises(ValueError, match=r"unpacks to .* bytes; save it as CSV"):
            door(path)


def test_a_cell_far_from_the_table_is_refused(tmp_path) -> None:
    namespace = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    ends = [
        b'<row r="1"><c r="A1" t="str"><v>a</v></c><c r="XFD1" t="str"><v>b</v></c></row>',
        b'<row r="1048576"><c r="A1048576"><v>1</v></c></row>',
    ]
    sheet = b'<worksheet xmlns="' + namespace + b'"><sheetData>' + b"".join(ends) + b"</sheetData></worksheet>"
    with pytest.raises(ValueError, match="a table of 1,048,575 rows and 16,384 columns"):
        read_table.read_table(excel(tmp_path / "t.xlsx", sheet))


def repeated(path: Path, num_rows: int, size: int = 10**6) -> Path:
    """Write a small Parquet file of one item with many equal rows."""
    block = pa.table({"item_id": pa.array(["a"] * size), "target": pa.array(np.ones(size, np.float32))})
    with pq.ParquetWriter(path, block.schema, compression="zstd") as writer:
        for _ in range(num_rows // size):
            writer.write_table(block)
    return path


def packed(path: Path, num_rows: int) -> Path:
    """Write a small gzip file of one item with many equal rows."""
    with gzip.open(path, "wb", 6) as file:
        file.write(b"item_id,target\n")
        for _ in range(num_rows // 10**5):
            file.write(b"a,1\n" * 10**5)
    return path


def test_an_item_of_too_many_rows_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(assembly, "MAX_VALUES", 10**4)
    monkeypatch.setattr(read_table, "MIN_UNPACKED", 10**4)
    for path in (repeated(tmp_path / "t.parquet", 10**5, 10**5), packed(tmp_path / "t.csv.gz", 10**5)):
        assert path.stat().st_size < 3_000
        with pytest.raises(ValueError, match="item 'a' has more than 10,000 values; split it"):
            ingest(path, tmp_path / "s", progress=False, warn=False)
        with pytest.raises(ValueError, match=r"unpacks to more than .* make a store of it with ingest"):
            read_table.read_table(path)
        assert not (tmp_path / "s").exists()


READ = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, 12 * 2**30))
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table
for door in (read_table, lambda path: ingest(path, sys.argv[2], progress=False, warn=False)):
    try:
        door(sys.argv[1])
    except ValueError as error:
        print(json.dumps(str(error)))
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("kind", ["parquet", "csv.gz"])
def test_a_billion_equal_rows_take_bounded_memory(kind: str, tmp_path) -> None:
    path = (repeated if kind == "parquet" else packed)(tmp_path / f"t.{kind}", 10**9)
    command = [sys.executable, "-c", READ, str(path), str(tmp_path / "s")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "make a store of it with ingest" in json.loads(lines[0])
    assert "has more than 100,000,000 values" in json.loads(lines[1])
    assert int(lines[2]) < 6 * 2**20  # KiB
