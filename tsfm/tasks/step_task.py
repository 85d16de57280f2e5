"""The base of tasks that predict steps: the loss over wanted steps and its report.

B batch, C channels, T steps, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.messages import did_you_mean
from tsfm.tasks.base import Ratio, Task
from tsfm.tasks.losses import LOSSES, POINT_LOSSES, masked_mean, pinball
from tsfm.types import KNOWN, TARGET, TIME_FEATURE, Answer, Batch, Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

UNITS = ("data", "scaled")


@dataclass
class StepConfig:
    """Settings of every task that predicts steps."""

    loss: str = "mse"  # mse | mae | huber | pinball
    units: str = "data"  # of the loss: data | scaled, where each window is in units of its own scale

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"task.loss is {self.loss!r}; {did_you_mean(self.loss, list(LOSSES))}")
        if self.units not in UNITS:
            raise ValueError(f"task.units is {self.units!r}; {did_you_mean(self.units, list(UNITS))}")


class StepTask(Task):
    """A task whose answer is `[batch, channels, time, quantile]`; a subclass implements `pose`."""

    verbs = ("forecast", "impute", "detect")
    config: StepConfig

    def check(self, *, quantile_levels: tuple[float, ...], predicts: str = "steps", window: int | None = None) -> None:
        """Refuse a quantile head with a loss of one number per step."""
        super().check(quantile_levels=quantile_levels, predicts=predicts, window=window)
        if self.config.loss in POINT_LOSSES and len(quantile_levels) > 1:
            raise ValueError(
                f"task.loss={self.config.loss} needs one number per step, the head gives {len(quantile_levels)} "
                "quantiles; use task.loss=pinball or head.quantile_levels=[0.5]"
            )

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        """Return the mean loss over wanted steps."""
        problem = problem.predicted_by(answer)
        return masked_mean(self.step_loss(answer, problem), self.loss_mask(answer, problem))

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """Return the loss, and MSE and MAE of the median in data units; for quantile heads also `wql`.

        `wql` is the weighted quantile loss: twice the sum of the pinball losses over the sum of absolute targets.
        """
        wanted, mask = problem.wanted, self.loss_mask(answer, problem)
        count = wanted.sum()
        median = answer.prediction[..., len(answer.quantile_levels) // 2]
        error = torch.where(wanted, median - problem.values, 0.0).double()
        metrics = {
            "loss": Ratio(torch.where(mask, self.step_loss(answer, problem), 0.0).double().sum(), mask.sum()),
            "mse": Ratio(error.square().sum(), count),
            "mae": Ratio(error.abs().sum(), count),
        }
        if len(answer.quantile_levels) > 1:
            loss = pinball(answer.prediction, problem.values, answer.quantile_levels)
            loss = torch.where(wanted, loss, 0.0).double()
            size = torch.where(wanted, problem.values, 0.0).double().abs()
            metrics["wql"] = Ratio(2 * loss.sum(), size.sum())
        return metrics

    def loss_mask(self, answer: Answer, problem: Problem) -> Bool[Tensor, "B C T"]:
        """Return the wanted steps; in scaled units, only those of windows that vary.

        The error of a window with a constant context, in units of the smallest scale, would outweigh all others.
        """
        return problem.wanted & answer.varies() if self.config.units == "scaled" else problem.wanted

    def step_loss(self, answer: Answer, problem: Problem) -> Float[Tensor, "B C T"]:
        """Return the loss of each step; its values where nothing is wanted have no meaning."""
        # predictions are cut off where nothing is wanted: NaN there would enter the gradient as 0 * NaN
        prediction, target = torch.where(problem.wanted[..., None], answer.prediction, 0.0), problem.values
        if self.config.units == "scaled":
            prediction = (prediction - answer.loc[..., None]) / answer.scale[..., None]
            target = (target - answer.loc) / answer.scale
        return LOSSES[self.config.loss](prediction, target, answer.quantile_levels)


def hide_steps(
    batch: Batch, hidden: Bool[Tensor, "B C T"], *, wanted: Bool[Tensor, "#B #C #T"] | None = None
) -> Problem:
    """Return the problem of a batch with steps hidden in targets and in past covariates.

    Parameters
    ----------
    batch
        Windows; known covariates and time features stay visible.
    hidden
        `[batch, channels, time]`, True where a step is hidden.
    wanted
        Broadcast to that shape; of the hidden steps of targets that were observed, these are wanted. None: all.
    """
    wanted = batch.observed & hidden if wanted is None else batch.observed & hidden & wanted
    if batch.role is None:
        return Problem(
            values=batch.values,
            visible=batch.observed & ~hidden,
            wanted=wanted,
            seasons=batch.seasons,
            timestamps=batch.timestamps,
        )
    role = batch.role[..., None]
    always_visible = (role == KNOWN) | (role == TIME_FEATURE)
    return Problem(
        values=batch.values,
        visible=batch.observed & (always_visible | ~hidden),
        wanted=wanted & (role == TARGET),
        unscaled=batch.role == TIME_FEATURE,
        seasons=batch.seasons,
        timestamps=batch.timestamps,
    )
