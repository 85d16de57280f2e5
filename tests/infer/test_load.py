"""A checkpoint directory as a Predictor: arrays and DataFrames in, forecasts out, nothing from the network."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

import tsfm
from tests.tiny import CONTEXT, HORIZON, tiny
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.rollout import rollout
from tsfm.model.checkpoint import About, save


def sales(items: int = 3, rows: int = 80) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    stamps = pd.date_range("2024-01-01", periods=rows, freq="h")
    parts = [
        pd.DataFrame({"item_id": f"shop {i}", "timestamp": stamps, "target": generator.normal(10 * i, 1, rows)})
        for i in range(items)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(params=["flatten", "quantiles"])
def predictor(request: pytest.FixtureRequest) -> ModelPredictor:
    return ModelPredictor(tiny("patch_transformer", request.param), name="tiny")


def test_a_saved_model_forecasts_the_same(tmp_path) -> None:
    model = tiny("patch_transformer", "quantiles").eval()
    save(model, tmp_path / "run" / "model", about=About())
    said = [
        one.predict_df(sales(), 8) for one in (ModelPredictor(model, name="m"), tsfm.load(tmp_path / "run" / "model"))
    ]
    pd.testing.assert_frame_equal(*said)
    assert load(tmp_path / "run").model.spec() == model.spec()  # the run directory will do


def test_columns_and_rows(predictor: ModelPredictor) -> None:
    said = predictor.predict_df(sales(), prediction_length=24)  # beyond the trained horizon: rolled out
    levels = [] if len(predictor.quantile_levels) == 1 else [f"{level:g}" for level in predictor.quantile_levels]
    assert list(said.columns) == ["item_id", "timestamp", "target_name", "predictions", *levels]
    assert len(said) == 3 * 24
    assert said.timestamp.iloc[0] == pd.Timestamp("2024-01-04 08:00")
    assert np.isfinite(said[["predictions", *levels]].to_numpy()).all()


def test_a_shorter_horizon_is_the_head_of_the_longer(predictor: ModelPredictor) -> None:
    context = np.random.default_rng(1).normal(size=(2, 1, CONTEXT)).astype(np.float32)
    levels = predictor.quantile_levels
    long = predictor.forecast(context, horizon=3 * HORIZON, quantile_levels=levels)
    short = predictor.forecast(context, horizon=HORIZON // 2, quantile_levels=levels)
    np.testing.assert_array_equal(long[:, :, : HORIZON // 2], short)


def test_items_do_not_influence_each_other(predictor: ModelPredictor) -> None:
    df = sales()
    together = predictor.predict_df(df, 8)
    alone = predictor.predict_df(df[df.item_id == "shop 1"], 8)
    kept = together[together.item_id == "shop 1"].reset_index(drop=True)
    np.testing.assert_allclose(kept["predictions"], alone["predictions"], rtol=1e-5)


def test_rollout_goes_on_along_a_path_for_each_level() -> None:
    model = tiny("patch_transformer", "quantiles").eval()
    values = torch.randn(1, 1, CONTEXT)
    with torch.no_grad():
        observed = torch.ones_like(values, dtype=torch.bool)
        first, second = rollout(model, values, observed, horizon=2 * HORIZON).split(HORIZON, dim=-2)
        assert (first.diff(dim=-1) < 0).any()  # the reads of random weights cross; what is answered is sorted
        said = []
        for level in range(9):
            path = torch.cat([values, first.sort(dim=-1).values[..., level]], dim=-1)[..., -CONTEXT:]
            said.append(rollout(model, path, torch.ones_like(path, dtype=torch.bool), horizon=HORIZON))
    mixture = torch.stack(said, dim=-1).flatten(-2)
    torch.testing.assert_close(second, torch.quantile(mixture, torch.arange(1, 10) / 10, dim=-1).movedim(0, -1))


def test_a_point_forecast_goes_on_from_itself() -> None:
    model = tiny("patch_transformer").eval()
    values = torch.randn(2, 1, CONTEXT)
    with torch.no_grad():
        observed = torch.ones_like(values, dtype=torch.bool)
        first, second = rollout(model, values, observed, horizon=2 * HORIZON).split(HORIZON, dim=-2)
        longer = torch.cat([values, first[..., 0]], dim=-1)[..., -CONTEXT:]
        again = rollout(model, longer, torch.ones_like(longer, dtype=torch.bool), horizon=HORIZON)
    torch.testing.assert_close(second, again)


def test_mirrored_series_have_mirrored_forecasts_when_both_are_asked() -> None:
    model = tiny("patch_transformer", "quantiles").eval()
    values = torch.randn(2, 1, CONTEXT)
    seen = torch.ones_like(values, dtype=torch.bool)
    with torch.no_grad():
        one = rollout(model, values, seen, horizon=HORIZON, flip=True)
        other = rollout(model, -values, seen, horizon=HORIZON, flip=True)
    torch.testing.assert_close(one, -other.flip(-1))


def test_a_model_without_window_scaling_knows_its_training_channels_only() -> None:
    about = About(standardize={"OT": (50.0, 10.0)})
    model = ModelPredictor(tiny("dlinear", scaler="none"), name="linear", about=about)
    df = sales(1).rename(columns={"target": "OT"})
    df["OT"] = 50 + df["OT"]
    said = model.predict_df(df, 8, target="OT")
    context = ((df["OT"].to_numpy() - 50) / 10)[-CONTEXT:].astype(np.float32)
    expected = model.forecast(context[None, None], horizon=8, quantile_levels=(0.5,))[0, 0, :, 0] * 10 + 50
    np.testing.assert_allclose(said["predictions"], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="knows only the units of OT; found target target"):
        model.predict_df(sales(1), 8)
    objects = model.predict_df(df.assign(OT=df["OT"].astype(object)), 8, target=["OT"])
    pd.testing.assert_frame_equal(objects, said)


def test_units_are_those_of_the_target_that_was_found() -> None:
    units = {"y": (50.0, 10.0), "x": (0.0, 2.0)}
    model = ModelPredictor(tiny("dlinear", scaler="last"), name="linear", about=About(standardize=units))
    short = sales(1).rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    short["x"] = 7 * short["y"]
    context = ((short[["x", "y"]].to_numpy().T - [[0], [50]]) / [[2], [10]])[None, :, -CONTEXT:]
    expected = model.forecast(context.astype(np.float32), horizon=8, quantile_levels=(0.5,))[0, :, :, 0]
    said = model.predict_df(short, 8)  # the default target is found under its other name
    np.testing.assert_allclose(said["predictions"], expected[1] * 10 + 50, rtol=1e-5)
    both = model.predict_df(short, 8, target=pd.Index(["x", "y"]), quantile_levels=[0.5])
    np.testing.assert_allclose(both["predictions"], [*expected[0] * 2, *expected[1] * 10 + 50], rtol=1e-4)
    np.testing.assert_array_equal(both["predictions"], both["0.5"])
    with pytest.raises(ValueError, match="knows only the units of OT; found target y"):
        ModelPredictor(model.model, name="m", about=About(standardize={"OT": (0.0, 1.0)})).predict_df(short, 8)


def test_beyond_the_trained_horizon_is_announced(predictor: ModelPredictor) -> None:
    said = predictor.predict_df(sales(1), HORIZON + 1).attrs["announcements"]
    assert said == ["steps beyond the trained horizon of 16 are predicted from its own forecast"]
    assert not predictor.predict_df(sales(1), HORIZON).attrs["announcements"]


def test_missing_models_say_what_was_looked_for(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="neither a folder nor a bundled model"):
        tsfm.load("tsfm-smal")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        tsfm.load(tmp_path / "empty")


def test_loading_needs_no_lightning_and_no_network(tmp_path) -> None:
    save(tiny("patch_transformer"), tmp_path / "m", about=About())
    code = (
        "import sys, socket\n"
        "socket.socket.connect = None\n"
        f"import tsfm; tsfm.load({str(tmp_path / 'm')!r})\n"
        "assert 'pytorch_lightning' not in sys.modules and 'lightning' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
