"""Laws of the simple forecasters. B batch, C channels, L past steps, H horizon, Q quantile levels."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from tsfm.bench.baselines.simple import Drift, LastValue, Mean, SeasonalNaive
from tsfm.registry import BASELINES

SIMPLE = (LastValue, SeasonalNaive, Drift, Mean)
QUANTILE_LEVELS = (0.1, 0.5, 0.9)


def past(seed: int = 0, *, rows: int = 4, channels: int = 2, steps: int = 60, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, channels, steps)).cumsum(-1) + 3 * np.sin(np.arange(steps) * np.pi / 3)
    values[rng.random(values.shape) < missing] = np.nan
    return values.astype(np.float32)


def test_every_baseline_is_in_the_registry():
    assert {"last_value", "seasonal_naive", "drift", "mean", "auto_ets", "auto_theta"} <= set(BASELINES.names())
    built = BASELINES.build(BASELINES.config({"name": "mean", "window": 3}))
    assert isinstance(built, Mean)
    assert built.config.window == 3


@pytest.mark.parametrize("forecaster", SIMPLE)
@pytest.mark.parametrize("missing", [0.0, 0.3])
class TestEach:
    def test_rows_and_channels_are_independent(self, forecaster, missing):
        context = past(missing=missing)
        whole = forecaster().forecast(context, horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6)
        assert whole.shape == (4, 2, 9, 3)
        assert whole.dtype == np.float32
        for row in range(4):
            alone = forecaster().forecast(
                context[row : row + 1, 1:], horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6
            )
            assert np.array_equal(alone[0, 0], whole[row, 1])

    def test_padding_on_the_left_is_a_shorter_series(self, forecaster, missing):
        context = past(missing=missing)
        padded = np.concatenate([np.full((4, 2, 17), np.nan, np.float32), context], -1)
        short = forecaster().forecast(context, horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6)
        assert np.allclose(
            short,
            forecaster().forecast(padded, horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6),
            rtol=1e-6,
            atol=1e-6,
        )

    def test_units_do_not_matter(self, forecaster, missing):
        context = past(missing=missing)
        plain = forecaster().forecast(context, horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6)
        scaled = forecaster().forecast(context * 4 - 100, horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6)
        assert np.allclose(plain * 4 - 100, scaled, atol=2e-4)

    def test_the_interval_is_symmetric_and_never_narrows(self, forecaster, missing):
        quantiles = (
            forecaster()
            .forecast(past(missing=missing), horizon=20, quantile_levels=QUANTILE_LEVELS, season_length=6)
            .astype(np.float64)
        )
        up, down = quantiles[..., 2] - quantiles[..., 1], quantiles[..., 1] - quantiles[..., 0]
        assert np.allclose(up, down, atol=1e-4)
        assert (np.diff(up, axis=-1) >= -1e-4).all()

    def test_a_long_series_of_many_lengths_is_finite(self, forecaster, missing):
        context = past(missing=missing)
        for row, length in enumerate((1, 2, 5, 60)):
            context[row, :, : 60 - length] = np.nan
            context[row, :, -1] = 1.0
        assert np.isfinite(
            forecaster().forecast(context, horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6)
        ).all()

    def test_a_series_without_observed_values_is_an_error(self, forecaster, missing):
        context = past(missing=missing)
        context[2, 1] = np.nan
        with pytest.raises(ValueError, match="no observed value, the first is row 2, channel 1"):
            forecaster().forecast(context, horizon=9, quantile_levels=QUANTILE_LEVELS, season_length=6)


def test_seasonal_naive_repeats_the_last_season():
    context = past()
    quantiles = SeasonalNaive().forecast(context, horizon=15, quantile_levels=(0.5,), season_length=6)[..., 0]
    assert np.array_equal(quantiles[..., :6], context[..., -6:])
    assert np.array_equal(quantiles[..., 6:12], context[..., -6:])
    assert np.array_equal(quantiles[..., 12:], context[..., -6:-3])


def test_seasonal_naive_takes_the_last_observed_value_of_a_phase():
    context = np.arange(12, dtype=np.float32)[None, None].copy()
    context[0, 0, [8, 9, 5, 1]] = np.nan  # phase 0 of season 4 is last observed at step 4, phase 1 never
    quantiles = SeasonalNaive().forecast(context, horizon=4, quantile_levels=(0.5,), season_length=4)[0, 0, :, 0]
    assert quantiles.tolist() == [4, 11, 10, 11]


def test_the_width_of_seasonal_naive_is_that_of_gift_eval():
    context, m = past(rows=1, channels=1), 6
    series = context[0, 0].astype(np.float64)
    sigma = np.sqrt(np.mean((series[m:] - series[:-m]) ** 2))
    quantiles = (
        SeasonalNaive()
        .forecast(context, horizon=15, quantile_levels=QUANTILE_LEVELS, season_length=m)[0, 0]
        .astype(np.float64)
    )
    growth = np.sqrt((np.arange(1, 16) - 1) // m + 1)
    assert np.allclose(quantiles[:, 2] - quantiles[:, 1], NormalDist().inv_cdf(0.9) * sigma * growth, rtol=1e-5)


def test_seasonal_naive_of_season_1_is_last_value():
    context = past(missing=0.2)
    assert np.array_equal(
        SeasonalNaive().forecast(context, horizon=7, quantile_levels=QUANTILE_LEVELS, season_length=1),
        LastValue().forecast(context, horizon=7, quantile_levels=QUANTILE_LEVELS, season_length=6),
    )
    own = SeasonalNaive(SeasonalNaive.Config(season=1))
    assert np.array_equal(
        own.forecast(context, horizon=7, quantile_levels=QUANTILE_LEVELS, season_length=6),
        LastValue().forecast(context, horizon=7, quantile_levels=QUANTILE_LEVELS),
    )


def test_drift_continues_a_line_with_width_0():
    line = (2.5 * np.arange(30) - 7).astype(np.float32)[None, None].copy()
    line[0, 0, [3, 4, 28, 29]] = np.nan  # gaps, also at the end
    quantiles = Drift().forecast(line, horizon=10, quantile_levels=QUANTILE_LEVELS, season_length=4)
    assert np.allclose(quantiles[0, 0], (2.5 * np.arange(30, 40) - 7)[:, None], atol=1e-4)


def test_the_width_of_drift_is_that_of_the_book():
    context = past(rows=1, channels=1, steps=40)
    series = context[0, 0].astype(np.float64)
    residual = np.diff(series) - (series[-1] - series[0]) / 39
    h = np.arange(1, 11)
    expected = np.sqrt((residual**2).sum() / 38) * np.sqrt(h * (1 + h / 39)) * NormalDist().inv_cdf(0.9)
    quantiles = (
        Drift().forecast(context, horizon=10, quantile_levels=QUANTILE_LEVELS, season_length=1)[0, 0].astype(np.float64)
    )
    assert np.allclose(quantiles[:, 2] - quantiles[:, 1], expected, rtol=1e-5)


def test_a_window_uses_the_last_values_only():
    context = past(missing=0.2)
    context[..., -2:] = np.nan
    context[..., -3] = 1.0
    changed = context.copy()
    changed[..., :30] = 1e5
    for forecaster in (Mean(Mean.Config(window=5)), Drift(Drift.Config(window=20))):
        assert np.array_equal(
            forecaster.forecast(context, horizon=3, quantile_levels=QUANTILE_LEVELS),
            forecaster.forecast(changed, horizon=3, quantile_levels=QUANTILE_LEVELS),
        )


def test_mean_agrees_with_numpy():
    context = past(missing=0.3)
    quantiles = Mean().forecast(context, horizon=3, quantile_levels=(0.5, 0.9))
    count = (~np.isnan(context)).sum(-1)
    wide = np.nanstd(context.astype(np.float64), axis=-1, ddof=1) * np.sqrt(1 + 1 / count)
    assert np.allclose(quantiles[..., 0], np.nanmean(context, axis=-1)[..., None], atol=1e-5)
    assert np.allclose((quantiles[..., 1] - quantiles[..., 0])[..., 0], wide * NormalDist().inv_cdf(0.9), rtol=1e-4)


@pytest.mark.parametrize(
    ("forecaster", "setting"), [(SeasonalNaive, {"season": -1}), (Drift, {"window": 1}), (Mean, {"window": -2})]
)
def test_bad_settings(forecaster, setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} is {next(iter(setting.values()))}"):
        forecaster.Config(**setting)
