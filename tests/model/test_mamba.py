"""Laws of Mamba beyond the contract of backbones: long streams, padding on both sides, notes."""

from __future__ import annotations

import logging

import pytest
import torch

from tsfm.model.backbone import Backbone
from tsfm.nn import scan as scans
from tsfm.nn.scan_kernels import find_kernel
from tsfm.registry import BACKBONES
from tsfm.types import Grid

WIDTH = 16


def mamba(**settings) -> Backbone:
    torch.manual_seed(0)
    small = {"name": "mamba", "depth": 2, "head": 8, "state": 4, "chunk": 8, "dropout": 0.0}
    grid = Grid(channels=None, patches=None, patch=8, width=WIDTH)
    return BACKBONES.build(BACKBONES.config(small | settings), grid=grid).eval()


def tokens(patches: int, *, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(2, channels, patches, WIDTH, generator=torch.Generator().manual_seed(patches))
    return x, torch.ones(x.shape[:3], dtype=torch.bool)


@pytest.mark.parametrize("settings", [{}, {"conv": 0}, {"groups": 2}, {"mix_every": 1, "mix_heads": 2}, {"hidden": 8}])
@torch.no_grad()
def test_a_long_stream_is_the_full_pass_and_its_state_does_not_grow(settings: dict) -> None:
    backbone, (x, valid) = mamba(**settings), tokens(200)
    state, outputs, sizes = backbone.start(batch=2, channels=3), [], set()
    for token in x.unbind(2):
        y, state = backbone.step(token, state)
        outputs.append(y)
        sizes.add(sum(tensor.numel() for block in state for tensor in block))
    torch.testing.assert_close(torch.stack(outputs, dim=2), backbone(x, valid), rtol=1e-4, atol=1e-5)
    assert len(sizes) == 1


@torch.no_grad()
def test_a_step_does_not_change_its_inputs() -> None:
    backbone, (x, _) = mamba(), tokens(2)
    state = backbone.start(batch=2, channels=3)
    before = [tensor.clone() for block in state for tensor in block]
    first, _ = backbone.step(x[:, :, 0], state)
    again, _ = backbone.step(x[:, :, 0], state)
    assert torch.equal(first, again)
    assert all(torch.equal(a, b) for a, b in zip(before, [p for block in state for p in block], strict=True))


@pytest.mark.parametrize("bidirectional", [False, True])
@torch.no_grad()
def test_padding_on_either_side_has_no_effect(bidirectional: bool) -> None:
    backbone, (x, valid) = mamba(bidirectional=bidirectional), tokens(20)
    valid[..., :6] = valid[..., 17:] = False
    noisy = torch.where(valid[..., None], x, 1e3 * torch.randn_like(x))
    torch.testing.assert_close(backbone(x, valid)[:, :, 6:17], backbone(noisy, valid)[:, :, 6:17])
    alone = backbone(x[:, :, 6:17], valid[:, :, 6:17])
    torch.testing.assert_close(backbone(x, valid)[:, :, 6:17], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_chunk_changes_only_the_speed() -> None:
    x, valid = tokens(50)
    torch.testing.assert_close(mamba(chunk=4)(x, valid), mamba(chunk=64)(x, valid), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_over_variates_patches_are_independent_and_every_channel_depends_on_every_other() -> None:
    backbone, (x, valid) = mamba(over="variates", expand=1), tokens(3, channels=5)
    moved = x.clone()
    moved[:, 2, 1] += 1.0
    change = (backbone(moved, valid) - backbone(x, valid)).abs().amax(dim=(0, 3))
    assert (change[:, 1] > 0).all()
    assert (change[:, [0, 2]] == 0).all()


def test_the_code_path_is_logged_once_and_in_the_notes(caplog: pytest.LogCaptureFixture) -> None:
    line = mamba().notes()
    assert line.startswith("scan: ")
    assert line == find_kernel()[1]
    scans.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="tsfm"):
        scans.log_once(line)
        scans.log_once(line)
    assert [record.message for record in caplog.records] == [line]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": 5}, "multiple of the head width 5"),
        ({"groups": 3}, "cannot be divided into 3 groups"),
        ({"over": "channels"}, "backbone.over is 'channels'"),
        ({"over": "variates", "mix_every": 1}, "mixes channels already"),
        ({"state": 0}, "backbone.state is 0"),
        ({"dt_min": 0.2}, "0 < dt_min <= dt_max"),
        ({"conv": -1}, "backbone.conv is -1"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mamba(**settings)
