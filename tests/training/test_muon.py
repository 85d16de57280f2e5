"""Muon for the matrices of a backbone and AdamW for the rest, as one optimizer."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from tests.tiny import cases, tiny, waves
from tsfm.model.model import Model
from tsfm.nn.lora import add_lora
from tsfm.registry import TASKS
from tsfm.training.joint_optimizer import JointOptimizer
from tsfm.training.optim import OptimConfig, is_hidden_matrix, make_optimizer

RATES = {"lr": 2e-3, "matrix_lr": 5e-3, "weight_decay": 0.1, "beta2": 0.98, "momentum": 0.9, "iterations": 4}


def network() -> Model:
    return tiny("patch_transformer", "lags", dropout=0.0).train()


def joint(model: nn.Module, **settings: Any) -> JointOptimizer:
    optimizer = make_optimizer(OptimConfig(name="muon", **RATES | settings), model.named_parameters())
    assert isinstance(optimizer, JointOptimizer)
    return optimizer


def step(model: Model, optimizer: torch.optim.Optimizer, *, seed: int = 0) -> float:
    judge = TASKS.build(TASKS.config({"name": "forecast", "loss": "pinball", "units": "scaled"}), horizon=16)
    problem = judge.pose(waves(4, seed=seed))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = judge.loss(model(problem), problem)
        loss.backward()
        return loss

    return optimizer.step(closure).item()


def parameter_names(model: nn.Module, optimizer: JointOptimizer) -> list[list[str]]:
    """The names of the parameters of each optimizer."""
    names = {id(p): name for name, p in model.named_parameters()}
    return [[names[id(p)] for group in each.param_groups for p in group["params"]] for each in optimizer.optimizers]


@pytest.mark.parametrize(("backbone", "kind"), [case for case in cases() if case[0] not in ("dlinear", "nlinear")])
def test_each_parameter_has_one_optimizer_and_muon_has_matrices_of_the_backbone(backbone: str, kind: str) -> None:
    model = tiny(backbone, kind)
    optimizer = joint(model)
    muon, adamw = parameter_names(model, optimizer)
    assert isinstance(optimizer.optimizers[0], torch.optim.Muon)
    assert isinstance(optimizer.optimizers[1], torch.optim.AdamW)
    assert sorted([*muon, *adamw]) == sorted(name for name, _ in model.named_parameters())
    shapes = {name: p.shape for name, p in model.named_parameters()}
    for name in muon:
        assert name.startswith("backbone.")
        assert name.endswith("weight")
        assert len(shapes[name]) == 2
    blocks = [name for name in shapes if ".blocks." in name and len(shapes[name]) == 2 and "conv" not in name]
    assert set(blocks) <= set(muon)
    assert all(not name.startswith("backbone.") or len(shapes[name]) != 2 or "conv" in name for name in adamw if
               not name.endswith("positions"))  # fmt: skip


def test_rates_and_decay_of_each_optimizer() -> None:
    optimizer = joint(network())
    (matrices,), others = (each.param_groups for each in optimizer.optimizers)
    assert (matrices["lr"], matrices["weight_decay"], matrices["momentum"], matrices["ns_steps"]) == (5e-3, 0.1, 0.9, 4)
    assert [(group["lr"], group["weight_decay"], group["betas"]) for group in others] == [
        (2e-3, 0.1, (0.9, 0.98)),
        (2e-3, 0.0, (0.9, 0.98)),
    ]
    assert [id(group) for group in optimizer.param_groups] == [id(matrices), *(id(group) for group in others)]
    assert joint(network(), matrix_lr=None).param_groups[0]["lr"] == 2e-3


def test_its_steps_equal_those_of_muon_and_adamw() -> None:
    model, expected = network(), network()
    optimizer = joint(model)
    named = dict(expected.named_parameters())
    hidden = [name for name, p in named.items() if is_hidden_matrix(name, p)]
    decayed = [name for name, p in named.items() if p.ndim >= 2 and name not in hidden]
    rest = [name for name in named if name not in hidden and name not in decayed]
    muon = torch.optim.Muon(
        [named[name] for name in hidden],
        lr=5e-3, weight_decay=0.1, momentum=0.9, ns_steps=4, adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    groups = [
        {"params": [named[name] for name in decayed], "weight_decay": 0.1},
        {"params": [named[name] for name in rest], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=2e-3, betas=(0.9, 0.98))
    for seed in range(3):
        step(model, optimizer, seed=seed)
        step(expected, muon, seed=seed)  # its closure leaves the gradients that adamw steps along
        adamw.step()
        adamw.zero_grad()
    for (name, a), b in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_step_of_a_matrix_of_any_shape_is_as_large_as_one_of_adamw() -> None:
    for shape in ((64, 64), (16, 256), (256, 16)):
        weight = nn.Parameter(torch.zeros(shape))
        optimizer = make_optimizer(OptimConfig(name="muon", lr=1.0, weight_decay=0.0), [("backbone.weight", weight)])
        weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        optimizer.step()
        assert 0.1 < weight.detach().square().mean().sqrt() < 0.3  # 0.2 where all singular values are 1


def test_a_saved_state_continues_bit_equal() -> None:
    whole = network()
    optimizer = joint(whole)
    for seed in range(2):
        step(whole, optimizer, seed=seed)
    resumed = copy.deepcopy(whole)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other = joint(resumed)
    other.load_state_dict(torch.load(file))
    assert sum(len(each.state) for each in other.optimizers) == 2 * len(list(resumed.parameters()))  # one state, shared
    assert all(each.state is other.state for each in other.optimizers)
    for seed in range(2, 5):
        assert step(whole, optimizer, seed=seed) == step(resumed, other, seed=seed)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_copy_steps_its_own_parameters() -> None:
    model = network()
    optimizer = joint(model)
    step(model, optimizer)
    two, twin = copy.deepcopy((model, optimizer))
    before = [p.clone() for p in model.parameters()]
    step(two, twin, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    step(model, optimizer, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), two.parameters(), strict=True))


def test_a_schedule_moves_the_rates_of_all_groups_also_after_loading() -> None:
    model = network()
    optimizer = joint(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    step(model, optimizer)
    schedule.step()
    assert [group["lr"] for each in optimizer.optimizers for group in each.param_groups] == [2.5e-3, 1e-3, 1e-3]
    other = joint(model)
    later = torch.optim.lr_scheduler.LambdaLR(other, lambda step: 0.5**step)
    other.load_state_dict(optimizer.state_dict())
    later.load_state_dict(schedule.state_dict())
    later.step()
    assert [group["lr"] for each in other.optimizers for group in each.param_groups] == [1.25e-3, 5e-4, 5e-4]


def test_lower_layers_have_lower_rates_in_both_optimizers() -> None:
    model = network()
    config = OptimConfig(name="muon", **RATES)
    optimizer = make_optimizer(config, model.named_parameters(), layer_decay=0.5)
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    by_name = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert by_name["backbone.blocks.1.feed.up.weight"] == (2.5e-3, 0.1)
    assert by_name["backbone.blocks.0.feed.up.weight"] == (1.25e-3, 0.1)
    assert by_name["head.mlp.up.weight"] == (2e-3, 0.1)
    assert by_name["patching.project.up.weight"] == (2e-3 * 0.125, 0.1)
    assert by_name["patching.project.up.bias"] == (2e-3 * 0.125, 0.0)


def test_every_parameter_is_held_once_and_cleared() -> None:
    model = network()
    optimizer = joint(model)
    step(model, optimizer)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, model.parameters()))
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_tiny_model_learns() -> None:
    model = network()
    optimizer = joint(model, weight_decay=0.0, lr=5e-3)
    losses = [step(model, optimizer) for _ in range(60)]
    assert losses[-1] < 0.6 * losses[0]


def test_adapters_and_convolutions_are_for_adamw() -> None:
    model = tiny("mamba", "quantiles")
    model.requires_grad_(False)
    add_lora(model, rank=2, alpha=4.0, targets=["out"], dropout=0.0, generator=torch.Generator().manual_seed(0))
    model.backbone.blocks[0].feed.requires_grad_(True)
    model.backbone.blocks[0].forwards.conv.requires_grad_(True)
    muon, adamw = parameter_names(model, joint(model))
    assert muon == ["backbone.blocks.0.feed.up.weight", "backbone.blocks.0.feed.down.weight"]
    assert any("parametrizations" in name for name in adamw)
    assert any("conv" in name for name in adamw)


def test_impossible_uses_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("dlinear")
    with pytest.raises(
        ValueError, match=r"optim\.name=muon trains the matrices of a backbone, and none .* use optim=adamw"
    ):
        joint(model)
    with pytest.raises(ValueError, match="no parameter is trained"):
        joint(network().requires_grad_(False))
    with pytest.raises(NotImplementedError, match="make a new optimizer"):
        joint(network()).add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match=r"needs torch 2\.9 or newer"):
        OptimConfig(name="muon")
