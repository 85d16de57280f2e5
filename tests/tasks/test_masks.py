"""Laws of the masks: how many steps are hidden, and which."""

from __future__ import annotations

import pytest
import torch

from tsfm.tasks import masks

SHAPE = torch.Size((64, 3, 512))
RATES = (0.125, 0.25, 0.375, 0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rate(value: float) -> torch.Tensor:
    return torch.full((SHAPE[0],), value)


@pytest.mark.parametrize("value", RATES)
def test_blocks_hide_exactly_their_share_in_whole_patches(value: float) -> None:
    hidden = masks.blocks(SHAPE, rate(value), seeded(), length=8)
    patches = hidden.unflatten(-1, (64, 8))
    assert torch.equal(patches.all(-1), patches.any(-1))
    assert torch.equal(patches.all(-1).sum(-1), torch.full((64, 3), int(64 * value)))


@pytest.mark.parametrize("value", RATES)
def test_hybrid_hides_half_in_patches_and_half_as_points(value: float) -> None:
    """As in TSPulse's evaluation: the total is exact in every channel, and half of it is in whole patches."""
    hidden = masks.hybrid(SHAPE, rate(value), seeded(), length=8)
    assert torch.equal(hidden.sum(-1), torch.full((64, 3), int(512 * value)))
    whole = hidden.unflatten(-1, (64, 8)).all(-1).sum(-1)
    assert (whole >= int(32 * value)).all()  # scattered points may fill a patch by chance
    assert whole.float().mean() < int(32 * value) + 0.5


def test_points_are_independent_with_their_rate() -> None:
    hidden = masks.points(SHAPE, rate(0.25), seeded()).float()
    assert hidden.mean().item() == pytest.approx(0.25, abs=0.005)
    pairs = (hidden[..., 1:] * hidden[..., :-1]).mean().item()
    assert pairs == pytest.approx(0.25**2, abs=0.005)


def test_shifted_blocks_start_anywhere() -> None:
    hidden = masks.blocks(SHAPE, rate(0.25), seeded(), length=8, aligned=False)
    starts = (hidden[..., 1:] & ~hidden[..., :-1]).nonzero()[:, -1] + 1
    assert set((starts % 8).tolist()) == set(range(8))
    assert hidden.float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_channels_hide_some_but_never_all() -> None:
    hidden = masks.channels(SHAPE, rate(0.9), seeded())
    assert torch.equal(hidden.all(-1), hidden.any(-1))
    assert set(hidden.all(-1).sum(1).tolist()) == {2}
    with pytest.raises(ValueError, match="the data has one"):
        masks.channels(torch.Size((4, 1, 8)), torch.full((4,), 0.5), seeded())


def test_gaps_are_those_of_another_window() -> None:
    observed = torch.rand(6, 2, 32, generator=seeded()) > 0.2
    hidden = masks.gaps(observed, seeded())
    assert any(torch.equal(hidden, ~observed.roll(shift, dims=0)) for shift in range(1, 6))
