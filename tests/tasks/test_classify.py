"""Laws of mixup in classification."""

from __future__ import annotations

import torch

from tsfm.registry import TASKS
from tsfm.types import Batch


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mixup_leaves_cases_without_a_common_step_unchanged() -> None:
    values = torch.ones(2, 1, 8)
    observed = torch.zeros(2, 1, 8, dtype=torch.bool)
    observed[0, :, :4], observed[1, :, 4:] = True, True
    batch = Batch(torch.where(observed, values, 0.0), observed, label=torch.tensor([0, 1]))
    classify = TASKS.build(TASKS.config({"name": "classify", "mixup": 1.0}), horizon=0, counts=[1, 1])
    for seed in range(8):
        mixed = classify.augment(batch, seeded(seed))
        assert torch.equal(mixed.observed, observed)
        assert torch.equal(mixed.label, torch.eye(2))


def test_mixup_mixes_labels_like_values() -> None:
    values = torch.tensor([0.0, 1.0, 2.0, 3.0])
    batch = Batch(values[:, None, None].expand(4, 1, 8), torch.ones(4, 1, 8, dtype=torch.bool), label=torch.arange(4))
    classify = TASKS.build(TASKS.config({"name": "classify", "mixup": 1.0}), horizon=0, counts=[1] * 4)
    mixed = classify.augment(batch, seeded())
    torch.testing.assert_close(mixed.values[:, 0, 0], mixed.label @ values)
    torch.testing.assert_close(mixed.label.sum(1), torch.ones(4))
