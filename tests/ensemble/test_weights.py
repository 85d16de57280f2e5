"""Weights of members: the better one gains weight, the prior holds where the back-test says little."""

import numpy as np
import pytest

from tsfm.ensemble.weights import WeightSettings, fit_weights, pinball

QUANTILE_LEVELS = (0.1, 0.5, 0.9)
Z = np.array([-1.2816, 0.0, 1.2816])


def members_of(errors, rng, num_windows=80, horizon=12):
    """Normal quantiles around the truth plus independent errors of the given sizes, and the truth."""
    actual = rng.normal(size=(num_windows, horizon))
    centers = [actual + size * rng.normal(size=actual.shape) for size in errors]
    return np.stack([c[..., None] + size * Z for c, size in zip(centers, errors, strict=True)]), actual


def weigh(members, actual, prior, *, num_independent=80.0, shrinkage=0.1):
    names = ["network", *(f"member {number}" for number in range(1, len(prior)))]
    return fit_weights(
        members, actual, scale=np.ones(len(actual)), quantile_levels=QUANTILE_LEVELS, names=names,
        num_independent=num_independent,
        settings=WeightSettings(dict(zip(names, prior, strict=True)), shrinkage),
    )  # fmt: skip


def test_the_better_member_gains_the_weight():
    members, actual = members_of([0.2, 2.0], np.random.default_rng(0))
    weights = weigh(members, actual, [0.2, 0.8])
    assert weights[0] > 0.9
    assert weights.sum() == pytest.approx(1)


def test_the_weighted_mean_is_no_worse_than_the_prior_mean_or_a_member():
    members, actual = members_of([1.0, 1.0, 1.5], np.random.default_rng(1))
    weights = weigh(members, actual, [0.6, 0.2, 0.2])

    def loss(w):
        return pinball(actual, np.tensordot(w, members, 1), np.array(QUANTILE_LEVELS)).mean()

    assert loss(weights) <= min(loss(np.array([0.6, 0.2, 0.2])), *(loss(row) for row in np.eye(3)))


def test_few_windows_leave_the_weights_near_the_prior():
    members, actual = members_of([0.5, 0.6], np.random.default_rng(2))
    prior = np.array([0.5, 0.5])
    near, far = (weigh(members, actual, prior, num_independent=count) for count in (0.01, 1e6))
    assert np.abs(near - prior).max() < np.abs(far - prior).max()


def test_infinite_shrinkage_gives_the_prior():
    members, actual = members_of([2.0, 0.2], np.random.default_rng(4))
    np.testing.assert_allclose(weigh(members, actual, [0.7, 0.3], shrinkage=np.inf), [0.7, 0.3])


def test_missing_steps_do_not_count():
    members, actual = members_of([0.2, 2.0], np.random.default_rng(3))
    hidden = actual.copy()
    hidden[::2] = np.nan
    np.testing.assert_array_equal(weigh(members, hidden, [0.5, 0.5]), weigh(members[:, 1::2], actual[1::2], [0.5, 0.5]))


def test_prior_weights_sum_to_one_for_any_members():
    for names in (["network"], ["network", "analogues"], ["network", "ridge", "analogues"]):
        weights = WeightSettings().prior_weights(names)
        assert weights.sum() == pytest.approx(1)
        assert weights.argmax() == 0
