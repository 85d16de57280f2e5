"""Laws of steps and grids: what stamps() makes, infer_freq() names, and regular_grid() puts every row on its stamp."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.timestamps.frequency import (
    base_freq,
    gift_season_length,
    infer_freq,
    make_timestamps,
    parse_freq,
    regular_grid,
    season_length,
)
from tsfm.timestamps.offsets import default_start

ALIASES = [
    "s",
    "10s",
    "min",
    "15min",
    "h",
    "2h",
    "D",
    "W-SUN",
    "W-WED",
    "2W-MON",
    "MS",
    "ME",
    "2MS",
    "QS-OCT",
    "QE-DEC",
]
ALIASES += ["QS-DEC", "YS", "YE", "YS-JUL", "YE-JUN", "ms", "25D"]


@pytest.mark.parametrize("freq", [*ALIASES, "B"])
def test_stamps_are_those_of_pandas(freq):
    expected = pd.date_range("2000-01-03", periods=60, freq=freq).to_numpy("datetime64[us]")
    timestamps = make_timestamps(expected[0], freq, 60)
    assert timestamps.dtype == "datetime64[us]"
    assert (timestamps == expected).all()
    assert infer_freq(timestamps) == freq


@pytest.mark.parametrize("freq", ALIASES)
@settings(max_examples=15, deadline=None)
@given(kept=st.sets(st.integers(1, 79), min_size=55))
def test_gaps_change_neither_the_frequency_nor_the_place_of_a_value(freq, kept):
    index = np.array([0, *sorted(kept)])
    times = make_timestamps(default_start(freq), freq, 80)
    assert infer_freq(times[index]) == freq
    start, values, inserted, moved, _ = regular_grid(
        times[index], np.stack([index, -index], axis=1), freq=freq, item="a"
    )
    assert (start, moved) == (times[0], 0)
    assert values.dtype == np.float32
    assert values.shape == (2, index[-1] + 1)
    assert inserted == values.shape[1] - len(index)
    assert np.array_equal(values[0, index], index.astype(np.float32))
    assert np.isnan(np.delete(values, index, axis=1)).all()


def test_years_beyond_nanoseconds_keep_their_day():
    times = make_timestamps(np.datetime64("1791-12-28T12:00"), "YS", 1005)
    assert str(times[-1]) == "2795-12-28T12:00:00.000000"
    assert infer_freq(times) == "YS-DEC"
    assert regular_grid(times, np.arange(1005.0), freq="YS-DEC", item="a").inserted == 0


def test_stamps_about_the_start_of_the_month_are_on_the_grid():
    times = np.datetime64("2000-01-01", "us") + (np.arange(120) * 30.4375).astype("m8[D]")
    assert infer_freq(times) == "MS"
    assert regular_grid(times, np.arange(120.0), freq="MS", item="a").values.shape == (1, 120)


def test_business_days_have_no_weekend_gaps():
    days = pd.bdate_range("2024-01-01", periods=40)
    assert infer_freq(days) == "B"
    assert regular_grid(days.delete(7), np.arange(39.0), freq="B", item="a").inserted == 1
    assert base_freq("B") == base_freq("D")


def test_seasons():
    natural = {"h": 24, "30min": 48, "2h": 12, "min": 1440, "D": 7, "B": 5, "W-SUN": 52, "MS": 12, "QS-OCT": 4, "YS": 1}
    assert {freq: season_length(freq) for freq in natural} == natural
    gift = {"H": 24, "M": 12, "Q": 4, "D": 1, "W": 1, "A": 1, "15T": 96, "10T": 144, "5T": 288, "10S": 360, "7h": 1}
    assert {freq: gift_season_length(freq) for freq in gift} == gift


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2024-01-01", "2024-01-02"], r"f.csv, item 'a' has 2 different timestamp.*give freq"),
        (["2024-01-01", "2024-01-03", "2024-01-06", "2024-02-13"], "no dominating time step: the most common, 2 D"),
    ],
)
def test_no_frequency_names_the_item(times, message):
    with pytest.raises(ValueError, match=message):
        infer_freq(np.array(times, dtype="datetime64[us]"), item="a", file="f.csv")


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2024-01-01", "2024-01-02", "2024-01-02"], r"item 'a', row 13: .* occurs twice \(before in row 12\)"),
        (["2024-01-01", "2024-01-03", "2024-01-02"], r"row 13: timestamp 2024-01-02 follows 2024-01-03; sort"),
        (
            ["2024-01-01", "2024-01-02T05:00", "2024-01-03"],
            r"row 12: timestamp 2024-01-02 05:00:00 is not on the D grid",
        ),
        (
            ["2024-01-01", "2024-01-02", "9999-01-02"],
            r"row 13: timestamp 9999-01-02, after .*would make 2\d+ steps of 3",
        ),
    ],
)
def test_rows_beside_the_grid_are_named(times, message):
    with pytest.raises(ValueError, match=message):
        regular_grid(np.array(times, dtype="datetime64[us]"), np.zeros(3), freq="D", item="a", rows=11)


@pytest.mark.parametrize("freq", ["fortnight", "0h", "W-JAN", "m", ""])
def test_unknown_alias(freq):
    with pytest.raises(ValueError, match="is not known; use an alias"):
        parse_freq(freq)
