"""Imputation: hide scattered steps, blocks, whole channels or real gaps, ask for them. B batch, C channels, T steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tsfm.messages import did_you_mean
from tsfm.registry import TASKS
from tsfm.tasks import masks
from tsfm.tasks.step_task import StepConfig, StepTask, hide
from tsfm.types import Batch, Problem


@TASKS("impute")
class Impute(StepTask):
    """Some of the observed steps of the targets are hidden and wanted, at a rate drawn for each window. Covariates
    known ahead stay visible. `hidden` draws the mask; protocols draw theirs through it too."""

    @dataclass
    class Config(StepConfig):
        mask: str = "mixed"  # points | blocks | hybrid | channels | gaps | mixed: one of the first three per window
        rates: list[float] = field(default_factory=lambda: [0.125, 0.25, 0.375, 0.5])  # one is drawn for each window
        block: int = 8  # steps of a block
        aligned: bool = True  # blocks lie on the grid of the patches that end with the window; else anywhere

        def __post_init__(self):
            super().__post_init__()
            if self.mask not in masks.MASKS:
                raise ValueError(f"task.mask is {self.mask!r}; {did_you_mean(self.mask, list(masks.MASKS))}")
            if not self.rates or not all(0 < rate < 1 for rate in self.rates):
                raise ValueError(f"task.rates is {list(self.rates)}; expected shares of hidden steps between 0 and 1")
            if self.mask == "channels" and self.units == "scaled":
                raise ValueError(
                    "task.mask=channels hides all that a channel shows, so it has no scale of its own; use "
                    "task.units=data, on data that is standardised"
                )
            if self.block < 1:
                raise ValueError(f"task.block is {self.block}; a block has at least 1 step")

    config: Config

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        rates = torch.tensor(self.config.rates, device=batch.values.device)
        drawn = torch.randint(len(rates), (len(batch.values),), generator=generator, device=rates.device)
        hidden = self.hidden(batch, rates[drawn], generator)
        if self.config.mask == "channels":  # a hidden channel shows nothing: the others tell
            return hide(batch, hidden)
        shown = (batch.observed & ~hidden).any(dim=-1, keepdim=True)
        return hide(batch, hidden, wanted=shown)

    def hidden(self, batch: Batch, rate: Tensor, generator: torch.Generator | None) -> Tensor:
        """The steps to hide [B, C, T] at the share `rate` [B]."""
        shape, config = batch.values.shape, self.config
        if config.mask == "gaps":
            return masks.gaps(batch.observed, generator)
        if config.mask == "channels":
            return masks.channels(shape, rate, generator)
        like = {"length": config.block, "aligned": config.aligned}
        if config.mask == "points":
            return masks.points(shape, rate, generator)
        if config.mask == "blocks":
            return masks.blocks(shape, rate, generator, **like)
        if config.mask == "hybrid":
            return masks.hybrid(shape, rate, generator, **like)
        kinds = (
            masks.points(shape, rate, generator),
            masks.blocks(shape, rate, generator, **like),
            masks.hybrid(shape, rate, generator, **like),
        )
        choice = torch.randint(len(kinds), (shape[0], 1, 1), generator=generator, device=rate.device)
        return torch.where(choice == 0, kinds[0], torch.where(choice == 1, kinds[1], kinds[2]))
