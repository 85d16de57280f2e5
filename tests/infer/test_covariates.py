"""Laws of covariates at inference: known ones move the forecast, and nothing is used or left out silently."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.rollout import level_masses, rollout, weighted_quantiles
from tsfm.model.checkpoint import About

STEPS = 60


def frame(items=("b", "a"), *, steps: int = STEPS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "item_id": item,
                "timestamp": pd.date_range("2024-01-01", periods=steps - 7 * i, freq="h"),
                **{name: 5 + rng.normal(size=steps - 7 * i) for name in ("target", "price", "rain")},
            }
        )
        for i, item in enumerate(items)
    ]
    return pd.concat(parts, ignore_index=True)


def future_rows(df: pd.DataFrame, *, steps: int = HORIZON, value: float = 5.0, seed: int = 1) -> pd.DataFrame:
    rng, parts = np.random.default_rng(seed), []
    for item, rows in df.groupby("item_id", sort=False):
        times = pd.date_range(rows["timestamp"].max(), periods=steps + 1, freq="h")[1:]
        parts.append(pd.DataFrame({"item_id": item, "timestamp": times, "price": value + rng.normal(size=steps)}))
    return pd.concat(parts, ignore_index=True)


def mixing(*, kind: str = "group", backbone: str = "patch_transformer", seed: int = 0, **about) -> ModelPredictor:
    return ModelPredictor(tiny(backbone, kind, seed=seed), name="mixed", about=About(trained_on={"data": about}))


def values(result: pd.DataFrame) -> np.ndarray:
    return result.iloc[:, 3:].to_numpy()


@pytest.mark.parametrize("horizon", [HORIZON, HORIZON // 2, 2 * HORIZON + 3])
def test_a_known_future_moves_the_forecast_and_is_announced(horizon: int) -> None:
    df, model = frame(), mixing()
    first, same, other = (
        model.predict_df(df, horizon, future_df=future_rows(df, steps=horizon, value=value))
        for value in (5.0, 5.0, 9.0)
    )
    assert np.array_equal(values(first), values(same))
    change = values(first).reshape(2, horizon, -1) - values(other).reshape(2, horizon, -1)
    assert (np.abs(change).max(axis=(1, 2)) > 1e-4).all()
    assert list(first["target_name"].unique()) == ["target"]
    assert "mixed uses the covariates rain (past only), price (past and future)" in first.attrs["announcements"]
    assert not any("does not use" in note for note in first.attrs["announcements"])


def test_the_past_of_a_covariate_moves_the_forecast() -> None:
    df, model = frame(), mixing()
    base = model.predict_df(df[["item_id", "timestamp", "target"]], 8)
    forecast = model.predict_df(df[["item_id", "timestamp", "target", "rain"]], 8)
    assert not np.allclose(values(base), values(forecast), atol=1e-4)
    assert forecast.attrs["announcements"] == ["mixed uses the covariates rain (past only)"]
    assert base.attrs["announcements"] == []


def test_covariates_that_a_model_ignores_are_announced() -> None:
    df = frame()
    model = ModelPredictor(tiny("patch_transformer", "quantiles"), name="apart")
    assert not model.uses_covariates
    forecast = model.predict_df(df, 8, future_df=future_rows(df, steps=8))
    bare = model.predict_df(df[["item_id", "timestamp", "target"]], 8)
    assert np.array_equal(values(forecast), values(bare))
    past_only, regression = forecast.attrs["announcements"]
    assert past_only == "apart does not use the covariates rain"
    assert regression.startswith("no regression on price")
    ignored = model.predict_df(df, 8, future_df=future_rows(df, steps=8), covariates="ignore")
    assert ignored.attrs["announcements"] == ["not used, as covariates='ignore': rain, price"]
    network = model.predict_df(df, 8, future_df=future_rows(df, steps=8), covariates="network")
    assert network.attrs["announcements"] == ["apart does not use the covariates rain, price"]


def test_what_a_head_that_reads_the_context_only_cannot_use_is_announced() -> None:
    model = ModelPredictor(tiny("patch_transformer", "flatten", mix_every=1, mix_heads=2), name="mixed")
    df = frame()
    first, other = (model.predict_df(df, HORIZON, future_df=future_rows(df, seed=seed)) for seed in (1, 2))
    assert np.array_equal(values(first), values(other))
    notes = first.attrs["announcements"]
    assert "mixed uses the covariates rain (past only), price (past only)" in notes
    assert "the head of mixed reads the context only, so no future value of a covariate is used" in notes


def test_arrays_and_frames_agree() -> None:
    df, model = frame(), mixing()
    future = future_rows(df)
    forecast = model.predict_df(df, HORIZON, future_df=future)
    series, known = [], []
    for item, rows in df.groupby("item_id", sort=False):
        series.append(rows["target"].to_numpy())
        rain = np.concatenate([rows["rain"], np.full(HORIZON, np.nan)])
        known.append(np.stack([rain, np.concatenate([rows["price"], future[future.item_id == item]["price"]])]))
    result = model.predict(series, prediction_length=HORIZON, known=known)
    np.testing.assert_array_equal(forecast["predictions"], result.predictions.ravel())
    known[1][1, 3] = np.inf
    with pytest.raises(ValueError, match="known covariates of series 1 hold inf in row 1, step 3"):
        model.predict(series, prediction_length=HORIZON, known=known)


def test_items_and_the_order_of_covariates_do_not_matter() -> None:
    df, model = frame(("b", "a", "c")), mixing()
    future = future_rows(df)
    together = model.predict_df(df, HORIZON, future_df=future)
    for item in ("a", "c"):
        alone = model.predict_df(df[df.item_id == item], HORIZON, future_df=future[future.item_id == item])
        np.testing.assert_allclose(values(alone), values(together[together.item_id == item]), rtol=1e-4, atol=1e-4)
    turned = model.predict_df(df[["rain", "price", "target", "timestamp", "item_id"]], HORIZON, future_df=future)
    np.testing.assert_allclose(values(turned), values(together), rtol=1e-4, atol=1e-4)


def test_rolled_out_a_known_future_stays_known() -> None:
    """The second block sees the second stretch of a known covariate, and of a past-only one no more than its past."""
    model = tiny("patch_transformer", "group").eval()
    values = torch.randn(2, 1, CONTEXT - 5)
    known = torch.randn(2, 2, CONTEXT - 5 + 2 * HORIZON)
    known[:, 1, CONTEXT - 5 :] = torch.nan

    def blocks(covariates: torch.Tensor) -> list[torch.Tensor]:
        with torch.no_grad():
            observed = torch.ones_like(values, dtype=torch.bool)
            return list(rollout(model, values, observed, covariates, horizon=3 * HORIZON).split(HORIZON, dim=-2))

    base = blocks(known)
    later = known.clone()
    later[:, 0, -HORIZON:] += 3.0
    changed = blocks(later)
    assert torch.equal(changed[0], base[0])  # not seen yet
    assert not torch.allclose(changed[1], base[1], atol=1e-4)
    forecast, covariates = [], known[..., CONTEXT - 5 + HORIZON - CONTEXT :]
    with torch.no_grad():
        for path in base[0].sort(dim=-1).values.unbind(dim=-1):
            moved = torch.cat([values, path], dim=-1)[..., -CONTEXT:]
            forecast.append(
                rollout(model, moved, torch.ones_like(moved, dtype=torch.bool), covariates, horizon=HORIZON)
            )
    quantile_levels = torch.arange(1, 10) / 10
    mass = torch.outer(level_masses(quantile_levels), level_masses(quantile_levels)).flatten()
    expected = weighted_quantiles(torch.stack(forecast, dim=-2).flatten(-2), mass, quantile_levels)
    torch.testing.assert_close(base[1], expected)
    assert all(torch.isfinite(block).all() for block in base)  # the third lies beyond all that is known


def test_a_model_of_a_fixed_number_of_channels_takes_those_of_its_training() -> None:
    model = mixing(backbone="mixer", kind="channel_mlp", past=["rain"], known=["price"])
    df = frame()
    future = future_rows(df)
    forecast = model.predict_df(df.assign(other=1.0), HORIZON, future_df=future)
    assert "mixed does not use the covariates other: it was not built for them" in forecast.attrs["announcements"]
    turned = df[["item_id", "timestamp", "price", "rain", "target"]]
    np.testing.assert_array_equal(values(model.predict_df(turned, HORIZON, future_df=future)), values(forecast))
    with pytest.raises(ValueError, match=r"built for the covariates rain, price; rain is missing \(found price\)"):
        model.predict_df(df.drop(columns="rain"), HORIZON, future_df=future)
    with pytest.raises(ValueError, match="built for 3 channels; found 1 targets, 0 covariates and 0 time features"):
        model.predict(np.arange(50.0), prediction_length=4)
    with pytest.raises(ValueError, match="found 2 targets, 2 covariates and 0 time features: give the targets of its"):
        model.predict_df(df.assign(second=1.0), 4, future_df=future_rows(df), target=["target", "second"])


def test_time_features_are_made_from_the_timestamps() -> None:
    model = mixing(time_features=["hour", "day_of_week"])
    df = frame()[["item_id", "timestamp", "target"]]
    forecast = model.predict_df(df, HORIZON + 4)
    assert forecast.attrs["announcements"][0].startswith("steps beyond the trained horizon")
    shifted = model.predict_df(df.assign(timestamp=df.timestamp + pd.Timedelta(days=2, hours=5)), HORIZON + 4)
    weeks = model.predict_df(df.assign(timestamp=df.timestamp + pd.Timedelta(weeks=3)), HORIZON + 4)
    assert not np.allclose(values(forecast), values(shifted), atol=1e-4)
    assert np.array_equal(values(forecast), values(weeks))
    head = model.predict_df(df, 3)  # time features beyond the requested horizon are known too
    np.testing.assert_allclose(
        values(head), values(forecast).reshape(2, HORIZON + 4, -1)[:, :3].reshape(6, -1), rtol=1e-5
    )
    series = [rows["target"].to_numpy() for _, rows in df.groupby("item_id", sort=False)]
    result = model.predict(series, prediction_length=HORIZON + 4, starts="2024-01-01", freq="h")
    np.testing.assert_array_equal(result.predictions.ravel(), forecast["predictions"])
    result = model.predict(series, prediction_length=HORIZON + 4, starts=["2024-01-01"] * 2, freq=["h", "h"])
    np.testing.assert_array_equal(result.predictions.ravel(), forecast["predictions"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "arrays have no timestamps; give starts="),
        ({"starts": "2024-01-01"}, "arrays have no timestamps"),
        ({"starts": "soon", "freq": "h"}, "starts is 'soon'; expected the first timestamp of each series"),
        ({"starts": ["2024-01-01"] * 3, "freq": "h"}, "3 starts and 2 frequencies are given for 2 series"),
        ({"starts": "2024-01-01", "freq": ["h"]}, "1 starts and 1 frequencies are given for 2 series"),
        ({"starts": "2024-01-01", "freq": "hh"}, "frequency 'hh' is not known; use an alias"),
    ],
)
def test_arrays_need_timestamps_for_time_features(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        mixing(time_features=["hour"]).predict([np.arange(9.0), np.arange(8.0)], prediction_length=2, **options)


def test_a_batch_without_its_time_features_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the time features hour as the last rows of known"):
        mixing(time_features=["hour"]).forecast(np.zeros((1, 1, 9), np.float32), horizon=2, quantile_levels=(0.5,))


def test_covariates_of_a_model_without_window_scaling_are_converted_to_its_units() -> None:
    about = About(standardize={"target": (5.0, 2.0), "price": (3.0, 4.0)}, trained_on={"data": {"known": ["price"]}})
    model = ModelPredictor(tiny("patch_transformer", "group", scaler="none"), name="m", about=about)
    df = frame(("a",)).drop(columns="rain")
    future = future_rows(df)
    forecast = model.predict_df(df, HORIZON, future_df=future)["predictions"].to_numpy()
    series = (df["target"].to_numpy() - 5) / 2
    known = (np.concatenate([df["price"], future["price"]]) - 3) / 4
    result = model.predict(series, prediction_length=HORIZON, known=[known[None]]).predictions.ravel()
    np.testing.assert_allclose(forecast, result * 2 + 5, rtol=1e-4)
    wider = model.predict_df(frame(("a",)), HORIZON, future_df=future)
    np.testing.assert_array_equal(wider["predictions"].to_numpy(), forecast)
    assert "m does not use rain: it does not know their units" in wider.attrs["announcements"]
