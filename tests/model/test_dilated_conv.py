"""Laws of the dilated convolutions: what a token depends on, one MLP for all blocks, streams."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tsfm.model.backbones.dilated_conv import DilatedConvolutions, covering_depth
from tsfm.types import Grid

WIDTH = 8


def backbone(*, patches: int | None = None, width: int = WIDTH, **settings: Any) -> DilatedConvolutions:
    torch.manual_seed(0)
    config = DilatedConvolutions.Config(**{"hidden": 16, "dropout": 0.0} | settings)
    return DilatedConvolutions(config, grid=Grid(channels=None, patches=patches, patch=4, width=width)).eval()


def tokens(patches: int, *, channels: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(2, channels, patches, WIDTH, generator=torch.Generator().manual_seed(patches))
    return x, torch.ones(x.shape[:3], dtype=torch.bool)


def dependencies(model: DilatedConvolutions, patches: int, *, token: int) -> list[int]:
    """The tokens that an output depends on."""
    x, valid = tokens(patches)
    (slope,) = torch.autograd.grad(model(x.requires_grad_(), valid)[:, :, token].square().sum(), x)
    return slope.abs().amax(dim=(0, 1, 3)).nonzero()[:, 0].tolist()


@pytest.mark.parametrize("patches", [1, 2, 3, 4, 7, 8, 15, 16, 30])
@pytest.mark.parametrize(("kernel", "causal"), [(3, True), (2, True), (3, False), (5, False)])
def test_by_default_a_token_depends_on_all_others_or_all_earlier_ones(patches: int, kernel: int, causal: bool) -> None:
    model = backbone(patches=patches, kernel=kernel, causal=causal)
    for token in {0, patches // 2, patches - 1}:
        last = token + 1 if causal else patches
        assert dependencies(model, patches, token=token) == list(range(last))


@pytest.mark.parametrize("patches", [4, 8, 16, 30])
@pytest.mark.parametrize("causal", [True, False])
def test_one_block_less_does_not_cover_the_window(patches: int, causal: bool) -> None:
    depth = covering_depth(patches, kernel=3, causal=causal)
    model = backbone(depth=depth - 1, causal=causal)
    assert 0 not in dependencies(model, patches, token=patches - 1)
    assert 0 in dependencies(backbone(depth=depth, causal=causal), patches, token=patches - 1)


def test_a_block_adds_its_norm_and_filter_only() -> None:
    sizes = [sum(p.numel() for p in backbone(depth=depth).parameters()) for depth in (3, 4, 5)]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] == WIDTH * (3 + 1 + 1)  # taps, shift, scale
    names = [name for name, _ in backbone(depth=3).named_parameters() if name.startswith("feed.")]
    assert names == ["feed.up.weight", "feed.up.bias", "feed.down.weight", "feed.down.bias"]


@pytest.mark.parametrize("causal", [True, False])
def test_tokens_that_are_not_valid_have_no_effect(causal: bool) -> None:
    """Neither their values nor their gradients; every channel starts at its own token."""
    model, (x, valid) = backbone(depth=4, causal=causal), tokens(12)
    valid[0, 0, :3] = False
    valid[1, 1, :7] = False
    y = model(x.requires_grad_(), valid)
    (slope,) = torch.autograd.grad((y * valid[..., None]).square().sum(), x)
    assert not slope[~valid].any()
    assert (slope[valid].abs().amax(dim=-1) > 0).all()
    poked = torch.where(valid[..., None], x, 1e6)
    assert torch.equal(model(poked, valid)[valid], y[valid])
    alone = model(x[1:, 1:, 7:], valid[1:, 1:, 7:])
    torch.testing.assert_close(y[1:, 1:, 7:], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"kernel": 2}, {"mix_every": 2, "mix_heads": 2}])
@torch.no_grad()
def test_a_long_stream_is_the_full_pass_and_its_state_does_not_grow(settings: dict[str, Any]) -> None:
    model, (x, valid) = backbone(depth=4, **settings), tokens(100)
    state, outputs, sizes = model.start(batch=2, channels=2), [], set()
    for token in x.unbind(2):
        before = [tensor.clone() for tensor in state]
        y, following = model.step(token, state)
        assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))
        outputs.append(y)
        state = following
        sizes.add(sum(tensor.numel() for tensor in state))
    torch.testing.assert_close(torch.stack(outputs, dim=2), model(x, valid), rtol=1e-4, atol=1e-5)
    assert len(sizes) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 0}, "backbone.depth is 0; expected at least 1, or null"),
        ({"depth": None}, "set backbone.depth"),
        ({"kernel": 1}, "backbone.kernel is 1; expected at least 2"),
        ({"kernel": 4, "causal": False}, "backbone.kernel is 4.*an odd number for causal=false"),
        ({"hidden": 0}, "backbone.hidden is 0"),
        ({"dropout": 1.0}, r"backbone.dropout is 1.0.*\[0, 1\)"),
        ({"depth": 2, "mix_every": 3}, "mix_every 3"),
    ],
)
def test_wrong_settings_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        backbone(**settings)
