"""Laws of the simple imputers: observed values stay, agreement with pandas, exactness where the assumption holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsfm.bench.interfaces import CaseLearner, Imputer
from tsfm.bench.predictors import baselines, find_baseline, find_predictor

NAMES = baselines(Imputer)


def gappy(seed: int = 0, *, rate: float = 0.4, steps: int = 50) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(5, 3, steps)).cumsum(-1).astype(np.float32)
    values[rng.random(values.shape) < rate] = np.nan
    values[0, 0] = np.nan
    values[1, 1, 10:] = np.nan
    values[2, 2, :20] = np.nan
    return values


def imputed(name: str, values: np.ndarray, *, season_length: int = 1) -> np.ndarray:
    return find_baseline(name, Imputer).impute(values, season_length=season_length)  # type: ignore[type-abstract]


def test_the_three_are_registered() -> None:
    assert set(NAMES) >= {"linear_interpolation", "forward_fill", "seasonal_fill"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("season_length", [1, 7, 24, 60])
def test_everything_is_filled_and_what_was_observed_stays(name: str, season_length: int) -> None:
    values = gappy()
    filled = imputed(name, values, season_length=season_length)
    assert filled.dtype == values.dtype
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(values)], values[~np.isnan(values)])
    assert (filled[0, 0] == 0).all()
    alone = np.concatenate([imputed(name, row[None], season_length=season_length) for row in values])
    np.testing.assert_array_equal(alone, filled)


@pytest.mark.parametrize("seed", range(3))
def test_they_agree_with_pandas(seed: int) -> None:
    values = gappy(seed)
    flat = pd.DataFrame(values.reshape(-1, values.shape[-1]).T.astype(np.float64))
    linear = flat.interpolate(limit_direction="both").fillna(0).to_numpy().T.reshape(values.shape)
    np.testing.assert_allclose(imputed("linear_interpolation", values), linear, rtol=1e-6, atol=1e-6)
    forward = flat.ffill().bfill().fillna(0).to_numpy().T.reshape(values.shape)
    np.testing.assert_array_equal(imputed("forward_fill", values), forward.astype(np.float32))


def test_a_line_and_a_season_are_restored() -> None:
    line = np.arange(40, dtype=np.float32)[None, None] * 2 + 5
    cycle = np.tile(np.random.default_rng(0).normal(size=8), 5)[None, None].astype(np.float32)
    hidden = np.random.default_rng(1).random(40) < 0.3
    hidden[[0, 39]] = False
    gaps = np.where(hidden, np.nan, line)
    np.testing.assert_allclose(imputed("linear_interpolation", gaps), line, rtol=1e-6)
    block = np.arange(40)
    gaps = np.where((block >= 12) & (block < 20), np.nan, cycle)  # a whole season is missing
    np.testing.assert_allclose(imputed("seasonal_fill", gaps, season_length=8), cycle, rtol=1e-6)
    assert np.abs(imputed("linear_interpolation", gaps) - cycle).max() > 0.5
    # season and trend together: the same phase lies on a line
    both = np.where((block >= 12) & (block < 20), np.nan, cycle + line)
    np.testing.assert_allclose(imputed("seasonal_fill", both, season_length=8), cycle + line, rtol=1e-6)


def test_without_two_seasons_the_line_is_taken() -> None:
    values = gappy()
    np.testing.assert_array_equal(
        imputed("seasonal_fill", values, season_length=26), imputed("linear_interpolation", values)
    )


@pytest.mark.wrong_shapes
def test_bad_windows_are_named() -> None:
    with pytest.raises(ValueError, match="windows, channels, steps"):
        imputed("forward_fill", np.zeros((3, 4)))
    with pytest.raises(ValueError, match="infinite"):
        imputed("forward_fill", np.full((1, 1, 4), np.inf))


def test_a_baseline_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'minirocket' learns labelled cases; expected one that forecasts"):
        find_predictor("minirocket")
    with pytest.raises(ValueError, match="'seasonal_naive' forecasts; expected one that learns labelled cases"):
        find_baseline("seasonal_naive", CaseLearner)  # type: ignore[type-abstract]
    with pytest.raises(ValueError, match="did you mean 'forward_fill'"):
        find_baseline("foward_fill", Imputer)  # type: ignore[type-abstract]
    with pytest.raises(ValueError, match="no predictor 'nope'"):
        find_predictor("nope")
