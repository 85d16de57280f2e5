"""Laws of anomaly detection: every observed step is wanted once, and scores grow with the distance."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import waves
from tsfm.registry import TASKS
from tsfm.tasks.detect import Detect
from tsfm.types import Answer, Batch

QUANTILE_LEVELS = tuple(k / 10 for k in range(1, 10))


def task(**settings: object) -> Detect:
    return TASKS.build(TASKS.config({"name": "detect", **settings}), horizon=0)


@pytest.mark.parametrize("num_passes", [2, 3, 4])
def test_over_the_passes_every_observed_step_is_wanted_once_and_hidden_then(num_passes: int) -> None:
    detect, batch = task(num_passes=num_passes, block=5), waves()
    observed = batch.observed.clone()
    observed[0, 0, 7:19] = False
    num_wanted = torch.zeros_like(observed, dtype=torch.long)
    for problem in detect.passes(Batch(batch.values, observed)):
        assert not (problem.wanted & problem.visible).any()
        num_wanted += problem.wanted
    assert torch.equal(num_wanted, observed.long())


def test_in_reconstruction_everything_is_visible_and_wanted() -> None:
    detect, batch = task(mode="reconstruct"), waves()
    (problem,) = detect.passes(batch)
    assert problem.visible.all()
    assert problem.wanted.all()


def answer_with(quantiles: torch.Tensor) -> Answer:
    shape = quantiles.shape[:2]
    unit = torch.ones(*shape, 1)
    return Answer(
        hidden=torch.zeros(*shape, 1, 1),
        prediction=quantiles,
        loc=0 * unit,
        scale=unit,
        quantile_levels=QUANTILE_LEVELS,
    )


@pytest.mark.parametrize("score", ["pinball", "residual", "tail"])
def test_a_score_grows_with_the_distance_on_both_sides(score: str) -> None:
    detect = task(score=score, mode="reconstruct")
    values = torch.linspace(-6, 6, 49)[None, None]
    quantiles = torch.distributions.Normal(0, 1).icdf(torch.tensor(QUANTILE_LEVELS)).expand(1, 1, 49, 9)
    (problem,) = detect.passes(Batch(values, torch.ones_like(values, dtype=torch.bool)))
    scores = detect.score(answer_with(quantiles), problem)[0, 0]
    assert (scores[25:].diff() > -1e-6).all()
    torch.testing.assert_close(scores, scores.flip(0), rtol=1e-4, atol=1e-4)


def test_the_tail_score_is_the_probability_between_quantiles() -> None:
    """At the quantile of level a the two-sided tail probability is 2 min(a, 1 - a)."""
    detect = task(score="tail", mode="reconstruct")
    quantiles = torch.distributions.Normal(0, 1).icdf(torch.tensor(QUANTILE_LEVELS))
    values = quantiles[None, None]
    (problem,) = detect.passes(Batch(values, torch.ones_like(values, dtype=torch.bool)))
    scores = detect.score(answer_with(quantiles.expand(1, 1, 9, 9)), problem)[0, 0]
    expected = torch.tensor([-torch.log10(torch.tensor(2 * min(a, 1 - a))).item() for a in QUANTILE_LEVELS])
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-3)


def test_a_block_that_leaves_no_visible_step_is_refused() -> None:
    detect = task(block=40)
    detect.check(quantile_levels=(0.1, 0.5, 0.9), window=80)
    with pytest.raises(ValueError, match=r"task\.block=32"):
        detect.check(quantile_levels=(0.1, 0.5, 0.9), window=64)
