"""Strided forecasts of long seasons: each phase by itself, interleaved again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.infer.small_models import step_model
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.strided import MIN_SEASON_LENGTH, all_phases_observed, interleave, split_phases

QUANTILE_LEVELS = (0.1, 0.5, 0.9)


def pretrained(stride: int = 4) -> ModelPredictor:
    return step_model(task={"name": "pretrain"}, config=InferenceConfig(stride=stride))


def past(steps: int, *, rows: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 1, steps)).cumsum(axis=-1).astype(np.float32)


@pytest.mark.parametrize("steps", [400, 401, 403])
def test_interleaved_phases_are_the_steps_that_follow(steps: int) -> None:
    whole = torch.arange(2 * (steps + 12), dtype=torch.float32).reshape(2, 1, -1)
    phases = split_phases(whole[..., :steps], 4)
    assert phases.shape == (8, 1, -(-steps // 4))
    assert phases.isnan().sum() == -2 * steps % 8  # before the oldest steps, none of which is cut
    assert (phases.diff(dim=-1)[..., 1:] == 4).all()
    future = phases[..., -1:] + 4 * torch.arange(1, 4)
    assert torch.equal(interleave(future[..., None], 4, horizon=10)[..., 0], whole[..., steps : steps + 10])


def test_a_long_season_has_the_mean_of_both_forecasts() -> None:
    model, values = pretrained(), past(500)
    quantiles = model.forecast(values, horizon=10, quantile_levels=QUANTILE_LEVELS, season_length=MIN_SEASON_LENGTH)
    first = model.forecast(values, horizon=10, quantile_levels=QUANTILE_LEVELS, season_length=MIN_SEASON_LENGTH - 1)
    limit = model.usable_context_length(MIN_SEASON_LENGTH)
    assert limit == 4 * model.max_context_length
    phase_values = split_phases(torch.from_numpy(values[..., -limit:]), 4).numpy()
    again = torch.from_numpy(model.forecast(phase_values, horizon=3, quantile_levels=QUANTILE_LEVELS))
    np.testing.assert_allclose(quantiles, (first + interleave(again, 4, horizon=10).numpy()) / 2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["short season", "short past", "off", "another task"])
def test_where_it_does_not_help_there_is_no_strided_forecast(case: str) -> None:
    model, values = pretrained(), past(500)
    expected = model.forecast(values, horizon=8, quantile_levels=QUANTILE_LEVELS)
    season = MIN_SEASON_LENGTH
    if case == "short season":
        season = MIN_SEASON_LENGTH - 1
    if case == "short past":
        values = values[..., -100:]
        expected = model.forecast(values, horizon=8, quantile_levels=QUANTILE_LEVELS)
    if case == "off":
        model = pretrained(stride=1)
    if case == "another task":
        model = step_model()
        expected = model.forecast(values, horizon=8, quantile_levels=QUANTILE_LEVELS)
    np.testing.assert_array_equal(
        model.forecast(values, horizon=8, quantile_levels=QUANTILE_LEVELS, season_length=season), expected
    )


def test_a_channel_with_an_unobserved_phase_has_no_strided_forecast() -> None:
    model, values = pretrained(), past(500)
    values[0, 0, np.arange(500) % 4 != 3] = np.nan  # hourly values on a grid of quarters
    quantiles = model.forecast(values, horizon=8, quantile_levels=QUANTILE_LEVELS, season_length=MIN_SEASON_LENGTH)
    alone = model.forecast(values, horizon=8, quantile_levels=QUANTILE_LEVELS)
    np.testing.assert_array_equal(quantiles[0], alone[0])
    assert not np.array_equal(quantiles[1], alone[1])
    assert all_phases_observed(split_phases(torch.from_numpy(np.isfinite(values)), 4), 4).tolist() == [[False], [True]]


def test_frames_and_arrays_of_a_long_season_agree() -> None:
    model, values = pretrained(), past(700, rows=1)
    by_array = model.predict(
        values[0], prediction_length=8, quantile_levels=QUANTILE_LEVELS, season_length=MIN_SEASON_LENGTH
    )
    whole = model.forecast(values, horizon=8, quantile_levels=QUANTILE_LEVELS, season_length=MIN_SEASON_LENGTH)
    np.testing.assert_allclose(by_array.quantiles[0], whole[0], rtol=1e-6)


def test_a_short_series_is_forecast_as_if_it_were_alone() -> None:
    model, values = pretrained(), past(500)
    short = values[1, 0, -150:]
    both = model.predict(
        [values[0, 0], short], prediction_length=8, quantile_levels=QUANTILE_LEVELS, season_length=MIN_SEASON_LENGTH
    )
    alone = model.predict(short, prediction_length=8, quantile_levels=QUANTILE_LEVELS, season_length=MIN_SEASON_LENGTH)
    plain = model.predict(short, prediction_length=8, quantile_levels=QUANTILE_LEVELS)
    np.testing.assert_allclose(both.quantiles[1], alone.quantiles[0], rtol=1e-5)
    np.testing.assert_array_equal(alone.quantiles, plain.quantiles)
