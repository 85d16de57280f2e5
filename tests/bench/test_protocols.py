"""Scoring by windows: every window once, and a MASE that does not depend on the context of a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny import forecast_problem, tiny, waves
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.protocols.windows import insample_scale, score_windows
from tsfm.data.flat import FlatSeries
from tsfm.data.splits import split_all
from tsfm.data.windows import WindowIndex
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.metrics.forecast import seasonal_error
from tsfm.model.checkpoint import About
from tsfm.registry import TASKS
from tsfm.timestamps.time_features import TimeFeatures
from tsfm.types import KNOWN, PAST, TARGET, TIME_FEATURE, Batch

QUANTILE_LEVELS, SEASON, HORIZON = (0.1, 0.5, 0.9), 6, 8


def windows(*, context: int = 24, gap: slice | None = None) -> WindowIndex:
    generator = np.random.default_rng(0)
    values = np.sin(np.arange(300) * 2 * np.pi / SEASON) + 0.3 * generator.normal(size=(2, 300))
    if gap is not None:
        values[1, gap] = np.nan
    flat = FlatSeries.from_arrays([values])
    spans = split_all(np.array([300]), "ratio", lookback=context, ratios=(0.7, 0.1, 0.2), horizon=HORIZON, windows=1)[
        "test"
    ]
    return WindowIndex(flat, spans, context=context, horizon=HORIZON)


def scored(index: WindowIndex, *, batch_size: int = 512, predictor=None) -> dict:
    predictor = predictor or SeasonalNaive(None)
    return score_windows(
        predictor,
        index,
        horizon=HORIZON,
        season_length=SEASON,
        quantile_levels=predictor.quantile_levels or QUANTILE_LEVELS,
        batch_size=batch_size,
    )


@pytest.mark.parametrize("size", [1, 7, 512])
def test_every_window_is_scored_once_with_any_batch_size(size: int) -> None:
    batched, whole = scored(windows(), batch_size=size), scored(windows())
    assert batched["windows"] == 60 - HORIZON + 1
    assert batched == pytest.approx(whole, rel=1e-9)


def test_the_scale_of_mase_is_that_of_the_rows_before_the_split() -> None:
    index = windows()
    expected = seasonal_error(index.flat.series(0)[:, :240].astype(np.float64), SEASON)
    np.testing.assert_allclose(insample_scale(index, SEASON)[0], expected)
    np.testing.assert_allclose(insample_scale(windows(context=90), SEASON), insample_scale(index, SEASON))


def test_windows_without_observed_context_are_left_out_for_every_predictor_and_counted() -> None:
    index = windows(gap=slice(220, 260))  # 24 steps of context: windows that begin at 220 to 236
    model = ModelPredictor(tiny("patch_transformer", "quantiles"), name="tiny")
    for predictor in (SeasonalNaive(None), model):
        metrics = scored(index, predictor=predictor)
        assert metrics["windows_without_context"] == 17
        assert metrics["windows"] == len(index) - 17
        assert metrics["mse"] < 100


def test_a_window_with_a_constant_context_does_not_change_the_loss() -> None:
    """One flat window among others has no effect on the loss."""
    task = TASKS.build(TASKS.config({"name": "forecast", "loss": "pinball", "units": "scaled"}), horizon=16)
    model, batch = tiny("patch_transformer", "quantiles").eval(), waves(4)
    values = batch.values.clone()
    values[0, :, :-16] = 0.0
    flat = task.pose(Batch(values, batch.observed))
    rest = forecast_problem(Batch(values[1:], batch.observed[1:]))
    with torch.no_grad():
        torch.testing.assert_close(task.loss(model(flat), flat), task.loss(model(rest), rest))


class Spy(SeasonalNaive):
    """Seasonal naive that stores the covariates that it gets."""

    def __init__(self, *, uses: bool):
        super().__init__(None)
        self.uses_covariates, self.calls = uses, []

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        self.calls.append((context, known))
        return super().quantiles(context, horizon=horizon, quantile_levels=quantile_levels, season_length=season_length)


def with_covariates(*, time_features: bool = False) -> WindowIndex:
    """The windows of `windows`, y the target, with a past-only and a known covariate."""
    plain = windows()
    values = np.concatenate([plain.flat.series(0), np.arange(600).reshape(2, 300)])[[1, 0, 2, 3]]
    flat = FlatSeries.from_arrays([values], channels=["y", "z", "past", "known"])
    role = torch.tensor([[TARGET, PAST, KNOWN] + time_features * [TIME_FEATURE]], dtype=torch.int8)
    calendar = TimeFeatures(["hour"], starts=np.array(["2024-01-01"], "M8[us]"), freqs=["h"], lengths=np.array([300]))
    options = {"context": 24, "horizon": HORIZON, "channels": ["y", "past", "known"], "role": role}
    return WindowIndex(flat, plain.spans, **options, time_features=calendar if time_features else None)


def test_only_targets_are_scored_and_future_values_of_past_covariates_are_hidden() -> None:
    index, spy, other = with_covariates(), Spy(uses=True), Spy(uses=False)
    metrics = scored(index, predictor=spy)
    assert scored(index, predictor=other) == metrics
    assert insample_scale(index, SEASON).shape == (1, 1)
    plain = windows()
    alone = scored(WindowIndex(plain.flat, plain.spans, context=24, horizon=HORIZON, channels=["c1"]))
    assert metrics == alone
    (context, known), (_, nothing) = spy.calls[0], other.calls[0]
    assert nothing is None
    assert context.shape[1:] == (1, 24)
    assert known.shape[1:] == (2, 24 + HORIZON)
    assert np.isnan(known[:, 0, 24:]).all()
    assert np.isfinite(known[:, 0, :24]).all()
    steps = int(index.gather([0]).key[0, 1]) + np.arange(24 + HORIZON)
    np.testing.assert_array_equal(known[0, 1], 300 + steps)


def test_time_features_must_be_those_of_the_training() -> None:
    model = ModelPredictor(tiny("patch_transformer", "group"), name="m", about=About())
    with pytest.raises(
        ValueError, match="m was trained with the time features none; the windows have hour: leave data"
    ):
        scored(with_covariates(time_features=True), predictor=model)
