"""Laws of the low-rank adapters: no effect initially, trained alone, and merged into the weights they adapt."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from tests.tiny import cases, forecast_problem, tiny, waves
from tsfm.nn.lora import LowRank, add_lora, merge_lora

CASES = pytest.mark.parametrize(("name", "kind"), cases(), ids=lambda value: value)


def predict(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(forecast_problem(waves())).prediction.nan_to_num()


def perturbed(model: nn.Module) -> nn.Module:
    """Return the model with adapters that have an effect."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, LowRank):
            nn.init.normal_(module.b, std=0.3, generator=generator)
    return model


@CASES
def test_merged_equals_unmerged_on_every_backbone(name: str, kind: str) -> None:
    model = tiny(name, kind)
    names, spec, first = list(model.state_dict()), model.spec(), predict(model)
    add_lora(model, rank=2, alpha=4)
    # B is zero; the same product rounds otherwise where its weight begins at another address
    torch.testing.assert_close(predict(model), first, rtol=1e-6, atol=1e-6)
    unmerged = predict(perturbed(model))
    assert not torch.allclose(unmerged, first, rtol=1e-3, atol=1e-3)
    merged = merge_lora(model)
    torch.testing.assert_close(predict(merged), unmerged, rtol=1e-5, atol=1e-5)
    assert list(merged.state_dict()) == names
    assert merged.spec() == spec  # type: ignore[operator]
    assert not any(parametrize.is_parametrized(module) for module in merged.modules())
    assert all(type(module) is not LowRank for module in merged.modules())


@CASES
def test_only_the_adapters_are_trained_and_the_base_keeps_every_bit(name: str, kind: str) -> None:
    model = tiny(name, kind).train().requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    add_lora(model, rank=2)
    trained = {key for key, p in model.named_parameters() if p.requires_grad}
    assert trained == {key for key, _ in model.named_parameters() if key.endswith((".0.a", ".0.b"))}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(forecast_problem(waves())).prediction[..., -4:, :].square().mean().backward()
        optimizer.step()
    after = model.state_dict()
    for key, value in before.items():
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            owner, _, last = key.rpartition(".")
            inside = f"{owner}.parametrizations.{last}.original"
            assert torch.equal(after[key] if key in after else after[inside], value), key
    moved = [key for key in trained if key.endswith(".b") and after[key].abs().sum() > 0]
    assert len(moved) == len(trained) / 2


def test_the_merged_weight_is_that_of_the_paper() -> None:
    linear = nn.Linear(7, 5)
    weight = linear.weight.detach().clone()
    model = nn.Sequential(linear)
    add_lora(model, rank=3, alpha=6, generator=torch.Generator().manual_seed(0))
    adapter = perturbed(model)[0].parametrizations["weight"][0]  # type: ignore[index]
    assert adapter.a.shape == (3, 7)
    assert adapter.b.shape == (5, 3)
    assert adapter.a.abs().max() <= 7**-0.5  # Kaiming-uniform with a = sqrt(5)
    expected = weight + 6 / 3 * adapter.b.detach() @ adapter.a.detach()
    merge_lora(model)
    torch.testing.assert_close(linear.weight.detach(), expected)
    assert list(dict(linear.named_parameters())) == ["weight", "bias"]


def test_targets_are_dotted_parts_of_names() -> None:
    def adapted(*targets: str) -> list[str]:
        return add_lora(tiny("patch_transformer"), rank=1, targets=targets)

    assert adapted("qkv") == [f"backbone.blocks.{i}.attention.qkv" for i in (0, 1)]
    assert adapted("blocks.0") == [name for name in adapted("backbone") if ".blocks.0." in name]
    assert adapted("blocks.*.out", "head.linear") == [
        "backbone.blocks.0.attention.out",
        "backbone.blocks.1.attention.out",
        "head.linear",
    ]
    assert len(adapted("backbone")) == 8
    assert set(adapted("*")) - set(adapted("backbone")) == {"patching.project", "head.linear"}


def test_dropout_removes_inputs_of_the_adapter_in_training_only() -> None:
    linear = nn.Linear(400, 3, bias=False)
    model = nn.Sequential(linear)
    base = linear.weight.detach().clone()
    add_lora(model, rank=2, dropout=0.25)
    perturbed(model).eval()
    whole = linear.weight.detach() - base
    torch.manual_seed(0)
    model.train()
    drawn = linear.weight.detach() - base
    dropped = drawn.abs().sum(0) < 1e-6
    assert 60 < int(dropped.sum()) < 140
    torch.testing.assert_close(drawn[:, ~dropped], whole[:, ~dropped] / 0.75, rtol=1e-4, atol=1e-5)
    merge_lora(model)
    assert linear.training
    torch.testing.assert_close(linear.weight.detach() - base, whole)


def test_a_rank_above_that_of_the_layer_is_reduced() -> None:
    model = nn.Sequential(nn.Linear(3, 8))
    add_lora(model, rank=100)
    assert model[0].parametrizations["weight"][0].a.shape == (3, 3)  # type: ignore[index, union-attr]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, r"the rank of LoRA is 0; expected at least 1"),
        ({"rank": 2, "alpha": 0.0}, r"alpha of LoRA is 0\.0; expected a number above 0"),
        ({"rank": 2, "dropout": 1.0}, r"dropout of LoRA is 1\.0; expected a probability"),
        ({"rank": 2, "targets": ["qvk"]}, r"no linear layer is called 'qvk'; known: down, linear, out, project, qkv"),
        ({"rank": 2, "targets": ["qkv", "hed"]}, r"no linear layer is called 'hed'"),
        ({"rank": 2, "targets": []}, r"targets of LoRA is empty"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add_lora(tiny("patch_transformer"), **settings)


def test_adapters_are_not_added_to_adapters() -> None:
    model = tiny("patch_transformer")
    add_lora(model, rank=1, targets=["head"])
    with pytest.raises(ValueError, match=r"head\.linear has an adapter already; call merge_lora first"):
        add_lora(model, rank=1)
    add_lora(merge_lora(model), rank=1)
