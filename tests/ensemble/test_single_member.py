"""Members of an ensemble by themselves: with the weights of the ensemble they give its forecast."""

from dataclasses import replace

import numpy as np

from tests.ensemble.test_adaptive import make_arrays, predict
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.ensemble.adaptive import AdaptiveForecaster, FittedForecaster
from tsfm.ensemble.fit import NETWORK
from tsfm.ensemble.single_member import members_of


def test_the_weighted_mean_of_the_members_is_the_ensemble_without_a_router():
    arrays = [array.astype(np.float32) for array in make_arrays(length=150)]
    ensemble = AdaptiveForecaster(SeasonalNaive())
    forecaster = ensemble.fitted_to(arrays, prediction_length=5, season_length=7)
    fitted = forecaster.fitted_members
    not_routed = FittedForecaster(SeasonalNaive(), replace(fitted, routing=None), horizon=5, season_length=7)
    whole = predict(not_routed, arrays)
    members = members_of(ensemble)
    assert set(fitted.names) == set(members)
    weighted = [
        weight * predict(members[name], arrays).quantiles
        for name, weight in zip(fitted.names, fitted.weights, strict=True)
    ]
    assert np.allclose(np.sum(weighted, axis=0), whole.quantiles, atol=1e-4)
    assert np.array_equal(predict(members[NETWORK], arrays).quantiles, predict(SeasonalNaive(), arrays).quantiles)


def test_where_nothing_is_fitted_a_member_is_the_network():
    short = [array[:, :6] for array in make_arrays(count=2)]
    ridge = members_of(AdaptiveForecaster(SeasonalNaive()))["ridge"]
    assert np.array_equal(predict(ridge, short).quantiles, predict(SeasonalNaive(), short).quantiles)
