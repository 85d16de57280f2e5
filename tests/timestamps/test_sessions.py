"""Trading hours: a series that exists in part of each week is continued at the next open step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsfm
from tests.doors import model
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps.frequency import infer_freq, make_timestamps, parse_freq, season_length
from tsfm.timestamps.sessions import describe_sessions, session_index, session_times

NEW_YORK = "America/New_York"


def hours(first: str, last: str, freq: str, *, opens: str, closes: str, days: int = 5) -> pd.DatetimeIndex:
    times = pd.date_range(first, last, freq=freq)
    times = times[times.weekday < days]
    return times[times.indexer_between_time(opens, closes)]


NYSE = hours("2024-02-01 09:30", "2024-04-12 15:30", "30min", opens="09:30", closes="15:30")  # over 10 March
HOURS = pd.date_range("2024-01-01", "2024-03-31 23:00", freq="h")
FOREX = HOURS[
    (HOURS.weekday < 4) | ((HOURS.weekday == 4) & (HOURS.hour < 22)) | ((HOURS.weekday == 6) & (HOURS.hour >= 22))
]
SERIES = {
    "an exchange": (NYSE, "30min-1111100T0930T1530", 13),
    "five days and nights": (HOURS[HOURS.weekday < 5], "h-1111100T0000T2300", 24),
    "a currency": (FOREX, "h-1111000T0000T2300_0000100T0000T2100_0000001T2200T2300", 24),
    "a lunch break": (
        NYSE[(NYSE.hour < 12) | (NYSE.hour > 12)], "30min-1111100T0930T1130T1300T1530", 11,
    ),
    "a shop": (hours("2024-01-01", "2024-03-1", "h", opens="08:00", closes="17:00", days=7), "h-1111111T0800T1700", 10),
    "minutes": (hours("2024-01-01", "2024-01-31", "min", opens="09:00", closes="12:00"), "min-1111100T0900T1200", 181),
}  # fmt: skip


@pytest.mark.parametrize("name", SERIES)
def test_open_hours_are_found_and_continued(name: str) -> None:
    times, freq, season = SERIES[name]
    past, future = times[:-30], times[-30:]
    assert infer_freq(past) == freq
    assert (str(parse_freq(freq)), season_length(freq)) == (freq, season)
    start = np.asarray(past[0], "M8[us]")
    np.testing.assert_array_equal(make_timestamps(start, freq, len(times))[-30:], future.to_numpy().astype("M8[us]"))
    out = model("steps").predict_df(pd.DataFrame({"timestamp": past, "target": np.arange(len(past)) % 9.0}), 30)
    assert out["timestamp"].tolist() == future.tolist()
    assert any("closed hours are not forecast" in note for note in out.attrs["announcements"])


def test_a_holiday_and_single_missing_steps_are_missing() -> None:
    times = NYSE[(NYSE.normalize() != "2024-02-19") & (np.arange(len(NYSE)) % 50 != 7)]
    df = pd.DataFrame({"timestamp": times, "target": np.arange(len(times)) % 9.0})
    out = model("steps").predict_df(df, 2)
    assert out["timestamp"].tolist() == [pd.Timestamp("2024-04-15 09:30"), pd.Timestamp("2024-04-15 10:00")]
    assert f"df: {len(NYSE) - len(times)} steps without a row are taken as missing" in out.attrs["announcements"]


@pytest.mark.parametrize("kind", ["zone", "instants"])
def test_daylight_saving_does_not_move_the_hours(kind: str, tmp_path: Path) -> None:
    local = NYSE.tz_localize(NEW_YORK)
    times = local if kind == "zone" else local.tz_convert("UTC")
    df = pd.DataFrame({"timestamp": times[:-13], "target": np.arange(len(times) - 13) % 9.0})
    options = {} if kind == "zone" else {"timezone": NEW_YORK}
    out = model("steps").predict_df(df, 13, **options)
    assert out["timestamp"].tolist() == local[-13:].tolist()
    tsfm.ingest(df, tmp_path / "store", progress=False, **options)
    store = SeriesStore.open(tmp_path / "store")
    assert store.read(0).shape == (1, len(df))
    assert np.isfinite(store.read(0)).all()


def test_frequency_given_by_the_user() -> None:
    """A few days do not show which hours are closed; the name of the frequency says it."""
    few = NYSE[:40]
    df = pd.DataFrame({"timestamp": few, "target": np.arange(40) % 9.0})
    out = model("steps").predict_df(df, 2, freq="30min-1111100T0930T1530")
    assert out["timestamp"].tolist() == NYSE[40:42].tolist()
    closed = df.assign(timestamp=few.where(np.arange(40) != 39, few[39] + pd.Timedelta("10h")))
    with pytest.raises(ValueError, match="is not on the"):
        model("steps").predict_df(closed, 2, freq="30min-1111100T0930T1530")


@pytest.mark.parametrize(
    "freq", ["30min-1111100T0930", "30min-111110T0930T1530", "30min-1111100T0930T1545", "D-1111100T0000T0100"]
)
def test_hours_that_cannot_be(freq: str) -> None:
    with pytest.raises(ValueError, match="is not known"):
        parse_freq(freq)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("days", [15, 30, 90])
def test_missing_steps_are_no_closed_hours(rate: float, days: int) -> None:
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=24 * days, freq="h")
    kept = times[rng.random(len(times)) > rate]
    assert infer_freq(kept) == "h"


def test_steps_and_their_numbers() -> None:
    anchor, micros = "1111100T0930T1530", 30 * 60 * 10**6
    index = np.arange(-500, 500)
    times = session_times(index, anchor, micros)
    np.testing.assert_array_equal(session_index(times, anchor, micros), index)
    np.testing.assert_array_equal(session_index(times + np.timedelta64(10, "m"), anchor, micros), index)
    assert describe_sessions(anchor) == "Monday to Friday 09:30 to 15:30"
