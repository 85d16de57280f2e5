"""Laws of reading and writing DataFrames: what comes in goes out, assumptions are announced, what is wrong is named."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd
import pytest

from tsfm.infer.frames import read_frame, write_frame
from tsfm.infer.series_input import read_series


def panel(items=("b", "a"), *, steps: int = 20, freq: str = "h", start: str = "2024-01-01") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for item in items:
        times = pd.date_range(start, periods=steps, freq=freq)
        parts.append(pd.DataFrame({"item_id": item, "timestamp": times, "target": rng.normal(size=steps)}))
    return pd.concat(parts, ignore_index=True)


def future_rows(df: pd.DataFrame, *, steps: int = 3, freq: str = "h", **columns) -> pd.DataFrame:
    """The `steps` rows after the end of each item."""
    parts = []
    for item, rows in df.groupby("item_id", sort=False):
        times = pd.date_range(rows["timestamp"].max(), periods=steps + 1, freq=freq)[1:]
        parts.append(pd.DataFrame({"item_id": item, "timestamp": times, **columns}))
    return pd.concat(parts, ignore_index=True)


def read(df, **options):
    return read_frame(df, **{"prediction_length": 3, **options})


class TestRoundTrip:
    @pytest.mark.parametrize("freq", ["15min", "h", "D", "B", "W-SUN", "MS", "ME", "QS-OCT", "YS"])
    def test_the_last_rows_come_back(self, freq):
        """Cut a frame, forecast its own tail, and it is the frame that was cut."""
        df = panel(freq=freq, steps=30)
        head = df.groupby("item_id", sort=False).head(27)
        tail = df.groupby("item_id", sort=False).tail(3).reset_index(drop=True)
        frame = read(head)
        out = write_frame(frame, tail["target"].to_numpy().reshape(2, 1, 3))
        assert out["timestamp"].tolist() == tail["timestamp"].tolist()
        assert out["item_id"].tolist() == ["b"] * 3 + ["a"] * 3
        assert out["predictions"].tolist() == tail["target"].tolist()
        assert list(out.columns) == ["item_id", "timestamp", "target_name", "predictions"]
        assert not frame.announcements

    def test_values_are_kept(self):
        df = panel()
        for item, (_, rows) in zip(read(df), df.groupby("item_id", sort=False), strict=True):
            assert np.array_equal(item.values[0], rows["target"].to_numpy(np.float32))
            assert item.start == rows["timestamp"].iloc[0].to_datetime64()
            assert item.values.dtype == np.float32

    @pytest.mark.parametrize(
        "ids", [np.array([7, 3]), np.array([7, 3], np.int8), ["x", "a"], pd.Categorical(["x", "a"]), [2.5, 1.5]]
    )
    def test_ids_keep_their_dtype_and_order(self, ids):
        df = panel(("p", "q"))
        df["item_id"] = pd.Series(ids).repeat(20).to_numpy() if not isinstance(ids, pd.Categorical) else ids.repeat(20)
        out = write_frame(read(df), np.zeros((2, 1, 3)))
        assert out["item_id"].dtype == df["item_id"].dtype
        assert out["item_id"].unique().tolist() == list(pd.unique(df["item_id"]))

    def test_levels_become_columns(self):
        quantiles = np.arange(2.0 * 2 * 3 * 3).reshape(2, 2, 3, 3)
        df = panel().assign(second=1.0)
        out = write_frame(read(df, target=["target", "second"]), np.zeros((2, 2, 3)), quantiles, (0.025, 0.1, 0.9))
        assert list(out.columns[-3:]) == ["0.025", "0.1", "0.9"]
        assert out["target_name"].tolist() == (["target"] * 3 + ["second"] * 3) * 2
        assert out["0.1"].tolist() == quantiles[..., 1].ravel().tolist()

    def test_rows_of_items_may_be_mixed(self):
        df = panel()
        mixed = df.sort_values("timestamp", kind="stable")
        for item, expected in zip(read(mixed), read(df), strict=True):
            assert np.array_equal(item.values, expected.values)
        assert not read(mixed).announcements

    @pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+05:30"])
    @pytest.mark.parametrize("freq", ["h", "D", "MS"])
    def test_a_zone_is_kept(self, zone, freq):
        """Across the change to summer time: hours are regular in UTC, days in local time."""
        times = pd.date_range("2024-03-25", periods=300, freq=freq, tz=zone)
        df = pd.DataFrame({"item_id": "a", "timestamp": times, "target": np.arange(300.0)})
        frame = read(df.iloc[:297])
        out = write_frame(frame, np.zeros((1, 1, 3)))
        assert not np.isnan(frame.series[0].values).any()
        assert out["timestamp"].tolist() == df["timestamp"].tolist()[-3:]
        assert out["timestamp"].dtype == df["timestamp"].dtype

    @pytest.mark.parametrize("unit", ["s", "us", "ns"])
    def test_the_resolution_is_kept(self, unit):
        df = panel()
        df["timestamp"] = df["timestamp"].astype(f"datetime64[{unit}]")
        assert write_frame(read(df), np.zeros((2, 1, 3)))["timestamp"].dtype == df["timestamp"].dtype


class TestAnnounced:
    def announced(self, df, text, caplog, **options):
        with caplog.at_level(logging.INFO, logger="tsfm"):
            frame = read(df, **options)
        assert any(text in note for note in frame.announcements), frame.announcements
        assert text in caplog.text
        return frame

    def test_gaps_are_missing_steps(self, caplog):
        df = panel().drop(index=[5, 6, 30])
        frame = self.announced(df, "3 steps without a row are taken as missing", caplog)
        assert np.isnan(frame.series[0].values[0, 5:7]).all()
        assert frame.series[0].values.shape == (1, 20)

    def test_no_id_column_is_one_series(self, caplog):
        frame = self.announced(panel(("a",)).drop(columns="item_id"), "all rows are one series, '0'", caplog)
        assert write_frame(frame, np.zeros((1, 1, 3)))["item_id"].tolist() == ["0"] * 3

    def test_steps_that_float32_can_not_tell_apart(self, caplog):
        df = panel()
        assert not read(df.assign(target=df["target"] + 1000), centre=True).announcements
        high = df.assign(target=df["target"].astype(float) + 1e9)
        frame = self.announced(high, "a constant is subtracted from 2 items", caplog, centre=True)
        item, values = frame.series[0], high["target"].to_numpy()[:20]
        assert item.values.tolist() == [(values - np.median(values)).astype(np.float32).tolist()]
        assert np.allclose(item.original[0], values, rtol=0, atol=1e-6)
        counter = np.random.default_rng(0).integers(1, 5, len(df)).cumsum() + 400_000_000
        self.announced(df.assign(target=counter), "a constant is subtracted", caplog, centre=True)
        read_series(np.sin(np.arange(90.0)) + 1e8)
        assert "series 0: 89 of 89 changes between steps are too small for float32" in caplog.text

    def test_other_known_names(self, caplog):
        df = panel().rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
        frame = self.announced(df, "'unique_id' is read as the item id", caplog)
        assert len(frame.announcements) == 3
        assert frame.targets == ["y"]

    def test_other_known_names_are_ignored_where_ours_are_there(self):
        assert read(panel().assign(y=1.0)).targets == ["target"]

    def test_unsorted_rows_are_sorted(self, caplog):
        df = panel()
        frame = self.announced(df.iloc[::-1], "2 items (first 'a') are not in time order; sorted", caplog)
        assert np.array_equal(frame.series[1].values, read(df).series[0].values)

    def test_a_datetime_index(self, caplog):
        df = panel(("a",)).drop(columns="item_id").set_index("timestamp")
        df.index.name = None
        frame = self.announced(df, "the DatetimeIndex is read as the timestamp", caplog)
        assert np.array_equal(frame.series[0].values, read(panel(("a",))).series[0].values)

    def test_index_levels_of_the_right_names(self, caplog):
        df = panel().set_index(["item_id", "timestamp"])
        frame = self.announced(df, "index 'item_id', 'timestamp' is read as a column", caplog)
        assert frame.ids.tolist() == ["b", "a"]

    def test_text_is_parsed(self, caplog):
        df = panel(freq="D")
        df["timestamp"] = df["timestamp"].dt.strftime("%Y-%m-%d")
        assert self.announced(df, "is text, read as timestamps", caplog).series[0].freq == "D"

    def test_text_with_and_without_hours(self, caplog):
        df = panel()
        df["timestamp"] = [str(t.date()) if t.hour == 0 else str(t) for t in df["timestamp"]]
        assert self.announced(df, "is text", caplog).series[0].freq == "h"

    def test_periods(self, caplog):
        df = panel(freq="MS")
        df["timestamp"] = df["timestamp"].dt.to_period("M")
        assert self.announced(df, "are read as their first moment", caplog).series[0].freq == "MS"

    def test_columns_that_are_not_numeric(self, caplog):
        frame = self.announced(panel().assign(colour="red"), "not used, because not numeric: colour", caplog)
        assert (frame.targets, frame.past_names, frame.known_names) == (["target"], [], [])

    def test_a_short_item_takes_the_frequency_of_the_others(self, caplog):
        frame = self.announced(panel().drop(index=range(21, 40)), "1 items are too short to show a frequency", caplog)
        assert [item.freq for item in frame] == ["h", "h"]


class TestCovariates:
    def test_known_and_past(self):
        df = panel().assign(price=np.arange(40.0), noise=1)
        future = future_rows(df, price=[100.0, 101, 102])
        frame = read(df, future_df=future.iloc[::-1])
        assert (frame.past_names, frame.known_names) == (["noise"], ["price"])
        assert frame.series[1].known[0].tolist() == [*range(20, 40), 100, 101, 102]
        assert frame.series[1].past.shape == (1, 20)
        assert read(df).past_names == ["price", "noise"]

    def test_unused_future_rows_and_columns_are_announced(self):
        df = panel().assign(price=1.0)
        future = pd.concat([future_rows(df, steps=5, price=2.0, colour="red"), future_rows(panel(("z",)), price=3.0)])
        frame = read(df, future_df=future)
        assert any("4 rows beyond the 3 requested steps" in note for note in frame.announcements)
        assert any("3 rows of items that are not in df" in note for note in frame.announcements)
        assert any("no such numeric column: colour" in note for note in frame.announcements)
        assert frame.series[0].known[0, -3:].tolist() == [2, 2, 2]

    def test_categorical_ids(self):
        df = panel().assign(price=1.0)
        df["item_id"] = pd.Categorical(df["item_id"])
        assert read(df, future_df=future_rows(panel(), price=2.0)).known_names == ["price"]

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda f: f[f["item_id"] != "a"], "future_df has no rows for item 'a'; give it 3 rows from 2024-01-01 20"),
            (
                lambda f: f.drop(index=4),
                "does not continue item 'a': it lacks 1 of 3 steps, the first is 2024-01-01 21",
            ),
            (lambda f: f.assign(timestamp=f["timestamp"] + pd.Timedelta("2h")), "it lacks 2 of 3 steps, the first is"),
            (lambda f: f.assign(timestamp=f["timestamp"] - pd.Timedelta("9h")), "it lacks 3 of 3 steps, the first is"),
            (lambda f: f.assign(price=[1, 2, 3, 4, np.nan, 6]), "covariate of item 'a' is missing in row 4"),
            (lambda f: f.assign(price="dear"), "covariate column 'price' is"),
            (lambda f: f.assign(item_id="z"), "no id of future_df (such as 'z') is in df (such as 'b')"),
            (lambda f: f.drop(columns="item_id"), "one of df and future_df has an id column"),
            (lambda f: f.drop(columns="timestamp"), "only one of df and future_df has a timestamp column"),
            (lambda f: f.iloc[:0], "future_df is empty"),
            (lambda f: pd.concat([f, f]), "future_df: item 'b' has 2024-01-01 20:00:00 twice"),
            (
                lambda f: f.assign(timestamp=f["timestamp"].dt.tz_localize("UTC")),
                "is in the time zone UTC, and an earlier timestamp has no time zone",
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, change, text):
        df = panel().assign(price=1.0)
        with pytest.raises(ValueError, match=re.escape(text)):
            read(df, future_df=change(future_rows(df, price=2.0)))


def _with(column, value, row=None):
    def change(df):
        out = df.copy()
        out[column] = out[column].astype(object) if isinstance(value, str) else out[column]
        out.loc[slice(None) if row is None else row, column] = value
        return out

    return change


BAD = {
    "no timestamp column": (lambda d: d, {"timestamp_column": "timestmp"}, "did you mean 'timestamp'?"),
    "no target": (lambda d: d.assign(target="red"), {}, "row 0 holds 'red'; expected numbers"),
    "no numeric column": (
        lambda d: d.rename(columns={"target": "colour"}).assign(colour="red"),
        {},
        "df has no target column 'target'",
    ),
    "several numeric columns": (
        lambda d: d.rename(columns={"target": "sales"}).assign(price=1.0),
        {},
        "df has no target column 'target'; the numeric columns are sales, price. Name one or several with target=",
    ),
    "target is None": (lambda d: d, {"target": None}, "target is None; name the target column"),
    "no such target": (lambda d: d, {"target": ["targt"]}, "did you mean 'target'?"),
    "no such id": (lambda d: d, {"id_column": "item"}, "Name it with id_column="),
    "target is the id": (lambda d: d, {"target": "item_id"}, "none of them the id or timestamp"),
    "target twice": (lambda d: d, {"target": ["target", "target"]}, "one or more different columns"),
    "no frame": (lambda d: d["target"], {}, "df is a pandas Series; expected a DataFrame of pandas"),
    "empty": (lambda d: d.iloc[:0], {}, "df is empty (0 rows, 3 columns)"),
    "same names": (lambda d: pd.concat([d, d[["target"]]], axis=1), {}, "columns that share a name: target"),
    "text target": (_with("target", "abc", 3), {}, "row 3 holds 'abc'"),
    "infinite": (_with("target", np.inf, 25), {}, "holds inf in row 25 (1 such rows)"),
    "too large": (_with("target", 1e39, 2), {}, "beyond float32"),
    "all missing": (_with("target", np.nan, range(20, 40)), {}, "item 'a' has no observed value in 'target'"),
    "no id in a row": (_with("item_id", None, 7), {}, "the id column 'item_id' is missing in row 7"),
    "no timestamp in a row": (
        _with("timestamp", pd.NaT, 9),
        {},
        "'timestamp' in row 9 is missing (1 such rows)",
    ),
    "number timestamps": (
        lambda d: d.assign(timestamp=[k + 0.5 for k in range(40)]),
        {},
        "is the number 0.5; expected years",
    ),
    "text that is not a timestamp": (_with("timestamp", "soon", 11), {}, "in row 11 is 'soon', not a timestamp"),
    "one point": (lambda d: d.iloc[[0]], {}, "its frequency cannot be inferred; pass freq="),
    "two points": (lambda d: d.iloc[[0, 1]], {}, "its frequency cannot be inferred; pass freq="),
    "unknown freq": (lambda d: d, {"freq": "often"}, "frequency 'often' is not known"),
    "off the grid": (lambda d: d, {"freq": "D"}, "is not on the D grid that starts at"),
    "horizon 0": (lambda d: d, {"prediction_length": 0}, "prediction_length is 0; expected at least 1 step"),
    "horizon 2.5": (lambda d: d, {"prediction_length": 2.5}, "2.5 (float); expected a whole number of steps"),
    "horizon True": (lambda d: d, {"prediction_length": True}, "expected a whole number"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name):
    change, options, text = BAD[name]
    with pytest.raises(ValueError, match=re.escape(text)):
        read(change(panel()), **options)


def test_duplicates_name_item_and_row():
    df = pd.concat([panel(), panel().iloc[[25]]], ignore_index=True)
    with pytest.raises(ValueError, match=re.escape("item 'a' has 2024-01-01 05:00:00 twice, again in row 40; 1 such")):
        read(df)
    with pytest.raises(ValueError, match="no id column was found"):
        read(panel().drop(columns="item_id"))


@pytest.mark.parametrize(
    "values",
    [
        ["2024-01-01T00:00:00+01:00", "2024-01-01T01:00:00+02:00", "2024-01-01T03:00:00"],
        [pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-02", tz="Asia/Tokyo"), pd.Timestamp("2024-01-03")],
    ],
)
def test_mixed_time_zones(values):
    df = pd.DataFrame({"item_id": "a", "timestamp": pd.Series(values, dtype=object), "target": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="rows with and without a time zone are mixed"):
        read(df)


def test_one_point_with_a_frequency_is_enough():
    frame = read(panel(("a",)).iloc[[0]], freq="W")
    assert write_frame(frame, np.zeros((1, 1, 3)))["timestamp"].diff().iloc[1] == pd.Timedelta("7D")


@pytest.mark.parametrize("dtype", ["int64", "Int64", "Float64", "bool", "float32", object])
def test_every_kind_of_number_is_read(dtype):
    df = panel(("a",)).assign(target=pd.Series([0, 1] * 10).astype(dtype))
    assert read(df).series[0].values[0].tolist() == [0.0, 1.0] * 10


def test_missing_values_of_every_kind_are_nan():
    for values in ([None, 1.0, 2.0], pd.array([None, 1, 2], dtype="Int64"), pd.Series([None, 1, 2], dtype=object)):
        df = panel(("a",), steps=3).assign(target=values)
        assert np.array_equal(read(df).series[0].values[0], [np.nan, 1, 2], equal_nan=True)


def test_the_frame_given_is_not_changed():
    df = panel().drop(columns="item_id").iloc[:20][::-1]
    before = df.copy()
    read(df)
    pd.testing.assert_frame_equal(df, before)
