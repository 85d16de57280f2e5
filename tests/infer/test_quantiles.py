"""The mean from quantiles: exact distributions, equivariance, and totals of intermittent sales."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tsfm.infer.load import load
from tsfm.infer.predictor import Predictor
from tsfm.infer.quantiles import DECILES, MEAN_LEVELS, mean_from_quantiles

Z = NormalDist().inv_cdf
SPARSE = -math.log(0.8)  # rate of a Poisson distribution with 80 % zeros


def poisson(level: float, rate: float) -> int:
    """Return the smallest count whose distribution function reaches the level."""
    count, mass = 0, math.exp(-rate)
    total = mass
    while total < level - 1e-12:
        count += 1
        mass *= rate / count
        total += mass
    return count


def mixed(level: float) -> float:
    """Return a quantile of sales: 0 with probability 0.8, else exponential with mean 1."""
    return 0.0 if level <= 0.8 else -math.log((1 - level) / 0.2)


def zero_inflated(level: float, *, num_zeros: float, rate: float) -> int:
    """Return a quantile of counts that are 0 with a probability, else Poisson, and have the mean `rate`."""
    return 0 if level <= num_zeros else poisson((level - num_zeros) / (1 - num_zeros), rate / (1 - num_zeros))


CASES = {  # quantile function, mean, largest relative error with 9 and with 21 levels: the table of the docstring
    "normal": (lambda level: 10 + 2 * Z(level), 10, 0.001, 0.001),
    "uniform": (lambda level: level, 0.5, 0.001, 0.001),
    "exponential": (lambda level: -math.log(1 - level), 1, 0.01, 0.015),
    "lognormal 0.5": (lambda level: math.exp(0.5 * Z(level)), math.exp(0.125), 0.001, 0.006),
    "lognormal 1": (lambda level: math.exp(Z(level)), math.exp(0.5), 0.05, 0.015),
    "lognormal 1.5": (lambda level: math.exp(1.5 * Z(level)), math.exp(1.125), 0.2, 0.01),
    "gamma 0.5": (lambda level: stats.gamma.ppf(level, 0.5), 0.5, 0.005, 0.025),
    "gamma 2": (lambda level: stats.gamma.ppf(level, 2), 2, 0.005, 0.01),
    "poisson 5": (lambda level: poisson(level, 5), 5, 0.025, 0.005),
    "poisson 80 % zeros": (lambda level: poisson(level, SPARSE), SPARSE, 0.11, 0.08),
    "80 % zeros, else exponential": (mixed, 0.2, 0.31, 0.06),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("num_levels", [9, 21])
def test_the_mean_of_known_distributions(name: str, num_levels: int) -> None:
    quantile, mean, *bounds = CASES[name]
    quantile_levels = DECILES if num_levels == 9 else MEAN_LEVELS
    assert len(quantile_levels) == num_levels
    estimate = mean_from_quantiles(np.array([quantile(level) for level in quantile_levels]), quantile_levels)
    assert abs(estimate / mean - 1) < bounds[num_levels == 21]


@pytest.mark.parametrize("num_zeros", [0, 0.2, 0.5, 0.8, 0.85, 0.9])
def test_means_of_sparse_sales_add_up_to_a_tenth_where_quantiles_are_exact(num_zeros: float) -> None:
    """Sixty days of 0.15 sales a day are 9 sales, however many days are idle. Medians add up to 0."""
    quantiles = np.array([zero_inflated(level, num_zeros=num_zeros, rate=0.15) for level in MEAN_LEVELS], float)
    days = np.broadcast_to(quantiles, (60, len(MEAN_LEVELS)))
    assert quantiles[MEAN_LEVELS.index(0.5)] == 0
    assert mean_from_quantiles(days, MEAN_LEVELS).sum() == pytest.approx(9, rel=0.1)


@given(
    steps=st.lists(st.floats(0, 100, allow_subnormal=False), min_size=9, max_size=9),
    scale=st.floats(0.01, 100),
    shift=st.floats(-100, 100),
)
def test_the_mean_is_equivariant_and_between_exponential_tails(steps, scale, shift) -> None:
    quantiles = np.cumsum(steps)
    mean = mean_from_quantiles(quantiles, DECILES)
    tolerance = {"rtol": 1e-9, "atol": 1e-6}
    np.testing.assert_allclose(
        mean_from_quantiles(scale * quantiles + shift, DECILES), scale * mean + shift, **tolerance
    )
    np.testing.assert_allclose(mean_from_quantiles(-quantiles[::-1], DECILES), -mean, **tolerance)
    inner = 0.1 * ((quantiles[1:] + quantiles[:-1]) / 2).sum()
    tails = 0.1 / math.log(2) * np.array([-steps[1], steps[-1]])  # both exponential
    low, high = inner + 0.1 * (quantiles[0] + quantiles[-1]) + tails
    assert low - 1e-6 <= mean <= high + 1e-6


def test_two_levels_have_linear_tails_and_one_is_the_mean() -> None:
    assert mean_from_quantiles(np.array([3.0]), (0.9,)) == 3
    assert mean_from_quantiles(np.array([1.0, 4.0]), (0.2, 0.5)) == pytest.approx(4)  # a line from -1 to 9


def test_shape_and_levels_are_checked() -> None:
    assert mean_from_quantiles(np.zeros((2, 3, 4, 9), np.float32), DECILES).shape == (2, 3, 4)
    with pytest.raises(ValueError, match=r"shape \(2,\); expected 9 in the last axis"):
        mean_from_quantiles(np.zeros(2), DECILES)
    with pytest.raises(ValueError, match="ascending"):
        mean_from_quantiles(np.zeros(2), (0.9, 0.1))


class Sales(Predictor):
    """Exact quantiles of sales that are 0 in 80 % of steps, and exponential in the others, at any level."""

    name = "sales"

    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        quantiles = np.array([mixed(level) for level in quantile_levels])
        return np.broadcast_to(quantiles, (*context.shape[:2], horizon, len(quantiles)))


def test_means_of_intermittent_sales_add_up_to_the_rate() -> None:
    days = pd.date_range("2024-01-01", periods=30, freq="D")
    df = pd.DataFrame({"item_id": "a", "timestamp": days, "target": 0.0})
    forecast = Sales().predict_df(df, 60, mean=True)
    assert forecast["predictions"].sum() == 0
    assert forecast["mean"].sum() == pytest.approx(60 * 0.2, rel=0.06)
    result = Sales().predict(np.zeros((2, 1, 30)), prediction_length=60, mean=True)
    assert result.mean.shape == result.predictions.shape
    assert result.mean.sum() == pytest.approx(2 * 60 * 0.2, rel=0.06)
    assert Sales().predict(np.zeros(30), prediction_length=60).mean is None


def test_a_bundled_model_forecasts_more_than_half_of_the_rate() -> None:
    """It has nine levels; its medians alone forecast less than a third."""
    sales = np.random.default_rng(0).poisson(0.15, (8, 700)).astype(np.float32)
    forecast = load("tsfm-small").predict(list(sales), prediction_length=60, season_length=7, mean=True)
    expected = 8 * 60 * 0.15
    assert forecast.predictions.sum() < expected / 3
    assert expected / 2 < forecast.mean.sum() < expected * 1.5
