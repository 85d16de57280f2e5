"""Timestamps of DataFrames, from reading to the forecast's timestamps: every kind of time, and what is announced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsfm.infer.frames import read_frame, write_frame

BERLIN = pd.date_range("2024-10-24", periods=100, freq="h", tz="Europe/Berlin")
SIX_DAYS = pd.offsets.CustomBusinessDay(weekmask="Mon Tue Wed Thu Fri Sat")


def frame_of(stamps, **columns) -> pd.DataFrame:
    return pd.DataFrame({"item_id": "a", "timestamp": stamps, **columns})


def forecast_times(stamps, horizon=3, **options):
    """The timestamps of a forecast, and the announcements."""
    df = frame_of(stamps, target=np.arange(float(len(stamps))) % 9, c=1.0)
    frame = read_frame(df, prediction_length=horizon, **options)
    return write_frame(frame, np.zeros((1, 1, horizon)))["timestamp"], frame.announcements


def continues(times, offset, *, start="2020-02-03", length=40, horizon=4, **options):
    """Whether a forecast continues dates of pandas."""
    stamps = pd.date_range(start, periods=length + horizon, freq=offset, tz=options.pop("tz", None))
    out, notes = forecast_times(times(stamps[:length]), horizon, **options)
    return out.tolist() == stamps[length:].tolist(), notes


@pytest.mark.parametrize("freq", ["MS", "D", "QS", "W-MON", "h"])
@pytest.mark.parametrize("pattern", ["%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m/%d/%Y"])
def test_day_first_and_month_first(freq, pattern):
    if freq == "h":
        pattern += " %H:%M"
    is_next, notes = continues(lambda times: times.strftime(pattern), freq, length=60)
    assert is_next
    assert any("read as day/month/year" in note or "read as month/day/year" in note for note in notes)


@pytest.mark.parametrize(
    "offset", ["BMS", "BME", "BQS", "BQE", "BYE", "BYS", "SMS", "SME", "WOM-3FRI", SIX_DAYS, "33333333ns"]
)
@pytest.mark.parametrize("start", ["2020-01-31", "2020-02-03", "2020-02-28"])
def test_calendars_are_continued(offset, start):
    is_next, notes = continues(lambda times: times, offset, start=start)
    assert is_next
    assert not notes


@pytest.mark.parametrize("freq", ["D", "B", "W-MON", "MS", "h", "12h", "15min", "BME"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Tokyo"])
def test_time_zones(freq, zone):
    assert continues(lambda times: times, freq, tz=zone, length=300) == (True, [])


def test_known_covariates_of_business_month_ends():
    t = pd.date_range("2020-01-31", periods=34, freq="BME")
    out, notes = forecast_times(t[:30], 4, future_df=frame_of(t[30:], c=2.0))
    assert (out.tolist(), notes) == (t[30:].tolist(), [])
    ends = pd.date_range("2020-01-31", periods=34, freq="ME")
    out, notes = forecast_times(t[:30], 4, future_df=frame_of(ends[30:], c=2.0))
    assert out.tolist() == t[30:].tolist()
    assert notes == ["future_df: 1 rows of item 'a' are beside its grid; taken for the nearest step"]


@pytest.mark.parametrize("freq", [pd.Timedelta("90min"), "1h30min", "1.5h", "90min", pd.offsets.Minute(90)])
def test_frequencies_as_objects_and_durations(freq):
    out, _ = forecast_times(pd.date_range("2024-01-01", periods=60, freq="90min"), 1, freq=freq)
    assert out.tolist() == [pd.Timestamp("2024-01-04 18:00")]


def test_jitter_and_sparse_series_with_a_frequency():
    jitter = pd.to_timedelta(np.random.default_rng(0).integers(0, 4, 100), unit="s")
    out, notes = forecast_times(pd.date_range("2024-01-01", periods=100, freq="5min") + jitter, 2, freq="5min")
    assert out.tolist() == [pd.Timestamp("2024-01-01 08:20"), pd.Timestamp("2024-01-01 08:25")]
    assert notes == ["df: 81 timestamps were moved to the 5min grid, by at most 3 s"]
    days = np.sort(np.random.default_rng(0).choice(1826, 30, replace=False))
    out, notes = forecast_times(pd.Timestamp("2019-01-01") + pd.to_timedelta(days, unit="D"), freq="D")
    assert out[0] == pd.Timestamp("2019-01-01") + pd.Timedelta(days[-1] + 1, "D")
    assert notes == ["df: 1725 steps without a row are taken as missing"]


def test_offsets_that_change_with_daylight_saving():
    out, notes = forecast_times(BERLIN[:97].astype(str))
    assert out.tolist() == BERLIN[97:].tz_convert("UTC").tolist()
    assert "read as UTC" in notes[1]
    assert forecast_times(BERLIN[:97].astype(str), timezone="Europe/Berlin")[0].tolist() == BERLIN[97:].tolist()


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "America/New_York", None])
def test_a_future_in_another_zone_is_converted(zone):
    future = BERLIN[97:].astype(str) if zone is None else BERLIN[97:].tz_convert(zone)
    out, notes = forecast_times(BERLIN[:97], future_df=frame_of(future, c=2.0))
    assert (out.tolist(), notes) == (BERLIN[97:].tolist(), [])


@pytest.mark.parametrize(
    ("first", "options"), [(0, {}), (0, {"freq": 1}), (1, {}), (1959, {"freq": 1}), (43831, {"freq": 1})]
)
def test_numbered_steps_come_back_as_numbers(first, options):
    out, notes = forecast_times(range(first, first + 60), **options)
    assert (out.tolist(), out.dtype) == ([first + 60, first + 61, first + 62], "int64")
    assert notes == [f"df: 'timestamp': whole numbers ({first} to {first + 59}) are read as numbered steps"]
    assert forecast_times(range(0, 300, 5))[0].tolist() == [300, 305, 310]


@pytest.mark.parametrize(
    "stamps", [range(1959, 1989), [str(year) for year in range(1959, 1989)], np.arange(1959.0, 1989)]
)
def test_years(stamps):
    out, notes = forecast_times(stamps)
    assert out.tolist() == pd.date_range("1989-01-01", periods=3, freq="YS").tolist()
    assert any("numbers such as 1959 are read as years" in note for note in notes)


def test_times_without_a_date_are_refused():
    with pytest.raises(ValueError, match="'timestamp' in row 0 is '00:00', a time without a date"):
        forecast_times([f"{hour:02d}:00" for hour in range(24)])
