"""The mean of forecasters: equal to the mean of their quantiles, whatever the member's context, and clear errors."""

from __future__ import annotations

import numpy as np
import pytest

from tsfm.bench.mean_predictor import MeanPredictor, shared_levels
from tsfm.bench.predictors import find_predictor, prepare_predictor
from tsfm.infer.predictor import Predictor

OUTER_DECILES = (0.1, 0.5, 0.9)


@pytest.fixture
def series() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.sin(np.arange(length) / 4) + 0.1 * rng.normal(size=length) for length in (60, 90)]


def test_quantiles_are_the_mean_of_those_of_the_members(series: list[np.ndarray]):
    mean = prepare_predictor("seasonal_naive+tsfm-mini", device="cpu")
    options = {"prediction_length": 7, "quantile_levels": OUTER_DECILES, "season_length": 12}
    members = [
        prepare_predictor(name, device="cpu").predict(series, **options) for name in ("seasonal_naive", "tsfm-mini")
    ]
    expected = np.mean([member.quantiles for member in members], axis=0)
    np.testing.assert_allclose(mean.predict(series, **options).quantiles, expected, rtol=1e-5, atol=1e-6)
    assert mean.name == "seasonal_naive+tsfm-mini"
    assert mean.num_parameters() == prepare_predictor("tsfm-mini", device="cpu").num_parameters()


def test_the_mean_of_equal_members_is_the_member(series: list[np.ndarray]):
    member = find_predictor("seasonal_naive")
    options = {"prediction_length": 5, "quantile_levels": OUTER_DECILES, "season_length": 12}
    averaged = MeanPredictor([member, member]).predict(series, **options).quantiles
    np.testing.assert_allclose(averaged, member.predict(series, **options).quantiles, rtol=1e-6)


def test_quantile_levels_are_those_that_every_member_can_predict():
    def with_quantile_levels(*quantile_levels: float) -> Predictor:
        member = find_predictor("seasonal_naive")
        member.quantile_levels = quantile_levels or None
        return member

    assert shared_levels([with_quantile_levels(), with_quantile_levels()]) is None
    assert shared_levels([with_quantile_levels(0.01, 0.1, 0.5, 0.9, 0.99), with_quantile_levels(0.1, 0.9)]) == (
        0.1,
        0.5,
        0.9,
    )
    with pytest.raises(ValueError, match="none in common"):
        shared_levels([with_quantile_levels(0.1, 0.2), with_quantile_levels(0.8, 0.9)])


def test_one_member_is_no_mean():
    with pytest.raises(ValueError, match="at least two forecasters, found 1"):
        MeanPredictor([find_predictor("seasonal_naive")])


def test_an_unknown_member_is_named():
    with pytest.raises(ValueError, match="seasonal_naiv"):
        prepare_predictor("tsfm-mini+seasonal_naiv")
