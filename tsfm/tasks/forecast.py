"""Forecasting: hide the tail of the window, ask for it. B batch, C channels, T steps, H horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tsfm.registry import TASKS
from tsfm.tasks.step_task import StepConfig, StepTask, hide
from tsfm.types import Batch, Problem


@TASKS("forecast")
class Forecast(StepTask):
    """The last `horizon` steps of the targets are hidden; those of them that were observed are wanted. Of covariates
    nothing is wanted: the tail of known ones stays visible, that of past-only ones is hidden."""

    @dataclass
    class Config(StepConfig):
        pass

    def __init__(self, config: Config, *, horizon: int, counts: Sequence[int] | None = None):
        if horizon < 1:
            raise ValueError("task=forecast asks for a horizon, and model.horizon is 0; set model.horizon")
        super().__init__(config, horizon=horizon, counts=counts)

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        steps = torch.arange(batch.values.shape[-1], device=batch.values.device)
        tail = (steps >= batch.values.shape[-1] - self.horizon).expand_as(batch.observed)
        shown = (batch.observed & ~tail).any(
            dim=-1, keepdim=True
        )  # nobody can answer from a context that shows nothing
        return hide(batch, tail, wanted=shown)
