"""Loading: a checkpoint directory forecasts as the model that was saved, without a network connection."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import tsfm
from tests.infer.small_models import sales
from tests.tiny import tiny
from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About, save


def test_a_saved_model_forecasts_the_same(tmp_path) -> None:
    model = tiny("patch_transformer", "quantiles").eval()
    save(model, tmp_path / "run" / "model", about=About())
    predictors = (ModelPredictor(model, name="m"), tsfm.load(tmp_path / "run" / "model"))
    pd.testing.assert_frame_equal(*(predictor.predict_df(sales(), 8) for predictor in predictors))
    assert load(tmp_path / "run").model.spec() == model.spec()  # the run directory is enough


def test_missing_models_are_named(tmp_path) -> None:
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


def test_settings_of_inference_are_keywords_or_a_config(tmp_path) -> None:
    save(tiny("patch_transformer"), tmp_path / "m", about=About())
    config = InferenceConfig(flip=True, stride=2)
    assert tsfm.load(tmp_path / "m").inference_config == InferenceConfig()
    assert tsfm.load(tmp_path / "m", config=config, stride=1).inference_config == InferenceConfig(flip=True, stride=1)
    assert load(tmp_path / "m", context_lengths=[8, 16]).inference_config.context_lengths == (8, 16)
    with pytest.raises(ValueError, match="precision is '16'; did you mean 'bf16'"):
        tsfm.load(tmp_path / "m", precision="16")
