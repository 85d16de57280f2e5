"""The router: weights move with what it predicts for a window, and it learns what decides between members."""

import numpy as np
import pytest

from tsfm.ensemble.fit import MEMBERS
from tsfm.ensemble.fitted import Routing, routed_members
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.router import as_json, bundled_router, describe_windows, fit_router, from_json

RNG = np.random.default_rng(0)
WEIGHTS = np.array([0.6, 0.4])


@pytest.fixture(scope="module")
def router():
    """A member that loses where the first feature is high."""
    features = RNG.normal(size=(500, 3))
    relative_loss = features[:, :1] + 0.1 * RNG.normal(size=(500, 1))
    return fit_router(["ridge"], features, relative_loss, weight=np.ones(500), strength=1e-3)


def test_what_decides_between_members_is_learned(router):
    features = RNG.normal(size=(200, 3))
    assert np.abs(router.relative_loss(features)[:, 0] - features[:, 0]).mean() < 0.05


def test_a_window_like_those_of_the_backtest_keeps_the_weights(router):
    features = np.zeros((1, 3))
    usual = router.relative_loss(features)[0]
    np.testing.assert_allclose(router.route(WEIGHTS, features, usual), [WEIGHTS], rtol=1e-6)


def test_a_member_that_is_expected_to_lose_has_less_weight(router):
    weights = router.route(WEIGHTS, np.array([[1.0, 0, 0], [-1.0, 0, 0]]), np.zeros(1))
    assert weights[0, 1] < 0.05 < 0.95 < weights[1, 1]
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_a_weight_of_zero_stays_zero(router):
    assert router.route(np.array([1.0, 0.0]), np.array([[-1.0, 0, 0]]), np.zeros(1))[0, 1] < 1e-6


def test_the_text_of_a_router_gives_it_back(router):
    again = from_json(as_json(router))
    features = RNG.normal(size=(20, 3))
    np.testing.assert_allclose(again.relative_loss(features), router.relative_loss(features), atol=1e-4)
    assert again.names == ("ridge",)


def test_features_do_not_change_with_the_unit_of_the_series():
    quantiles, spread = np.sort(RNG.normal(size=(3, 4, 6, 9)), axis=-1), np.array([1.0, 2, 3, 4])
    options = {"quantile_levels": np.arange(1, 10) / 10, "num_past": np.full(4, 50), "season_length": 7}
    features = describe_windows(quantiles, spread=spread, **options)
    np.testing.assert_allclose(describe_windows(1e6 * quantiles, spread=1e6 * spread, **options), features, rtol=1e-9)
    assert np.isfinite(describe_windows(0 * quantiles, spread=spread, **options)).all()


def test_the_bundled_router_knows_the_members():
    router = bundled_router()
    assert set(router.names) <= {member.name for member in MEMBERS}
    quantiles, spread = np.sort(RNG.normal(size=(1 + len(router.names), 4, 6, 9)), axis=-1), np.ones(4)
    features = describe_windows(
        quantiles, quantile_levels=np.arange(1, 10) / 10, spread=spread, num_past=np.full(4, 50), season_length=7
    )
    assert np.abs(router.relative_loss(features)).max() < 20
    assert np.isfinite(router.coefficients).all()


def test_members_that_the_router_does_not_know_keep_their_weight():
    router = bundled_router()
    names = ("network", "smoothing", *router.names)
    index = routed_members(names, router)
    assert [names[i] for i in index] == ["network", *router.names]
    quantiles = np.sort(RNG.normal(size=(len(names), 5, 6, 9)), axis=-1)
    panel = Panel([RNG.normal(size=60)] * 5)
    routing = Routing(router, np.zeros(len(router.names)), tuple(np.arange(1, 10) / 10), 7, index)
    weights = routing.weights(np.array([0.2, 0.5, 0.2, 0.1]), quantiles, panel, Windows(np.arange(5), np.full(5, 50)))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights[:, 1], 0.5)
    assert np.ptp(weights[:, 0]) > 0
