"""Classification: the class of the whole window is predicted. B batch, M classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tsfm.messages import did_you_mean
from tsfm.registry import TASKS
from tsfm.tasks.base import Ratio
from tsfm.tasks.labels import LabelConfig, LabelTask
from tsfm.types import Answer, Batch, Problem

WEIGHTS = ("none", "balanced")


@TASKS("classify")
class Classify(LabelTask):
    """Cross entropy of the logits; the label is the index of the class, or in training a mixture of two.

    Raises
    ------
    ValueError
        If classes are to be balanced and their numbers of training cases are unknown.
    """

    @dataclass
    class Config(LabelConfig):
        """Settings of `Classify`."""

        class_weights: str = "none"  # none | balanced: every class has the same total weight
        label_smoothing: float = 0.0  # arXiv:1512.00567, section 7
        mixup: float = 0.0  # alpha of the beta distribution of mixup weights (arXiv:1710.09412); 0: none

        def __post_init__(self):
            super().__post_init__()
            if self.class_weights not in WEIGHTS:
                raise ValueError(
                    f"task.class_weights is {self.class_weights!r}; {did_you_mean(self.class_weights, list(WEIGHTS))}"
                )
            if not 0 <= self.label_smoothing < 1 or self.mixup < 0:
                raise ValueError(
                    f"task.label_smoothing is {self.label_smoothing} and mixup {self.mixup}; expected a number "
                    "in [0, 1), and at least 0"
                )

    config: Config  # pyright: ignore[reportIncompatibleVariableOverride]  (the settings of this task)

    def __init__(self, config: Config, *, horizon: int, counts: Sequence[int] | None = None):
        super().__init__(config, horizon=horizon, counts=counts)
        self.weight: Tensor | None = None
        if config.class_weights == "balanced":
            if counts is None:
                raise ValueError(
                    "task.class_weights=balanced needs the number of training cases of each class; use data=cases"
                )
            num_cases = torch.tensor(counts, dtype=torch.float32)
            self.weight = num_cases.sum() / (len(num_cases) * num_cases.clamp_min(1))

    def augment(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Return the batch with noise, hidden blocks, and each case mixed with another one."""
        batch = super().augment(batch, generator)
        if not self.config.mixup or batch.label is None or self.counts is None:
            return batch
        device, num = batch.values.device, len(batch.values)
        alpha = torch.full((num, 2), self.config.mixup, device=device)
        # torch.distributions.Gamma takes no generator
        gamma = torch._standard_gamma(alpha, generator=generator)  # noqa: SLF001  # pyright: ignore
        drawn = gamma.clamp_min(1e-8)
        share = drawn.max(dim=-1).values / drawn.sum(dim=-1)
        other = torch.randperm(num, generator=generator, device=device)
        label = F.one_hot(batch.label, len(self.counts)).float()
        observed = batch.observed & batch.observed[other]
        # two cases without a common step in some channel are not mixed
        share = torch.where(observed.any(dim=-1).all(dim=-1), share, 1.0)
        observed = torch.where((share < 1)[:, None, None], observed, batch.observed)
        keep = share[:, None, None]
        mixed = torch.where(observed, keep * batch.values + (1 - keep) * batch.values[other], 0.0)
        return Batch(mixed, observed, label=share[:, None] * label + (1 - share[:, None]) * label[other])

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        """Return the mean cross entropy, with label smoothing."""
        return self._cross_entropy(answer, problem, smoothing=self.config.label_smoothing).mean()

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """Return the loss without label smoothing, and the accuracy."""
        assert problem.label is not None
        count = torch.tensor(len(answer.prediction), device=answer.prediction.device)
        is_correct = answer.prediction.argmax(dim=-1) == problem.label
        return {
            "loss": Ratio(self._cross_entropy(answer, problem).double().sum(), count),
            "accuracy": Ratio(is_correct.double().sum(), count),
        }

    def _cross_entropy(self, answer: Answer, problem: Problem, *, smoothing: float = 0.0) -> Tensor:
        assert problem.label is not None
        weight = None if self.weight is None else self.weight.to(answer.prediction.device)
        return F.cross_entropy(
            answer.prediction, problem.label, weight=weight, label_smoothing=smoothing, reduction="none"
        )
