"""Columns are chosen by the same rules at every door: by names, by what they hold, from the index, or rows numbered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.doors import COMMANDS, FRAME_DOORS, HORIZON, command, model, save_models
from tests.test_read_options import plain
from tsfm.bench.predictors import find_predictor

Change = Callable[[pd.DataFrame], pd.DataFrame]
SAME: dict[str, Change] = {  # the same table in other layouts
    "usual names": lambda df: df.rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"}),
    "capitals": lambda df: df.rename(columns={"item_id": "ID", "timestamp": "Date", "target": "Value"}),
    "the only column of dates": lambda df: df.rename(columns={"timestamp": "period_start"}),
    "the only text that is dates": lambda df: df.assign(timestamp=df["timestamp"].astype(str)).rename(
        columns={"timestamp": "Tag"}
    ),
    "the only other text": lambda df: df.rename(columns={"item_id": "shop"}),
    "the only numbers": lambda df: df.rename(columns={"target": "sold"}),
    "index of dates": lambda df: df.set_index("timestamp").rename_axis(None),
    "index of text that is dates": lambda df: df.assign(timestamp=df["timestamp"].astype(str)).set_index("timestamp"),
    "index of dates of another name": lambda df: df.set_index("timestamp").rename_axis("when"),
    "index of items and dates": lambda df: df.set_index(["item_id", "timestamp"]),
    "index of items and dates without names": lambda df: df.set_index(["item_id", "timestamp"]).rename_axis(
        [None, None]
    ),
    "index of dates and items of other names": lambda df: df.set_index(["timestamp", "item_id"]).rename_axis(
        ["t", "i"]
    ),
    "index of items": lambda df: df.set_index("item_id"),
}


@pytest.mark.parametrize("door", ["predict_df", "impute_df", "fit_df", "draw", "ingest"])
@pytest.mark.parametrize("layout", SAME)
def test_another_layout_is_the_same(layout: str, door: str, tmp_path: Path) -> None:
    expected = FRAME_DOORS[door](plain(), tmp_path)
    np.testing.assert_array_equal(FRAME_DOORS[door](SAME[layout](plain()), tmp_path), expected)


@pytest.mark.parametrize("door", FRAME_DOORS)
def test_without_a_time_column_rows_are_numbered(door: str, tmp_path: Path) -> None:
    df = plain()
    numbered = df.assign(timestamp=df.groupby("item_id").cumcount())
    expected = FRAME_DOORS[door](numbered, tmp_path)
    np.testing.assert_array_equal(FRAME_DOORS[door](df.drop(columns="timestamp"), tmp_path), expected)
    np.testing.assert_array_equal(FRAME_DOORS[door](df, tmp_path, timestamp_column=None), expected)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_without_a_time_column(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_models(tmp_path)
    df = plain()
    df.assign(timestamp=df.groupby("item_id").cumcount()).to_csv("numbered.csv", index=False)
    df.drop(columns="timestamp").to_csv("plain.csv", index=False)
    expected = command(name, "numbered.csv", tmp_path, caplog)
    np.testing.assert_array_equal(command(name, "plain.csv", tmp_path, caplog), expected)


def test_steps_come_back_and_are_announced() -> None:
    df = plain().drop(columns="timestamp")
    out = model("steps").predict_df(df, 2)
    assert out["timestamp"].tolist() == [160, 161, 160, 161]
    assert (
        "df: without a timestamp column the rows of each item are numbered 0, 1, 2, ..." in out.attrs["announcements"]
    )


def test_the_season_of_numbered_steps_is_that_of_freq() -> None:
    values = 10.0 + np.arange(70) % 7
    naive = find_predictor("seasonal_naive")
    out = naive.predict_df(pd.DataFrame({"sold": values}), 7, freq="D")
    assert out["timestamp"].tolist() == [*range(70, 77)]
    assert out["predictions"].tolist() == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0]
    steps = naive.predict_df(pd.DataFrame({"step": range(70), "sold": values}), 7, freq="D")
    assert steps["predictions"].tolist() == out["predictions"].tolist()


def test_the_future_of_numbered_rows_continues_them() -> None:
    df = plain().drop(columns="timestamp").assign(price=np.arange(320) % 5)
    future = pd.DataFrame({"item_id": np.repeat(["007", "Köln"], HORIZON), "price": np.arange(2 * HORIZON) % 5})
    out = model("steps").predict_df(df, HORIZON, future)
    counted = df.assign(timestamp=df.groupby("item_id").cumcount())
    later = future.assign(timestamp=160 + future.groupby("item_id").cumcount())
    pd.testing.assert_frame_equal(out, model("steps").predict_df(counted, HORIZON, later))
    with pytest.raises(ValueError, match="only one of df and future_df has a timestamp column"):
        model("steps").predict_df(counted, HORIZON, future)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"begin": "M8[us]", "end": "M8[us]"},
            "begin, end could each be the timestamp; name it with timestamp_column=",
        ),
        ({"ds": "M8[us]", "date": "M8[us]"}, None),
        ({"date": "M8[us]", "time": "M8[us]"}, "date, time could each be the timestamp"),
    ],
)
def test_several_columns_of_dates(columns: dict[str, str], message: str | None, tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=40)
    df = pd.DataFrame({"y": np.arange(40.0)} | {name: days + pd.Timedelta(i, "D") for i, name in enumerate(columns)})
    if message is None:
        assert model("steps").predict_df(df, 1)["ds"].tolist() == [pd.Timestamp("2024-02-10")]
        return
    for door in ("predict_df", "ingest", "fit_df"):
        with pytest.raises(ValueError, match=message):
            FRAME_DOORS[door](df, tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("Year", range(1950, 1990), pd.Timestamp("1990-01-01")),
        ("step", range(5, 45), 45),
        ("month", [1 + k % 12 for k in range(40)], 40),  # a covariate: the rows are numbered
        ("hour", [k % 24 for k in range(40)], 40),
        ("price", range(1950, 1990), 40),
    ],
)
def test_numbers_that_count_periods_are_the_time(column: str, values: range, expected: object) -> None:
    df = pd.DataFrame({column: values, "y": np.arange(40.0)})
    out = model("steps").predict_df(df, 1)
    assert out.iloc[0, 1] == expected


def test_wide_frames() -> None:
    days = pd.date_range("2024-01-01", periods=80)
    wide = pd.DataFrame({"a": np.arange(80.0), "b": np.arange(80.0)[::-1]}, index=days)
    out = model("steps").predict_df(wide, 2)
    assert out["target_name"].tolist() == ["a", "a", "b", "b"]
    assert out["timestamp"].tolist() == 2 * [pd.Timestamp("2024-03-21"), pd.Timestamp("2024-03-22")]
    named = wide.rename_axis(columns="shop")
    pd.testing.assert_frame_equal(model("steps").predict_df(named, 2), out)


@pytest.mark.parametrize("door", FRAME_DOORS)
@pytest.mark.parametrize("dtype", [object, "category", "string[pyarrow]"])
def test_item_ids_with_a_nul_character(door: str, dtype: Any, tmp_path: Path) -> None:
    """pandas ends text at a NUL character, so that two items became one."""
    df = plain()
    df["item_id"] = df["item_id"].replace({"Köln": "a\0b", "007": "a"}).astype(dtype)
    with pytest.raises(ValueError, match="with a NUL character; rename the item"):
        FRAME_DOORS[door](df, tmp_path)
