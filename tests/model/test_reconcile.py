"""Laws of the reconciliation heads: what they learn beyond the flatten head, and which sums always agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.tiny import CHANNELS, CONTEXT, HORIZON, forecast_problem, waves
from tsfm.model.checkpoint import About, load, save
from tsfm.model.heads import Head
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Grid

HEAD = pytest.mark.parametrize("name", ["cross_channel", "hierarchy"])
QUANTILE_LEVELS = [0.1, 0.5, 0.9]


def head(name: str, *, horizon: int = 8, channels: int | None = 2, patch: int = 4, **settings: Any) -> Head:
    torch.manual_seed(5)
    grid = Grid(channels=channels, patches=3, patch=patch, width=4)
    return HEADS.build(HEADS.config({"name": name, **settings}), grid=grid, horizon=horizon)


def hidden(batch: int = 6, *, channels: int = 2) -> Tensor:
    return torch.randn(batch, channels, 3, 4, generator=torch.Generator().manual_seed(6))


def every_token(tokens: Tensor) -> Tensor:
    """The mask [B, C, P] of all tokens: these heads use every one."""
    return torch.ones(tokens.shape[:3], dtype=torch.bool)


def model_with(name: str) -> Model:
    torch.manual_seed(8)
    return Model(
        ModelConfig(context=CONTEXT, horizon=HORIZON, channels=CHANNELS, width=16, patch=8, stride=8),
        scaler=SCALERS.config({"name": "standard"}),
        backbone=BACKBONES.config({"name": "mixer", "depth": 1}),
        head=HEADS.config({"name": name, "quantile_levels": QUANTILE_LEVELS}),
    ).eval()


@HEAD
@pytest.mark.parametrize("quantile_levels", [[0.5], QUANTILE_LEVELS])
def test_every_step_quantile_and_parameter_has_an_effect(name: str, quantile_levels: list[float]) -> None:
    built = head(name, quantile_levels=quantile_levels)
    quantiles = built(hidden(), every_token(hidden()))
    assert quantiles.shape == (6, 2, 8, len(quantile_levels))
    assert built.quantile_levels == tuple(quantile_levels)
    (quantiles * torch.randn(quantiles.shape)).sum().backward()
    assert [key for key, p in built.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def fitted(built: Head, x: Tensor, target: Tensor, *, steps: int = 150) -> float:
    """The squared error on the second channel after training on both."""
    optimizer = torch.optim.Adam(built.parameters(), lr=5e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(built(x, every_token(x))[..., 0], target).backward()
        optimizer.step()
    return F.mse_loss(built(x, every_token(x))[:, 1, :, 0], target[:, 1]).item()


def test_a_channel_that_follows_another_is_forecast_from_it() -> None:
    """Channel 1 repeats channel 0 one step later, and its own tokens are noise.

    Neither the flatten head nor reconciliation without neighbouring steps can predict it.
    """
    x = hidden(128)
    first = x[:, 0].flatten(1) @ torch.randn(12, 8, generator=torch.Generator().manual_seed(9)) / 12**0.5
    target = torch.stack([first, F.pad(first[:, :-1], (1, 0))], dim=1)
    spread = target[:, 1].var().item()
    assert fitted(head("flatten"), x, target) > 0.8 * spread
    assert fitted(head("cross_channel", neighbour_steps=0), x, target) > 0.3 * spread
    assert fitted(head("cross_channel", neighbour_steps=1), x, target) < 0.05 * spread


@pytest.mark.parametrize("quantile_levels", [[0.5], QUANTILE_LEVELS])
@pytest.mark.parametrize("training", [True, False])
def test_the_two_levels_of_the_hierarchy_agree(quantile_levels: list[float], training: bool) -> None:
    """The squared error is the error of the means plus that of the deviations from them."""
    built = head("hierarchy", quantile_levels=quantile_levels, horizon_patch=4).train(training)
    quantiles, means = built(hidden(), every_token(hidden())), built.means(hidden(), every_token(hidden()))
    torch.testing.assert_close(quantiles.unflatten(2, (2, 4)).mean(dim=3), means, rtol=1e-5, atol=1e-6)
    target = torch.randn(quantiles.shape).unflatten(2, (2, 4))
    level = target.mean(dim=3, keepdim=True)
    shape = quantiles.unflatten(2, (2, 4)) - means.unsqueeze(3)
    separate = F.mse_loss(means, level.squeeze(3)) + F.mse_loss(shape, target - level)
    torch.testing.assert_close(F.mse_loss(quantiles, target.flatten(2, 3)), separate, rtol=1e-4, atol=1e-6)


def test_the_hierarchy_learns_level_and_shape() -> None:
    x = hidden(128)
    flat = x.flatten(2)
    maps = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(10)) / 12**0.5
    target = flat @ maps[0] + 0.5 * (flat @ maps[1]).tanh()
    assert fitted(head("hierarchy"), x, target) < 0.1 * target.var().item()


@pytest.mark.parametrize(
    ("horizon", "patch", "expected"), [(96, 16, 16), (24, 16, 12), (720, 16, 16), (13, 8, 13), (2, 16, 2)]
)
def test_the_patch_divides_the_horizon(horizon: int, patch: int, expected: int) -> None:
    built = head("hierarchy", horizon=horizon, patch=patch)
    assert built.horizon_patch == expected
    assert built(hidden(), every_token(hidden())).shape == (6, 2, horizon, 1)


@HEAD
def test_channels_depend_on_each_other_where_the_head_declares_it(name: str) -> None:
    built, x = head(name), hidden()
    other = x.clone()
    other[:, 1] += 1.0
    assert torch.equal(built(x, every_token(x))[:, 0], built(other, every_token(other))[:, 0]) != built.mixes_channels


@HEAD
def test_a_model_with_it_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    model, problem = model_with(name), forecast_problem(waves())
    again, _ = load(save(model, tmp_path / "model", about=About()))
    assert again.spec() == model.spec()
    with torch.no_grad():
        quantiles, same = model(problem).prediction, again(problem).prediction
    assert torch.isfinite(quantiles[..., -HORIZON:, :]).all()
    assert torch.equal(quantiles[..., -HORIZON:, :], same[..., -HORIZON:, :])


@HEAD
def test_it_keeps_the_equivariance_of_the_scaler(name: str) -> None:
    model, batch = model_with(name), waves()
    problem = forecast_problem(batch)
    moved = forecast_problem(type(batch)(3.5 * batch.values - 40.0, batch.observed))
    with torch.no_grad():
        plain, quantiles = model(problem).prediction[..., -HORIZON:, :], model(moved).prediction[..., -HORIZON:, :]
    torch.testing.assert_close(quantiles, 3.5 * plain - 40.0, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cross_channel", {"channels": None}, "set model.channels"),
        ("cross_channel", {"neighbour_steps": -1}, "head.neighbour_steps is -1"),
        ("cross_channel", {"quantile_levels": [0.9, 0.5]}, "head.quantile_levels"),
        ("hierarchy", {"horizon_patch": 1}, "head.horizon_patch is 1"),
        (
            "hierarchy",
            {"horizon_patch": 3},
            r"head.horizon_patch 3 does not divide the horizon 8; use one of \[2, 4, 8\]",
        ),
        ("hierarchy", {"hidden": 0}, "head.hidden is 0"),
        ("hierarchy", {"horizon": 1}, "use head=flatten"),
    ],
)
def test_wrong_settings_are_errors(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head(name, **settings)
