"""What the contract does not ask of every backbone: streaming for long, padding on either side, what it tells."""

from __future__ import annotations

import logging

import pytest
import torch

from tsfm.model.backbone import Backbone
from tsfm.nn import scan as scans
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
    backbone, (x, seen) = mamba(**settings), tokens(200)
    state, found, sizes = backbone.start(batch=2, channels=3), [], set()
    for token in x.unbind(2):
        y, state = backbone.step(token, state)
        found.append(y)
        sizes.add(sum(part.numel() for block in state for part in block))
    torch.testing.assert_close(torch.stack(found, dim=2), backbone(x, seen), rtol=1e-4, atol=1e-5)
    assert len(sizes) == 1


@torch.no_grad()
def test_a_step_changes_nothing_that_it_was_given() -> None:
    backbone, (x, _) = mamba(), tokens(2)
    state = backbone.start(batch=2, channels=3)
    before = [part.clone() for block in state for part in block]
    first, _ = backbone.step(x[:, :, 0], state)
    again, _ = backbone.step(x[:, :, 0], state)
    assert torch.equal(first, again)
    assert all(torch.equal(a, b) for a, b in zip(before, [p for block in state for p in block], strict=True))


@pytest.mark.parametrize("bidirectional", [False, True])
@torch.no_grad()
def test_what_is_not_seen_leaves_no_trace_on_either_side(bidirectional: bool) -> None:
    backbone, (x, seen) = mamba(bidirectional=bidirectional), tokens(20)
    seen[..., :6] = seen[..., 17:] = False
    noisy = torch.where(seen[..., None], x, 1e3 * torch.randn_like(x))
    torch.testing.assert_close(backbone(x, seen)[:, :, 6:17], backbone(noisy, seen)[:, :, 6:17])
    alone = backbone(x[:, :, 6:17], seen[:, :, 6:17])
    torch.testing.assert_close(backbone(x, seen)[:, :, 6:17], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_chunk_changes_the_speed_alone() -> None:
    x, seen = tokens(50)
    torch.testing.assert_close(mamba(chunk=4)(x, seen), mamba(chunk=64)(x, seen), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_over_variates_the_patches_stay_apart_and_every_channel_hears_every_other() -> None:
    backbone, (x, seen) = mamba(over="variates", expand=1), tokens(3, channels=5)
    moved = x.clone()
    moved[:, 2, 1] += 1.0
    change = (backbone(moved, seen) - backbone(x, seen)).abs().amax(dim=(0, 3))
    assert (change[:, 1] > 0).all()
    assert (change[:, [0, 2]] == 0).all()


def test_which_path_runs_is_said_once_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    line = mamba().notes()
    assert line.startswith("scan: ")
    assert line == scans.find_kernel()[1]
    scans.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="tsfm"):
        scans.log_once(line)
        scans.log_once(line)
    assert [record.message for record in caplog.records] == [line]


@pytest.mark.parametrize(
    ("settings", "words"),
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
def test_settings_that_make_no_mamba_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mamba(**settings)
