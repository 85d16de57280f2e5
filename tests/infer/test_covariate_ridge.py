"""Laws of the regression on covariates: it finds effects, leaves noise alone, and reads nothing that it may not."""

from __future__ import annotations

import numpy as np
import pytest

from tsfm.infer.covariate_features import fill_missing, trailing_mean
from tsfm.infer.covariate_ridge import estimate_effect, forecast_errors, usable_covariates

L, H, WEEK = 300, 28, 7
SEASONS = (WEEK, 365)


def weekly(rng: np.random.Generator, *, level: float = 20.0) -> np.ndarray:
    """Return a weekly pattern on a level that drifts, with noise."""
    return level + np.resize(rng.normal(size=WEEK), L + H) + 0.02 * rng.normal(size=L + H).cumsum()


def effect_of(kind: str, c: np.ndarray) -> np.ndarray:
    if kind == "lag":
        return 5 * np.concatenate([np.zeros(2), c[:-2]])
    if kind == "curve":
        return 5 * np.abs(c)
    if kind == "by season":
        return c * np.resize(np.arange(WEEK), len(c))
    return 5 * c


@pytest.mark.parametrize("kind", ["value", "lag", "curve", "by season"])
@pytest.mark.parametrize("seed", range(3))
def test_an_effect_is_found_and_holds_in_the_future(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    c = rng.normal(size=L + H)
    true = effect_of(kind, c)
    target = weekly(rng) + true + 0.1 * rng.normal(size=L + H)
    effect = estimate_effect(target[:L], c[None], seasons=SEASONS)
    assert effect.used == (0,)
    assert effect.gain > 0.5
    error = true[L:] - effect.values[L:]
    assert error.std() < 0.15 * true[L:].std()
    assert abs(effect.values[:L].mean()) < 1e-9 * np.abs(effect.values).max() + 1e-9


def test_noise_has_hardly_ever_an_effect_and_then_a_small_one() -> None:
    rng, count, size = np.random.default_rng(0), 0, []
    for _ in range(40):
        target = weekly(rng) + rng.normal(size=L + H)
        covariates = rng.normal(size=(3, L + H))
        covariates[2] = covariates[2].cumsum()
        effect = estimate_effect(target[:L], covariates, seasons=SEASONS)
        count += bool(effect.used)
        size.append(effect.values[L:].std())
    assert count <= 4
    assert np.mean(size) < 0.05


def test_an_irrelevant_covariate_is_dropped_next_to_a_relevant_one() -> None:
    rng = np.random.default_rng(0)
    covariates = rng.normal(size=(4, L + H))
    target = weekly(rng) + 3 * covariates[1] - 3 * covariates[2] + 0.1 * rng.normal(size=L + H)
    assert estimate_effect(target[:L], covariates, seasons=SEASONS).used == (1, 2)


def test_the_difference_of_collinear_covariates_and_copies_of_one() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=L + H)
    covariates = np.stack([common, common + 0.1 * rng.normal(size=L + H), common, 7 + 0 * common])
    true = 30 * (covariates[1] - covariates[0])
    effect = estimate_effect((weekly(rng) + true)[:L], covariates, seasons=SEASONS)
    assert 3 not in effect.used
    assert (true[L:] - effect.values[L:]).std() < 0.2 * true[L:].std()


@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (1e6, 3e6), (-2.0, 5.0)])
def test_the_effect_scales_with_the_target_and_not_with_the_covariates(factor: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    c = rng.normal(size=(2, L + H))
    target = (weekly(rng) + 2 * c[0] + 0.1 * rng.normal(size=L + H))[:L]
    effect = estimate_effect(target, c, seasons=SEASONS)
    scaled = estimate_effect(shift + factor * target, 100 + 1000 * c, seasons=SEASONS)
    assert scaled.used == effect.used == (0,)
    assert np.allclose(scaled.values, factor * effect.values, rtol=1e-5, atol=abs(factor) * 1e-6)


def test_missing_values_of_target_and_covariate() -> None:
    rng = np.random.default_rng(0)
    c = rng.normal(size=(1, L + H))
    target = weekly(rng) + 5 * c[0] + 0.1 * rng.normal(size=L + H)
    target[rng.random(L + H) < 0.2] = np.nan
    target[50:90] = np.nan
    c[0, 100:103] = np.nan
    effect = estimate_effect(target[:L], c, seasons=SEASONS)
    assert np.isfinite(effect.values).all()
    assert (5 * c[0, L:] - effect.values[L:]).std() < 0.5
    c[0, L + 1] = np.nan  # not known in the future
    assert estimate_effect(target[:L], c, seasons=SEASONS).used == ()


@pytest.mark.parametrize("steps", [1, 5, 29])
def test_short_or_constant_pasts_use_nothing(steps: int) -> None:
    c = np.random.default_rng(0).normal(size=(1, steps + H))
    assert estimate_effect(5 * c[0, :steps], c, seasons=SEASONS).used == ()
    long = np.random.default_rng(0).normal(size=(1, L + H))
    assert estimate_effect(np.full(L, 3.0), long, seasons=SEASONS).used == ()
    assert estimate_effect(np.full(L, np.nan), long, seasons=SEASONS).used == ()


def test_a_trend_is_left_to_the_network() -> None:
    rng = np.random.default_rng(0)
    effect = estimate_effect((weekly(rng) + 0.5 * np.arange(L + H))[:L], np.arange(L + H)[None] * 1.0, seasons=SEASONS)
    assert effect.used == ()


def test_the_future_of_a_covariate_changes_the_future_effect_alone() -> None:
    rng = np.random.default_rng(0)
    c = rng.normal(size=(2, L + H))
    target = (weekly(rng) + 2 * c[0] + 0.1 * rng.normal(size=L + H))[:L]
    other = c.copy()
    other[:, L:] = 1e3
    first, second = (estimate_effect(target, values, seasons=SEASONS) for values in (c, other))
    assert np.array_equal(first.values[:L], second.values[:L])
    assert first.gain == second.gain
    assert first.used == second.used


def test_errors_of_the_simple_forecaster_are_the_same_for_values_and_features() -> None:
    y = np.random.default_rng(0).normal(size=60)
    y[[7, 20, 21]] = np.nan
    filled = np.where(np.isnan(y), 1e9, y)  # no missing value may be read
    errors, features = forecast_errors(y, filled[None], season_length=WEEK, num_seasons=4)
    usable = np.isfinite(errors)
    assert usable.sum() == 60 - WEEK - 3
    assert np.allclose(errors[usable], features[0, usable])


def test_helpers() -> None:
    assert fill_missing(np.array([[np.nan, 1, np.nan, 3]])).tolist() == [[1, 1, 1, 3]]
    assert trailing_mean(np.array([1.0, 2, 3, 4]), 2).tolist() == [1, 1.5, 2.5, 3.5]
    rows = np.array([[1.0, 2, 3, 4], [5, 5, 5, 6], [1, 2, 3, np.nan], [np.nan, np.nan, 1, 2]])
    assert usable_covariates(rows, num_past=3).tolist() == [0]
