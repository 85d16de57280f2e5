"""Timestamps near a grid are put on it without freq=, where one step dominates; irregular ones are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsfm.infer.frames import read_frame
from tsfm.store.ingest import ingest
from tsfm.timestamps.frequency import infer_freq, regular_grid
from tsfm.timestamps.jitter import month_boundary

RNG = np.random.default_rng(0)


def late(freq: str, high: float, unit: str, low: float = 0.0, start: str = "2024-01-01", rows: int = 100) -> np.ndarray:
    """Return rows that are between `low` and `high` late."""
    shift = (RNG.uniform(low, high, rows) * pd.Timedelta(1, unit).value // 1000).astype("m8[us]")
    return np.asarray(pd.date_range(start, periods=rows, freq=freq)).astype("M8[us]") + shift


KINDS: dict[str, tuple[np.ndarray, str]] = {
    "seconds after five minutes": (late("5min", 4, "s"), "5min"),
    "a tenth of an hour around it": (late("h", 6, "min", -6), "h"),
    "up to 20 minutes after the hour": (late("h", 20, "min"), "h"),
    "half past, and some minutes": (late("h", 5, "min", start="2024-01-01 00:30"), "h"),
    "milliseconds around a second": (late("s", 20, "ms", -20), "s"),
    "samples of 100 ms": (late("100ms", 8, "ms", -8), "100ms"),
    "a quarter of an hour, a minute late": (late("15min", 1, "min"), "15min"),
    "seven minutes, seconds late": (late("7min", 9, "s"), "7min"),
    "six hours, an hour late": (late("6h", 1, "h"), "6h"),
    "a daily job between two and five": (late("D", 5, "h", 2), "D"),
    "a daily job at any hour": (late("D", 23.9, "h"), "D"),
    "a job of working days at changing hours": (late("B", 9, "h"), "B"),
    "weeks, at changing hours": (late("W-MON", 20, "h"), "W-MON"),
}
MONTHS = {  # days by which rows are early or late
    "a day around it": (-1, 0, 1),
    "two days around it": (-2, -1, 0, 1, 2),
    "mostly early": (-1, -1, 0, 0, 0),
    "mostly right": (0, 0, 0, 1, 0, -1),
}


def gridded(times: np.ndarray) -> tuple[str, np.ndarray, int]:
    """Return the frequency, the step of each row, and the number of rows that were moved."""
    freq = infer_freq(times)
    grid = regular_grid(times, np.arange(float(len(times))), freq=freq, item="a")
    index = np.full(len(times), -1)
    steps = np.flatnonzero(~np.isnan(grid.values[0]))
    index[grid.values[0][steps].astype(int)] = steps
    return freq, index, grid.moved


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_near_a_grid_are_on_their_steps(kind: str, gaps: bool) -> None:
    times, freq = KINDS[kind]
    rows = np.delete(np.arange(len(times)), [7, 30, 31, 32, 60]) if gaps else np.arange(len(times))
    inferred, index, moved = gridded(times[rows])
    assert inferred == freq
    assert np.array_equal(index, rows)
    assert moved > 50


@pytest.mark.parametrize("edge", ["MS", "ME", "QS", "QE"])
@pytest.mark.parametrize("kind", MONTHS)
def test_edges_of_months_that_are_early_or_late_keep_their_edge(kind: str, edge: str) -> None:
    exact = np.asarray(pd.date_range("2015-01-01", periods=60, freq=edge)).astype("M8[us]")
    times = exact + np.random.default_rng(1).permutation(np.resize(MONTHS[kind], 60)).astype("m8[D]")
    freq, index, _ = gridded(times)
    assert freq.split("-")[0] == edge
    assert np.array_equal(index, np.arange(60))
    assert regular_grid(times, np.arange(60.0), freq=freq, item="a").start == exact[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: np.sort(rng.uniform(0, 100, 100)),
        lambda rng: np.arange(100) + rng.uniform(0, 0.9, 100),
        lambda rng: np.cumsum(rng.choice([0.5, 1.0, 1.7], 100)),
        lambda rng: np.arange(9) + rng.uniform(0, 0.01, 9),  # too few to show a grid
    ],
)
def test_irregular_rows_are_refused(make: Callable[[np.random.Generator], np.ndarray]) -> None:
    hours = make(np.random.default_rng(3)) * 3600 * 10**6
    times = np.datetime64("2024-01-01", "us") + hours.astype("m8[us]")
    with pytest.raises(ValueError, match="no dominating time step"):
        infer_freq(times)


def test_a_step_that_dominates_carries_rows_beside_it() -> None:
    times = np.asarray(pd.date_range("2024-01-01", periods=100, freq="h")).astype("M8[us]").copy()
    times[::5] += np.timedelta64(7, "m")
    assert gridded(times)[1:] == (pytest.approx(np.arange(100)), 20)
    times[50] += np.timedelta64(20, "m")
    with pytest.raises(ValueError, match="is not on the h grid"):
        gridded(times)


def test_the_boundary_of_months_needs_rows_on_both_sides() -> None:
    days = np.array(["2024-01-01", "2024-02-02", "2024-03-01"], "M8[us]")
    assert month_boundary(days) is None
    assert month_boundary(days + np.timedelta64(14, "D")) is None


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_moved_rows_are_announced_at_every_door(tmp_path: Path, zone: str | None) -> None:
    times = pd.DatetimeIndex(KINDS["seconds after five minutes"][0]).tz_localize(zone)
    df = pd.DataFrame({"timestamp": times, "target": np.arange(100.0)})
    note = r"timestamps were moved to the 5min grid, by at most 3\.\d+ s"
    frame = read_frame(df, prediction_length=1)
    assert frame.series[0].freq == "5min"
    assert any(re.search(note, text) for text in frame.announcements)
    report = ingest(df, tmp_path / "s", progress=False)
    assert (report.frequency, report.steps, report.inserted) == ("5min", 100, 0)
    assert any(re.search(note, text) for text in report.notes)
