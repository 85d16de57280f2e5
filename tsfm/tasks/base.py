"""What every task does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from tsfm.types import Answer, Batch, Problem


class Ratio(NamedTuple):
    """A metric as total / count; both are summed over batches and processes before the division, so that no batch
    size and no short last batch can change a result."""

    total: Tensor
    count: Tensor


class Task:
    """Poses problems and judges answers. Holds no parameters and no state.

    `horizon` is the model's; `counts` the training cases of each class where the data has classes."""

    predicts: ClassVar[str] = "steps"  # what it asks a head for: steps | window
    monitor: ClassVar[str] = "loss"  # the reported metric that validation watches; lower is better

    def __init__(self, config: Any, *, horizon: int, counts: Sequence[int] | None = None):
        self.config, self.horizon, self.counts = config, horizon, counts

    @property
    def name(self) -> str:
        return self.config.name

    def check(self, *, quantile_levels: tuple[float, ...], predicts: str = "steps", window: int | None = None) -> None:
        """Refuse, before any training, a model whose answers this task can't judge, or whose windows it can't use."""
        if predicts != self.predicts:
            use = "pooled" if self.predicts == "window" else "patch_quantiles"
            asks, gives = (
                {"steps": "every step", "window": "the window as a whole"}[kind] for kind in (self.predicts, predicts)
            )
            raise ValueError(f"task={self.name} asks about {asks}, and the head answers for {gives}; use head={use}")

    def augment(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Vary a training batch; validation and evaluation never do."""
        return batch

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        raise NotImplementedError

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        raise NotImplementedError

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        raise NotImplementedError
