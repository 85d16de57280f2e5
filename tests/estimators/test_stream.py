"""A stream: the forecast after every row is that of the whole window in the scale of the history; constant memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tsfm
from tests.tiny import HORIZON, tiny
from tsfm.estimators.pretrained import Pretrained
from tsfm.model.checkpoint import About
from tsfm.model.model import Model
from tsfm.model.stream import ModelStream, check_streaming
from tsfm.types import Problem

PATCH = 8
KINDS = [("mamba", "line"), ("mamba", "group"), ("dilated_conv", "quantiles")]


def rows(length: int, *, missing: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = 5 + torch.sin(torch.arange(length) / 3) + 0.3 * torch.randn(2, 3, length, generator=generator)
    if missing:
        x[0, 1, 8:20] = torch.nan
    return x


def whole(model: Model, x: torch.Tensor, *, horizon: int) -> torch.Tensor:
    """The model's own forecast of a window of all steps."""
    values = torch.cat([x, torch.zeros(*x.shape[:2], horizon)], dim=-1)
    visible = torch.cat([x.isfinite(), torch.zeros(*x.shape[:2], horizon, dtype=torch.bool)], dim=-1)
    problem = Problem(values=torch.where(visible, values, 0.0), visible=visible, wanted=~visible)
    with torch.inference_mode():
        return model(problem, last=horizon).prediction


@pytest.mark.parametrize(("backbone", "kind"), KINDS)
def test_right_after_the_history_it_is_the_forecast_of_the_model(backbone: str, kind: str) -> None:
    model = tiny(backbone, kind).eval()
    for length in (1, 7, 24):
        x = rows(length)
        stream = ModelStream(model, x)
        assert torch.allclose(stream.predict(HORIZON), whole(model, x, horizon=HORIZON), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("backbone", "kind"), KINDS)
def test_after_every_row_it_is_the_forecast_in_the_scale_of_the_history(
    backbone: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x, first = tiny(backbone, kind).eval(), rows(24, missing=kind != "line"), 6
    stream = ModelStream(model, x[..., :first])
    monkeypatch.setattr(model.scaler, "fit", lambda values, visible: stream.scale)
    for length in range(first + 1, 24):
        stream.observe(x[..., length - 1])
        expected = whole(model, x[..., :length], horizon=HORIZON)
        assert torch.allclose(stream.predict(HORIZON), expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(stream.predict(3), stream.predict(HORIZON)[..., :3, :])  # and a forecast changes no state


def num_values(stream: ModelStream) -> int:
    leaves, _ = torch.utils._pytree.tree_flatten([stream.states, stream.values, stream.visible])
    return sum(leaf.numel() for leaf in leaves if isinstance(leaf, torch.Tensor))


def test_memory_is_constant() -> None:
    x = rows(40)
    stream = ModelStream(tiny("mamba", "quantiles").eval(), x[..., :20])
    before = num_values(stream)
    for step in range(20):
        stream.observe(x[..., 20 + step])
    assert num_values(stream) == before


@pytest.mark.parametrize(
    ("backbone", "kind", "reasons"),
    [
        ("patch_transformer", "quantiles", ["backbone patch_transformer keeps no state"]),
        ("mamba", "bidirectional", ["backbone mamba keeps no state", "bidirectional=false"]),
        ("mamba", "lags", ["lag features need the whole past"]),
        ("mamba", "conv", ["embed=conv reads across patches"]),
        ("mamba", "flatten", ["head flatten needs all tokens at once", "patches overlap"]),
    ],
)
def test_other_models_are_refused_with_all_reasons(backbone: str, kind: str, reasons: list[str]) -> None:
    with pytest.raises(ValueError, match="cannot stream") as caught:
        check_streaming(tiny(backbone, kind))
    for reason in reasons:
        assert reason in str(caught.value)


def pretrained(kind: str = "quantiles", **about: Any) -> Pretrained:
    task = {"name": "forecast", "loss": "pinball", "units": "scaled"}
    return Pretrained(tiny("mamba", kind), name="tiny", about=About(task=task, **about))


def test_the_stream_of_a_loaded_model_is_its_forecast() -> None:
    model, x = pretrained(), rows(48)[0].numpy()
    stream = model.stream(x)
    expected = model.predict([x], prediction_length=12, quantile_levels=[0.8, 0.25])
    forecast = stream.predict(12, quantile_levels=[0.8, 0.25])
    assert np.allclose(forecast.quantiles, expected.quantiles, atol=1e-5)
    assert np.allclose(forecast.predictions, expected.predictions, atol=1e-5)
    stream.observe(x[:, 0])
    stream.observe(x[:, 1:4])
    assert stream.state.num_rows == 52


def test_wrong_rows_are_refused() -> None:
    stream = pretrained("line").stream(np.arange(20.0))
    with pytest.raises(ValueError, match="row 21 has a missing value, and this model interpolates"):
        stream.observe(np.nan)
    with pytest.raises(ValueError, match="prediction_length is 17; a stream of tiny forecasts at most 16"):
        stream.predict(17)
    with pytest.raises(ValueError, match="begins with a missing value"):
        pretrained().stream([np.nan, 1.0])
    with pytest.raises(ValueError, match=r"expected \[1, steps\]"):
        stream.observe(np.ones((2, 3)))


def test_bundled_models_say_why_they_cannot() -> None:
    with pytest.raises(ValueError, match=r"backbone mamba keeps no state .* lag features"):
        tsfm.load("tsfm-mini-mamba").stream(np.arange(20.0))
