"""Sample paths: each step has the quantiles of the forecast, and depends on others as errors of the past do."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from tsfm.samples.error_correlation import error_weights, fit_autoregression, seasonal_pattern, shock_response
from tsfm.samples.paths import is_whole, quantile_function, round_randomly, sample_paths

QUANTILE_LEVELS = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
STEPS = 3000


def autoregressive(coefficient: float, seed: int = 0, steps: int = STEPS) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=steps)
    values = np.zeros(steps)
    for t in range(1, steps):
        values[t] = coefficient * values[t - 1] + noise[t]
    return values


def correlations(past: np.ndarray, *, horizon: int = 12, season_length: int = 1) -> np.ndarray:
    weights = error_weights(past, horizon=horizon, season_length=season_length)
    return weights @ weights.T


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.9, -0.6, 1.0])
@pytest.mark.parametrize("season_length", [1, 12])
def test_errors_have_the_correlation_of_the_process(coefficient: float, season_length: int) -> None:
    """Of an AR(1), around a seasonal pattern or not: sums of powers; 1 is the random walk."""
    pattern = 10 * np.sin(np.arange(STEPS) * 2 * np.pi / 12) if season_length > 1 else 0.0
    estimated = correlations(autoregressive(coefficient) + pattern, season_length=season_length)
    psi = coefficient ** np.arange(12.0)
    errors = np.array([[psi[h - j] if j <= h else 0.0 for j in range(12)] for h in range(12)])
    expected = errors @ errors.T
    expected /= np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs(estimated - expected).max() < 0.1
    assert np.allclose(np.diag(estimated), 1)


def test_a_gap_and_a_level_change_nothing_much() -> None:
    past = autoregressive(0.8)
    gappy = np.where(np.random.default_rng(1).random(STEPS) < 0.2, np.nan, past)
    assert np.abs(correlations(gappy) - correlations(past)).max() < 0.1
    assert np.allclose(correlations(1e4 + 3 * past), correlations(past), atol=1e-6)


@pytest.mark.parametrize("past", [[3.0], [2.0] * 50, [np.nan] * 9 + [1.0, 2.0], [0.0] * 30 + [np.nan]])
def test_short_and_constant_pasts_give_independent_steps(past: list[float]) -> None:
    assert np.array_equal(error_weights(np.array(past), horizon=5, season_length=7), np.eye(5))


def test_an_explosive_past_is_damped() -> None:
    coefficients = fit_autoregression(1.2 ** np.arange(60.0) + np.random.default_rng(0).normal(size=60))
    assert len(coefficients)
    assert np.abs(shock_response(coefficients, 500)).max() < 1e3
    assert np.isfinite(correlations(1.2 ** np.arange(60.0))).all()


def test_the_pattern_is_that_of_the_season_whatever_the_level_does() -> None:
    pattern = np.array([0.0, 5, -3, 2])
    values = np.tile(pattern, 200) + 0.05 * np.random.default_rng(0).normal(size=800).cumsum() + np.arange(800) * 0.5
    estimated = seasonal_pattern(values, 4)[:4]
    assert np.allclose(estimated - estimated.mean(), pattern - pattern.mean(), atol=0.1)
    assert not seasonal_pattern(values[:8], 4).any()


def test_marginal_quantiles_are_those_of_the_forecast() -> None:
    """For every step, whatever the dependence; also of two distributions at once, one of them skewed."""
    rng = np.random.default_rng(0)
    quantiles = np.sort(rng.exponential(size=(2, 1, 6, len(QUANTILE_LEVELS))).cumsum(axis=-1), axis=-1)
    pasts = [autoregressive(0.9)[None], autoregressive(0.0)[None]]
    paths = sample_paths(quantiles, QUANTILE_LEVELS, pasts, num_samples=40_000, season_lengths=[1, 1], rng=rng)
    for level, expected in zip(QUANTILE_LEVELS, np.moveaxis(quantiles, -1, 0), strict=True):
        assert np.abs((paths <= expected[:, :, None]).mean(axis=2) - level).max() < 0.012
    lag = [np.corrcoef(item[0, :, 3], item[0, :, 4])[0, 1] for item in paths]
    assert lag[0] > 0.75
    assert abs(lag[1]) < 0.05


def test_a_normal_distribution_is_exact_also_in_its_tails() -> None:
    scores = np.linspace(-4, 4, 9)[:, None]
    quantiles = np.array([[3 + 2 * NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS]])
    assert np.allclose(quantile_function(quantiles, QUANTILE_LEVELS, scores), 3 + 2 * scores)
    assert np.allclose(quantile_function(np.array([[7.0]]), (0.5,), scores), 7)
    assert np.allclose(
        quantile_function(np.full((1, len(QUANTILE_LEVELS)), 2.0), QUANTILE_LEVELS, scores), 2
    )  # all mass in one value


def test_counts_stay_counts_and_keep_their_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(0.3, size=200_000)
    rounded = round_randomly(values, rng)
    assert np.array_equal(rounded, np.round(rounded))
    assert np.abs(rounded - values).max() < 1
    assert rounded.mean() == pytest.approx(values.mean(), abs=0.01)
    assert is_whole(np.array([[1.0, np.nan, 3], [1, 2, 2.5], [2.0**30, 1, 1]])).tolist() == [True, False, False]
