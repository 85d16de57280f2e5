"""Optimizers, and where each schedule starts, peaks and ends. Rates are shares of `optim.lr`."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.tiny import cases, tiny
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.training.optim import OPTIMIZERS, SCHEDULES, OptimConfig, learning_rate_factor, make_optimizer

STEPS = 1000


def at(step: int, *, steps: int = STEPS, epoch_steps: int = 100, **config: Any) -> float:
    return learning_rate_factor(OptimConfig(**config), step=step, steps=steps, epoch_steps=epoch_steps)


@pytest.mark.parametrize(
    ("config", "expected"),  # at steps 0, 250, 500, 750 and 1000
    [
        ({"schedule": "constant"}, [1, 1, 1, 1, 1]),
        ({"schedule": "linear"}, [1, 0.75, 0.5, 0.25, 0]),
        ({"schedule": "linear", "floor": 0.2}, [1, 0.8, 0.6, 0.4, 0.2]),
        ({"schedule": "cosine"}, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
        (
            {"schedule": "cosine", "floor": 0.1},
            [1, 0.1 + 0.45 * (1 + 0.5**0.5), 0.55, 0.1 + 0.45 * (1 - 0.5**0.5), 0.1],
        ),
        ({"schedule": "wsd", "decay": 0.5}, [1, 1, 1, 1 - 0.5**0.5, 0]),
        ({"schedule": "wsd", "decay": 0.0}, [1, 1, 1, 1, 1]),
        ({"schedule": "wsd", "decay": 1.0, "floor": 0.5}, [1, 0.75, 1 - 0.5**1.5, 1 - 0.5 * 0.75**0.5, 0.5]),
        ({"schedule": "exponential", "gamma": 0.5}, [1, 0.5**2, 0.5**5, 0.5**7, 0.5**10]),
        ({"schedule": "exponential", "gamma": 0.5, "hold": 3}, [1, 1, 0.5**2, 0.5**4, 0.5**7]),
        ({"schedule": "onecycle", "warmup": 0.5}, [0.04, 0.52, 1, 0.5, 0]),
        ({"schedule": "onecycle"}, [0.04, 0.52 - 0.48 * math.cos(math.pi * 0.25 / 0.3), None, None, 0]),
    ],
    ids=lambda value: "-".join(str(v) for v in value.values()) if isinstance(value, dict) else "",
)
def test_each_schedule_from_start_to_end(config: dict[str, Any], expected: list[float | None]) -> None:
    for step, value in zip((0, 250, 500, 750, 1000), expected, strict=True):
        if value is not None:
            assert at(step, **config) == pytest.approx(value, abs=1e-12), step


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "onecycle"])
def test_warm_up_rises_linearly_to_the_full_rate(schedule: str) -> None:
    config = {"schedule": schedule, "warmup": 0.1, "gamma": 1.0}
    assert [at(step, **config) for step in (0, 49, 99)] == pytest.approx([0.01, 0.5, 1.0])
    assert at(100, **config) == pytest.approx(1.0)


def test_onecycle_equals_that_of_torch_up_to_its_grid() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    torch_rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=STEPS)
    for step in range(STEPS - 1):
        assert at(step, schedule="onecycle") == pytest.approx(torch_rate.get_last_lr()[0], abs=0.006)
        optimizer.step()
        torch_rate.step()


@settings(max_examples=300, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    warmup=st.floats(0, 0.5),
    decay=st.floats(0, 0.5),
    floor=st.floats(0, 1),
    steps=st.integers(1, 50),
    epochs=st.integers(1, 5),
)
def test_rates_are_shares_and_do_not_rise_after_the_peak(
    schedule: str, warmup: float, decay: float, floor: float, steps: int, epochs: int
) -> None:
    config = OptimConfig(schedule=schedule, warmup=warmup, decay=decay, floor=floor)
    rates = [
        learning_rate_factor(config, step=s, steps=steps, epoch_steps=max(1, steps // epochs)) for s in range(2 * steps)
    ]
    assert all(0 <= r <= 1 for r in rates)
    peak = rates.index(max(rates))
    assert all(after <= before + 1e-12 for before, after in pairwise(rates[peak:]))
    assert all(after >= before - 1e-12 for before, after in pairwise(rates[: peak + 1]))
    if schedule != "exponential":
        assert rates[-1] == pytest.approx(rates[steps])  # beyond the end it stays


def test_only_matrices_have_weight_decay() -> None:
    for name, kind in cases():
        model = tiny(name, kind)
        decayed, exempt = split(model, weight_decay=0.3)
        assert decayed | exempt == {key for key, _ in model.named_parameters()}
        assert not decayed & exempt
        for key in exempt:
            assert key.endswith(("bias", "positions", "a_log", "skip", "skip.start")) or "norm" in key, key
        for key in decayed:
            assert key.endswith("weight"), key
            assert "norm" not in key, key


def split(model: nn.Module, **config: Any) -> tuple[set[str], set[str]]:
    """Names of the parameters with and without weight decay."""
    names = {id(p): name for name, p in model.named_parameters()}
    groups = make_optimizer(OptimConfig(**config), model.named_parameters()).param_groups
    by_decay = {bool(group["weight_decay"]): {names[id(p)] for p in group["params"]} for group in groups}
    return by_decay.get(True, set()), by_decay.get(False, set())


def test_a_learned_gain_of_the_scaler_has_no_weight_decay() -> None:
    model = Model(
        ModelConfig(context=32, horizon=8, channels=3, patch=32, stride=32, embed="values"),
        scaler=SCALERS.config({"name": "standard", "affine": True}),
        backbone=BACKBONES.config({"name": "nlinear"}),
        head=HEADS.config({"name": "flatten"}),
    )
    _, exempt = split(model, weight_decay=0.3)
    assert {"scaler.gain", "scaler.shift"} <= exempt


def test_frozen_parameters_are_left_out_and_none_left_is_an_error() -> None:
    model = tiny("patch_transformer")
    model.backbone.requires_grad_(False)
    decayed, exempt = split(model, weight_decay=0.3)
    assert not [name for name in decayed | exempt if name.startswith("backbone")]
    with pytest.raises(ValueError, match="no parameter is trained"):
        make_optimizer(OptimConfig(), model.requires_grad_(False).named_parameters())


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "muon"])
def test_each_optimizer_uses_its_settings_and_minimizes(name: str) -> None:
    weight = nn.Parameter(torch.full((2, 2), 3.0))
    config = OptimConfig(name=name, lr=0.1, beta1=0.8, weight_decay=0.0)
    optimizer = make_optimizer(config, [("weight", weight)])
    assert type(optimizer) is OPTIMIZERS[name]
    group = optimizer.param_groups[0]
    assert group["lr"] == 0.1
    assert (group["momentum"] if name == "sgd" else group["betas"][0]) == 0.8
    for _ in range(100):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.abs().max() < 0.5


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "adamv"}, r"optim\.name is 'adamv'; did you mean 'adam\w?'\? known: adam, adamw, muon, sgd"),
        ({"schedule": "cosin"}, r"optim\.schedule is 'cosin'; did you mean 'cosine'"),
        ({"lr": 0.0}, r"optim\.lr is 0\.0; a learning rate is above 0"),
        ({"lr": float("nan")}, r"optim\.lr is nan"),
        ({"warmup": 1.0}, r"optim\.warmup 1\.0"),
        ({"decay": -0.1}, r"decay -0\.1"),
        ({"floor": 2.0}, r"floor 2\.0"),
        ({"schedule": "wsd", "warmup": 0.5, "decay": 0.6}, r"optim\.warmup 0\.5 and decay 0\.6 overlap"),
        ({"gamma": 0.0}, r"optim\.gamma is 0\.0"),
        ({"hold": -1}, r"hold -1"),
        ({"matrix_lr": 0.01}, r"optim\.matrix_lr is a setting of optim\.name=muon, not of adamw"),
        ({"name": "muon", "matrix_lr": 0.0}, r"optim\.matrix_lr is 0\.0; a learning rate is above 0"),
        ({"name": "muon", "matrix_lr": float("nan")}, r"optim\.matrix_lr is nan"),
        ({"momentum": 1.0}, r"optim\.momentum is 1\.0"),
        ({"momentum": float("nan")}, r"optim\.momentum is nan"),
        ({"iterations": 0}, r"iterations 0; expected a momentum in \[0, 1\), and 1 to 99"),
        ({"iterations": 100}, r"iterations 100"),
    ],
)
def test_a_wrong_setting_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimConfig(**config)
