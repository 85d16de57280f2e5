"""Laws of interpolation: it agrees with numpy, and a model predicts relative to it."""

from __future__ import annotations

import numpy as np
import torch

from tests.tiny import CONTEXT, forecast_problem, tiny, waves
from tsfm.model.fill import interpolate
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS


def test_hidden_steps_are_interpolated_between_visible_neighbours() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5, 3, 40, generator=generator, dtype=torch.float64)
    visible = torch.rand(5, 3, 40, generator=generator) > 0.5
    filled = interpolate(values, visible)
    for b in range(5):
        for c in range(3):
            visible_steps = np.flatnonzero(visible[b, c].numpy())
            line = np.interp(np.arange(40), visible_steps, values[b, c].numpy()[visible_steps])
            line[: visible_steps[0]] = 0.0  # before the first visible step
            np.testing.assert_allclose(filled[b, c].numpy(), line, atol=1e-12)


def test_without_visible_steps_the_values_are_zero() -> None:
    assert torch.equal(interpolate(torch.ones(1, 1, 4), torch.zeros(1, 1, 4, dtype=torch.bool)), torch.zeros(1, 1, 4))


def test_hidden_values_do_not_matter() -> None:
    values, visible = torch.randn(2, 2, 16), torch.rand(2, 2, 16) > 0.4
    poked = torch.where(visible, values, float("nan"))
    assert torch.equal(interpolate(values, visible), interpolate(poked, visible))


def test_with_a_head_of_zeros_the_prediction_is_the_interpolated_value() -> None:
    """With fill=linear that is the last value in the horizon; with fill=zero it is the mean of the context."""
    problem = forecast_problem(waves())
    for kind, expected in (("line", problem.values[..., CONTEXT - 1]), ("quantiles", None)):
        model = tiny("mixer", kind).eval()
        for parameter in model.head.parameters():
            torch.nn.init.zeros_(parameter)
        prediction = model(problem).prediction[..., CONTEXT:, 0]
        level = problem.values[..., :CONTEXT].mean(-1) if expected is None else expected
        torch.testing.assert_close(prediction, level[..., None].expand_as(prediction), rtol=1e-4, atol=1e-4)


def test_a_head_of_the_context_predicts_relative_to_the_last_value() -> None:
    model = Model(
        ModelConfig(context=CONTEXT, horizon=16, width=8, patch=8, stride=8, fill="linear"),
        scaler=SCALERS.config({"name": "standard"}),
        backbone=BACKBONES.config({"name": "mixer", "depth": 1}),
        head=HEADS.config({"name": "flatten"}),
    ).eval()
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)
    problem = forecast_problem(waves())
    last = problem.values[..., CONTEXT - 1 : CONTEXT].expand(-1, -1, 16)
    torch.testing.assert_close(model(problem).prediction[..., CONTEXT:, 0], last, rtol=1e-4, atol=1e-4)
