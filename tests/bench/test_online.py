"""tsfm bench online: every window is scored once, kinds agree with plain formulas, tables hold published values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tsfm.bench.baselines.simple import LastValue, SeasonalNaive
from tsfm.bench.online import OnlineSeries, errors, online_series, score_online
from tsfm.commands.cli import main
from tsfm.data.settings import DataConfig
from tsfm.store.series_store import StoreWriter

HORIZONS = (1, 3)


def wave(length: int = 200) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.sin(2 * np.pi * np.arange(length) / 24)[None] + 0.1 * rng.normal(size=(2, length))


@pytest.fixture(scope="module")
def rows() -> dict:
    series = OnlineSeries(wave(), 24, first=60)
    predictors = {"naive": SeasonalNaive(), "last": LastValue()}
    scores = score_online(predictors, series, horizons=HORIZONS, context=30, memory=20, batch_size=32)
    return {(row["horizon"], row["kind"]): row for row in scores}


@pytest.mark.parametrize("horizon", HORIZONS)
def test_every_window_is_scored_once_and_members_have_their_own_error(rows: dict, horizon: int) -> None:
    x = wave()
    differences = [x[:, t : t + horizon] - x[:, t - 24 : t - 24 + horizon] for t in range(60, 200 - horizon + 1)]
    row = rows[horizon, "naive"]
    assert row["windows"] == len(differences) == 200 - 60 - horizon + 1
    assert row["mse"] == pytest.approx(np.mean(np.square(differences)), rel=1e-5)
    assert row["mae"] == pytest.approx(np.mean(np.abs(differences)), rel=1e-5)


def test_feedback_differs_where_forecasts_overlap_and_weights_beat_the_worst_member(rows: dict) -> None:
    delayed, immediate = (rows[3, f"{kind} feedback"]["mse"] for kind in ("delayed", "immediate"))
    assert delayed != immediate
    assert rows[1, "delayed feedback"]["mse"] == rows[1, "immediate feedback"]["mse"]  # the next step is known at once
    for horizon in HORIZONS:
        members = [rows[horizon, name]["mse"] for name in ("naive", "last")]
        assert rows[horizon, "delayed feedback"]["mse"] < max(members)


def test_errors_leave_out_missing_steps() -> None:
    values = np.array([[0.0, 1, 2, np.nan, 4]])
    result = errors(np.zeros((3, 1, 2)), OnlineSeries(values, 1, first=1))
    assert result == {"mse": pytest.approx((1 + 4 + 4 + 16) / 4), "mae": pytest.approx(9 / 4), "windows": 3}


def store(folder: Path, num_items: int = 1) -> Path:
    with StoreWriter(folder / "store", channels=["a", "b"]) as writer:
        for item in range(num_items):
            writer.add(str(item), wave(100).astype(np.float32), np.datetime64("2024-01-01"), "h")
    return folder / "store"


def test_values_are_standardized_by_the_first_fifth(tmp_path: Path) -> None:
    series = online_series("own", DataConfig(str(store(tmp_path))))
    assert series.values[:, :20].mean(axis=1) == pytest.approx([0, 0], abs=1e-6)
    assert series.values[:, :20].std(axis=1) == pytest.approx([1, 1], abs=1e-6)
    assert (series.first, series.season_length) == (25, 24)


def test_several_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 2 items; online forecasting is scored along one series"):
        online_series("own", DataConfig(str(store(tmp_path, 2))))


def test_the_command_writes_tables_with_published_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tsfm.commands.bench.online as command

    path = store(tmp_path)
    monkeypatch.setattr(command, "dataset", lambda name: DataConfig(str(path)))
    monkeypatch.setattr(command, "online_series", lambda name, config: OnlineSeries(wave(100), 24, first=40))
    options = ["--sets", "etth2", "--horizons", "1", "2", "--context", "30", "--out", str(tmp_path / "out")]
    assert main(["bench", "online", "seasonal_naive", "last_value", *options]) == 0
    text = (tmp_path / "out" / "online.md").read_text(encoding="utf-8")
    assert "| OneNet (published, immediate) | 0.380" in text.replace("0.3800", "0.380")
    assert "delayed feedback, short-term weights" in text
    assert len((tmp_path / "out" / "online.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * 7
