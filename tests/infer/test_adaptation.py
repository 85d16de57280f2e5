"""Laws of what a model adds to its single pass: effects of known covariates, and the season of short pasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.tiny import tiny
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.short_history import extend_past, extended_length, is_short, measure_season
from tsfm.model.checkpoint import About

L, H = 120, 12


@pytest.fixture(scope="module")
def model() -> ModelPredictor:
    return ModelPredictor(tiny("patch_transformer", "quantiles"), name="apart")


def known_series(num: int = 3) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    c = rng.normal(size=(num, 1, L + H))
    season = np.resize(rng.normal(size=7), L + H)
    return 10 + season + 4 * c[:, 0] + 0.1 * rng.normal(size=(num, L + H)), list(c)


def test_the_known_effect_moves_every_quantile_by_the_same(model: ModelPredictor) -> None:
    y, c = known_series()
    past = y[:, None, :L].astype(np.float32)
    options = {"prediction_length": H, "season_length": 7, "quantile_levels": (0.1, 0.5, 0.9), "mean": True}
    first = model.predict(past, known=c, **options)
    moved = [np.concatenate([known[:, :L], known[:, L:] + 1], axis=1) for known in c]
    second = model.predict(past, known=moved, **options)
    assert "uses covariate 0" in first.notes[0]
    change = second.quantiles - first.quantiles
    assert np.allclose(change, 4, atol=0.3)
    assert np.allclose(change, change[..., :1], atol=1e-4)
    assert np.allclose(second.predictions - first.predictions, change[..., 1], atol=1e-4)
    assert np.allclose(second.mean - first.mean, change[..., 1], atol=1e-3)
    without = model.predict(past, **options)
    for choice in ("network", "ignore"):
        assert np.array_equal(model.predict(past, known=c, covariates=choice, **options).quantiles, without.quantiles)


def test_series_do_not_affect_each_other_and_a_bad_choice_is_refused(model: ModelPredictor) -> None:
    y, c = known_series()
    options = {"prediction_length": H, "season_length": 7}
    together = model.predict(y[:, None, :L], known=c, **options)
    apart = model.predict(y[1:2, None, :L], known=c[1:2], **options)
    assert np.allclose(together.quantiles[1], apart.quantiles[0], atol=1e-5)
    with pytest.raises(ValueError, match="covariates is 'all'"):
        model.predict(y[:, None, :L], covariates="all", **options)


def test_a_model_trained_with_named_covariates_has_no_regression() -> None:
    about = About(trained_on={"data": {"known": ["price"]}})
    trained = ModelPredictor(tiny("patch_transformer", "group"), name="trained", about=about)
    assert not trained.regresses_covariates
    assert ModelPredictor(tiny("patch_transformer", "group"), name="free").regresses_covariates


def test_frames_announce_what_is_used_and_encode_categories(model: ModelPredictor) -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=L + H)
    kind = rng.choice(["none", "price", "leaflet"], p=[0.6, 0.2, 0.2], size=L + H)
    effect = pd.Series(kind).map({"none": 0.0, "price": 5.0, "leaflet": 2.0}).to_numpy()
    rows = pd.DataFrame({"item_id": "a", "timestamp": days, "target": 20 + effect + 0.1 * rng.normal(size=L + H)})
    rows = rows.assign(promotion=kind, open=rng.random(L + H) < 0.5)
    df, future = rows[:L], rows[L:].drop(columns="target")
    result = model.predict_df(df, H, future_df=future)
    used, dropped = result.attrs["announcements"][-2:]
    assert "uses promotion=leaflet, promotion=price; in held-out parts" in used
    assert dropped.startswith("no regression on open")
    none = model.predict_df(df, H, future_df=future.assign(promotion="none"))
    change = result["predictions"].to_numpy() - none["predictions"].to_numpy()
    assert np.allclose(change, effect[L:], atol=0.4)
    unknown = model.predict_df(df, H, future_df=future.assign(promotion="new"))
    assert np.array_equal(unknown["predictions"], none["predictions"])


def test_short_pasts_are_left_alone_where_the_setting_says_so() -> None:
    season = np.sin(2 * np.pi * np.arange(18) / 12)
    options = {"prediction_length": H, "quantile_levels": (0.1, 0.5, 0.9)}
    single = load("tsfm-mini", extend_short_pasts=False)
    forecast = single.predict([season], season_length=12, **options)
    assert np.array_equal(forecast.quantiles, single.predict([season], season_length=1, **options).quantiles)
    assert not forecast.notes
    assert load("tsfm-mini").predict([season], season_length=12, **options).notes


def test_a_short_past_with_a_season_is_also_forecast_from_its_extension(model: ModelPredictor) -> None:
    season = np.sin(2 * np.pi * np.arange(18) / 12)
    walk = np.sqrt(np.arange(18.0))
    options = {"prediction_length": H, "quantile_levels": (0.1, 0.5, 0.9)}
    both = model.predict([season, walk], season_length=12, **options)
    plain = model.predict([season, walk], season_length=1, **options)
    assert np.array_equal(both.quantiles[1], plain.quantiles[1])
    assert "1 of 2 series hold less than two seasons (12 steps)" in both.notes[0]
    extended = model.predict(extend_past(season[None], 12, drift=np.zeros(1)), season_length=1, **options)
    assert np.allclose(both.quantiles[0], extended.quantiles[0], atol=1e-5)
    padded = model.predict([np.concatenate([np.full(20, np.nan), season])], season_length=12, **options)
    assert np.allclose(padded.quantiles[0], both.quantiles[0], atol=1e-5)
    assert (np.diff(both.quantiles, axis=-1) >= 0).all()
    assert np.array_equal(
        model.predict([np.tile(season[:12], 3)], season_length=12, **options).quantiles,
        model.predict([np.tile(season[:12], 3)], season_length=1, **options).quantiles,
    )


@pytest.mark.parametrize("season_length", [4, 7, 24, 288])
def test_measured_seasons(season_length: int) -> None:
    rng = np.random.default_rng(season_length)
    num_steps = int(1.7 * season_length)
    assert is_short(num_steps, season_length)
    assert not is_short(2 * season_length, season_length)
    cycle = rng.normal(size=season_length) * 5
    values = np.resize(cycle, (1, num_steps)) + 0.01 * rng.normal(size=num_steps)
    season = measure_season(values, season_length)
    full = 1.0 if season_length <= 48 else 0.5
    assert season.weight > 0.9 * full
    scaled = measure_season(3 - 2e3 * values, season_length)
    assert np.allclose(scaled.weight, season.weight)
    drifting = measure_season(values + 3 * (np.arange(num_steps) >= season_length), season_length)
    if num_steps - season_length >= 3:
        assert drifting.weight > 0.9 * full
        assert np.isclose(drifting.drift[0], 3, atol=0.1)
    noise = [measure_season(rng.normal(size=(1, num_steps)), season_length).weight[0] for _ in range(20)]
    assert np.mean(noise) < 0.35
    assert extend_past(values, season_length, drift=np.zeros(1)).shape == (1, extended_length(season_length))
    missing = np.full((1, num_steps), np.nan)
    missing[0, 0] = 1.0
    assert measure_season(missing, season_length).weight == 0
