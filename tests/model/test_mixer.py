"""Laws of the mixer: a window that holds less is mixed as if the rest did not exist."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tsfm.model.backbones.mixer import Mixer
from tsfm.types import Grid

BATCH, CHANNELS, MOST, WIDTH = 3, 2, 7, 8
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
    settings = {"depth": 2, "dropout": 0.0, "max_patches": MOST} | settings
    built = Mixer(Mixer.Config(**settings), grid=Grid(channels=channels, patches=patches, patch=4, width=WIDTH))
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm1d):  # as after training: means and spreads of its own
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.normal_(module.bias)
    return built.eval()


def tokens(patches: int = MOST) -> torch.Tensor:
    return torch.randn(BATCH, CHANNELS, patches, WIDTH, generator=torch.Generator().manual_seed(patches))


def everything(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[:3], dtype=torch.bool)


@KIND
@pytest.mark.parametrize("patches", [1, 4, MOST])
def test_a_shorter_window_equals_one_padded_with_unseen_patches(kind: str, patches: int) -> None:
    model, x = mixer(**KINDS[kind]), tokens()
    short = x[:, :, -patches:]
    seen = everything(x)
    seen[:, :, :-patches] = False
    with torch.no_grad():
        alone, padded = model(short, everything(short)), model(x, seen)
    assert torch.isfinite(alone).all()
    torch.testing.assert_close(padded[:, :, -patches:], alone, rtol=1e-5, atol=1e-5)


@KIND
@pytest.mark.parametrize("fixed", [True, False])
def test_what_is_unseen_has_no_influence(kind: str, fixed: bool) -> None:
    """Neither its value nor, through a gradient, a change of it; each channel begins where it begins."""
    model = mixer(patches=MOST, **KINDS[kind], max_patches=0 if fixed else MOST)
    x = tokens().requires_grad_()
    seen = everything(x)
    seen[0, 0, :3] = False
    seen[1, 1, :5] = False
    y = model(x, seen)
    (slope,) = torch.autograd.grad((y * seen[..., None]).square().sum(), x)
    assert not slope[~seen].any()
    assert (slope[seen].abs().amax(dim=-1) > 0).all()
    poked = torch.where(seen[..., None], x, 1e6)
    assert torch.equal(model(poked, seen)[seen], y[seen])


def test_a_channel_with_a_shorter_past_is_as_if_alone() -> None:
    model, x = mixer(), tokens()
    seen = everything(x)
    seen[:, 1, :4] = False
    alone = model(x[:, 1:, 4:], everything(x[:, 1:, 4:]))
    torch.testing.assert_close(model(x, seen)[:, 1:, 4:], alone, rtol=1e-5, atol=1e-5)


def test_the_newest_patch_has_the_last_slot_and_older_slots_learn_from_longer_windows_only() -> None:
    model, short = mixer(), tokens(3)
    model(short, everything(short)).square().sum().backward()
    for block in model.blocks:
        read, written = block.over_patches.up.weight.grad, block.over_patches.down.weight.grad
        assert not read[:, :-3].any()
        assert not written[:-3].any()
        assert read[:, -3:].any()
        assert written[-3:].any()


def test_a_shorter_window_costs_less() -> None:
    def flops(patches: int) -> int:
        x = tokens(patches)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            mixer(gated=False)(x, everything(x))
        return counter.get_total_flops()

    assert flops(3) * MOST == flops(MOST) * 3


@KIND
def test_every_patch_reaches_every_patch(kind: str) -> None:
    model, x = mixer(**KINDS[kind]), tokens().requires_grad_()
    for place in (0, MOST - 1):
        (slope,) = torch.autograd.grad(model(x, everything(x))[:, :, place].square().sum(), x)
        assert (slope.abs().amax(dim=-1) > 0).all()


@pytest.mark.parametrize(
    ("kind", "mixes", "ordered"), [("layer", False, False), ("group", True, False), ("channel_mlp", True, True)]
)
def test_the_flags_say_what_channels_do(kind: str, mixes: bool, ordered: bool) -> None:
    model, x = mixer(**KINDS[kind]), tokens()
    assert (model.mixes_channels, model.ordered_channels) == (mixes, ordered)
    seen, other = everything(x), x.clone()
    other[:, 1] += torch.randn(WIDTH)
    assert torch.equal(model(x, seen)[:, 0], model(other, seen)[:, 0]) != mixes
    swapped = model(x.flip(1), seen).flip(1)
    assert torch.allclose(swapped, model(x, seen), atol=1e-5) != ordered


def test_too_long_a_window_is_an_error() -> None:
    x = tokens(MOST + 1)
    with pytest.raises(ValueError, match=f"at most {MOST} patches; found {MOST + 1}.*max_patches"):
        mixer()(x, everything(x))


@pytest.mark.parametrize("patches", [MOST - 1, MOST + 1])
def test_a_fixed_mixer_takes_its_own_length_only(patches: int) -> None:
    model, x = mixer(patches=MOST, max_patches=0), tokens(patches)
    assert model.fixed_length
    with pytest.raises(ValueError, match=f"exactly {MOST} patches; found {patches}"):
        model(x, everything(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 0}, "backbone.depth is 0"),
        ({"expansion": 0}, "backbone.expansion is 0"),
        ({"dropout": 1.0}, r"backbone.dropout is 1.0.*\[0, 1\)"),
        ({"norm": "instance"}, "backbone.norm is 'instance'; known: batch, layer, rms"),
        ({"max_patches": -1}, "backbone.max_patches is -1"),
        ({"max_patches": 0}, "set backbone.max_patches"),
        ({"patches": MOST + 2}, f"max_patches {MOST} is less than the {MOST + 2} patches"),
        ({"channel_mlp": True, "channels": None}, "set model.channels"),
        ({"mix_every": 3}, "mix_every 3"),
    ],
)
def test_settings_that_cannot_be_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mixer(**settings)
