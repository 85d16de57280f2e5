"""DLinear and NLinear with a flatten head are the linear maps of their paper (arXiv:2205.13504, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.model.backbones.dlinear import DLinear
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Grid, Problem

CONTEXT, HORIZON, CHANNELS, KERNEL = 48, 12, 3, 9


def linear_model(backbone: str, *, scaler: str, embed: str, context: int = CONTEXT, **settings: Any) -> Model:
    torch.manual_seed(0)
    return Model(
        ModelConfig(context=context, horizon=HORIZON, patch=context, stride=context, embed=embed),
        scaler=SCALERS.config({"name": scaler}),
        backbone=BACKBONES.config({"name": backbone, **settings}),
        head=HEADS.config({"name": "flatten"}),
    ).double()


def problem(values: np.ndarray, observed: np.ndarray | None = None) -> Problem:
    """A forecasting problem from contexts [B, C, L]; the true horizon is unknown."""
    observed = np.ones_like(values, dtype=bool) if observed is None else observed
    tail = ((0, 0), (0, 0), (0, HORIZON))
    visible = torch.from_numpy(np.pad(observed, tail))
    return Problem(
        values=torch.from_numpy(np.pad(values, tail, constant_values=np.nan)), visible=visible, wanted=~visible
    )


def moving_average(x: np.ndarray, kernel: int) -> np.ndarray:
    """The paper's: both ends repeated (kernel - 1) / 2 times, then the mean of `kernel` steps. x[L]."""
    half = (kernel - 1) // 2
    padded = np.concatenate([np.repeat(x[0], half), x, np.repeat(x[-1], half)])
    return np.array([padded[i : i + kernel].mean() for i in range(len(x))])


@pytest.mark.parametrize("kernel", [1, KERNEL, 25, 2 * CONTEXT + 1])
def test_dlinear_is_the_two_linear_maps_of_the_paper(kernel: int) -> None:
    """The matrix of the head contains W_seasonal and W_trend; its bias is the sum of both."""
    rng = np.random.default_rng(0)
    model = linear_model("dlinear", scaler="none", embed="values_visible", kernel=kernel)
    seasonal, trend = rng.normal(size=(2, HORIZON, CONTEXT))
    bias_seasonal, bias_trend = rng.normal(size=(2, HORIZON))
    with torch.no_grad():
        model.head.linear.weight.copy_(torch.from_numpy(np.concatenate([seasonal, trend], axis=1)))
        model.head.linear.bias.copy_(torch.from_numpy(bias_seasonal + bias_trend))
    x = rng.normal(size=(4, CHANNELS, CONTEXT)).cumsum(-1)
    expected = np.empty((4, CHANNELS, HORIZON))
    for b, c in np.ndindex(4, CHANNELS):
        smooth = moving_average(x[b, c], kernel)
        expected[b, c] = seasonal @ (x[b, c] - smooth) + bias_seasonal + trend @ smooth + bias_trend
    # the output of the head before the model converts it to float32
    tokens, valid = model.patching(torch.from_numpy(x), torch.ones(x.shape, dtype=torch.bool))
    np.testing.assert_allclose(
        model.head(model.backbone(tokens, valid), valid)[..., 0].detach(), expected, rtol=1e-10, atol=1e-10
    )
    forecast = model(problem(x)).prediction[..., -HORIZON:, 0].detach()
    np.testing.assert_allclose(forecast, expected, rtol=1e-5, atol=1e-4)


def test_nlinear_subtracts_the_last_value_maps_and_adds_it_back() -> None:
    rng = np.random.default_rng(1)
    model = linear_model("nlinear", scaler="last", embed="values")
    weight, bias = (p.detach().numpy() for p in model.head.linear.parameters())
    x = rng.normal(size=(4, CHANNELS, CONTEXT)).cumsum(-1)
    last = x[..., -1:]
    forecast = model(problem(x)).prediction[..., -HORIZON:, 0].detach()
    np.testing.assert_allclose(forecast, (x - last) @ weight.T + bias + last, rtol=1e-5, atol=1e-5)


def test_nlinear_with_hidden_last_steps_subtracts_the_last_visible_one() -> None:
    rng = np.random.default_rng(2)
    model = linear_model("nlinear", scaler="last", embed="values")
    weight, bias = (p.detach().numpy() for p in model.head.linear.parameters())
    x = rng.normal(size=(2, CHANNELS, CONTEXT))
    observed = np.ones_like(x, dtype=bool)
    observed[..., -5:] = observed[..., 3] = False
    last = x[..., -6:-5]
    forecast = model(problem(x, observed)).prediction[..., -HORIZON:, 0].detach()
    np.testing.assert_allclose(forecast, np.where(observed, x - last, 0) @ weight.T + bias + last, rtol=1e-5, atol=1e-5)


def decompose(x: np.ndarray, visible: np.ndarray, kernel: int) -> tuple[np.ndarray, np.ndarray]:
    """Remainder and trend of one token x[S] by DLinear."""
    layer = DLinear(DLinear.Config(kernel=kernel), grid=Grid(channels=None, patches=1, patch=len(x), width=2 * len(x)))
    token = torch.from_numpy(np.concatenate([np.where(visible, x, 0.0), visible]))[None, None, None]
    remainder, trend = layer(token, torch.ones(1, 1, 1, dtype=torch.bool))[0, 0, 0].numpy().reshape(2, -1)
    return remainder, trend


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.sampled_from([0.1, 0.5, 0.9]), half=st.integers(0, 12))
def test_the_trend_of_a_series_with_gaps_is_the_mean_of_its_visible_neighbours(
    seed: int, rate: float, half: int
) -> None:
    rng = np.random.default_rng(seed)
    x, visible = rng.normal(size=30) + 5, rng.random(30) < rate
    remainder, trend = decompose(x, visible, 2 * half + 1)
    steps = np.clip(np.arange(-half, 30 + half), 0, 29)
    for i in range(30):
        neighbours = steps[i : i + 2 * half + 1]
        neighbours = neighbours[visible[neighbours]]
        assert trend[i] == pytest.approx(x[neighbours].mean() if len(neighbours) else 0.0)
    np.testing.assert_allclose(remainder, np.where(visible, x - trend, 0.0), atol=1e-12)


def test_a_constant_with_gaps_has_that_trend_and_no_remainder() -> None:
    visible = np.random.default_rng(0).random(60) < 0.5
    remainder, trend = decompose(np.full(60, 7.0), visible, 25)
    np.testing.assert_allclose(trend, 7.0)
    np.testing.assert_allclose(remainder, 0.0, atol=1e-12)


def test_the_published_parameter_counts() -> None:
    """Two maps of 336 to 96 with one bias between them, shared by the channels; NLinear has one map."""
    published = {"dlinear": 2 * CONTEXT * HORIZON + HORIZON, "nlinear": CONTEXT * HORIZON + HORIZON}
    assert linear_model("dlinear", scaler="none", embed="values_visible").num_parameters() == published["dlinear"]
    assert linear_model("nlinear", scaler="last", embed="values").num_parameters() == published["nlinear"]


def test_wrong_settings_of_dlinear_are_errors() -> None:
    with pytest.raises(ValueError, match=r"model\.embed=values_visible"):
        linear_model("dlinear", scaler="none", embed="values")
    for kernel in (0, 4, -3):
        with pytest.raises(ValueError, match=r"backbone\.kernel is -?\d+; .* odd"):
            BACKBONES.config({"name": "dlinear", "kernel": kernel})
