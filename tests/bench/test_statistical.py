"""AutoETS and AutoTheta through statsforecast: the fit is the library's, what surrounds it is ours."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.baselines.statistical import AutoETS, AutoTheta, observed_run

LEVELS = (0.1, 0.25, 0.5, 0.9)
PARTS = (AutoETS, AutoTheta)


def wave(steps: int = 48, *, rows: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = 10 + np.sin(np.arange(steps) * np.pi / 3) + 0.1 * rng.normal(size=(rows, 1, steps))
    return values.astype(np.float32)


@pytest.fixture(autouse=True)
def _needs_library():
    pytest.importorskip("statsforecast", reason="the extra 'bench' is not installed")


@pytest.mark.parametrize("part", PARTS)
def test_it_agrees_with_the_library(part):
    from statsforecast import models

    context, made = wave(), part()
    reads = made.forecast(context, horizon=5, quantile_levels=LEVELS, season_length=6)
    told = getattr(models, part.model)(season_length=6).forecast(
        y=context[1, 0].astype(np.float64), h=5, level=[50.0, 80.0]
    )
    expected = np.stack([told["lo-80.0"], told["lo-50.0"], told["mean"], told["hi-80.0"]], -1)
    assert np.allclose(reads[1, 0], np.sort(expected, -1), rtol=1e-5)
    assert made.fitted == 2
    assert not made.fallbacks


@pytest.mark.parametrize("part", PARTS)
def test_it_sees_the_season(part):
    reads = part().forecast(wave(), horizon=12, quantile_levels=(0.5,), season_length=6)[0, 0, :, 0]
    assert np.allclose(reads, 10 + np.sin(np.arange(48, 60) * np.pi / 3), atol=0.3)


@pytest.mark.parametrize("part", PARTS)
def test_padding_and_a_gap_at_the_end(part):
    context = wave()
    padded = np.concatenate([np.full((2, 1, 9), np.nan, np.float32), context], -1)
    whole = part().forecast(context, horizon=7, quantile_levels=(0.5,), season_length=6)
    assert np.array_equal(whole, part().forecast(padded, horizon=7, quantile_levels=(0.5,), season_length=6))
    late = np.concatenate([context, np.full((2, 1, 2), np.nan, np.float32)], -1)
    assert np.array_equal(whole[..., 2:, :], part().forecast(late, horizon=5, quantile_levels=(0.5,), season_length=6))


def test_inner_gaps_are_filled_linearly():
    run, gap = observed_run(np.array([np.nan, 1, np.nan, 3, 4, np.nan]))
    assert run.tolist() == [1, 2, 3, 4]
    assert gap == 1


@pytest.mark.parametrize("part", PARTS)
def test_a_short_series_falls_back_counted_and_told(part, caplog):
    context = wave(rows=3)
    context[1, :, :-5] = np.nan
    made = part()
    with caplog.at_level("WARNING", logger="tsfm"):
        reads = made.forecast(context, horizon=4, quantile_levels=LEVELS, season_length=6)
    plain = SeasonalNaive().forecast(context[1:2], horizon=4, quantile_levels=LEVELS, season_length=6)
    assert np.array_equal(reads[1], plain[0])
    assert made.fallbacks == {"fewer than 12 values": 1}
    assert made.fitted == 2
    assert "1 series took the seasonal naive forecast: 1 x fewer than 12 values" in caplog.text


def test_a_fit_that_fails_falls_back_counted_and_told(monkeypatch, caplog):
    from statsforecast import models

    def fails(self, **_):
        raise RuntimeError("no model able to be fitted")

    monkeypatch.setattr(models.AutoETS, "forecast", fails)
    made = AutoETS()
    with caplog.at_level("WARNING", logger="tsfm"):
        assert np.isfinite(made.forecast(wave(), horizon=4, quantile_levels=LEVELS, season_length=6)).all()
    assert made.fallbacks["no model able to be fitted"] == 2
    assert "2 x no model able to be fitted" in caplog.text


@pytest.mark.parametrize("part", PARTS)
def test_constant_series_are_forecast_as_constant(part):
    reads = part().forecast(np.full((1, 1, 30), 7, np.float32), horizon=4, quantile_levels=LEVELS, season_length=6)
    assert np.allclose(reads, 7, atol=1e-3)


def test_a_season_beyond_ets_is_told_once(caplog):
    made = AutoETS()
    with caplog.at_level("WARNING", logger="tsfm"):
        for _ in range(2):
            made.forecast(wave(rows=1), horizon=2, quantile_levels=(0.5,), season_length=30)
    assert caplog.text.count("cannot use a season of 30 steps") == 1


def test_context_cuts_the_past():
    context = wave(80, rows=1)
    made = AutoTheta(AutoTheta.Config(context=48))
    cut = AutoTheta().quantiles(context[..., -48:], horizon=3, quantile_levels=(0.5,), season_length=6)
    assert np.array_equal(made.quantiles(context, horizon=3, quantile_levels=(0.5,), season_length=6), cut)


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(ImportError, match=r"pip install 'tsfm-platform\[bench\]'"):
        AutoETS().forecast(wave(), horizon=2, quantile_levels=(0.5,))


@pytest.mark.parametrize("setting", [{"shortest": 3}, {"context": -1}, {"context": 5}])
def test_bad_settings(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} is"):
        AutoETS.Config(**setting)
