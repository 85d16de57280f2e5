"""Laws of imputation: the seed decides which steps are hidden, and known covariates stay visible."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import waves
from tsfm.registry import TASKS
from tsfm.tasks.impute import Impute
from tsfm.types import KNOWN, TARGET, Batch


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def task(**settings: object) -> Impute:
    return TASKS.build(TASKS.config({"name": "impute", **settings}), horizon=0)


@pytest.mark.parametrize("mask", ["points", "blocks", "hybrid", "channels", "mixed"])
def test_the_seed_decides_which_steps_are_hidden(mask: str) -> None:
    impute, batch = task(mask=mask), waves()
    first, again, other = (impute.pose(batch, seeded(seed)).wanted for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("mask", ["points", "blocks", "hybrid", "mixed"])
def test_known_covariates_stay_visible_and_are_not_wanted(mask: str) -> None:
    batch = waves()
    role = torch.tensor([[TARGET, TARGET, KNOWN]], dtype=torch.int8).expand(len(batch.values), -1)
    problem = task(mask=mask).pose(Batch(batch.values, batch.observed, role=role), seeded())
    assert problem.visible[:, 2].all()
    assert not problem.wanted[:, 2].any()
    assert problem.wanted[:, :2].any()


def test_hidden_channels_have_no_scale() -> None:
    with pytest.raises(ValueError, match=r"task\.units=data"):
        task(mask="channels", units="scaled")
