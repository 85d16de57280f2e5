"""Laws of the masks: how much is hidden, where, and that nothing but the generator decides."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import waves
from tsfm.registry import TASKS
from tsfm.tasks import masks
from tsfm.tasks.detect import Detect
from tsfm.types import KNOWN, TARGET, Batch

SHAPE = torch.Size((64, 3, 512))
RATES = (0.125, 0.25, 0.375, 0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rate(value: float) -> torch.Tensor:
    return torch.full((SHAPE[0],), value)


def task(name: str, **settings: object):
    return TASKS.build(TASKS.config({"name": name, **settings}), horizon=0)


@pytest.mark.parametrize("value", RATES)
def test_blocks_hide_exactly_their_share_in_whole_patches(value: float) -> None:
    hidden = masks.blocks(SHAPE, rate(value), seeded(), length=8)
    patches = hidden.unflatten(-1, (64, 8))
    assert torch.equal(patches.all(-1), patches.any(-1))
    assert torch.equal(patches.all(-1).sum(-1), torch.full((64, 3), int(64 * value)))


@pytest.mark.parametrize("value", RATES)
def test_hybrid_hides_half_in_patches_and_half_as_points(value: float) -> None:
    """As TSPulse's evaluation: the total is exact in every window and channel, and half of it lies in whole patches."""
    hidden = masks.hybrid(SHAPE, rate(value), seeded(), length=8)
    assert torch.equal(hidden.sum(-1), torch.full((64, 3), int(512 * value)))
    whole = hidden.unflatten(-1, (64, 8)).all(-1).sum(-1)
    assert (whole >= int(32 * value)).all()  # scattered points may fill a patch by chance
    assert whole.float().mean() < int(32 * value) + 0.5


def test_points_are_independent_and_near_their_rate() -> None:
    hidden = masks.points(SHAPE, rate(0.25), seeded()).float()
    assert hidden.mean().item() == pytest.approx(0.25, abs=0.005)
    pairs = (hidden[..., 1:] * hidden[..., :-1]).mean().item()
    assert pairs == pytest.approx(0.25**2, abs=0.005)


def test_shifted_blocks_begin_anywhere() -> None:
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


@pytest.mark.parametrize("mask", ["points", "blocks", "hybrid", "channels", "mixed"])
def test_a_seed_decides_what_is_hidden(mask: str) -> None:
    judge, batch = task("impute", mask=mask), waves()
    first, again, other = (judge.pose(batch, seeded(seed)).wanted for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("mask", ["points", "blocks", "hybrid", "mixed"])
def test_covariates_known_ahead_stay_visible_and_are_not_asked_for(mask: str) -> None:
    batch = waves()
    role = torch.tensor([[TARGET, TARGET, KNOWN]], dtype=torch.int8).expand(len(batch.values), -1)
    problem = task("impute", mask=mask).pose(Batch(batch.values, batch.observed, role=role), seeded())
    assert problem.visible[:, 2].all()
    assert not problem.wanted[:, 2].any()
    assert problem.wanted[:, :2].any()


@pytest.mark.parametrize("num_passes", [2, 3, 4])
def test_over_the_passes_every_observed_step_is_asked_for_once_and_never_seen_then(num_passes: int) -> None:
    judge, batch = task("detect", num_passes=num_passes, block=5), waves()
    observed = batch.observed.clone()
    observed[0, 0, 7:19] = False
    asked = torch.zeros_like(observed, dtype=torch.long)
    for problem in judge.passes(Batch(batch.values, observed)):
        assert not (problem.wanted & problem.visible).any()
        asked += problem.wanted
    assert torch.equal(asked, observed.long())


def test_reconstruction_shows_and_asks_everything() -> None:
    judge, batch = task("detect", mode="reconstruct"), waves()
    (problem,) = judge.passes(batch)
    assert problem.visible.all()
    assert problem.wanted.all()


def answer_of(judge: Detect, quantiles: torch.Tensor, levels: tuple[float, ...]):
    from tsfm.types import Answer

    shape = quantiles.shape[:2]
    unit = torch.ones(*shape, 1)
    return Answer(
        hidden=torch.zeros(*shape, 1, 1), prediction=quantiles, loc=0 * unit, scale=unit, quantile_levels=levels
    )


@pytest.mark.parametrize("score", ["pinball", "residual", "tail"])
def test_a_score_grows_with_the_distance_on_both_sides(score: str) -> None:
    levels = tuple(k / 10 for k in range(1, 10))
    judge = task("detect", score=score, mode="reconstruct")
    values = torch.linspace(-6, 6, 49)[None, None]
    quantiles = torch.distributions.Normal(0, 1).icdf(torch.tensor(levels)).expand(1, 1, 49, 9)
    (problem,) = judge.passes(Batch(values, torch.ones_like(values, dtype=torch.bool)))
    found = judge.score(answer_of(judge, quantiles, levels), problem)[0, 0]
    assert (found[25:].diff() > -1e-6).all()
    torch.testing.assert_close(found, found.flip(0), rtol=1e-4, atol=1e-4)


def test_the_tail_score_is_the_probability_between_quantiles() -> None:
    """At the quantile of level a the two-sided tail probability is 2 min(a, 1 - a)."""
    levels = tuple(k / 10 for k in range(1, 10))
    judge = task("detect", score="tail", mode="reconstruct")
    quantiles = torch.distributions.Normal(0, 1).icdf(torch.tensor(levels))
    values = quantiles[None, None]
    (problem,) = judge.passes(Batch(values, torch.ones_like(values, dtype=torch.bool)))
    found = judge.score(answer_of(judge, quantiles.expand(1, 1, 9, 9), levels), problem)[0, 0]
    expected = torch.tensor([-torch.log10(torch.tensor(2 * min(a, 1 - a))).item() for a in levels])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_block_that_leaves_nothing_to_see_is_refused() -> None:
    judge = task("detect", block=40)
    judge.check(quantile_levels=(0.1, 0.5, 0.9), window=80)
    with pytest.raises(ValueError, match=r"task\.block=32"):
        judge.check(quantile_levels=(0.1, 0.5, 0.9), window=64)


def test_hidden_channels_have_no_scale() -> None:
    with pytest.raises(ValueError, match=r"task\.units=data"):
        task("impute", mask="channels", units="scaled")


def test_mixup_keeps_cases_that_share_no_step() -> None:
    values = torch.ones(2, 1, 8)
    observed = torch.zeros(2, 1, 8, dtype=torch.bool)
    observed[0, :, :4], observed[1, :, 4:] = True, True
    batch = Batch(torch.where(observed, values, 0.0), observed, label=torch.tensor([0, 1]))
    judge = TASKS.build(TASKS.config({"name": "classify", "mixup": 1.0}), horizon=0, counts=[1, 1])
    for seed in range(8):
        mixed = judge.augment(batch, seeded(seed))
        assert torch.equal(mixed.observed, observed)
        assert torch.equal(mixed.label, torch.eye(2))


def test_mixup_mixes_labels_as_it_mixes_values() -> None:
    levels = torch.tensor([0.0, 1.0, 2.0, 3.0])
    batch = Batch(levels[:, None, None].expand(4, 1, 8), torch.ones(4, 1, 8, dtype=torch.bool), label=torch.arange(4))
    judge = TASKS.build(TASKS.config({"name": "classify", "mixup": 1.0}), horizon=0, counts=[1] * 4)
    mixed = judge.augment(batch, seeded())
    torch.testing.assert_close(mixed.values[:, 0, 0], mixed.label @ levels)
    torch.testing.assert_close(mixed.label.sum(1), torch.ones(4))
