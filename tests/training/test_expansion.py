"""Laws of expanded models: they predict what the checkpoint does, and what is new starts without an effect."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import Any

import pytest
import torch

from tests.model.seasonal_series import windows
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.training.expansion import expand_weights, level_weights
from tsfm.types import Problem

OLD = (0.1, 0.3, 0.5, 0.7, 0.9)
NEW = (0.01, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99)


def model(quantile_levels: tuple[float, ...] = OLD, **settings: Any) -> Model:
    torch.manual_seed(0)
    network = Model(
        ModelConfig(
            **{"context": 160, "horizon": 40, "width": 16, "patch": 8, "stride": 8, "embed": "residual"}
            | {"fill": "linear", "seasonal_lags": 2}
            | settings
        ),
        scaler=SCALERS.config({"name": "standard", "arcsinh": True}),
        backbone=BACKBONES.config({"name": "mixer", "depth": 1, "dropout": 0.0, "max_patches": 32}),
        head=HEADS.config({"name": "patch_quantiles", "hidden": 16, "quantile_levels": list(quantile_levels)}),
    )
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def problem() -> Problem:
    values, visible = windows()
    seasons = torch.tensor([[12, 84]] * len(values))
    return Problem(values=values, visible=visible, wanted=~visible, seasons=seasons)


def expanded(saved: Model, new: Model) -> torch.Tensor:
    new.load_state_dict(expand_weights(saved, new))
    with torch.no_grad():
        return new(problem()).prediction


def test_the_known_season_starts_without_an_effect() -> None:
    saved = model()
    with torch.no_grad():
        before = saved(replace(problem(), seasons=None)).prediction
    torch.testing.assert_close(expanded(saved, model(known_season=True)), before, rtol=1e-5, atol=1e-5)


def test_the_old_quantile_levels_keep_their_predictions() -> None:
    saved = model()
    with torch.no_grad():
        before = saved(problem()).prediction
    after = expanded(saved, model(NEW))
    kept = [NEW.index(level) for level in OLD]
    torch.testing.assert_close(after[..., kept], before, rtol=1e-5, atol=1e-5)


def test_both_at_once() -> None:
    saved = model()
    with torch.no_grad():
        before = saved(problem()).prediction
    after = expanded(saved, model(NEW, known_season=True))
    torch.testing.assert_close(after[..., NEW.index(0.5)], before[..., OLD.index(0.5)], rtol=1e-5, atol=1e-5)


def test_new_levels_of_a_normal_distribution_are_exact_outside_and_close_inside() -> None:
    quantile = NormalDist(3.0, 2.0).inv_cdf
    weights = level_weights(OLD, NEW)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(NEW)))
    mixed = weights @ torch.tensor([quantile(level) for level in OLD])
    for level, value in zip(NEW, mixed.tolist(), strict=True):
        assert value == pytest.approx(quantile(level), abs=1e-5 if level in OLD or level in (0.01, 0.99) else 0.2)


def test_levels_that_would_be_lost_are_refused() -> None:
    with pytest.raises(ValueError, match="keeps the levels"):
        level_weights(OLD, (0.1, 0.5, 0.9))
    with pytest.raises(ValueError, match=r"use model\.known_season=true"):
        expand_weights(model(), model(seasonal_lags=1))
