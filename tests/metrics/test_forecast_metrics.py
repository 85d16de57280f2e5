"""Laws of the forecast metrics. B windows, C channels, L past steps, H horizon, Q quantile levels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from tsfm.metrics import forecast as m
from tsfm.metrics.forecast_score import ForecastScore

QUANTILE_LEVELS = tuple(k / 10 for k in range(1, 10))


def windows(seed: int = 0, *, rows: int = 11, channels: int = 3, missing: float = 0.1):
    """Target [B, C, H], quantiles [B, C, H, Q], context [B, C, L] with NaN where missing."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(rows, channels, 8)) * 5
    quantiles = np.sort(rng.normal(size=(rows, channels, 8, len(QUANTILE_LEVELS))) * 5, axis=-1)
    context = rng.normal(size=(rows, channels, 50)).cumsum(-1)
    target[rng.random(target.shape) < missing] = np.nan
    context[rng.random(context.shape) < missing] = np.nan
    return target, quantiles, context


def scored(batches, *, season: int = 4) -> dict[str, float]:
    score = ForecastScore(QUANTILE_LEVELS, season)
    for target, quantiles, context in batches:
        score.update(target, quantiles, context)
    return score.result()


def test_a_perfect_forecast_has_no_error():
    target, _, context = windows()
    quantiles = np.repeat(np.nan_to_num(target)[..., None], len(QUANTILE_LEVELS), -1)
    metrics = scored([(target, quantiles, context)])
    assert all(metrics[name] == 0 for name in ("mse", "mae", "mase", "smape", "wql", "width"))
    assert metrics["coverage"] == 1


@given(power=st.integers(-6, 6), seed=st.integers(0, 50))
def test_relative_metrics_do_not_depend_on_the_unit(power, seed):
    factor = 2.0**power  # a power of two scales floats exactly
    target, quantiles, context = windows(seed)
    metrics = scored([(target, quantiles, context)])
    rescaled = scored([(target * factor, quantiles * factor, context * factor)])
    for name in ("mase", "smape", "wql", "coverage"):
        assert metrics[name] == pytest.approx(rescaled[name], rel=1e-12)
    assert rescaled["mae"] == pytest.approx(metrics["mae"] * factor, rel=1e-12)
    assert rescaled["mse"] == pytest.approx(metrics["mse"] * factor**2, rel=1e-12)


@given(cuts=st.lists(st.integers(1, 10), max_size=5), seed=st.integers(0, 50))
def test_the_batch_size_does_not_matter(cuts, seed):
    data = windows(seed)
    edges = [0, *sorted(set(cuts)), len(data[0])]
    batches = [tuple(array[a:b] for array in data) for a, b in pairwise(edges)]
    whole, split = scored([data]), scored(batches)
    assert whole.keys() == split.keys()
    assert all(whole[name] == pytest.approx(split[name], rel=1e-12) for name in whole)
    assert whole["windows"] == len(data[0])


def test_the_accumulator_agrees_with_the_plain_functions():
    target, quantiles, context = windows()
    metrics = scored([(target, quantiles, context)])
    point, scale = quantiles[..., 4], m.seasonal_error(context, 4)
    assert metrics["mse"] == pytest.approx(m.mse(target, point))
    assert metrics["mae"] == pytest.approx(m.mae(target, point))
    assert metrics["smape"] == pytest.approx(m.smape(target, point))
    assert metrics["mase"] == pytest.approx(m.mase(target, point, scale=scale))
    assert metrics["wql"] == pytest.approx(m.wql(target, quantiles, QUANTILE_LEVELS))
    assert metrics["coverage"] == pytest.approx(m.coverage(target, quantiles[..., 0], quantiles[..., -1]))
    assert metrics["width"] == pytest.approx(m.width(target, quantiles[..., 0], quantiles[..., -1]))
    assert metrics["interval"] == 0.8


def test_wql_agrees_with_sklearn():
    target, quantiles, _ = windows(missing=0)
    loss = [
        2 * mean_pinball_loss(target.ravel(), quantiles[..., q].ravel(), alpha=a) for q, a in enumerate(QUANTILE_LEVELS)
    ]
    assert m.wql(target, quantiles, QUANTILE_LEVELS) == pytest.approx(np.mean(loss) / np.abs(target).mean())


def test_masked_steps_do_not_count():
    target, quantiles, context = windows(missing=0)
    masked = np.zeros(target.shape, bool)
    masked[:, :, -3:] = True
    short = scored([(target[..., :-3], quantiles[..., :-3, :], context)])
    spoiled = np.where(masked[..., None], np.nan, quantiles)  # a NaN forecast where nothing is scored is allowed
    long = scored([(np.where(masked, np.nan, target), spoiled, context)])
    assert long.pop("steps_masked") == masked.sum()
    assert short.pop("steps_masked") == 0
    assert long == pytest.approx(short)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_forecast_that_is_not_finite_is_an_error(bad):
    target, quantiles, context = windows(missing=0)
    quantiles[2, 1, 3, 4] = bad
    with pytest.raises(ValueError, match=r"not finite where y_true was observed, the first at \(2, 1, 3, 4\)"):
        ForecastScore(QUANTILE_LEVELS).update(target, quantiles, context)
    with pytest.raises(ValueError, match="not finite"):
        m.mae(target, quantiles[..., 4])


@pytest.mark.parametrize("season", [1, 3, 7])
def test_seasonal_error_is_the_mean_over_observed_pairs(season):
    rng = np.random.default_rng(1)
    row = rng.normal(size=40)
    row[rng.random(40) < 0.2] = np.nan
    pairs = [abs(row[t] - row[t - season]) for t in range(season, 40) if not np.isnan(row[t] + row[t - season])]
    assert m.seasonal_error(row, season) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("season", [1, 4, 24])
def test_padding_on_the_left_is_a_shorter_series(season):
    row = np.random.default_rng(2).normal(size=(2, 20))
    padded = np.concatenate([np.full((2, 13), np.nan), row], -1)
    assert np.allclose(m.seasonal_error(row, season), m.seasonal_error(padded, season), rtol=1e-12)


def test_a_season_longer_than_the_past_counts_as_one():
    row = np.random.default_rng(3).normal(size=12)
    assert m.seasonal_error(row, 12) == m.seasonal_error(row, 1)
    assert m.seasonal_error(row, 11) == abs(row[11] - row[0])


def test_a_scale_that_is_undefined_is_nan_and_counted():
    context = np.stack([np.full(9, 3.0), np.r_[np.full(8, np.nan), 1.0], np.arange(9.0)])[:, None]
    assert np.array_equal(m.seasonal_error(context, 1), [[0], [np.nan], [1]], equal_nan=True)
    score = ForecastScore((0.5,), 1)
    score.update(np.ones((3, 1, 2)), np.full((3, 1, 2, 1), 3.0), context)
    metrics = score.result()
    assert metrics["scales_undefined"] == 2
    assert metrics["mase"] == 2.0
    assert metrics["mae"] == 2.0
    assert metrics["windows"] == 3


def test_undefined_metrics_are_absent_and_logged(caplog):
    score = ForecastScore((0.5,), 1)
    score.update(np.zeros((2, 1, 3)), np.ones((2, 1, 3, 1)), np.full((2, 1, 5), 3.0))
    with caplog.at_level("WARNING", logger="tsfm"):
        metrics = score.result()
    assert "wql" not in metrics
    assert "mase" not in metrics
    assert "mase, wql" in caplog.text
    assert "coverage" not in metrics


def test_smape_stays_between_0_and_200():
    assert m.smape(np.zeros(3), np.zeros(3)) == 0
    assert m.smape(np.array([1.0, -2.0]), np.array([-1.0, 0.0])) == 200


@pytest.mark.parametrize(
    ("quantile_levels", "pair"),
    [
        (QUANTILE_LEVELS, (0, 8)),
        ((0.05, 0.1, 0.5, 0.9, 0.95), (1, 3)),
        ((0.2, 0.25, 0.5, 0.75), (1, 3)),
        ((0.1, 0.5), None),
    ],
)
def test_the_central_interval_is_80_percent_where_given(quantile_levels, pair):
    assert m.central_pair(quantile_levels) == pair


@pytest.mark.parametrize("quantile_levels", [(), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5), (0.9, 0.1), (float("nan"),)])
def test_wrong_quantile_levels_are_refused(quantile_levels):
    with pytest.raises(ValueError, match="quantile levels are"):
        m.check_quantile_levels(quantile_levels)


@pytest.mark.wrong_shapes
def test_errors_name_what_was_found():
    target, quantiles, context = windows()
    with pytest.raises(ValueError, match=r"lack 0\.5"):
        ForecastScore((0.1, 0.9))
    with pytest.raises(ValueError, match="which matches y_true"):
        m.mae(target, quantiles)
    with pytest.raises(ValueError, match="infinite"):
        m.mae(np.array([np.inf]), np.array([1.0]))
    with pytest.raises(ValueError, match="season_length is 0"):
        m.seasonal_error(context, 0)
    with pytest.raises(ValueError, match="nothing was scored"):
        ForecastScore(QUANTILE_LEVELS).result()
    with pytest.raises(ValueError, match="MAE is undefined"):
        m.mae(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match="one per row"):
        m.mase(target, quantiles[..., 4], scale=1.0)
    score = ForecastScore(QUANTILE_LEVELS)
    score.update(target, quantiles, context)
    with pytest.raises(ValueError, match="some without"):
        score.update(target, quantiles)
    with pytest.raises(ValueError, match=r"\[windows, channels, horizon\]"):
        score.update(target[0], quantiles[0], context[0])
