"""Faults that the fuzzer found in files, each as a law."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.infer.frames import read_frame
from tsfm.store.ingest import ingest
from tsfm.store.parquet_footer import chunk_lengths
from tsfm.store.read_table import read_table
from tsfm.store.series_store import SeriesStore

DAYS = "".join(f'2024-01-{day:02d},"{day},5"\n' for day in range(1, 10))
PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


def stored(source: Path, tmp_path: Path) -> tuple[SeriesStore, list[str]]:
    report = ingest(source, tmp_path / "s", progress=False, overwrite=True)
    return SeriesStore.open(tmp_path / "s"), report.notes


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_file_cut_inside_quotes_is_refused(tmp_path: Path, pack: str, encoding: str, cut: int) -> None:
    text = "timestamp,target\n" + DAYS
    path = tmp_path / f"sales.csv{pack}"
    path.write_bytes(PACK[pack](text[: -1 - cut].encode(encoding)))
    for read in (read_table, lambda file: stored(file, tmp_path)):
        with pytest.raises(ValueError, match=r"sales.csv.*row 10: a quotation mark is not closed.*cut short"):
            read(path)
    path.write_bytes(PACK[pack](text[:-1].encode(encoding)))
    assert read_table(path)["target"].tolist() == [day + 0.5 for day in range(1, 10)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_decimal_commas_in_every_column_are_numbers(tmp_path: Path, separator: str) -> None:
    cells = [["timestamp", "target", "price"]]
    cells += [[f"2024-01-{day:02d}", f"{day},5", f"{day},25" if day % 3 else ""] for day in range(1, 29)]
    quoted = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in cells]
    (tmp_path / "sales.csv").write_text("\n".join(separator.join(row) for row in quoted))
    frame = read_table(tmp_path / "sales.csv")
    assert frame["target"].tolist() == [day + 0.5 for day in range(1, 29)]
    assert frame["price"].dropna().tolist() == [day + 0.25 for day in range(1, 29) if day % 3]


@pytest.mark.parametrize("cell", ["1_000", "١٢", "1٫5", "１"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.ts", "@timestamps false\n@classLabel true a\n@data\n1,{},3:a\n"),
        ("t.ts", "@timestamps true\n@classLabel true a\n@data\n(2024-01-01,1),(2024-01-02,{}),(2024-01-03,2):a\n"),
        ("x.tsf", "@attribute series_name string\n@frequency daily\n@data\nT1:1,{},3\n"),
        ("x.arff", "@relation x\n@attribute a numeric\n@attribute b numeric\n@attribute class {{a}}\n@data\n1,{},a\n"),
        ("X_TRAIN.tsv", "1\t2.5\t3\n1\t2.5\t{}\n"),
        ("X_TRAIN.txt", "1  2.5  3\n1  2.5  {}\n"),
    ],
)
def test_what_only_python_reads_as_a_number_is_refused(tmp_path: Path, name: str, text: str, cell: str) -> None:
    (tmp_path / name).write_text(text.format(cell), encoding="utf-8")
    with pytest.raises(ValueError, match=f"{name}.*(a number holds|is not a number)"):
        stored(tmp_path / name, tmp_path)


def test_ucr_text_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "X_TRAIN.tsv").write_text("1\t2.5\t3\n2\t4\t5\n", encoding="utf-8-sig")
    store, _ = stored(tmp_path / "X_TRAIN.tsv", tmp_path)
    assert store.static["label"].tolist() == ["1", "2"]
    assert store.read(0).tolist() == [[2.5, 3.0]]


def test_a_space_in_a_cell_between_tabs_does_not_move_the_others(tmp_path: Path) -> None:
    for line in ("1\t2.5 9\t3\n", "\t2.5\t3\n"):  # two numbers in a cell, and no label
        (tmp_path / "X_TRAIN.tsv").write_text("1\t2.5\t3\n" + line)
        with pytest.raises(ValueError, match=r"X_TRAIN.tsv, item 'X_TRAIN/1', row 2"):
            stored(tmp_path / "X_TRAIN.tsv", tmp_path)


@pytest.mark.parametrize("name", ["X_TRAIN.tsv", "X_TEST.txt", "X_TRAIN.csv"])
def test_a_wrong_cell_in_the_first_case_does_not_make_it_a_header(tmp_path: Path, name: str) -> None:
    separator = {"tsv": "\t", "txt": "  ", "csv": ","}[name[-3:]]
    rows = [["1", "2.5", "abc", "4"], ["2", "3", "4", "5"], ["1", "6", "7", "8"]]
    (tmp_path / name).write_text("\n".join(separator.join(row) for row in rows))
    with pytest.raises(ValueError, match=rf"{name}, item .*, row 1: could not convert string to float: 'abc'"):
        stored(tmp_path / name, tmp_path)


def test_names_in_latin_1_are_kept(tmp_path: Path) -> None:
    text = "@attribute series_name string\n@frequency daily\n@data\nZürich:1,2,3\nGenève:1,2,3\n"
    (tmp_path / "x.tsf").write_bytes(text.encode("cp1252"))
    store, notes = stored(tmp_path / "x.tsf", tmp_path)
    assert store.ids == ["Zürich", "Genève"]
    assert any("x.tsf is not UTF-8 and was read as Latin-1" in note for note in notes)


def test_moved_timestamps_of_ts_are_announced_and_begin_on_the_grid(tmp_path: Path) -> None:
    pairs = [f"(2024-01-{day:02d} 00:00:0{2 if day == 1 else 0},{day})" for day in range(1, 21)]
    (tmp_path / "x.ts").write_text(f"@timestamps true\n@classLabel true a\n@data\n{','.join(pairs)}:a\n")
    store, notes = stored(tmp_path / "x.ts", tmp_path)
    assert store.starts[0] == np.datetime64("2024-01-01")
    assert store.read(0)[0].tolist() == list(range(1, 21))
    assert any("1 timestamps were moved to the D grid, by at most 2 s" in note for note in notes)


@pytest.mark.parametrize("folder", [False, True])
def test_pages_that_do_not_have_their_checksum_are_refused(tmp_path: Path, folder: bool) -> None:
    frame = pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=50), "target": np.arange(50.0)})
    out = io.BytesIO()
    options = {"write_page_checksum": True, "use_dictionary": False, "compression": "none"}
    pq.write_table(pa.Table.from_pandas(frame), out, **options)  # type: ignore[arg-type]
    data = bytearray(out.getvalue())
    at = data.index(np.array([17.0]).tobytes())
    data[at + 6] ^= 1
    path = tmp_path / "d" / "sales.parquet"
    path.parent.mkdir()
    path.write_bytes(data)
    source = path.parent if folder else path
    for read in (read_table, lambda file: stored(file, tmp_path)):
        with pytest.raises(ValueError, match=r"cannot be read: .*(CRC|checksum)"):
            read(source)


@pytest.mark.parametrize("zone", ["+02:00", "-05:30", "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("freq", ["h", "D"])
def test_the_zone_of_a_store_has_a_name_that_others_read(tmp_path: Path, zone: str, freq: str) -> None:
    times = pa.array(pd.date_range("2024-01-01", periods=50, freq=freq)).cast(pa.timestamp("us", zone))
    pq.write_table(pa.table({"timestamp": times, "target": list(range(50))}), tmp_path / "sales.parquet")
    store, notes = stored(tmp_path / "sales.parquet", tmp_path)
    assert store.manifest.timezone == zone
    assert any(f"in the time zone {zone}:" in note for note in notes)
    assert pd.Timestamp("2024-01-01").tz_localize(store.manifest.timezone) is not pd.NaT


LABELS = {
    "text": ["a", "b"], "mixed": ["a", 1], "one": ["a"], "after a missing one": ["?", "a"], "tuple": ("a", 2.5),
    "array": np.array(["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_lists_of_labels_beside_a_long_table_are_not_used(tmp_path: Path, labels: object) -> None:
    days = pd.date_range("2024-01-01", periods=20)
    plain = pd.DataFrame({"timestamp": days, "target": np.arange(20.0)})
    tagged = plain.assign(tags=[labels] * 20)
    for df in (tagged, tagged[["tags", "timestamp", "target"]], tagged.assign(item_id="a")):
        store, notes = stored(df, tmp_path)
        assert store.read(0).tolist() == [list(range(20))]
        assert any("not used, because not numeric: tags" in note for note in notes)
        (item,) = read_frame(df, prediction_length=1)
        assert item.original.tolist() == [list(range(20))]


@pytest.mark.parametrize("unit", ["s", "ms"])
@pytest.mark.parametrize("start", ["2017-07-15 01:02:03", "2022-12-26 00:00", "2029-11-11 11:00"])
def test_epochs_that_could_be_hours_of_an_early_century_are_of_ours(tmp_path: Path, unit: str, start: str) -> None:
    times = pd.date_range(start, periods=21, freq="s").as_unit(unit)
    df = pd.DataFrame({"timestamp": times.astype(np.int64), "target": np.arange(21.0)})
    store, notes = stored(df, tmp_path)
    assert pd.Timestamp(store.starts[0]) == pd.Timestamp(start)
    assert any("since 1970" in note for note in notes)


@pytest.mark.parametrize(("first", "digits"), [("1901-01-01", "%Y%m%d%H"), ("2023-05-05", "%Y%m%d%H")])
def test_hours_written_as_one_number_stay_hours(tmp_path: Path, first: str, digits: str) -> None:
    times = pd.date_range(first, periods=30, freq="h")
    df = pd.DataFrame({"timestamp": times.strftime(digits).astype(np.int64), "target": np.arange(30.0)})
    store, _ = stored(df, tmp_path)
    assert pd.Timestamp(store.starts[0]) == times[0]


@pytest.mark.parametrize("bad", [1 + 2j, [1], {"a": 1}, pd.Series([1]), b"2024", "yesterday"], ids=str)
@pytest.mark.parametrize("kind", ["dates", "periods", "text"])
def test_a_column_of_dates_but_for_a_cell_is_not_passed_over(tmp_path: Path, kind: str, bad: object) -> None:
    days = pd.bdate_range("2024-01-01", periods=30)
    cells: list = {"dates": list(days.date), "periods": list(days.to_period("D")), "text": list(days.astype(str))}[kind]
    cells[12] = bad
    df = pd.DataFrame({"when": pd.Series(cells, dtype=object), "target": np.arange(30.0)})
    for read in (lambda: stored(df, tmp_path), lambda: read_frame(df, prediction_length=1)):
        with pytest.raises(ValueError, match="most cells of column 'when' are dates, and one is not"):
            read()


def nested_table(count: int) -> pa.Table:
    """Return columns of every nesting, with lists of different lengths."""
    lists = [list(range(i % 7)) for i in range(count)]
    return pa.table(
        {
            "flat": np.arange(count), "text": [f"t{i % 3}" for i in range(count)], "list": lists,
            "deep": [[row, row] for row in lists], "struct": [{"a": i, "b": row} for i, row in enumerate(lists)],
            "map": pa.array([[("k", i)] * (i % 4) for i in range(count)], pa.map_(pa.string(), pa.int64())),
        }
    )  # fmt: skip


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("group", [7, 1000])
def test_the_lengths_of_chunks_are_those_of_pyarrow(tmp_path: Path, group: int, compression: str) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(nested_table(40), path, row_group_size=group, compression=compression)
    about = pq.read_metadata(path)
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    assert chunk_lengths(path) == [[row.column(at).num_values for at in range(row.num_columns)] for row in groups]


def test_a_damaged_footer_is_refused_or_read(tmp_path: Path) -> None:
    path, rng, refused = tmp_path / "t.parquet", np.random.default_rng(0), 0
    pq.write_table(nested_table(10), path)
    whole = path.read_bytes()
    for _ in range(300):
        data = bytearray(whole)
        data[int(rng.integers(len(data) // 2, len(data)))] = int(rng.integers(0, 256))
        path.write_bytes(data)
        try:
            chunk_lengths(path)
        except ValueError as error:
            refused += "footer of t.parquet" in str(error)
    assert refused > 20
