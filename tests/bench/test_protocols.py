"""Scoring by windows: nothing lost, nothing doubled, and a MASE that does not depend on anybody's context."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny import forecast_problem, tiny, waves
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.protocols import insample_scale, score_windows
from tsfm.data.flat import FlatSeries
from tsfm.data.splits import table
from tsfm.data.windows import WindowIndex
from tsfm.infer.load import ModelPredictor
from tsfm.metrics.forecast import seasonal_error
from tsfm.registry import TASKS
from tsfm.types import Batch

LEVELS, SEASON, HORIZON = (0.1, 0.5, 0.9), 6, 8


def windows(*, context: int = 24, gap: slice | None = None) -> WindowIndex:
    generator = np.random.default_rng(0)
    values = np.sin(np.arange(300) * 2 * np.pi / SEASON) + 0.3 * generator.normal(size=(2, 300))
    if gap is not None:
        values[1, gap] = np.nan
    flat = FlatSeries.of([values])
    spans = table(np.array([300]), "ratio", lookback=context, ratios=(0.7, 0.1, 0.2), horizon=HORIZON, windows=1)[
        "test"
    ]
    return WindowIndex(flat, spans, context=context, horizon=HORIZON)


def scored(index: WindowIndex, *, batch_size: int = 512, predictor=None) -> dict:
    predictor = predictor or SeasonalNaive(None)
    return score_windows(
        predictor, index, horizon=HORIZON, season=SEASON, levels=predictor.levels or LEVELS, batch_size=batch_size
    )


@pytest.mark.parametrize("size", [1, 7, 512])
def test_every_window_is_scored_once_whatever_the_batch(size: int) -> None:
    found, whole = scored(windows(), batch_size=size), scored(windows())
    assert found["windows"] == 60 - HORIZON + 1
    assert found == pytest.approx(whole, rel=1e-9)


def test_the_scale_of_mase_is_that_of_the_rows_before_the_split() -> None:
    index = windows()
    expected = seasonal_error(index.flat.series(0)[:, :240].astype(np.float64), SEASON)
    np.testing.assert_allclose(insample_scale(index, SEASON)[0], expected)
    np.testing.assert_allclose(insample_scale(windows(context=90), SEASON), insample_scale(index, SEASON))


def test_windows_that_show_nothing_are_left_out_for_everybody_and_counted() -> None:
    index = windows(gap=slice(220, 260))  # 24 steps of context: windows that begin at 220 to 236
    model = ModelPredictor(tiny("patch_transformer", "quantiles"), name="tiny")
    for predictor in (SeasonalNaive(None), model):
        found = scored(index, predictor=predictor)
        assert found["windows_without_context"] == 17
        assert found["windows"] == len(index) - 17
        assert found["mse"] < 100


def test_a_context_that_does_not_vary_is_no_unit() -> None:
    """One flat window among others neither dominates the loss nor changes what the others teach."""
    task = TASKS.build(TASKS.config({"name": "forecast", "loss": "pinball", "units": "scaled"}), horizon=16)
    model, batch = tiny("patch_transformer", "quantiles").eval(), waves(4)
    values = batch.values.clone()
    values[0, :, :-16] = 0.0
    flat = task.pose(Batch(values, batch.observed))
    rest = forecast_problem(Batch(values[1:], batch.observed[1:]))
    with torch.no_grad():
        torch.testing.assert_close(task.loss(model(flat), flat), task.loss(model(rest), rest))
