"""Forecasting: hide the tail of the window, ask for it. B batch, C channels, T steps, H horizon, Q quantile levels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tsfm.registry import TASKS, closest
from tsfm.tasks.base import Ratio, Task
from tsfm.tasks.losses import LOSSES, POINT_LOSSES, masked_mean, pinball
from tsfm.types import KNOWN, MARK, TARGET, Answer, Batch, Problem

UNITS = ("data", "scaled")


@TASKS("forecast")
class Forecast(Task):
    """The last `horizon` steps of the targets are hidden; those of them that were observed are wanted. Of covariates
    nothing is wanted: the tail of known ones stays visible, that of past-only ones is hidden."""

    @dataclass
    class Config:
        loss: str = "mse"  # mse | mae | huber | pinball
        units: str = "data"  # data: as the data set gives them; scaled: each window in units of its own scale

        def __post_init__(self):
            if self.loss not in LOSSES:
                raise ValueError(f"task.loss is {self.loss!r}; {closest(self.loss, list(LOSSES))}")
            if self.units not in UNITS:
                raise ValueError(f"task.units is {self.units!r}; {closest(self.units, list(UNITS))}")

    monitor = "loss"

    def __init__(self, config: Config, *, horizon: int):
        self.config, self.horizon = config, horizon

    def check(self, *, levels: tuple[float, ...]) -> None:
        if self.config.loss in POINT_LOSSES and len(levels) > 1:
            raise ValueError(
                f"task.loss={self.config.loss} judges one number per step, the head gives {len(levels)} quantiles; "
                "use task.loss=pinball or head.levels=[0.5]"
            )

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        steps = torch.arange(batch.values.shape[-1], device=batch.values.device)
        tail = steps >= batch.values.shape[-1] - self.horizon
        visible = batch.observed & ~tail
        shown = visible.any(dim=-1, keepdim=True)  # nobody can answer from a context that shows nothing
        wanted = batch.observed & tail & shown
        if batch.role is None:
            return Problem(values=batch.values, visible=visible, wanted=wanted)
        role = batch.role[..., None]
        return Problem(
            values=batch.values,
            visible=torch.where((role == KNOWN) | (role == MARK), batch.observed, visible),
            wanted=wanted & (role == TARGET),
            marks=batch.role == MARK,
        )

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        return masked_mean(self._per_step(answer, problem), self._judged(answer, problem))

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """The loss, and MSE and MAE of the middle quantile in data units; for quantile heads also the weighted
        quantile loss (sum of pinball times two over sum of |target|)."""
        wanted, judged = problem.wanted, self._judged(answer, problem)
        count = wanted.sum()
        middle = answer.read[..., len(answer.levels) // 2]
        error = torch.where(wanted, middle - problem.values, 0.0).double()
        metrics = {
            "loss": Ratio(torch.where(judged, self._per_step(answer, problem), 0.0).double().sum(), judged.sum()),
            "mse": Ratio(error.square().sum(), count),
            "mae": Ratio(error.abs().sum(), count),
        }
        if len(answer.levels) > 1:
            quantile = torch.where(wanted, pinball(answer.read, problem.values, answer.levels), 0.0).double()
            size = torch.where(wanted, problem.values, 0.0).double().abs()
            metrics["wql"] = Ratio(2 * quantile.sum(), size.sum())
        return metrics

    def _judged(self, answer: Answer, problem: Problem) -> Tensor:
        """The wanted steps that the loss counts: in scaled units, those of windows that have a scale. One window with a
        constant context, measured in its floor, would outweigh all others."""
        return problem.wanted & answer.varies() if self.config.units == "scaled" else problem.wanted

    def _per_step(self, answer: Answer, problem: Problem) -> Tensor:
        # cut off where nothing is wanted: a NaN target there would come back through the gradient as 0 * NaN
        read, target = torch.where(problem.wanted[..., None], answer.read, 0.0), problem.values
        if self.config.units == "scaled":
            read = (read - answer.loc[..., None]) / answer.scale[..., None]
            target = (target - answer.loc) / answer.scale
        return LOSSES[self.config.loss](read, target, answer.levels)
