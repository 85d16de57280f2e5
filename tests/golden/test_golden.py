"""Checkpoints that every later version must load, with the same forecasts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tsfm.infer.load import load
from tsfm.infer.predictor import Predictor

FOLDER = Path(__file__).parent
# name -> backbone, arrangement, scaler; the weights are random, from seed 0
CASES = {
    "patch_transformer_flatten": ("patch_transformer", "flatten", "standard"),
    "patch_transformer_quantiles": ("patch_transformer", "quantiles", "robust"),
    "inverted": ("inverted", "flatten", "standard"),
    "mamba_time": ("mamba", "quantiles", "standard"),
    "mamba_variates": ("mamba", "variates", "standard"),
    "mixer_flatten": ("mixer", "flatten", "standard"),
    "mixer_quantiles": ("mixer", "quantiles", "robust"),
    "dilated_conv": ("dilated_conv", "lags", "standard"),
    "dlinear": ("dlinear", "flatten", "none"),
    "nlinear": ("nlinear", "flatten", "last"),
    "seasonal_lags": ("patch_transformer", "lags", "standard"),  # the first of format 2
}


def forecasts(predictor: Predictor) -> list:
    """Two series, one short and one with a gap, forecast beyond the trained horizon; rounded as they are stored."""
    time = np.arange(60)
    wave = np.sin(time / 5) + 0.01 * time
    gap = np.where((time > 20) & (time < 27), np.nan, 100 * wave + 500)
    forecast = predictor.predict([wave[-30:], gap], prediction_length=20, quantile_levels=predictor.quantile_levels)
    return np.round(forecast.quantiles.astype(float), 5).tolist()


@pytest.mark.parametrize("name", CASES)
def test_golden_forecasts(name: str) -> None:
    expected = np.array(json.loads((FOLDER / name / "forecasts.json").read_text()))
    np.testing.assert_allclose(np.array(forecasts(load(FOLDER / name))), expected, rtol=1e-4, atol=1e-3)
