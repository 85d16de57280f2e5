"""Imputation: points, blocks, whole channels or gaps are hidden and predicted. B batch, C channels, T steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.messages import did_you_mean
from tsfm.registry import TASKS
from tsfm.tasks import masks
from tsfm.tasks.step_task import StepConfig, StepTask, hide_steps
from tsfm.types import Batch, Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@TASKS("impute")
class Impute(StepTask):
    """Some observed steps of targets are hidden and wanted, at a rate drawn for each window.

    Known covariates stay visible.
    """

    @dataclass
    class Config(StepConfig):
        """Settings of `Impute`."""

        mask: str = "mixed"  # points | blocks | hybrid | channels | gaps | mixed: one of the first three per window
        rates: list[float] = field(default_factory=lambda: [0.125, 0.25, 0.375, 0.5])  # one is drawn for each window
        block: int = 8  # steps of a block
        aligned: bool = True  # blocks are on the grid of the patches, which ends with the window; else anywhere

        def __post_init__(self):
            super().__post_init__()
            if self.mask not in masks.MASKS:
                raise ValueError(f"task.mask is {self.mask!r}; {did_you_mean(self.mask, list(masks.MASKS))}")
            if not self.rates or not all(0 < rate < 1 for rate in self.rates):
                raise ValueError(f"task.rates is {list(self.rates)}; expected shares of hidden steps between 0 and 1")
            if self.mask == "channels" and self.units == "scaled":
                raise ValueError(
                    "task.mask=channels hides all steps of a channel, which then has no scale of its own; use "
                    "task.units=data, with standardised data"
                )
            if self.block < 1:
                raise ValueError(f"task.block is {self.block}; expected at least 1 step")

    config: Config  # pyright: ignore[reportIncompatibleVariableOverride]  (the settings of this task)
    hides_inner_steps = True
    usage = ("model.impute_df(df)",)

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        """Return the problem; channels without any visible step are not wanted, unless whole channels are hidden."""
        rates = torch.tensor(self.config.rates, device=batch.values.device)
        drawn = torch.randint(len(rates), (len(batch.values),), generator=generator, device=rates.device)
        hidden = self.draw_mask(batch, rates[drawn], generator)
        if self.config.mask == "channels":
            return hide_steps(batch, hidden)
        has_visible = (batch.observed & ~hidden).any(dim=-1, keepdim=True)
        return hide_steps(batch, hidden, wanted=has_visible)

    def draw_mask(
        self, batch: Batch, rate: Float[Tensor, " B"], generator: torch.Generator | None
    ) -> Bool[Tensor, "B C T"]:
        """Return a random mask of steps to hide, at a rate for each window; evaluation protocols use it too."""
        shape, config = batch.values.shape, self.config
        if config.mask == "gaps":
            return masks.gaps(batch.observed, generator)
        if config.mask == "channels":
            return masks.channels(shape, rate, generator)
        length, aligned = config.block, config.aligned
        if config.mask == "points":
            return masks.points(shape, rate, generator)
        if config.mask == "blocks":
            return masks.blocks(shape, rate, generator, length=length, aligned=aligned)
        if config.mask == "hybrid":
            return masks.hybrid(shape, rate, generator, length=length, aligned=aligned)
        kinds = (
            masks.points(shape, rate, generator),
            masks.blocks(shape, rate, generator, length=length, aligned=aligned),
            masks.hybrid(shape, rate, generator, length=length, aligned=aligned),
        )
        choice = torch.randint(len(kinds), (shape[0], 1, 1), generator=generator, device=rate.device)
        return torch.where(choice == 0, kinds[0], torch.where(choice == 1, kinds[1], kinds[2]))
