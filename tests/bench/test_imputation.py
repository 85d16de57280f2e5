"""Laws of the imputation protocol: every window and every hidden step counts once, and no hidden value is visible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tsfm.bench.baselines.imputers import LinearInterpolation
from tsfm.bench.protocols.imputation import (
    ImputationProtocol,
    fill_with_baseline,
    fill_with_model,
    score_imputation,
)
from tsfm.data.settings import DataConfig
from tsfm.data.window_data import WindowData
from tsfm.registry import BASELINES
from tsfm.store.ingest import ingest
from tsfm.types import Problem

STEPS, CONTEXT = 400, 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> WindowData:
    """Two noisy sines in one store, split 70 / 10 / 20."""
    time = np.arange(STEPS)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, STEPS))
    frame = pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=STEPS, freq="h")})
    frame["a"], frame["b"] = np.sin(time / 4) + noise[0], 3 * np.cos(time / 5) + 10 + noise[1]
    out = tmp_path_factory.mktemp("stores") / "sines"
    ingest(frame, out, progress=False)
    windows = WindowData(DataConfig(str(out)), context=CONTEXT, horizon=0)
    windows.setup()
    return windows


def true_values(problem: Problem) -> torch.Tensor:
    return problem.values


def test_every_window_is_scored_once_in_every_cell(data: WindowData) -> None:
    """As in the published protocols the first window of a split ends where the split begins."""
    calls: list[int] = []

    def count(problem: Problem) -> torch.Tensor:
        calls.append(len(problem.values))
        return problem.values + 1.0

    bench = ImputationProtocol.Config(masks=["points", "hybrid"], rates=[0.25, 0.5], batch_size=7)
    scores = score_imputation(count, data, bench)
    assert scores["windows"] == STEPS // 5 + 1
    assert sum(calls) == 4 * scores["windows"]
    assert scores["mse"] == pytest.approx(1.0)
    assert scores["mae"] == pytest.approx(1.0)


def test_true_values_score_zero_and_visible_steps_do_not_count(data: WindowData) -> None:
    bench = ImputationProtocol.Config(rates=[0.25])
    assert score_imputation(true_values, data, bench)["mse"] == 0.0

    def wrong_where_visible(problem: Problem) -> torch.Tensor:
        return torch.where(problem.visible, problem.values + 9.0, problem.values)

    assert score_imputation(wrong_where_visible, data, bench)["mse"] == 0.0


def test_masks_follow_from_the_seed(data: WindowData) -> None:
    def zeros(problem: Problem) -> torch.Tensor:
        return torch.zeros_like(problem.values)

    first, again = (score_imputation(zeros, data, ImputationProtocol.Config(rates=[0.25]))["mse"] for _ in range(2))
    other = score_imputation(zeros, data, ImputationProtocol.Config(rates=[0.25], seed=1))["mse"]
    assert first == again
    assert first != other


def test_a_baseline_gets_nothing_that_is_hidden(data: WindowData) -> None:
    linear: LinearInterpolation = BASELINES.build(BASELINES.config({"name": "linear_interpolation"}))
    filler = fill_with_baseline(linear, season_length=1)
    differences: list[torch.Tensor] = []

    def both(problem: Problem) -> torch.Tensor:
        changed = torch.where(problem.visible, problem.values, 1e6)
        filled = filler(problem)
        differences.append(filled - filler(Problem(changed, problem.visible, problem.wanted)))
        return filled

    scores = score_imputation(both, data, ImputationProtocol.Config(masks=["points"], rates=[0.25]))
    assert all(not difference.any() for difference in differences)
    assert scores["mse"] < 0.2  # sines of 25 steps are nearly straight between neighbours


def test_a_model_that_predicts_only_the_future_is_refused() -> None:
    from tests.tiny import tiny

    with pytest.raises(ValueError, match="head=patch_quantiles"):
        fill_with_model(tiny("mixer", "flatten"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"masks": ["block"]}, "did you mean 'blocks'"),
        ({"masks": []}, "at least one"),
        ({"split": "tset"}, "did you mean 'test'"),
        ({"stride": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImputationProtocol.Config(**settings)


def test_the_command_scores_a_baseline(data: WindowData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tsfm.commands.cli import main

    overrides = ["predictor=linear_interpolation", "data=store", f"data.dataset={data.config.dataset}", "context=64"]
    assert main(["eval", *overrides, "bench=imputation", "bench.masks=[blocks]", f"out={tmp_path}"]) == 0
    assert '"blocks_0.125_mse"' in capsys.readouterr().out
    assert (tmp_path / "result.json").is_file()
