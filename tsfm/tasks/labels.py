"""The base of classification and regression: nothing is hidden, and the whole window has a label.

B batch, C channels, T steps, M outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from typing_extensions import override

from tsfm.tasks import masks
from tsfm.tasks.base import Task
from tsfm.types import Batch, Problem


@dataclass
class LabelConfig:
    """Settings of every task with labels."""

    noise: float = 0.0  # standard deviation of noise added in training, in units of that of each case
    drop_rate: float = 0.0  # share of steps, in blocks of 8, that are hidden in training

    def __post_init__(self):
        if self.noise < 0 or not 0 <= self.drop_rate < 1:
            raise ValueError(
                f"task.noise is {self.noise} and drop_rate {self.drop_rate}; expected a deviation of at least 0, and a "
                "share of steps in [0, 1)"
            )


class LabelTask(Task):
    """A task whose answer is `[batch, outputs]`."""

    predicts = "window"
    verbs = ("classify", "regress")
    usage = ("model.classify_df(df)",)
    config: LabelConfig

    def augment(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Return the batch with noise and hidden blocks; no channel loses all of its steps."""
        values, observed, device = batch.values, batch.observed, batch.values.device
        if self.config.noise:
            count = observed.sum(dim=-1, keepdim=True).clamp_min(1)
            mean = torch.where(observed, values, 0.0).sum(dim=-1, keepdim=True) / count
            spread = (torch.where(observed, values - mean, 0.0).square().sum(dim=-1, keepdim=True) / count).sqrt()
            noise = torch.randn(values.shape, generator=generator, device=device)
            values = torch.where(observed, values + self.config.noise * spread * noise, values)
        if self.config.drop_rate:
            rate = torch.full((len(values),), self.config.drop_rate, device=device)
            kept = observed & ~masks.blocks(values.shape, rate, generator, length=8, aligned=False)
            observed = torch.where(kept.any(dim=-1, keepdim=True), kept, observed)
            values = torch.where(observed, values, 0.0)
        return replace(batch, values=values, observed=observed)

    @override
    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        """Return the problem: everything observed is visible, and the label is to be predicted.

        Raises
        ------
        ValueError
            If the batch has no labels.
        """
        if batch.label is None:
            raise ValueError(
                f"task={self.name} needs a label for every window, and this data has none; use labelled cases "
                "(data=cases)"
            )
        return Problem(
            values=batch.values,
            visible=batch.observed,
            wanted=torch.zeros_like(batch.observed),
            label=batch.label,
            seasons=batch.seasons,
            timestamps=batch.timestamps,
        )
