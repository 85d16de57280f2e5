"""Bounds of forecasts: the floor at 0 of series without negative values, and given bounds."""

import numpy as np
import pandas as pd
import pytest

import tsfm
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.infer.bounds import read_bounds

QUANTILE_LEVELS = [0.01, 0.1, 0.5, 0.9]


def make_frame(values, **columns):
    days = pd.date_range("2024-01-01", periods=len(values), freq="D")
    return pd.DataFrame({"item_id": "a", "timestamp": days, "target": values} | columns)


def sales(seed=0, count=60):
    return np.random.default_rng(seed).poisson(0.5, count).astype(float)


def forecast(frame, **options):
    return SeasonalNaive().predict_df(frame, 5, quantile_levels=QUANTILE_LEVELS, **options)


def values_of(result):
    return result[["predictions", *map(str, QUANTILE_LEVELS)]].to_numpy()


def test_a_series_without_negative_values_has_no_negative_forecast():
    with pytest.warns(tsfm.AssumptionWarning, match="forecast steps of 'target' had quantiles below 0"):
        result = forecast(make_frame(sales()))
    assert values_of(result).min() == 0
    assert any("lower=None" in note for note in result.attrs["announcements"])
    free = forecast(make_frame(sales()), lower=None)
    assert values_of(free).min() < 0
    np.testing.assert_array_equal(values_of(result), values_of(free).clip(min=0))
    assert free.attrs["announcements"] == []


def test_a_floor_that_changes_nothing_is_not_announced():
    assert forecast(make_frame(100 + sales())).attrs["announcements"] == []


def test_one_negative_value_removes_the_floor_of_its_item_only():
    crossing = sales(1) - 1
    frame = pd.concat([make_frame(sales()), make_frame(crossing).assign(item_id="b")])
    with pytest.warns(tsfm.AssumptionWarning):
        result = forecast(frame)
    lowest = result.groupby("item_id")["0.01"].min()
    assert lowest["a"] == 0
    assert lowest["b"] < -1


def test_given_bounds_hold_for_each_target():
    frame = make_frame(sales(), other=-sales(2)).rename(columns={"target": "load"})
    result = forecast(frame, target=["load", "other"], lower={"other": -0.5}, upper={"load": 0.75}, mean=True)
    load, other = (result[result["target_name"] == name] for name in ("load", "other"))
    assert values_of(load).max() == 0.75
    assert values_of(load).min() < 0
    assert values_of(other).min() == -0.5
    assert load["mean"].max() <= 0.75


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lower": "zero"}, "lower is 'zero'; expected a number, None, \"auto\" or a dict"),
        ({"lower": float("nan")}, "lower is nan"),
        ({"upper": True}, "upper is True; expected a number, None or a dict"),
        ({"upper": {"tarrget": 1}}, "upper names 'tarrget', no target; did you mean 'target'"),
        ({"lower": 3, "upper": 3}, "target 'target': upper is 3, which is not above the lower bound 3"),
    ],
)
def test_wrong_bounds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        forecast(make_frame(sales()), **options)


def test_rounding_of_a_high_level_does_not_remove_the_floor():
    values = 1e7 + sales()
    values[3] = 0.0
    bounds = read_bounds("auto", None, ["target"])
    result = forecast(make_frame(values))
    assert np.isnan(bounds.lower[0])
    assert values_of(result).min() >= 0


def test_missing_values_do_not_count():
    values = sales()
    values[:5] = np.nan
    with pytest.warns(tsfm.AssumptionWarning, match="below 0"):
        assert values_of(forecast(make_frame(values))).min() == 0


def test_an_upper_bound_below_zero_holds_with_the_floor():
    result = forecast(make_frame(sales(2) - 3), upper=-1)
    assert values_of(result).max() == -1
