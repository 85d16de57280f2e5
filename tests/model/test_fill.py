"""Laws of what stands for hidden steps: it agrees with numpy's interpolation, and a model answers relative to it."""

from __future__ import annotations

import numpy as np
import torch

from tests.tiny import CONTEXT, forecast_problem, tiny, waves
from tsfm.model.fill import interpolate
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS


def test_it_is_the_line_between_visible_neighbours() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5, 3, 40, generator=generator, dtype=torch.float64)
    visible = torch.rand(5, 3, 40, generator=generator) > 0.5
    found = interpolate(values, visible)
    for b in range(5):
        for c in range(3):
            seen = np.flatnonzero(visible[b, c].numpy())
            line = np.interp(np.arange(40), seen, values[b, c].numpy()[seen])
            line[: seen[0]] = 0.0  # before the first visible step nothing is said
            np.testing.assert_allclose(found[b, c].numpy(), line, atol=1e-12)


def test_nothing_visible_gives_zeros() -> None:
    assert torch.equal(interpolate(torch.ones(1, 1, 4), torch.zeros(1, 1, 4, dtype=torch.bool)), torch.zeros(1, 1, 4))


def test_hidden_values_do_not_matter() -> None:
    values, visible = torch.randn(2, 2, 16), torch.rand(2, 2, 16) > 0.4
    poked = torch.where(visible, values, float("nan"))
    assert torch.equal(interpolate(values, visible), interpolate(poked, visible))


def test_a_head_that_says_nothing_answers_with_the_line() -> None:
    """With its head at zero a model with fill=linear goes on from the last value; one with zeros says the mean."""
    problem = forecast_problem(waves())
    for kind, expected in (("line", problem.values[..., CONTEXT - 1]), ("quantiles", None)):
        model = tiny("mixer", kind).eval()
        for parameter in model.head.parameters():
            torch.nn.init.zeros_(parameter)
        read = model(problem).prediction[..., CONTEXT:, 0]
        level = problem.values[..., :CONTEXT].mean(-1) if expected is None else expected
        torch.testing.assert_close(read, level[..., None].expand_as(read), rtol=1e-4, atol=1e-4)


def test_a_head_of_the_context_goes_on_from_the_last_value() -> None:
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
