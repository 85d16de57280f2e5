"""Forecasts of a trained model: horizons, items, and units of the training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.infer.small_models import sales
from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About


@pytest.fixture(params=["flatten", "quantiles"])
def predictor(request: pytest.FixtureRequest) -> ModelPredictor:
    return ModelPredictor(tiny("patch_transformer", request.param), name="tiny")


def test_columns_and_rows(predictor: ModelPredictor) -> None:
    forecast = predictor.predict_df(sales(), prediction_length=24)  # beyond the trained horizon
    columns = [] if len(predictor.quantile_levels) == 1 else [f"{level:g}" for level in predictor.quantile_levels]
    assert list(forecast.columns) == ["item_id", "timestamp", "target_name", "predictions", *columns]
    assert len(forecast) == 3 * 24
    assert forecast.timestamp.iloc[0] == pd.Timestamp("2024-01-04 08:00")
    assert np.isfinite(forecast[["predictions", *columns]].to_numpy()).all()


def test_a_shorter_horizon_is_the_head_of_the_longer(predictor: ModelPredictor) -> None:
    context = np.random.default_rng(1).normal(size=(2, 1, CONTEXT)).astype(np.float32)
    quantile_levels = predictor.quantile_levels
    long = predictor.forecast(context, horizon=3 * HORIZON, quantile_levels=quantile_levels)
    short = predictor.forecast(context, horizon=HORIZON // 2, quantile_levels=quantile_levels)
    np.testing.assert_array_equal(long[:, :, : HORIZON // 2], short)


def test_items_do_not_influence_each_other(predictor: ModelPredictor) -> None:
    df = sales()
    together = predictor.predict_df(df, 8)
    alone = predictor.predict_df(df[df.item_id == "shop 1"], 8)
    kept = together[together.item_id == "shop 1"].reset_index(drop=True)
    np.testing.assert_allclose(kept["predictions"], alone["predictions"], rtol=1e-5)


def test_a_model_without_window_scaling_knows_its_training_channels_only() -> None:
    about = About(standardize={"OT": (50.0, 10.0)})
    model = ModelPredictor(tiny("dlinear", scaler="none"), name="linear", about=about)
    df = sales(1).rename(columns={"target": "OT"})
    df["OT"] = 50 + df["OT"]
    forecast = model.predict_df(df, 8, target="OT")
    context = ((df["OT"].to_numpy() - 50) / 10)[-CONTEXT:].astype(np.float32)
    expected = model.forecast(context[None, None], horizon=8, quantile_levels=(0.5,))[0, 0, :, 0] * 10 + 50
    np.testing.assert_allclose(forecast["predictions"], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="knows only the units of OT; found target target"):
        model.predict_df(sales(1), 8)
    objects = model.predict_df(df.assign(OT=df["OT"].astype(object)), 8, target=["OT"])
    pd.testing.assert_frame_equal(objects, forecast)


def test_units_are_those_of_the_target_that_was_found() -> None:
    units = {"y": (50.0, 10.0), "x": (0.0, 2.0)}
    model = ModelPredictor(tiny("dlinear", scaler="last"), name="linear", about=About(standardize=units))
    short = sales(1).rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    short["x"] = 7 * short["y"]
    context = ((short[["x", "y"]].to_numpy().T - [[0], [50]]) / [[2], [10]])[None, :, -CONTEXT:]
    expected = model.forecast(context.astype(np.float32), horizon=8, quantile_levels=(0.5,))[0, :, :, 0]
    forecast = model.predict_df(short, 8)  # the default target is found under its other name
    np.testing.assert_allclose(forecast["predictions"], expected[1] * 10 + 50, rtol=1e-5)
    both = model.predict_df(short, 8, target=pd.Index(["x", "y"]), quantile_levels=[0.5])
    np.testing.assert_allclose(both["predictions"], [*expected[0] * 2, *expected[1] * 10 + 50], rtol=1e-4)
    np.testing.assert_array_equal(both["predictions"], both["0.5"])
    with pytest.raises(ValueError, match="knows only the units of OT; found target y"):
        ModelPredictor(model.model, name="m", about=About(standardize={"OT": (0.0, 1.0)})).predict_df(short, 8)


def test_beyond_the_trained_horizon_is_announced(predictor: ModelPredictor) -> None:
    forecast = predictor.predict_df(sales(1), HORIZON + 1).attrs["announcements"]
    assert forecast == ["steps beyond the trained horizon of 16 are predicted from its own forecast"]
    assert not predictor.predict_df(sales(1), HORIZON).attrs["announcements"]


def test_forecasts_from_several_context_lengths_are_averaged() -> None:
    network = tiny("patch_transformer", "quantiles")
    context = np.random.default_rng(1).normal(size=(2, 1, CONTEXT)).astype(np.float32)

    def forecast(*lengths: int) -> np.ndarray:
        model = ModelPredictor(network, name="tiny", config=InferenceConfig(context_lengths=lengths))
        return model.forecast(context, horizon=HORIZON, quantile_levels=model.quantile_levels)

    np.testing.assert_allclose(forecast(16, CONTEXT), (forecast(16) + forecast(CONTEXT)) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(forecast(), forecast(CONTEXT))


def test_values_beyond_float32_in_the_units_of_the_training_are_named() -> None:
    about = About(standardize={"target": (0.0, 1e-30)})
    model = ModelPredictor(tiny("dlinear", scaler="none"), name="linear", about=about)
    with pytest.raises(ValueError, match="item 'shop 0' is beyond float32 in the units of the model's training"):
        model.predict_df(sales(1).assign(target=1e10), 8)
