"""Forecasting: the last steps of the window are hidden and predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from typing_extensions import override

from tsfm.registry import TASKS
from tsfm.tasks.step_task import StepConfig, StepTask, hide_steps
from tsfm.types import Batch, Problem


@TASKS("forecast")
class Forecast(StepTask):
    """The last `horizon` steps of targets are hidden, and wanted where they were observed.

    Covariates are never wanted: the last steps of known ones stay visible, those of past ones are hidden.

    Raises
    ------
    ValueError
        If the horizon is 0.
    """

    @dataclass
    class Config(StepConfig):
        """`Forecast` has the settings of every task that predicts steps."""

    usage = ("model.predict_df(df, prediction_length={horizon})",)

    def __init__(self, config: Config, *, horizon: int, counts: Sequence[int] | None = None):
        if horizon < 1:
            raise ValueError("task=forecast needs a horizon, and model.horizon is 0; set model.horizon")
        super().__init__(config, horizon=horizon, counts=counts)

    @override
    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        """Return the problem; channels without any visible step are not wanted."""
        steps = torch.arange(batch.values.shape[-1], device=batch.values.device)
        hidden = (steps >= batch.values.shape[-1] - self.horizon).expand_as(batch.observed)
        has_visible = (batch.observed & ~hidden).any(dim=-1, keepdim=True)
        return hide_steps(batch, hidden, wanted=has_visible)
