"""Laws of exponential smoothing over a grid, of its averages, and of the season that Theta takes out."""

import numpy as np
import pytest

from tsfm.ensemble.member import History
from tsfm.ensemble.model_average import Form, average_forms
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.seasonal_index import seasonal_index
from tsfm.ensemble.smoothing import SEASON_PENALTY, TREND_PENALTY, WEAK, Pasts, fit_grid, make_grid
from tsfm.ensemble.statistical import MIN_SETS, Smoothing, Theta, choose_stretch, smoothing_forms, stretch

QUANTILE_LEVELS = (0.1, 0.5, 0.9)
HORIZON = 6
NO_WINDOWS = Windows(np.zeros(0, int), np.zeros(0, int))


def recursion(values, grid, c, state):
    """Errors of single series and the state after it, step by step."""
    errors, state = [], state[None, None].copy()
    single = grid.select(np.array([c]))
    for value in values:
        state, error = single.step(state, np.array([value]))
        errors.append(error[0, 0])
    return np.array(errors), state[0, 0]


def forecast(kind, series, *, season=1, horizon=HORIZON):
    panel = Panel(series)
    member = kind()
    member.fit(History(panel, horizon, season, 0, QUANTILE_LEVELS, NO_WINDOWS, panel.lengths))
    return member.quantiles(panel, Windows(np.arange(len(series)), panel.lengths))


@pytest.mark.parametrize(
    "options",
    [{}, {"beta": (0.3,), "phi": (0.9, 1.0)}, {"gamma": (0.2,), "season_length": 4},
     {"beta": (0.1,), "phi": (0.95,), "gamma": (0.3,), "season_length": 3}],
)  # fmt: skip
def test_a_fit_is_the_recursion_from_the_best_initial_state(options):
    rng = np.random.default_rng(0)
    grid = make_grid(alpha=(0.1, 0.6), **options)
    lengths, values = np.array([30, 17]), np.zeros((2, 30))
    for row, length in zip(values, lengths, strict=True):
        row[:length] = rng.normal(size=length)
    fit = fit_grid(Pasts(values, lengths), grid, horizon=HORIZON)
    penalty = np.array([WEAK, *[TREND_PENALTY] * grid.trend, *[SEASON_PENALTY] * grid.season_length])[: grid.num_states]
    for c in range(len(grid)):
        for row, length in enumerate(lengths):
            past = values[row, :length]
            of_zero = recursion(past, grid, c, np.zeros(grid.num_states))[0]
            effects = np.stack([recursion(0 * past, grid, c, unit)[0] for unit in np.eye(grid.num_states)], axis=1)
            start = np.linalg.solve(effects.T @ effects + np.diag(penalty), -effects.T @ of_zero)
            errors, last = recursion(past, grid, c, start)
            np.testing.assert_allclose(fit.loss[c, row], (errors**2).sum(), rtol=1e-4)
            np.testing.assert_allclose(fit.forecast[c, row], grid.readout(HORIZON)[c] @ last, rtol=1e-3, atol=1e-4)


def test_the_variance_grows_as_simulated():
    rng = np.random.default_rng(0)
    grid = make_grid(alpha=(0.4,), beta=(0.25,), phi=(0.9,), gamma=(0.3,), season_length=3)
    paths = np.zeros((4000, HORIZON))
    noise, state = rng.normal(size=(HORIZON, 4000)), np.zeros((1, 4000, grid.num_states))
    for step, error in enumerate(noise):
        expected = -grid.step(state, np.zeros(4000))[1][0]
        paths[:, step] = expected + error
        state = grid.step(state, paths[:, step])[0]
    np.testing.assert_allclose(grid.growth(HORIZON)[0], paths.var(axis=0), rtol=0.1)


@pytest.mark.parametrize("kind", [Smoothing, Theta])
def test_known_answers(kind):
    """A constant goes on, a line as well (with smoothing), white noise has its mean, a random walk its last value."""
    rng = np.random.default_rng(0)
    constant = forecast(kind, [np.full(30, 7.0)])[0]
    np.testing.assert_allclose(constant, 7.0, atol=0.05)
    noise = rng.normal(size=150) + 20
    assert abs(forecast(kind, [noise])[0, :, 1] - noise.mean()).max() < 0.35
    walk = rng.normal(size=150).cumsum() + 100
    assert abs(forecast(kind, [walk])[0, 0, 1] - walk[-1]) < 0.6
    if kind is Smoothing:
        line = forecast(kind, [5 + 2.0 * np.arange(30)])[0, :, 1]
        np.testing.assert_allclose(line, 5 + 2.0 * np.arange(30, 30 + HORIZON), rtol=0.01)


@pytest.mark.parametrize("kind", [Smoothing, Theta])
def test_a_season_goes_on_also_in_ratios(kind):
    level, pattern = 100 * 1.01 ** np.arange(66), np.array([0.5, 1.5, 0.8, 1.2])
    series = level * pattern[np.arange(66) % 4]
    quantiles = forecast(kind, [series[:60]], season=4)[0]
    assert np.abs(quantiles[:, 1] / series[60:] - 1).max() < 0.06


@pytest.mark.parametrize("kind", [Smoothing, Theta])
def test_no_value_after_a_window_counts(kind):
    rng = np.random.default_rng(0)
    series = [rng.normal(size=40).cumsum() + 50, rng.normal(size=60) + 9]
    windows = Windows(np.array([0, 1]), np.array([25, 50]))
    member, panel = kind(), Panel(series)
    member.fit(History(panel, HORIZON, 4, 0, QUANTILE_LEVELS, NO_WINDOWS, panel.lengths))
    before = member.quantiles(panel, windows)
    poisoned = [
        np.concatenate([values[:origin], np.full(20, 1e6)]) for values, origin in zip(series, (25, 50), strict=True)
    ]
    np.testing.assert_array_equal(member.quantiles(Panel(poisoned, spread=panel.spread), windows), before)


def test_a_window_does_not_depend_on_those_beside_it():
    rng = np.random.default_rng(0)
    pasts = [rng.normal(size=length).cumsum() + 40 for length in (20, 33, 47)]
    options = {"horizon": HORIZON, "quantile_levels": QUANTILE_LEVELS}
    together = average_forms(pasts, smoothing_forms(4), **options)[0]
    alone = np.concatenate([average_forms([past], smoothing_forms(4), **options)[0] for past in pasts])
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_values_below_zero_have_no_logarithm():
    grid = make_grid(alpha=(0.3,))
    values = np.random.default_rng(0).normal(size=40)
    _, weights = average_forms(
        [values], [Form(grid), Form(grid, logarithm=True)], horizon=2, quantile_levels=QUANTILE_LEVELS
    )
    np.testing.assert_allclose(weights, [1.0, 0.0], atol=1e-12)
    growth = np.exp(np.random.default_rng(0).normal(size=60).cumsum() / 3)
    _, weights = average_forms(
        [growth], [Form(grid), Form(grid, logarithm=True)], horizon=2, quantile_levels=QUANTILE_LEVELS
    )
    assert weights[1] > 0.9


@pytest.mark.parametrize("lengths", [(1, 2), (3, 40), (12, 13)])
@pytest.mark.parametrize("kind", [Smoothing, Theta])
def test_short_pasts_have_finite_quantiles_that_ascend(kind, lengths):
    rng = np.random.default_rng(0)
    quantiles = forecast(kind, [rng.normal(size=length) for length in lengths], season=4)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()


@pytest.mark.slow
def test_smoothing_agrees_with_statsforecast():
    models = pytest.importorskip("statsforecast.models")
    rng = np.random.default_rng(3)
    for _ in range(3):
        series = 100 + rng.normal(size=80).cumsum() + rng.normal(size=80)
        simple = average_forms([series], [Form(make_grid(alpha=(0.4,)))], horizon=1, quantile_levels=(0.5,))[0]
        reference = models.SimpleExponentialSmoothing(alpha=0.4).forecast(y=series, h=1)["mean"]
        np.testing.assert_allclose(simple.ravel(), reference, rtol=1e-5)
        forecasts = forecast(Smoothing, [series])[0, :, 1]
        reference = models.AutoETS(season_length=1).forecast(y=series, h=HORIZON)["mean"]
        assert np.abs(forecasts - reference).max() < 0.5 * series.std()


@pytest.mark.slow
def test_theta_agrees_with_statsforecast():
    models = pytest.importorskip("statsforecast.models")
    rng = np.random.default_rng(4)
    for _ in range(3):
        series = 100 + 0.5 * np.arange(60) + rng.normal(size=60).cumsum()
        forecasts = forecast(Theta, [series])[0, :, 1]
        reference = models.AutoTheta(season_length=1).forecast(y=series, h=HORIZON)["mean"]
        assert np.abs(forecasts - reference).max() < 1.5  # steps of the walk are about 1


def test_a_large_panel_has_fewer_parameter_sets_and_nearly_the_same_forecasts():
    rng = np.random.default_rng(0)
    series = [rng.normal(size=30).cumsum() + 30 for _ in range(40)]
    panel = Panel(series)
    history = History(panel, HORIZON, 1, 0, QUANTILE_LEVELS, NO_WINDOWS, panel.lengths)
    small, large = Smoothing(), Smoothing()
    small.fit(history)
    large.fit(history)
    large._forms = large._affordable(smoothing_forms(1), max_work=1)
    assert sum(len(form.grid) for form in large._forms) == MIN_SETS
    windows = Windows(np.arange(40), panel.lengths)
    difference = small.quantiles(panel, windows) - large.quantiles(panel, windows)
    assert np.abs(difference).mean() < 0.15


def test_a_stretch_brings_intervals_to_their_coverage():
    rng = np.random.default_rng(0)
    panel = Panel(rng.normal(size=(60, 30)))
    windows = Windows(np.arange(60), np.full(60, 24))
    history = History(panel, HORIZON, 1, 0, QUANTILE_LEVELS, windows, panel.lengths - HORIZON)
    quantiles = np.zeros((60, HORIZON, 3)) + np.array([-1.28, 0.0, 1.28]) / 2
    assert 1.6 < choose_stretch(quantiles, history) <= 2.0
    np.testing.assert_allclose(stretch(quantiles, QUANTILE_LEVELS, 2.0)[0, 0], [-1.28, 0.0, 1.28])


def test_what_is_not_seasonal_has_no_seasonal_index():
    rng = np.random.default_rng(0)
    assert seasonal_index(rng.normal(size=60), 12) is None
    assert seasonal_index(np.ones(60), 12) is None
    assert seasonal_index(np.arange(8.0), 4) is None
    pattern = np.array([3.0, -1.0, -2.0, 0.0])
    index = seasonal_index(np.tile(pattern, 10), 4)
    assert index is not None
    assert not index.ratios
    np.testing.assert_allclose(index.pattern, pattern, atol=1e-12)
    np.testing.assert_allclose(index.remove(np.tile(pattern, 10)), 0.0, atol=1e-12)
    np.testing.assert_allclose(index.restore(np.zeros((4, 1)), first=42)[:, 0], np.roll(pattern, -2), atol=1e-12)
