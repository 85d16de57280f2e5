"""Laws of layers across channels: added ones change nothing at first, and single channels may skip them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.tiny import forecast_problem, tiny, waves
from tsfm.model.model import Model
from tsfm.registry import BACKBONES

NAMES = [entry.name for entry in BACKBONES if "mix_zero_init" in entry.config.__dataclass_fields__]
MIXING: dict[str, Any] = {"mix_every": 1, "mix_heads": 2}


def with_layers(model: Model, name: str, **settings: Any) -> Model:
    """The same network with layers across channels, whose weights are new."""
    mixed = tiny(name, "quantiles", **MIXING, **settings)
    missing = mixed.load_state_dict(model.state_dict(), strict=False).missing_keys
    assert missing
    assert all(key.startswith("backbone.mixing.") for key in missing)
    return mixed.eval()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_layers_that_start_at_zero_change_no_bit_of_a_forecast(name: str, channels: int) -> None:
    model = tiny(name, "quantiles", seed=3).eval()
    problem = forecast_problem(waves(channels=channels))
    before = model(problem).prediction
    assert torch.equal(with_layers(model, name, mix_zero_init=True)(problem).prediction, before)
    assert not torch.equal(with_layers(model, name)(problem).prediction, before)


@pytest.mark.parametrize("name", NAMES)
def test_windows_of_one_channel_skip_the_layers_by_mix_single(name: str) -> None:
    model = tiny(name, "quantiles", seed=3).eval()
    single, several = forecast_problem(waves(channels=1)), forecast_problem(waves(channels=3))
    skipping = with_layers(model, name, mix_single=False)
    assert torch.equal(skipping(single).prediction, model(single).prediction)
    assert torch.equal(skipping(single, last=8).prediction, model(single, last=8).prediction)
    assert not torch.equal(skipping(several).prediction, model(several).prediction)


def test_layers_that_start_at_zero_have_gradients() -> None:
    model = tiny("patch_transformer", "quantiles", **MIXING, mix_zero_init=True)
    model(forecast_problem(waves())).prediction.square().sum().backward()
    for group in model.backbone.mixing.groups.values():
        assert (group.attention.out.weight.grad != 0).any()
