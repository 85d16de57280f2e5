"""What tasks that ask for steps have in common: the loss over wanted steps and its report.

B batch, C channels, T steps, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsfm.messages import did_you_mean
from tsfm.tasks.base import Ratio, Task
from tsfm.tasks.losses import LOSSES, POINT_LOSSES, masked_mean, pinball
from tsfm.types import KNOWN, TARGET, TIME_FEATURE, Answer, Batch, Problem

UNITS = ("data", "scaled")


@dataclass
class StepConfig:
    loss: str = "mse"  # mse | mae | huber | pinball
    units: str = "data"  # data: as the data set gives them; scaled: each window in units of its own scale

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"task.loss is {self.loss!r}; {did_you_mean(self.loss, list(LOSSES))}")
        if self.units not in UNITS:
            raise ValueError(f"task.units is {self.units!r}; {did_you_mean(self.units, list(UNITS))}")


class StepTask(Task):
    """A task whose answer is [B, C, T, Q]. A subclass says what it hides."""

    config: StepConfig

    def check(self, *, quantile_levels: tuple[float, ...], predicts: str = "steps", window: int | None = None) -> None:
        super().check(quantile_levels=quantile_levels, predicts=predicts, window=window)
        if self.config.loss in POINT_LOSSES and len(quantile_levels) > 1:
            raise ValueError(
                f"task.loss={self.config.loss} judges one number per step, the head gives {len(quantile_levels)} "
                "quantiles; use task.loss=pinball or head.quantile_levels=[0.5]"
            )

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        return masked_mean(self._per_step(answer, problem), self._judged(answer, problem))

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """The loss, and MSE and MAE of the middle quantile in data units; for quantile heads also the weighted
        quantile loss (sum of pinball times two over sum of |target|)."""
        wanted, judged = problem.wanted, self._judged(answer, problem)
        count = wanted.sum()
        middle = answer.prediction[..., len(answer.quantile_levels) // 2]
        error = torch.where(wanted, middle - problem.values, 0.0).double()
        metrics = {
            "loss": Ratio(torch.where(judged, self._per_step(answer, problem), 0.0).double().sum(), judged.sum()),
            "mse": Ratio(error.square().sum(), count),
            "mae": Ratio(error.abs().sum(), count),
        }
        if len(answer.quantile_levels) > 1:
            quantile = torch.where(
                wanted, pinball(answer.prediction, problem.values, answer.quantile_levels), 0.0
            ).double()
            size = torch.where(wanted, problem.values, 0.0).double().abs()
            metrics["wql"] = Ratio(2 * quantile.sum(), size.sum())
        return metrics

    def _judged(self, answer: Answer, problem: Problem) -> Tensor:
        """The wanted steps that the loss counts: in scaled units, those of windows that have a scale. One window with a
        constant context, measured in its floor, would outweigh all others."""
        return problem.wanted & answer.varies() if self.config.units == "scaled" else problem.wanted

    def _per_step(self, answer: Answer, problem: Problem) -> Tensor:
        # cut off where nothing is wanted: a NaN target there would come back through the gradient as 0 * NaN
        read, target = torch.where(problem.wanted[..., None], answer.prediction, 0.0), problem.values
        if self.config.units == "scaled":
            read = (read - answer.loc[..., None]) / answer.scale[..., None]
            target = (target - answer.loc) / answer.scale
        return LOSSES[self.config.loss](read, target, answer.quantile_levels)


def hide(batch: Batch, hidden: Tensor, *, wanted: Tensor | None = None) -> Problem:
    """The problem of a batch in which `hidden` [B, C, T] is hidden in the targets and in covariates known only so far.
    The hidden steps of targets that were observed are wanted; `wanted` narrows them."""
    wanted = batch.observed & hidden if wanted is None else batch.observed & hidden & wanted
    if batch.role is None:
        return Problem(values=batch.values, visible=batch.observed & ~hidden, wanted=wanted)
    role = batch.role[..., None]
    always = (role == KNOWN) | (role == TIME_FEATURE)
    return Problem(
        values=batch.values,
        visible=batch.observed & (always | ~hidden),
        wanted=wanted & (role == TARGET),
        unscaled=batch.role == TIME_FEATURE,
    )
