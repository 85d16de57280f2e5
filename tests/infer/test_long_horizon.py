"""Beyond the trained horizon a model of any horizon forecasts every k-th step as a series of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.infer.small_models import step_model
from tsfm.bench.intervals import random_walk_widths
from tsfm.infer.load import load
from tsfm.infer.long_horizon import MIN_OBSERVED, direct_blocks, strided_seasons
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.past import Past
from tsfm.infer.strided import interleave, split_phases

QUANTILE_LEVELS = (0.1, 0.5, 0.9)


def pretrained(backbone: str = "patch_transformer") -> ModelPredictor:
    return step_model(backbone, task={"name": "pretrain"})


def walks(steps: int, *, rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 1, steps)).cumsum(axis=-1).astype(np.float32)


@pytest.mark.parametrize("horizon", [1, 16, 17, 32, 33, 100, 1000])
def test_blocks_cover_the_horizon_with_one_pass_each(horizon: int) -> None:
    blocks = direct_blocks(horizon, 16)
    assert [block.first for block in blocks] == [0, *(block.last for block in blocks[:-1])]
    assert blocks[-1].last == horizon
    assert [block.stride for block in blocks] == [2**k for k in range(len(blocks))]
    assert all(-(-block.last // block.stride) <= 16 for block in blocks)


def test_a_season_in_strides_is_the_first_whole_number_of_both() -> None:
    for season in range(2, 400):
        for stride in (2, 4, 8):
            (length,) = strided_seasons((season,), stride)
            error = length * stride % season
            assert length == 0 or min(error, season - error) <= 0.015 * season


def test_a_block_is_the_forecast_of_the_phases() -> None:
    model, values = pretrained(), walks(700)
    horizon = model.max_horizon
    near = model.forecast(values, horizon=horizon, quantile_levels=QUANTILE_LEVELS)
    far = model.forecast(values, horizon=3 * horizon, quantile_levels=QUANTILE_LEVELS)
    np.testing.assert_array_equal(far[..., :horizon, :], near)
    for stride, first, last in ((2, horizon, 2 * horizon), (4, 2 * horizon, 3 * horizon)):
        phases = split_phases(torch.from_numpy(values), stride).numpy()
        alone = model.forecast(phases, horizon=-(-last // stride), quantile_levels=QUANTILE_LEVELS)
        expected = interleave(torch.from_numpy(alone), stride, horizon=last)[..., first:, :]
        np.testing.assert_allclose(far[..., first:last, :], expected, rtol=1e-5, atol=1e-5)
    longer = model.forecast(values, horizon=5 * horizon, quantile_levels=QUANTILE_LEVELS)
    np.testing.assert_allclose(longer[..., : 3 * horizon, :], far, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [99, 100, 101, 103])
def test_a_forecast_beyond_the_trained_horizon_does_not_depend_on_the_batch(length: int) -> None:
    model, values = pretrained(), list(walks(104))
    horizon = 5 * model.max_horizon
    alone = model.predict(values[0][:, -length:], prediction_length=horizon).quantiles
    series = [values[0][:, -length:], values[1]]
    together = model.predict(series, prediction_length=horizon).quantiles[0]
    np.testing.assert_allclose(alone.reshape(together.shape), together, rtol=1e-5, atol=1e-5)


def test_the_past_that_is_used_grows_with_the_horizon() -> None:
    model = pretrained()
    limit, horizon = model.max_context_length, model.max_horizon
    assert [model.usable_context_length(24, horizon=k * horizon) // limit for k in (1, 2, 3, 4, 5)] == [1, 2, 4, 4, 8]
    assert step_model().usable_context_length(24, horizon=5 * horizon) == limit


def test_where_a_phase_is_hardly_observed_the_forecast_continues_from_itself() -> None:
    model, values = pretrained(), walks(300, rows=3)
    horizon = 2 * model.max_horizon
    values[0, 0, np.arange(300) % 2 == 1] = np.nan  # of hours on a grid of half hours one phase is missing
    values[1, 0, : 300 - 2 * MIN_OBSERVED + 1] = np.nan
    together = model.forecast(values, horizon=horizon, quantile_levels=QUANTILE_LEVELS)
    along_paths = step_model().forecast(values, horizon=horizon, quantile_levels=QUANTILE_LEVELS)
    np.testing.assert_allclose(together[:2], along_paths[:2], rtol=1e-5, atol=1e-5)
    assert not np.allclose(together[2], along_paths[2])
    for row in range(3):
        alone = model.forecast(values[row : row + 1], horizon=horizon, quantile_levels=QUANTILE_LEVELS)
        np.testing.assert_allclose(together[row : row + 1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("past_steps", [20, 21, 23])
@pytest.mark.parametrize("future_steps", [10, 11, 16])
def test_covariates_of_phases_belong_to_their_steps(past_steps: int, future_steps: int) -> None:
    time = torch.arange(past_steps + future_steps, dtype=torch.float32)[None, None]
    phases = Past(time[..., :past_steps], 10 * time, horizon=future_steps).phases(4)
    assert phases.known is not None
    torch.testing.assert_close(
        phases.known[..., : phases.values.shape[-1]], 10 * phases.values, rtol=0, atol=0, equal_nan=True
    )
    future = interleave(phases.known[..., phases.values.shape[-1] :, None], 4, horizon=future_steps)[..., 0]
    assert torch.equal(future, 10 * time[..., past_steps:])


def test_known_future_values_reach_a_long_horizon() -> None:
    model, values = pretrained("inverted"), walks(200)
    horizon = 2 * model.max_horizon
    known = np.random.default_rng(1).normal(size=(2, 1, 200 + horizon)).astype(np.float32)
    changed = known.copy()
    changed[..., -1] += 3
    settings = {"horizon": horizon, "quantile_levels": QUANTILE_LEVELS}
    assert not np.array_equal(
        model.forecast(values, known=known, **settings), model.forecast(values, known=changed, **settings)
    )


@pytest.mark.slow
def test_intervals_of_random_walks_have_the_true_width_within_a_quarter() -> None:
    for row in random_walk_widths(load("tsfm-small"), num_walks=16):
        assert abs(row["ratio"] - 1) < 0.25, row
