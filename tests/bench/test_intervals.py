"""Coverage of intervals and widths for random walks: exact forecasters have the nominal ones."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from tsfm.bench.intervals import (
    COVERAGES,
    SEGMENTS,
    WALK_STEPS,
    count_inside,
    interval_levels,
    mean_coverage,
    possible_coverages,
    random_walk_widths,
    score_coverage,
)
from tsfm.bench.suite_windows import SuiteLimits, SuiteSet
from tsfm.commands.bench import options
from tsfm.commands.cli import main
from tsfm.infer.predictor import DECILES, Predictor

Z = NormalDist().inv_cdf


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root whose corpus is white noise of standard deviation 1."""
    folder = tmp_path / "root" / "forecasting"
    folder.mkdir(parents=True)
    values = np.random.default_rng(0).normal(size=(400, 60)).astype(np.float32)
    table = pd.DataFrame(values, columns=[f"c{i}" for i in range(60)])
    table.insert(0, "timestamp", pd.date_range("2020-01-01", periods=400, freq="D"))
    table.to_parquet(folder / "noise.parquet")
    (folder / "manifest.json").write_text(json.dumps({"datasets": [{"file": "noise.parquet", "role": "corpus"}]}))
    monkeypatch.setenv("TSFM_DATA", str(folder.parent))
    return folder.parent


class Normal(Predictor):
    """Normal quantiles: around 0, or around the last value, with a standard deviation that grows with the root of h."""

    name = "normal"

    def __init__(self, *, sigma: float = 1.0, walk: bool = False, quantile_levels: tuple[float, ...] | None = None):
        self.sigma, self.walk, self.quantile_levels = sigma, walk, quantile_levels

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        z = self.sigma * np.array([Z(level) for level in self.quantile_levels or quantile_levels])
        shape = (*context.shape[:2], horizon, len(z))
        growth = np.sqrt(np.arange(1, horizon + 1))[:, None] if self.walk else 1.0
        center = context[..., -1:, None] if self.walk else 0.0
        return self.interpolate_quantiles(np.broadcast_to(center + growth * z, shape), quantile_levels)


def test_exact_quantiles_cover_what_they_should(root: Path) -> None:
    predictors = {"exact": Normal(), "narrow": Normal(sigma=0.5)}
    rows = score_coverage(predictors, SuiteSet("noise", "corpus"), limits=SuiteLimits(series=60, windows=60, each=1))
    assert [(row["model"], row["segment"]) for row in rows] == [
        (name, segment) for name in predictors for segment in (*SEGMENTS, "all")
    ]
    assert [row["steps"] for row in rows[:4]] == [600, 600, 600, 1800]
    for row in rows:
        sigma = 1.0 if row["model"] == "exact" else 0.5
        for coverage in COVERAGES:
            expected = 2 * NormalDist().cdf(sigma * Z(0.5 + coverage / 2)) - 1
            deviation = 4 * (expected * (1 - expected) / row["steps"]) ** 0.5  # four standard errors
            assert abs(row[f"{100 * coverage:g} %"] - expected) < deviation
    means = mean_coverage(rows * 2)
    assert means[3]["80 %"] == rows[3]["80 %"]
    assert means[3]["sets"] == 2


def test_missing_steps_are_not_counted_and_thirds_are_in_order() -> None:
    y_true = np.array([0.0, 0, np.nan, 5, 5, 0, 9]).reshape(1, 1, 7)
    counts = count_inside(y_true, np.full_like(y_true, -1), np.full_like(y_true, 1))
    assert counts == {"start": (2, 2), "middle": (0, 2), "end": (1, 2)}


def test_intervals_beyond_the_levels_of_a_predictor_are_left_out(root: Path) -> None:
    assert possible_coverages(Normal()) == COVERAGES
    assert possible_coverages(Normal(quantile_levels=DECILES)) == (0.5, 0.8)
    assert possible_coverages(Normal(quantile_levels=(0.05, 0.5, 0.95))) == (0.5, 0.8, 0.9)
    with pytest.raises(ValueError, match="has no interval of 50 %"):
        possible_coverages(Normal(quantile_levels=(0.5,)))
    for coverage in COVERAGES:
        low, high = interval_levels(coverage)
        assert (low + high, high - low) == pytest.approx((1, coverage))


def test_the_exact_forecast_of_a_random_walk_has_the_true_width() -> None:
    rows = random_walk_widths(Normal(walk=True), num_walks=3, length=50)
    assert [row["step"] for row in rows] == list(WALK_STEPS)
    for row in rows:
        assert row["true_width"] == pytest.approx(2 * 1.2816 * row["step"] ** 0.5, rel=1e-4)
        assert row["ratio"] == pytest.approx(1, rel=1e-4)


def test_the_command_writes_tables(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["bench", "intervals", "last_value", "tsfm-mini", "--walk-steps", "10", "40", "--out", str(out)]
    assert main([*command, "--series", "4"]) == 0
    assert (
        "tsfm-mini predicts quantile levels from 0.1 to 0.9: no interval of 90 %, 95 %, 98 %."
        in capsys.readouterr().out
    )
    table = pd.read_csv(out / "intervals.csv")
    assert table["windows"].unique().tolist() == [4]
    assert table[table["model"] == "tsfm-mini"]["98 %"].isna().all()
    assert table[table["model"] == "last_value"]["98 %"].notna().all()
    walks = pd.read_csv(out / "random_walk.csv")
    exact = walks[walks["model"] == "last_value"]
    assert exact["step"].tolist() == [10, 40]
    assert exact["ratio"].tolist() == pytest.approx([1, 1], abs=0.05)
    assert "## Random walks" in (out / "intervals.md").read_text()
    assert main([*command, "--walk-steps", "0"]) == 2
    assert "--walk-steps is 0" in capsys.readouterr().err


def test_the_default_steps_are_those_of_the_benchmark() -> None:
    assert tuple(options.WALK_STEPS) == WALK_STEPS
