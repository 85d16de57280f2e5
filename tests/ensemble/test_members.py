"""Laws of every member: it learns what it is made for, no future value reaches a forecast, units do not matter."""

import numpy as np
import pytest

from tsfm.ensemble.analogues import Analogues
from tsfm.ensemble.fit import MEMBERS, plan_backtest
from tsfm.ensemble.member import ErrorQuantiles, History
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.ridge import PooledRidge, lookbacks
from tsfm.ensemble.statistical import StatisticalMember

QUANTILE_LEVELS = (0.1, 0.5, 0.9)
HORIZON, SEASON = 6, 7


def make_series(*, noise=0.3, length=140, count=3, seed=0):
    rng = np.random.default_rng(seed)
    week = rng.normal(size=SEASON) * 3
    steps = np.arange(length)
    return [
        10.0 * item + week[(steps + item) % SEASON] + 0.02 * steps + noise * rng.normal(size=length)
        for item in range(count)
    ]


def make_history(series):
    panel = Panel(series)
    windows, begin = plan_backtest(panel.lengths, horizon=HORIZON)
    return History(panel, HORIZON, SEASON, 0, QUANTILE_LEVELS, windows, begin)


def forecast_ends(member, series):
    panel = Panel(series)
    return member.quantiles(panel, Windows(np.arange(len(series)), panel.lengths))


@pytest.mark.parametrize("kind", MEMBERS)
def test_forecasts_of_the_backtest_use_no_value_of_it(kind):
    history, poisoned = make_history(make_series()), make_series()
    for values, begin in zip(poisoned, history.begin, strict=True):
        values[begin:] = 1e6 * np.random.default_rng(1).normal(size=len(values) - begin)
    first = Windows(np.arange(len(poisoned)), history.begin)  # the past of these windows is before the back-test
    member = kind()
    windows = history.training_windows(20, whole=False)
    assert (windows.origin + HORIZON <= history.begin[windows.series]).all()
    member.fit(history)
    kept = [values[:begin] for values, begin in zip(poisoned, history.begin, strict=True)]
    np.testing.assert_array_equal(
        member.quantiles(Panel(poisoned, spread=history.panel.spread), first),
        member.quantiles(Panel(kept, spread=history.panel.spread), first),
    )


@pytest.mark.parametrize("kind", MEMBERS)
def test_quantiles_ascend_and_are_finite(kind):
    series = make_series()
    series[0][[3, 50, 51, 120]] = np.nan
    member = kind()
    in_backtest = member.fit(make_history(series))
    for quantiles in (in_backtest, forecast_ends(member, series)):
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles, axis=-1) >= 0).all()
    assert member.settings


@pytest.mark.parametrize("kind", MEMBERS)
def test_the_units_of_the_series_do_not_matter(kind):
    """Nor does their origin, unless a member knows logarithms and ratios."""
    offset = 0 if issubclass(kind, StatisticalMember) else -500
    series = make_series()
    member, other = kind(), kind()
    member.fit(make_history(series))
    other.fit(make_history([1000 * values + offset for values in series]))
    np.testing.assert_allclose(
        forecast_ends(other, [1000 * values + offset for values in series]),
        1000 * forecast_ends(member, series) + offset,
        rtol=1e-3, atol=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("kind", MEMBERS)
def test_members_with_a_season_continue_it(kind):
    series = make_series(noise=0.01, length=300)
    member = kind()
    member.fit(make_history([values[:-HORIZON] for values in series]))
    forecast = forecast_ends(member, [values[:-HORIZON] for values in series])[..., 1]
    actual = np.stack([values[-HORIZON:] for values in series])
    assert np.abs(forecast - actual).mean() < 0.25 * np.stack(series).std(axis=1).mean()


def test_members_leave_out_panels_that_are_too_short():
    history = make_history([np.arange(17.0)])
    assert PooledRidge().fit(history) is None
    assert Analogues().fit(history) is None


def test_lookbacks_fit_twice_into_a_series():
    assert max(lookbacks(make_history([np.arange(100.0)]))) <= 50


def test_error_quantiles_cover_what_they_say():
    rng = np.random.default_rng(0)
    size = np.linspace(1, 3, 40)
    bands = ErrorQuantiles(size * rng.normal(size=(500, 40)), (0.1, 0.5, 0.9))
    around = bands.around(np.zeros((500, 40)), np.ones((500, 1)))
    actual = size * rng.normal(size=(500, 40))
    inside = (around[..., 0] <= actual) & (actual <= around[..., 2])
    assert abs(inside.mean() - 0.8) < 0.02
    assert abs(inside[:, :10].mean() - inside[:, -10:].mean()) < 0.04


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_history_that_ends_in_gaps_is_fitted(kind):
    rng = np.random.default_rng(0)
    series = make_series(length=60, count=2) + make_series(length=4000, count=1)
    series[2][70::4] = np.nan  # the windows of the longest series, almost all, miss a step
    member = kind()
    if member.fit(make_history(series)) is not None:
        assert np.isfinite(forecast_ends(member, [values + rng.normal() for values in series])).all()
