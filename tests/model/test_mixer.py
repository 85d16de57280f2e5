"""Laws of the mixer: absent and padded patches have no effect."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tsfm.model.backbones.mixer import Mixer
from tsfm.types import Grid

BATCH, CHANNELS, MAX_PATCHES, WIDTH = 3, 2, 7, 8
KINDS: dict[str, dict[str, Any]] = {
    "layer": {"norm": "layer"},
    "batch": {"norm": "batch"},
    "rms": {"norm": "rms"},
    "ungated": {"gated": False},
    "channel_mlp": {"channel_mlp": True},
    "group": {"mix_every": 2, "mix_heads": 2},
}
KIND = pytest.mark.parametrize("kind", list(KINDS))


def mixer(*, patches: int | None = None, channels: int | None = CHANNELS, **settings: Any) -> Mixer:
    torch.manual_seed(3)
    settings = {"depth": 2, "dropout": 0.0, "max_patches": MAX_PATCHES} | settings
    built = Mixer(Mixer.Config(**settings), grid=Grid(channels=channels, patches=patches, patch=4, width=WIDTH))
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm1d):  # as after training: statistics that are not 0 and 1
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.normal_(module.bias)
    return built.eval()


def tokens(patches: int = MAX_PATCHES) -> torch.Tensor:
    return torch.randn(BATCH, CHANNELS, patches, WIDTH, generator=torch.Generator().manual_seed(patches))


def all_valid(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[:3], dtype=torch.bool)


@KIND
@pytest.mark.parametrize("patches", [1, 4, MAX_PATCHES])
def test_a_shorter_window_equals_one_padded_with_patches_that_are_not_valid(kind: str, patches: int) -> None:
    model, x = mixer(**KINDS[kind]), tokens()
    short = x[:, :, -patches:]
    valid = all_valid(x)
    valid[:, :, :-patches] = False
    with torch.no_grad():
        alone, padded = model(short, all_valid(short)), model(x, valid)
    assert torch.isfinite(alone).all()
    torch.testing.assert_close(padded[:, :, -patches:], alone, rtol=1e-5, atol=1e-5)


@KIND
@pytest.mark.parametrize("fixed", [True, False])
def test_patches_that_are_not_valid_have_no_effect(kind: str, fixed: bool) -> None:
    """Neither their values nor their gradients; every channel starts at its own patch."""
    model = mixer(patches=MAX_PATCHES, **KINDS[kind], max_patches=0 if fixed else MAX_PATCHES)
    x = tokens().requires_grad_()
    valid = all_valid(x)
    valid[0, 0, :3] = False
    valid[1, 1, :5] = False
    y = model(x, valid)
    (slope,) = torch.autograd.grad((y * valid[..., None]).square().sum(), x)
    assert not slope[~valid].any()
    assert (slope[valid].abs().amax(dim=-1) > 0).all()
    poked = torch.where(valid[..., None], x, 1e6)
    assert torch.equal(model(poked, valid)[valid], y[valid])


def test_a_channel_with_a_shorter_context_equals_that_channel_alone() -> None:
    model, x = mixer(), tokens()
    valid = all_valid(x)
    valid[:, 1, :4] = False
    alone = model(x[:, 1:, 4:], all_valid(x[:, 1:, 4:]))
    torch.testing.assert_close(model(x, valid)[:, 1:, 4:], alone, rtol=1e-5, atol=1e-5)


def test_the_newest_patch_is_the_last_input_and_earlier_inputs_learn_from_longer_windows_only() -> None:
    model, short = mixer(), tokens(3)
    model(short, all_valid(short)).square().sum().backward()
    for block in model.blocks:
        inputs, outputs = block.over_patches.up.weight.grad, block.over_patches.down.weight.grad
        assert not inputs[:, :-3].any()
        assert not outputs[:-3].any()
        assert inputs[:, -3:].any()
        assert outputs[-3:].any()


def test_a_shorter_window_costs_less() -> None:
    def flops(patches: int) -> int:
        x = tokens(patches)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            mixer(gated=False)(x, all_valid(x))
        return counter.get_total_flops()

    assert flops(3) * MAX_PATCHES == flops(MAX_PATCHES) * 3


@KIND
def test_every_patch_depends_on_every_patch(kind: str) -> None:
    model, x = mixer(**KINDS[kind]), tokens().requires_grad_()
    for patch in (0, MAX_PATCHES - 1):
        (slope,) = torch.autograd.grad(model(x, all_valid(x))[:, :, patch].square().sum(), x)
        assert (slope.abs().amax(dim=-1) > 0).all()


@pytest.mark.parametrize(
    ("kind", "mixes", "ordered"), [("layer", False, False), ("group", True, False), ("channel_mlp", True, True)]
)
def test_the_attributes_describe_how_channels_are_mixed(kind: str, mixes: bool, ordered: bool) -> None:
    model, x = mixer(**KINDS[kind]), tokens()
    assert (model.mixes_channels, model.ordered_channels) == (mixes, ordered)
    valid, other = all_valid(x), x.clone()
    other[:, 1] += torch.randn(WIDTH)
    assert torch.equal(model(x, valid)[:, 0], model(other, valid)[:, 0]) != mixes
    swapped = model(x.flip(1), valid).flip(1)
    assert torch.allclose(swapped, model(x, valid), atol=1e-5) != ordered


def test_too_long_a_window_is_an_error() -> None:
    x = tokens(MAX_PATCHES + 1)
    with pytest.raises(ValueError, match=f"at most {MAX_PATCHES} patches; found {MAX_PATCHES + 1}.*max_patches"):
        mixer()(x, all_valid(x))


@pytest.mark.parametrize("patches", [MAX_PATCHES - 1, MAX_PATCHES + 1])
def test_a_fixed_mixer_takes_its_own_length_only(patches: int) -> None:
    model, x = mixer(patches=MAX_PATCHES, max_patches=0), tokens(patches)
    assert model.fixed_length
    with pytest.raises(ValueError, match=f"exactly {MAX_PATCHES} patches; found {patches}"):
        model(x, all_valid(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 0}, "backbone.depth is 0"),
        ({"expansion": 0}, "backbone.expansion is 0"),
        ({"dropout": 1.0}, r"backbone.dropout is 1.0.*\[0, 1\)"),
        ({"norm": "instance"}, "backbone.norm is 'instance'; known: batch, layer, rms"),
        ({"max_patches": -1}, "backbone.max_patches is -1"),
        ({"max_patches": 0}, "set backbone.max_patches"),
        ({"patches": MAX_PATCHES + 2}, f"max_patches {MAX_PATCHES} is less than the {MAX_PATCHES + 2} patches"),
        ({"channel_mlp": True, "channels": None}, "set model.channels"),
        ({"mix_every": 3}, "mix_every 3"),
    ],
)
def test_wrong_settings_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mixer(**settings)
