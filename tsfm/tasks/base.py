"""What every task does. B batch, C channels, T steps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tsfm.types import Answer, Batch, Problem


class Ratio(NamedTuple):
    """A metric as total / count; both are summed over batches and processes before the division, so that no batch
    size and no short last batch can change a result."""

    total: Tensor
    count: Tensor


class Task:
    """Poses problems and judges answers. Holds no parameters and no state."""

    monitor: str  # the reported metric that validation watches; lower is better

    def check(self, *, levels: tuple[float, ...]) -> None:
        """Refuse, before any training, a model whose answers this task can't judge."""

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        raise NotImplementedError

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        raise NotImplementedError

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        raise NotImplementedError
