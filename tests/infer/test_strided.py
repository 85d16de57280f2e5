"""A second look at long seasons: every k-th step by itself, put together again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.infer.small import reader
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.strided import MIN_SEASON_LENGTH, all_phases_observed, interleave, split_phases

LEVELS = (0.1, 0.5, 0.9)


def pretrained(stride: int = 4) -> ModelPredictor:
    return reader(task={"name": "pretrain"}, config=InferenceConfig(stride=stride))


def past(steps: int, *, rows: int = 2) -> np.ndarray:
    dice = np.random.default_rng(0)
    return dice.normal(size=(rows, 1, steps)).cumsum(axis=-1).astype(np.float32)


@pytest.mark.parametrize("steps", [400, 401, 403])
def test_phases_put_together_are_the_steps_that_follow(steps: int) -> None:
    whole = torch.arange(2 * (steps + 12), dtype=torch.float32).reshape(2, 1, -1)
    cut = split_phases(whole[..., :steps], 4)
    assert cut.shape == (8, 1, steps // 4)
    assert (cut.diff(dim=-1) == 4).all()
    ahead = cut[..., -1:] + 4 * torch.arange(1, 4)
    assert torch.equal(interleave(ahead[..., None], 4, horizon=10)[..., 0], whole[..., steps : steps + 10])


def test_a_long_season_is_the_mean_of_both_looks() -> None:
    model, values = pretrained(), past(500)
    read = model.forecast(values, horizon=10, quantile_levels=LEVELS, season_length=MIN_SEASON_LENGTH)
    first = model.forecast(values, horizon=10, quantile_levels=LEVELS, season_length=MIN_SEASON_LENGTH - 1)
    limit = model.usable_context_length(MIN_SEASON_LENGTH)
    assert limit == 4 * model.max_context_length
    thin = split_phases(torch.from_numpy(values[..., -limit:]), 4).numpy()
    again = torch.from_numpy(model.forecast(thin, horizon=3, quantile_levels=LEVELS))
    np.testing.assert_allclose(read, (first + interleave(again, 4, horizon=10).numpy()) / 2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("what", ["short season", "short past", "off", "another task"])
def test_without_need_there_is_one_look(what: str) -> None:
    model, values = pretrained(), past(500)
    expected = model.forecast(values, horizon=8, quantile_levels=LEVELS)
    season = MIN_SEASON_LENGTH
    if what == "short season":
        season = MIN_SEASON_LENGTH - 1
    if what == "short past":
        values = values[..., -100:]
        expected = model.forecast(values, horizon=8, quantile_levels=LEVELS)
    if what == "off":
        model = pretrained(stride=1)
    if what == "another task":
        model = reader()
        expected = model.forecast(values, horizon=8, quantile_levels=LEVELS)
    np.testing.assert_array_equal(
        model.forecast(values, horizon=8, quantile_levels=LEVELS, season_length=season), expected
    )


def test_a_channel_with_a_silent_phase_is_looked_at_once() -> None:
    model, values = pretrained(), past(500)
    values[0, 0, np.arange(500) % 4 != 3] = np.nan  # hourly values on a grid of quarters
    read = model.forecast(values, horizon=8, quantile_levels=LEVELS, season_length=MIN_SEASON_LENGTH)
    alone = model.forecast(values, horizon=8, quantile_levels=LEVELS)
    np.testing.assert_array_equal(read[0], alone[0])
    assert not np.array_equal(read[1], alone[1])
    assert all_phases_observed(split_phases(torch.from_numpy(np.isfinite(values)), 4), 4).tolist() == [[False], [True]]


def test_frames_and_arrays_of_a_long_season_agree() -> None:
    model, values = pretrained(), past(700, rows=1)
    by_array = model.predict(values[0], prediction_length=8, quantile_levels=LEVELS, season_length=MIN_SEASON_LENGTH)
    whole = model.forecast(values, horizon=8, quantile_levels=LEVELS, season_length=MIN_SEASON_LENGTH)
    np.testing.assert_allclose(by_array.quantiles[0], whole[0], rtol=1e-6)


def test_a_short_series_is_looked_at_as_if_it_were_alone() -> None:
    model, values = pretrained(), past(500)
    short = values[1, 0, -150:]
    both = model.predict(
        [values[0, 0], short], prediction_length=8, quantile_levels=LEVELS, season_length=MIN_SEASON_LENGTH
    )
    alone = model.predict(short, prediction_length=8, quantile_levels=LEVELS, season_length=MIN_SEASON_LENGTH)
    plain = model.predict(short, prediction_length=8, quantile_levels=LEVELS)
    np.testing.assert_allclose(both.quantiles[1], alone.quantiles[0], rtol=1e-5)
    np.testing.assert_array_equal(alone.quantiles, plain.quantiles)
