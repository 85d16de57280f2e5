"""Frequencies of every kind: names and objects, inference, continuation, and timestamps beside the grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsfm.timestamps.calendars import make_timestamps
from tsfm.timestamps.frequency import describe_moves, grid_index, infer_freq, regular_grid, season_length
from tsfm.timestamps.offsets import default_start
from tsfm.timestamps.steps import parse_freq

SIX_DAYS = pd.offsets.CustomBusinessDay(weekmask="Mon Tue Wed Thu Fri Sat")
OFFSETS = {  # frequency -> how pandas makes it, and the season
    **{name: (name, 12) for name in ("BMS", "BME", "WOM-3FRI")},
    **{
        "BQS-OCT": ("BQS-OCT", 4),
        "BQE-DEC": ("BQE-DEC", 4),
        "BYS": ("BYS", 1),
        "BYE": ("BYE", 1),
        "BYE-JUN": ("BYE-JUN", 1),
    },
    **{"SMS-15": ("SMS", 24), "SME-15": ("SME", 24), "WOM-LMON": (pd.offsets.LastWeekOfMonth(weekday=0), 12)},
    **{
        "C-1111110": (SIX_DAYS, 6),
        "33333333ns": ("33333333ns", 1),
        "100ns": ("100ns", 1),
        "3906250ns": ("3906250ns", 1),
    },
    "C-1111001": (pd.offsets.CustomBusinessDay(weekmask="Sun Mon Tue Wed Thu"), 5),
    "C-1010100": (pd.offsets.CustomBusinessDay(weekmask="Mon Wed Fri"), 3),
}


@pytest.mark.parametrize("freq", OFFSETS)
def test_timestamps_are_those_of_pandas(freq):
    offset, season = OFFSETS[freq]
    expected = pd.date_range("2000-01-03", periods=64, freq=offset).to_numpy()
    assert infer_freq(expected[:60]) == freq
    assert (make_timestamps(expected[0], freq, 64) == expected).all()
    assert season_length(freq) == season
    assert str(parse_freq(freq)) == freq
    assert freq.endswith("ns") or infer_freq(make_timestamps(default_start(freq), freq, 60)) == freq


@pytest.mark.parametrize("freq", [freq for freq in OFFSETS if freq[0] not in "C"])
def test_gaps_are_kept(freq):
    times = make_timestamps(default_start(freq), freq, 60)
    index = np.append(0, np.sort(np.random.default_rng(0).choice(np.arange(1, 60), 44, replace=False)))
    assert infer_freq(times[index]) == freq
    assert (grid_index(times[index], freq=freq) == index).all()


@pytest.mark.parametrize(
    ("name", "freq"),
    [
        (pd.offsets.Hour(1), "h"), (pd.offsets.MonthEnd(), "ME"), (pd.offsets.BMonthBegin(), "BMS"),
        (SIX_DAYS, "C-1111110"),
        (pd.Timedelta("15min"), "15min"), (np.timedelta64(5, "m"), "5min"), ("1h30min", "90min"), ("1.5h", "90min"),
        (pd.date_range("2024", periods=4, freq="90min").freq, "90min"), (1, "1"), ("BM", "BME"), ("SM", "SMS-15"),
        ("30Hz", "30Hz"), ("256Hz", "3906250ns"), ("44100Hz", "44100Hz"), ("LWOM-FRI", "WOM-LFRI"),
        (pd.offsets.LastWeekOfMonth(weekday=4), "WOM-LFRI"), (pd.offsets.CustomBusinessDay(), "B"), ("24h", "24h"),
    ],
)  # fmt: skip
def test_names_and_objects(name, freq):
    assert str(parse_freq(name)) == freq


@pytest.mark.parametrize(
    "freq", ["-1h", "1.0000000000001h", "C", "C-0000000", "C-111", "WOM-5FRI", "SMS-31", "0Hz", "1h30"]
)
def test_unknown_names(freq):
    with pytest.raises(ValueError, match="is not known; use an alias"):
        parse_freq(freq)


def test_holidays_are_named():
    with pytest.raises(ValueError, match="has holidays; use the weekdays alone"):
        parse_freq(pd.offsets.CustomBusinessDay(holidays=["2024-12-25"]))


@pytest.mark.parametrize(
    ("unit", "rate"), [("ms", 30), ("ms", 60), ("us", 30), ("us", 44100), ("ns", 44100), ("us", 256)]
)
def test_rounded_sampling_rates(unit, rate):
    """Timestamps that were rounded do not drift away from their rate: 100 seconds, one gap."""
    index = np.delete(np.arange(100 * min(rate, 300)), 50)
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = np.datetime64("2024-01-01", unit) + np.rint(index * per_second / rate).astype(f"m8[{unit}]")
    freq = infer_freq(times)
    assert freq == str(parse_freq(f"{rate}Hz"))
    assert (grid_index(times, freq=freq) == index).all()


def gridded(times, freq, **options):
    return regular_grid(np.asarray(times), np.arange(float(len(times))), freq=freq, item="a", **options)


def test_jitter_is_moved_to_the_given_grid():
    jitter = pd.to_timedelta(np.random.default_rng(0).integers(0, 4, 100), unit="s")
    grid = gridded(pd.date_range("2024-01-01", periods=100, freq="5min") + jitter, "5min", is_given=True)
    assert str(grid.start) == "2024-01-01T00:00:00.000000"
    assert (grid.values.shape, grid.inserted, grid.largest_move) == ((1, 100), 0, 3_000_000)
    assert grid.moved == (jitter > pd.Timedelta(0)).sum()
    assert (
        describe_moves(grid.moved, grid.largest_move, "5min")
        == f"{grid.moved} timestamps were moved to the 5min grid, by at most 3 s"
    )


def test_a_daily_job_at_changing_hours():
    hours = pd.to_timedelta(np.random.default_rng(0).integers(2, 24, 100), unit="h")
    grid = gridded(pd.date_range("2024-01-01", periods=100) + hours, "D", is_given=True)
    assert (grid.values.shape, grid.moved) == ((1, 100), 100)


def test_a_late_row_among_many_is_moved_also_without_freq():
    times = pd.date_range("2024-01-01 00:03", periods=100, freq="5min").to_numpy().copy()
    times[40] += np.timedelta64(20, "s")
    grid = gridded(times, infer_freq(times))
    assert (grid.start, grid.moved, grid.largest_move, grid.inserted) == (times[0], 1, 20_000_000, 0)
    weeks = pd.date_range("2024-01-01", periods=60, freq="W-MON").to_numpy().copy()
    weeks[10] += np.timedelta64(1, "D")
    assert gridded(weeks, infer_freq(weeks)).moved == 1


def test_two_timestamps_on_one_step_are_named():
    times = ["2024-01-01", "2024-01-02", "2024-01-02T05:00", "2024-01-03"]
    with pytest.raises(
        ValueError, match=r"2024-01-02 05:00:00 is not on the D grid .*, and 2024-01-02 is on the same step"
    ):
        gridded(np.array(times, "M8[us]"), "D", is_given=True)


def test_the_commonest_day_continues_a_calendar_grid():
    months = (np.datetime64("2000-01", "M") + np.arange(40)).astype("M8[D]") + 14
    times = months.astype("M8[us]")
    times[0] += np.timedelta64(2, "D")
    times[5] -= np.timedelta64(1, "D")
    grid = gridded(times, infer_freq(times))
    assert (str(grid.start)[:10], grid.moved, grid.inserted) == ("2000-01-15", 2, 0)
    last = pd.date_range("2020-02-28", periods=34, freq="BME").to_numpy().copy()
    last[10] -= np.timedelta64(1, "D")  # a holiday
    assert infer_freq(last) == "BME"
    assert gridded(last, "BME").moved == 1


def test_a_sparse_series_is_believed_where_the_frequency_is_given():
    days = np.sort(np.random.default_rng(0).choice(1826, 30, replace=False))
    times = np.datetime64("2019-01-01", "us") + days.astype("m8[D]")
    with pytest.raises(ValueError, match=r"steps of 30 rows .* give freq= if the series is sparse"):
        gridded(times, "D")
    assert gridded(times, "D", is_given=True).inserted == days[-1] - days[0] + 1 - 30
    with pytest.raises(ValueError, match="would make 252455529600001 steps"):
        gridded(np.array(["2000-01-01", "9999-12-31"], "M8[us]"), "ms", is_given=True)
