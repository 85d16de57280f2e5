"""Statistical forecasters through statsforecast: agreement with the library, gaps, fallbacks, settings."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.baselines.statistical import AutoARIMA, AutoETS, AutoTheta, StatisticalMedian, observed_run

QUANTILE_LEVELS = (0.1, 0.25, 0.5, 0.9)
FORECASTERS = (AutoETS, AutoTheta)


def wave(steps: int = 48, *, rows: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = 10 + np.sin(np.arange(steps) * np.pi / 3) + 0.1 * rng.normal(size=(rows, 1, steps))
    return values.astype(np.float32)


@pytest.fixture(autouse=True)
def _needs_library():
    pytest.importorskip("statsforecast", reason="the extra 'bench' is not installed")


@pytest.mark.parametrize("forecaster", FORECASTERS)
def test_it_agrees_with_the_library(forecaster):
    from statsforecast import models

    context, model = wave(), forecaster()
    quantiles = model.forecast(context, horizon=5, quantile_levels=QUANTILE_LEVELS, season_length=6)
    columns = getattr(models, forecaster.model)(season_length=6).forecast(
        y=context[1, 0].astype(np.float64), h=5, level=[50.0, 80.0]
    )
    expected = np.stack(
        [
            columns["lo-80.0"],
            columns["lo-50.0"],
            columns["mean"],
            columns["hi-80.0"],
        ],
        -1,
    )
    assert np.allclose(quantiles[1, 0], np.sort(expected, -1), rtol=1e-5)
    assert model.fitted == 2
    assert not model.fallbacks


@pytest.mark.parametrize("forecaster", FORECASTERS)
def test_the_season_is_forecast(forecaster):
    quantiles = forecaster().forecast(wave(), horizon=12, quantile_levels=(0.5,), season_length=6)[0, 0, :, 0]
    assert np.allclose(quantiles, 10 + np.sin(np.arange(48, 60) * np.pi / 3), atol=0.3)


@pytest.mark.parametrize("forecaster", FORECASTERS)
def test_padding_and_a_gap_at_the_end(forecaster):
    context = wave()
    padded = np.concatenate([np.full((2, 1, 9), np.nan, np.float32), context], -1)
    whole = forecaster().forecast(context, horizon=7, quantile_levels=(0.5,), season_length=6)
    assert np.array_equal(whole, forecaster().forecast(padded, horizon=7, quantile_levels=(0.5,), season_length=6))
    late = np.concatenate([context, np.full((2, 1, 2), np.nan, np.float32)], -1)
    assert np.array_equal(
        whole[..., 2:, :], forecaster().forecast(late, horizon=5, quantile_levels=(0.5,), season_length=6)
    )


def test_inner_gaps_are_filled_linearly():
    run, gap = observed_run(np.array([np.nan, 1, np.nan, 3, 4, np.nan]))
    assert run.tolist() == [1, 2, 3, 4]
    assert gap == 1


@pytest.mark.parametrize("forecaster", FORECASTERS)
def test_a_short_series_falls_back_and_is_counted(forecaster, caplog):
    context = wave(rows=3)
    context[1, :, :-5] = np.nan
    model = forecaster()
    with caplog.at_level("WARNING", logger="tsfm"):
        quantiles = model.forecast(context, horizon=4, quantile_levels=QUANTILE_LEVELS, season_length=6)
    plain = SeasonalNaive().forecast(context[1:2], horizon=4, quantile_levels=QUANTILE_LEVELS, season_length=6)
    assert np.array_equal(quantiles[1], plain[0])
    assert model.fallbacks == {"fewer than 12 values": 1}
    assert model.fitted == 2
    assert "1 series got the seasonal naive forecast: 1 x fewer than 12 values" in caplog.text


def test_a_fit_that_fails_falls_back_and_is_counted(monkeypatch, caplog):
    from statsforecast import models

    def fails(self, **_):
        raise RuntimeError("no model able to be fitted")

    monkeypatch.setattr(models.AutoETS, "forecast", fails)
    model = AutoETS()
    with caplog.at_level("WARNING", logger="tsfm"):
        assert np.isfinite(model.forecast(wave(), horizon=4, quantile_levels=QUANTILE_LEVELS, season_length=6)).all()
    assert model.fallbacks["no model able to be fitted"] == 2
    assert "2 x no model able to be fitted" in caplog.text


@pytest.mark.parametrize("forecaster", FORECASTERS)
def test_constant_series_are_forecast_as_constant(forecaster):
    quantiles = forecaster().forecast(
        np.full((1, 1, 30), 7, np.float32), horizon=4, quantile_levels=QUANTILE_LEVELS, season_length=6
    )
    assert np.allclose(quantiles, 7, atol=1e-3)


def test_a_season_beyond_ets_is_logged_once(caplog):
    model = AutoETS()
    with caplog.at_level("WARNING", logger="tsfm"):
        for _ in range(2):
            model.forecast(wave(rows=1), horizon=2, quantile_levels=(0.5,), season_length=30)
    assert caplog.text.count("cannot use a season of 30 steps") == 1


def test_context_cuts_the_past():
    context = wave(80, rows=1)
    model = AutoTheta(AutoTheta.Config(context=48))
    cut = AutoTheta().quantiles(context[..., -48:], horizon=3, quantile_levels=(0.5,), season_length=6)
    assert np.array_equal(model.quantiles(context, horizon=3, quantile_levels=(0.5,), season_length=6), cut)


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(ImportError, match=r"pip install 'tsfm-platform\[bench\]'"):
        AutoETS().forecast(wave(), horizon=2, quantile_levels=(0.5,))


@pytest.mark.parametrize("setting", [{"shortest": 3}, {"context": -1}, {"context": 5}])
def test_bad_settings(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} is"):
        AutoETS.Config(**setting)


def test_the_median_is_that_of_the_three_models():
    options = {"horizon": 3, "quantile_levels": (0.1, 0.5, 0.9), "season_length": 1}
    context = wave(rows=1)
    each = [kind().forecast(context, **options) for kind in (AutoETS, AutoTheta, AutoARIMA)]
    median = StatisticalMedian().forecast(context, **options)
    assert np.allclose(median, np.median(each, axis=0), rtol=0.01)  # the intervals of Theta are simulated
    assert np.ptp([forecast[..., 1] for forecast in each], axis=0).max() > 0  # the models differ
