"""Laws of ingest: the store holds what the file holds, whatever the format, the order of items and the block size."""

from __future__ import annotations

import errno
import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.store import regroup, shards, table_kinds
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore


def long_table(lengths=(30, 12, 45), *, freq="h", channels=("a", "b"), seed=0):
    rng = np.random.default_rng(seed)
    items = []
    for i, length in enumerate(lengths):
        stamps = pd.date_range("2024-01-01", periods=length, freq=freq)
        item = pd.DataFrame({"item_id": f"i{i}", "timestamp": stamps, "kind": f"k{i}"})
        for name in channels:
            item[name] = rng.standard_normal(length).astype(np.float32)
        items.append(item)
    table = pd.concat(items, ignore_index=True)
    table.loc[table.index % 7 == 3, channels[0]] = np.nan
    return table


def made(source, out, **rules):
    report = ingest(source, out, progress=False, overwrite=True, **rules)
    return report, SeriesStore.open(out)


def check(store, table, channels=("a", "b")):
    assert store.ids == list(dict.fromkeys(table["item_id"]))
    for i, (_, item) in enumerate(table.groupby("item_id", sort=False)):
        assert np.array_equal(store.read(i), item[list(channels)].to_numpy(np.float32).T, equal_nan=True)
        assert store.starts[i] == item["timestamp"].iloc[0].to_datetime64()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet", "frame"])
def test_every_format_gives_the_same_store(tmp_path, ending):
    table = long_table()
    path = tmp_path / f"t.{ending}"
    if ending == "parquet":
        table.to_parquet(path, row_group_size=11)
    elif ending != "frame":
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    report, store = made(
        table if ending == "frame" else path, tmp_path / "s", static="kind", domain="test", role="corpus"
    )
    check(store, table)
    assert store.static["kind"].tolist() == ["k0", "k1", "k2"]
    assert (report.series, report.steps, report.inserted, report.files) == (3, 87, 0, 1)
    assert report.missing == int(table["a"].isna().sum())
    assert (store.manifest.frequency, store.manifest.domain, store.manifest.role) == ("h", "test", "corpus")
    assert "3 series, 87 steps every h, 2 channel(s)" in str(report)
    assert report.fingerprint == store.fingerprint
    store.verify()


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(3, 40), min_size=1, max_size=6),
    order=st.sampled_from(["item", "time", "halves"]),
    cells=st.integers(1, 200),
    items=st.integers(1, 4),
)
def test_neither_block_size_nor_row_order_between_items_matters(tmp_path_factory, lengths, order, cells, items):
    folder = tmp_path_factory.mktemp("ingest")
    table = long_table(lengths)
    if order == "time":
        shuffled = table.sort_values(["timestamp", "item_id"])
    elif order == "halves":
        half = table.groupby("item_id", sort=False).cumcount() < 3
        shuffled = pd.concat([table[half], table[~half]])
    else:
        shuffled = table
    table.to_csv(folder / "whole.csv", index=False)
    shuffled.to_csv(folder / "shuffled.csv", index=False)
    _, whole = made(folder / "whole.csv", folder / "a", static="kind")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_kinds, "BLOCK_CELLS", cells)
        patch.setattr(table_kinds, "MIN_ROWS", 5)
        patch.setattr(regroup, "ITEMS_PER_FILE", items)
        _, store = made(folder / "shuffled.csv", folder / "b", static="kind")
    check(store, table)
    assert store.fingerprint == whole.fingerprint
    assert store.static.equals(whole.static)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "shuffled.csv", "whole.csv"]


def test_a_table_sorted_by_time_is_judged_by_whole_items(tmp_path, monkeypatch):
    table = long_table([5] * 150, channels=("a",)).drop(columns="kind")  # of single items no row has a frequency
    table.loc[table["timestamp"] == "2024-01-01", "a"] = np.nan  # and every item begins with a missing value
    by_time = table.sort_values("timestamp", kind="stable")
    monkeypatch.setattr(regroup, "ITEMS_PER_FILE", 20)
    report, store = made(by_time, tmp_path / "s")
    check(store, table, ["a"])
    assert "regrouped" in str(report)
    made(by_time, tmp_path / "s", freq="h")
    with pytest.raises(ValueError, match="item 'i0': all 5 values are missing"):
        made(by_time.assign(a=by_time["a"].where(by_time["item_id"] != "i0")), tmp_path / "s")


@settings(max_examples=20, deadline=None)
@given(kept=st.sets(st.integers(1, 59), min_size=40))
def test_gaps_become_unobserved_steps(tmp_path_factory, kept):
    folder = tmp_path_factory.mktemp("gaps")
    table = long_table([60], channels=("a",)).fillna(0.5)
    index = [0, *sorted(kept)]
    report, store = made(table.iloc[index].drop(columns="kind"), folder / "s")
    assert report.inserted == index[-1] + 1 - len(index)
    assert report.missing == 0
    assert np.isfinite(store.read(0)[0]).nonzero()[0].tolist() == index
    assert store.manifest.num_steps == index[-1] + 1
    kept_report, rows = made(table.iloc[index].drop(columns="kind"), folder / "k", grid="keep")
    assert (kept_report.inserted, rows.lengths[0]) == (0, len(index))


def test_keep_takes_a_duplicated_stamp_and_a_gap_as_rows(tmp_path):
    frame = pd.DataFrame({"date": pd.date_range("2024", periods=50, freq="10min"), "x": np.arange(50.0)})
    frame.loc[20, "date"] = frame.loc[19, "date"]
    frame = frame.drop(index=[40, 41])
    report, store = made(frame, tmp_path / "s", grid="keep")
    assert (store.lengths[0], report.inserted, store.freqs) == (48, 0, ["10min"])
    assert "column 'date' is read as the timestamp" in str(report)
    with pytest.raises(ValueError, match=r"item 'series', row 21: .* occurs twice \(before in row 20\)"):
        made(frame, tmp_path / "s")


def test_a_wide_file_is_one_item_with_a_channel_per_column(tmp_path):
    frame = pd.DataFrame(
        {"Date": pd.date_range("2024", periods=20, freq="MS"), "x": range(20), "z": [True, False] * 10}
    )
    frame.to_csv(tmp_path / "ETT.csv", index=False)
    _, store = made(tmp_path / "ETT.csv", tmp_path / "s")
    assert (store.ids, store.channels, store.freqs) == (["ETT"], ["x", "z"], ["MS"])
    report, numbered = made(frame[["x", "z"]], tmp_path / "n", freq="W-SUN")
    assert str(numbered.starts[0]) == "1970-01-04T00:00:00.000000"
    assert "the rows of each item are numbered from 1970 on" in str(report)
    indexed, _ = made(frame.set_index("Date")[["x"]], tmp_path / "i")
    assert indexed.steps == 20


def test_names_of_nixtla_are_recognised_and_reported(tmp_path):
    table = long_table(channels=("y",)).drop(columns="kind").rename(columns={"item_id": "unique_id", "timestamp": "ds"})
    report, store = made(table, tmp_path / "s")
    assert (len(store), store.channels) == (3, ["y"])
    assert "'unique_id' is read as the item id" in str(report)
    assert "'ds' is read as the timestamp" in str(report)


def test_columns_next_to_the_target_are_covariates(tmp_path):
    table = long_table(channels=("target", "promo", "price")).rename(columns={"kind": "colour"})
    report, store = made(table, tmp_path / "s")
    assert (store.channels, store.manifest.covariates) == (["target", "promo", "price"], ["promo", "price"])
    assert "promo, price are covariates, because 'target' is the target" in report.notes
    assert "not used, because not numeric: colour" in report.notes
    wide = table[table["item_id"] == "i0"].drop(columns=["item_id", "colour"])
    assert made(wide, tmp_path / "s", layout="wide")[1].manifest.covariates == []
    _, store = made(table.rename(columns={"target": "value"}), tmp_path / "s")
    assert (store.channels[0], store.manifest.covariates) == ("value", ["promo", "price"])
    assert made(table, tmp_path / "s", target=["target", "promo"])[1].manifest.covariates == []


def test_the_only_text_column_names_the_items(tmp_path):
    table = long_table([20, 20], channels=("revenue",)).rename(columns={"timestamp": "date", "kind": "shop"})
    for source in (table.drop(columns="item_id"), tmp_path / "t.csv"):
        table.drop(columns="item_id").to_csv(tmp_path / "t.csv", index=False)
        report, store = made(source, tmp_path / "s")
        assert (store.ids, store.channels) == (["k0", "k1"], ["revenue"])
        assert "column 'shop', the only one of text, is read as the item id" in str(report)
    with pytest.raises(ValueError, match="column 'shop' holds 'k0', which is not a number"):
        made(table[table["item_id"] == "i0"].drop(columns="item_id"), tmp_path / "s")


@pytest.mark.parametrize(("ids", "items"), [(["1", "1", "1", "1"], ["1"]), (range(4), ["series"])])
def test_a_column_id_names_items_unless_it_numbers_the_rows(tmp_path, ids, items):
    frame = pd.DataFrame({"id": ids, "date": pd.date_range("2024", periods=4), "value": range(4)})
    _, store = made(frame, tmp_path / "s")
    assert store.ids == items
    assert store.channels[0] == "value"


def test_rows_out_of_order_are_sorted_and_duplicates_are_not(tmp_path):
    table = long_table().drop(columns="kind")
    report, store = made(table.sample(frac=1, random_state=0).sort_values("item_id", kind="stable"), tmp_path / "s")
    check(store, table)
    assert any("were sorted by time" in note for note in report.notes)
    with pytest.raises(ValueError, match="occurs twice"):
        made(pd.concat([table, table.iloc[[5]]]), tmp_path / "s")


@pytest.mark.parametrize("bad", [{"a": 1}, ["a"], ("a", ["b"])])
def test_an_item_that_is_no_name_is_an_error(tmp_path, bad):
    frame = pd.DataFrame({"date": pd.date_range("2024", periods=4), "x": range(4)})
    frame["item_id"] = pd.Series(["a", bad, "a", "a"], dtype=object)
    with pytest.raises(ValueError, match=r"row 2: column 'item_id' holds .* items are named by text or numbers"):
        made(frame, tmp_path / "s")
    with pytest.raises(ValueError, match=r"row 1: column 'item_id' holds 'a\\x00b', with a NUL"):
        made(frame.assign(item_id="a\0b"), tmp_path / "s")


def test_every_kind_of_number_is_a_channel(tmp_path):
    numbers = {
        "decimals": pd.Series([Decimal("1.5"), None, Decimal(3)], dtype=object),
        "flags": pd.Series([None, True, False], dtype=object),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "arrow": pd.array([1.5, None, 2], dtype="double[pyarrow]"),
        "booleans": pd.array([True, None, False], dtype="bool[pyarrow]"),
        "text": ["1,5", "2,5", "?"],
    }
    frame = pd.DataFrame({"date": pd.date_range("2024", periods=3), **numbers})
    _, store = made(frame, tmp_path / "s")
    expected = [[1.5, np.nan, 3], [np.nan, 1, 0], [1, np.nan, 3], [1.5, np.nan, 2], [1, np.nan, 0], [1.5, 2.5, np.nan]]
    assert np.array_equal(store.read(0), np.array(expected, np.float32), equal_nan=True)
    assert store.channels == list(numbers)
    with pytest.raises(ValueError, match=r"row 2: column 'x' holds '\{\}', which is not a number"):
        made(frame[["date"]].assign(x=pd.Series([1, {}, 2], dtype=object)), tmp_path / "s")


def test_a_split_column_is_no_channel(tmp_path):
    report, store = made(long_table().assign(split="train").drop(columns="kind"), tmp_path / "s")
    assert store.channels == ["a", "b"]
    assert "column 'split' was ignored" in str(report)


def test_items_keep_their_names(tmp_path):
    text = "item_id,timestamp,x\n" + "".join(f"{item},2024-01-0{d},{d}\n" for item in ("007", "NA") for d in (1, 2, 3))
    (tmp_path / "t.csv").write_text(text)
    assert made(tmp_path / "t.csv", tmp_path / "s")[1].ids == ["007", "NA"]


def test_many_files_by_glob(tmp_path):
    for name in "cab":
        pd.DataFrame({"date": pd.date_range("2024", periods=5), "x": range(5)}).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    report, store = made(str(tmp_path / "*.csv"), tmp_path / "s")
    assert (store.ids, report.files) == (["a", "b", "c"], 3)


def test_an_item_may_go_on_in_the_next_file(tmp_path):
    table = long_table()
    early = table["timestamp"] < "2024-01-01 10:00"
    table[early].to_parquet(tmp_path / "1.parquet")
    table[~early].to_parquet(tmp_path / "2.parquet")
    report, store = made(str(tmp_path / "?.parquet"), tmp_path / "s", target=["a", "b"])
    check(store, table)
    assert "regrouped" in str(report)
    report, store = made([tmp_path / "2.parquet", tmp_path / "1.parquet"], tmp_path / "s", target=["a", "b"])
    check(store, table)
    assert "rows of 3 items (first 'i0') were sorted by time" in report.notes
    table.to_parquet(tmp_path / "3.parquet")
    with pytest.raises(ValueError, match=r"2 files, item 'i0', row .* of .*: timestamp 2024-01-01.* occurs twice"):
        made([tmp_path / "1.parquet", tmp_path / "3.parquet"], tmp_path / "s", target="a")


def test_short_items_take_the_frequency_of_the_others(tmp_path):
    table = long_table([1, 2, 30, 1], freq="W-WED").fillna(0.0)
    _, store = made(table.drop(columns="kind"), tmp_path / "s")
    assert store.ids == ["i0", "i1", "i2", "i3"]
    assert store.freqs == ["W-WED"] * 4
    with pytest.raises(ValueError, match="item 'i0' has 1 different timestamp"):
        made(table[table["item_id"] == "i0"].drop(columns="kind"), tmp_path / "s")


def test_mixed_frequencies_need_allow_mixed_freq(tmp_path):
    table = pd.concat([long_table([20], freq="MS"), long_table([20], freq="D").assign(item_id="daily")])
    _, store = made(table.drop(columns="kind"), tmp_path / "s", allow_mixed_freq=True)
    assert store.freqs == ["MS", "D"]
    assert store.manifest.frequency == "mixed"


def test_sentinels_and_time_zones_and_date_formats_are_reported(tmp_path):
    frame = pd.DataFrame(
        {"time": pd.date_range("2024", periods=9, freq="h", tz="Europe/Berlin"), "x": [1.0] * 8 + [-999]}
    )
    report, store = made(frame, tmp_path / "s", sentinel=-999)
    assert (report.missing, str(store.starts[0])) == (1, "2023-12-31T23:00:00.000000")
    assert "timestamps are in the time zone Europe/Berlin: steps shorter than a day are kept in UTC" in str(report)
    assert "-999 were taken as missing" in str(report)
    frame = pd.DataFrame({"time": [f"{d:02d}/01/2024" for d in range(1, 21)], "x": range(20)})
    report, store = made(frame, tmp_path / "s")
    assert store.freqs == ["D"]
    assert "read as day/month/year ('01/01/2024' is 2024-01-01)" in str(report)
    with pytest.raises(ValueError, match=r"which can be 2024-01-02 .* or 2024-02-01 .* give dayfirst=True"):
        made(frame.head(9), tmp_path / "s")
    assert made(frame.head(9), tmp_path / "s", dayfirst=False)[1].freqs == ["MS"]


def test_stamps_of_the_year_2796(tmp_path):
    years = pd.DataFrame(
        {"date": ["2794-12-28 12:00:00", "2795-12-28 12:00:00", "2796-12-28 12:00:00"], "x": [1, 2, 3]}
    )
    years.to_csv(tmp_path / "y.csv", index=False)
    assert made(tmp_path / "y.csv", tmp_path / "s")[1].freqs == ["YS-DEC"]


TSF = """# a comment
@relation Test
@attribute series_name string
@attribute start_timestamp date
@attribute state string
@frequency {frequency}
@missing true
@data
T1:1979-01-01 00-00-00:NSW:1.5,?,3
T2:1980-01-01 00-00-00:VIC:4,5,6,7
"""


@pytest.mark.parametrize(
    ("word", "freq"),
    [("yearly", "YS"), ("quarterly", "QS-OCT"), ("weekly", None), ("half_hourly", "30min"), ("4_seconds", "4s")],
)
def test_tsf(tmp_path, word, freq):
    (tmp_path / "m.tsf").write_text(TSF.format(frequency=word))
    report, store = made(tmp_path / "m.tsf", tmp_path / "s")
    assert store.ids == ["T1", "T2"]
    assert store.freqs == ([freq] * 2 if freq else ["W-MON", "W-TUE"])
    assert np.array_equal(store.read(0), np.array([[1.5, np.nan, 3]], np.float32), equal_nan=True)
    assert store.static["state"].tolist() == ["NSW", "VIC"]
    assert (report.missing, str(store.starts[1])) == (1, "1980-01-01T00:00:00.000000")


def test_tsf_without_start(tmp_path):
    (tmp_path / "m.tsf").write_text("@attribute series_name string\n@frequency monthly\n@data\nT1:1,2,3\n")
    report, store = made(tmp_path / "m.tsf", tmp_path / "s")
    assert str(store.starts[0]) == "1970-01-01T00:00:00.000000"
    assert "begin in 1970" in str(report)


def test_ts(tmp_path):
    head = "#c\n@problemName X\n@timestamps false\n@univariate false\n@dimensions 2\n@classLabel true zero 1\n@data\n"
    (tmp_path / "X_TRAIN.ts").write_text(head + "1,2,3:4,?,6:zero\n1,2:NaN,4:1\n")
    (tmp_path / "X_TEST.ts").write_text(head + "9,8:7,6:1\n")
    report, store = made([tmp_path / "X_TRAIN.ts", tmp_path / "X_TEST.ts"], tmp_path / "s")
    assert store.ids == ["X_TRAIN/0", "X_TRAIN/1", "X_TEST/0"]
    assert store.lengths.tolist() == [3, 2, 2]
    assert store.static["label"].tolist() == ["zero", "1", "1"]
    assert store.static["split"].tolist() == ["train", "train", "test"]
    assert store.channels == ["dim_0", "dim_1"]
    assert np.array_equal(store.read(0)[1], np.array([4, np.nan, 6], np.float32), equal_nan=True)
    assert report.missing == 2
    (tmp_path / "r.ts").write_text("@univariate true\n@targetLabel true\n@data\n1,2,3:0.25\n")
    assert made(tmp_path / "r.ts", tmp_path / "r")[1].static["label"].tolist() == [0.25]


LONG = "item_id,timestamp,x\n" + "".join(f"a,2024-01-0{d},{d}\n" for d in range(1, 7))
BAD = {  # file name -> content, rules, what the message says
    "duplicate": (
        "t.csv",
        LONG + "a,2024-01-06,9\n",
        {},
        r"t.csv, item 'a', row 8: timestamp 2024-01-06 occurs twice",
    ),
    "far": ("t.csv", LONG + "a,2924-01-01,9\n", {}, "row 8: timestamp 2924-01-01, after 2024-01-06, would make 3287"),
    "mixed frequency": (
        "t.csv",
        LONG + "".join(f"b,2024-0{m}-01,1\n" for m in range(1, 6)),
        {},
        "t.csv, item 'b' has a step every MS, item 'a' every D; give allow_mixed_freq",
    ),
    "zone": (
        "t.csv",
        LONG + "a,2024-01-07 00:00:00+01:00,1\n",
        {},
        r"row 8: the timestamp is '2024-01-07 00:00:00\+01:00'.*rows with and without a time zone are mixed",
    ),
    "zones": (
        "t.csv",
        "timestamp,x\n2024-01-01 00:00+01:00,1\n2024-01-01 01:00+02:00,2\n",
        {},
        r"t.csv, item 't' has 1 different timestamp",  # the same instant twice
    ),
    "stamp": ("t.csv", LONG + "a,soon,1\n", {}, "row 8: the timestamp is 'soon', not a timestamp; expected dates"),
    "no stamp": ("t.csv", LONG + "a,,1\n", {}, "t.csv, item 'a', row 8: the timestamp is missing"),
    "numbered": ("t.csv", "item_id,ds,x\na,1.5,1\na,2.5,2\n", {}, "row 2: the timestamp is the number 1.5; expected"),
    "cell": (
        "t.csv",
        LONG + "a,2024-01-07,many\n",
        {},
        "t.csv, item 'a', row 8: column 'x' holds 'many', which is not a",
    ),
    "text": ("t.csv", "date,x,z\n2024-01-01,1,red\n", {}, "row 2: column 'z' holds 'red'.*target="),
    "infinite": ("t.csv", LONG + "a,2024-01-07,inf\n", {}, "t.csv, item 'a', row 8: column 'x' is infinite"),
    "huge": ("t.csv", LONG + "a,2024-01-07,1e300\n", {}, "row 8: column 'x' is 1e\\+300, too large for float32"),
    "all missing": (
        "t.csv",
        LONG.replace("\n", ",\n").replace("x,", "x,y"),
        {},
        "t.csv: column 'y' has no value at all",
    ),
    "missing item": (
        "t.csv",
        LONG + "".join(f"b,2024-01-0{d},\n" for d in range(1, 5)),
        {},
        "t.csv, item 'b': all 4 values are missing",
    ),
    "no item": ("t.csv", LONG + ",2024-01-07,1\n", {}, "t.csv, row 8: column 'item_id' is empty"),
    "empty": ("t.csv", "", {}, "t.csv is empty"),
    "header": ("t.csv", "item_id,timestamp,x\n", {}, "t.csv has a header but no rows"),
    "no values": ("t.csv", "item_id,timestamp\na,2024-01-01\n", {}, "has no column of values beside item and time"),
    "no column": ("t.csv", LONG, {"target": "y"}, "t.csv has no column 'y'; .*known: item_id, timestamp, x"),
    "no id": (
        "t.csv",
        "date,x\n2024-01-01,1\n",
        {"layout": "long"},
        "no column 'item_id' that names the items; found: date, x",
    ),
    "asked id": ("t.csv", LONG, {"id_column": "store"}, "t.csv has no id column 'store'; known: item_id"),
    "asked time": (
        "t.csv",
        "x,z\n1,2\n",
        {"timestamp_column": "when"},
        "t.csv has no timestamp column 'when'; known: x",
    ),
    "two times": ("t.csv", "date,time,x\n2024-01-01,1,2\n", {}, "date, time could each be the timestamp"),
    "clash": (
        "t.csv",
        LONG,
        {"target": ["x"], "static": ["x"]},
        "'x' is asked for as target and as item, time or static",
    ),
    "ragged": ("t.csv", LONG + "a,2024-01-07,1,2,3\n", {}, "t.csv, row 8: found 5 cells, expected 3 as in the header"),
    "long rows": ("t.csv", "date,x\n2024-01-01,1,2\n2024-01-02,1,2\n", {}, "row 2: found 3 cells, expected 2"),
    "irregular": (
        "t.csv",
        "date,x\n2024-01-01,1\n2024-01-03,2\n2024-01-06,3\n2024-02-13,4\n",
        {},
        "t.csv, item 't' has no dominating time step",
    ),
    "off grid": (
        "t.csv",
        LONG + "a,2024-01-07 05:00,1\n",
        {},
        "row 8: timestamp 2024-01-07 05:00:00 is not on the D grid",
    ),
    "one point": ("t.csv", "date,x\n2024-01-01,1\n", {}, "item 't' has 1 different timestamp.*give freq"),
    "parquet": ("t.parquet", "PAR1 this is not", {}, "t.parquet cannot be read.*damaged or cut short"),
    "gzip": ("t.csv.gz", "not gzip", {}, "t.csv.gz cannot be read"),
    "ending": ("t.docx", "x", {}, "has an ending tsfm does not read; known: .csv"),
    "tsf header": ("t.tsf", "T1:1,2\n", {}, "t.tsf, row 1: expected an @ line before @data"),
    "tsf freq": ("t.tsf", "@attribute series_name string\n@data\nT1:1,2\n", {}, "no @frequency tsfm knows"),
    "tsf cell": (
        "t.tsf",
        TSF.format(frequency="daily") + "T3:1980-01-01 00-00-00:WA:4,x\n",
        {},
        "item 'T3', row 11: .*'x'",
    ),
    "tsf parts": (
        "t.tsf",
        TSF.format(frequency="daily") + "T3:4,5\n",
        {},
        "row 11: 2 parts between colons; expected 3",
    ),
    "tsf stamp": (
        "t.tsf",
        TSF.format(frequency="daily") + "T3:soon:WA:4\n",
        {},
        "row 11: start_timestamp 'soon' cannot",
    ),
    "tsf empty": ("t.tsf", "@frequency daily\n@data\n", {}, "t.tsf has no series after @data"),
    "ts cut": ("t.ts", "@univariate true\n", {}, "t.ts has no @data line"),
    "ts ragged": (
        "t.ts",
        "@classLabel true 0\n@data\n1,2:1:0\n",
        {},
        r"item 't/0', row 3: dimensions have \[2, 1\] steps",
    ),
    "ts sign": ("t.ts", "@univariate true\n@\n@data\n1,2\n", {}, "t.ts, row 2: an @ without a word"),
    "ts stamps": ("t.ts", "@timestamps true\n@data\n(0,1),3\n", {}, "dimension 0 is .*expected .timestamp,value"),
    "freq": ("t.csv", LONG, {"freq": "fortnight"}, "frequency 'fortnight' is not known"),
    "layout": ("t.csv", LONG, {"layout": "tall"}, "layout is 'tall'; it is one of auto, long, wide"),
    "grid": ("t.csv", LONG, {"grid": "nearest"}, "grid is 'nearest'; it is one of fill, keep"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_leaves_nothing(tmp_path, name):
    file, content, rules, message = BAD[name]
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        ingest(tmp_path / file, tmp_path / "s", progress=False, **rules)
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_more_bad_input(tmp_path):
    table = long_table()
    with pytest.raises(FileNotFoundError, match=r"no file matches"):
        ingest(str(tmp_path / "*.csv"), tmp_path / "s")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing.csv"):
        ingest(tmp_path / "nothing.csv", tmp_path / "s")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is a folder; say which files with a glob"):
        ingest(tmp_path / "empty", tmp_path / "s")
    with pytest.raises(ValueError, match="list of sources is empty"):
        ingest([], tmp_path / "s")
    with pytest.raises(ValueError, match="static column 'kind' changes from 'k0' to 'z'"):
        ingest(table.assign(kind=["k0", "z"] + ["k0"] * 85), tmp_path / "s", static="kind", progress=False)
    with pytest.raises(ValueError, match="holds dates, not numbers"):
        ingest(table.assign(when=table["timestamp"]).drop(columns="kind"), tmp_path / "s", progress=False)
    with pytest.raises(ValueError, match="column 'a' occurs twice"):
        ingest(table.rename(columns={"b": "a"}), tmp_path / "s", progress=False)
    with pytest.raises(ValueError, match=r"has 1 channel\(s\), the files before it 2"):
        ingest([table.drop(columns="kind"), table[["item_id", "timestamp", "a"]]], tmp_path / "s", progress=False)
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text("date,x\n2024-01-01,1\n2024-01-02,1\n2024-01-03,1\n")
    with pytest.raises(ValueError, match=r"x/t.csv and .*y/t.csv would both be item 't'"):
        ingest(str(tmp_path / "?" / "t.csv"), tmp_path / "s", progress=False)
    table.to_parquet(tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"cut.parquet cannot be read"):
        ingest(tmp_path / "cut.parquet", tmp_path / "s", progress=False)
    with gzip.open(tmp_path / "cut.csv.gz", "wt") as file:
        table.to_csv(file)
    (tmp_path / "cut.csv.gz").write_bytes((tmp_path / "cut.csv.gz").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"cut.csv.gz cannot be read"):
        ingest(tmp_path / "cut.csv.gz", tmp_path / "s", progress=False)
    assert not (tmp_path / "s").exists()


def test_a_full_disk_while_regrouping_leaves_nothing(tmp_path, monkeypatch):
    table = long_table().sort_values(["timestamp", "item_id"]).drop(columns="kind")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(regroup.Regroup, "add", full)
    with pytest.raises(OSError, match="the disk is full"):
        ingest(table, tmp_path / "s", progress=False)
    monkeypatch.setattr(shards.pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="the disk is full"):
        ingest(table.sort_values(["item_id", "timestamp"]), tmp_path / "s", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_store_is_kept_without_overwrite(tmp_path):
    table = long_table().drop(columns="kind")
    ingest(table, tmp_path / "s", progress=False)
    with pytest.raises(FileExistsError, match="use overwrite=True"):
        ingest(table, tmp_path / "s", progress=False)
    assert ingest(table.head(20), tmp_path / "s", progress=False, overwrite=True).steps == 20


@pytest.mark.parametrize("freq", ["B", "W-MON", "MS", "D", "12h", "h"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Sydney"])
def test_local_days_are_on_a_local_grid(tmp_path, zone, freq):
    times = pd.date_range("2023-06-01", periods=200, freq=freq, tz=zone)
    _, store = made(pd.DataFrame({"timestamp": times, "x": np.arange(200.0)}), tmp_path / "s")
    assert (store.freqs, store.lengths.tolist(), store.manifest.timezone) == ([freq], [200], zone)
    local = times.tz_localize(None) if freq not in ("h", "12h") else times.tz_convert("UTC").tz_localize(None)
    assert store.starts[0] == local[0].to_datetime64()


def test_numbered_steps_and_nanoseconds(tmp_path):
    _, store = made(pd.DataFrame({"timestamp": range(5, 50), "x": np.arange(45.0)}), tmp_path / "steps")
    assert (store.freqs, store.starts[0].astype(np.int64)) == (["1"], 5)
    times = pd.date_range("2024-01-01", periods=100, freq="33333333ns")
    _, store = made(pd.DataFrame({"timestamp": times, "x": np.arange(100.0)}), tmp_path / "nanos")
    assert (store.freqs, store.lengths.tolist()) == (["33333333ns"], [100])
