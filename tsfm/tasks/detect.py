"""Anomaly detection: hide every block in turn, and score how far what was hidden lies from what was expected.

B batch, C channels, T steps, Q quantile levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tsfm.messages import did_you_mean
from tsfm.registry import TASKS
from tsfm.tasks.losses import pinball
from tsfm.tasks.step_task import StepConfig, StepTask, hide
from tsfm.types import Answer, Batch, Problem

SCORES = ("pinball", "residual", "tail")
MODES = ("masked", "reconstruct")


@TASKS("detect")
class Detect(StepTask):
    """A window is cut into blocks from its end, and one block in every `num_passes` is hidden: in training from a
    random one on, in scoring from each in turn, so that every observed step is asked for once and never seen when it
    is. `reconstruct` hides nothing and asks for all steps, through the bottleneck of the network alone."""

    @dataclass
    class Config(StepConfig):
        loss: str = "pinball"
        units: str = "scaled"
        block: int = 8  # steps of a block
        num_passes: int = 4  # one block in so many is hidden at a time
        mode: str = "masked"  # masked | reconstruct
        score: str = "pinball"  # pinball | residual | tail

        def __post_init__(self):
            super().__post_init__()
            for name, known in (("mode", MODES), ("score", SCORES)):
                if (value := getattr(self, name)) not in known:
                    raise ValueError(f"task.{name} is {value!r}; {did_you_mean(value, list(known))}")
            if self.block < 1 or self.num_passes < 2:
                raise ValueError(
                    f"task.block is {self.block} and num_passes {self.num_passes}; a block has at least 1 step, and "
                    "of at least 2 blocks one is hidden"
                )

    config: Config

    def check(self, *, quantile_levels: tuple[float, ...], predicts: str = "steps", window: int | None = None) -> None:
        super().check(quantile_levels=quantile_levels, predicts=predicts, window=window)
        if self.config.mode == "masked" and window is not None and window < 2 * self.config.block:
            raise ValueError(
                f"task.block is {self.config.block} and a window has {window} steps, so nothing would be left to see "
                f"beside a hidden block; use task.block={max(1, window // 2)} at most"
            )
        if self.config.score == "tail" and len(quantile_levels) < 3:
            raise ValueError(
                f"task.score=tail reads the spread between quantiles, the head gives {len(quantile_levels)}; use "
                "head.quantile_levels=[0.1,0.5,0.9] or more, or task.score=residual"
            )

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        if self.config.mode == "reconstruct":
            return self._whole(batch)
        size = (len(batch.values), 1, 1)
        first = torch.randint(self.config.num_passes, size, generator=generator, device=batch.values.device)
        return self._turn(batch, first)

    def passes(self, batch: Batch) -> Iterator[Problem]:
        """The problems that together ask for every observed step of the targets once."""
        if self.config.mode == "reconstruct":
            yield self._whole(batch)
            return
        for first in range(self.config.num_passes):
            yield self._turn(batch, torch.full((1, 1, 1), first, device=batch.values.device))

    def _turn(self, batch: Batch, first: Tensor) -> Problem:
        steps = batch.values.shape[-1]
        block = torch.arange(steps - 1, -1, -1, device=batch.values.device) // self.config.block  # from the end
        hidden = (block % self.config.num_passes == first).expand_as(batch.observed)
        shown = (batch.observed & ~hidden).any(dim=-1, keepdim=True)
        return hide(batch, hidden, wanted=shown)

    def _whole(self, batch: Batch) -> Problem:
        shown = hide(batch, torch.zeros_like(batch.observed))
        asked = hide(batch, torch.ones_like(batch.observed))
        return Problem(values=batch.values, visible=shown.visible, wanted=asked.wanted, unscaled=shown.unscaled)

    def score(self, answer: Answer, problem: Problem, *, unit: Tensor | None = None) -> Tensor:
        """How strange each wanted step is [B, C, T], NaN elsewhere; higher is stranger.

        pinball: twice the mean quantile loss; residual: distance from the median over the expected spread (a point
        model: the distance); tail: -log10 of the probability of a value at least so far out. Distances are in `unit`
        [B, C, 1], where it is given, else in the scale of the window."""
        unit = answer.scale if unit is None else unit
        read = answer.prediction.sort(dim=-1).values / unit[..., None]
        target = problem.values / unit
        middle = len(answer.quantile_levels) // 2
        distance = (target - read[..., middle]).abs()
        if self.config.score == "pinball":
            score = 2 * pinball(read, target, answer.quantile_levels)
        elif self.config.score == "residual" and len(answer.quantile_levels) > 1:
            # a floor of 1 % of the unit: where the model is sure beyond reason, rounding would look strange
            score = distance / (read[..., -1] - read[..., 0]).clamp_min(1e-2)
        elif self.config.score == "residual":
            score = distance
        else:
            score = tail(read, target, answer.quantile_levels)
        return torch.where(problem.wanted, score, torch.nan)


def tail(read: Tensor, target: Tensor, levels: tuple[float, ...]) -> Tensor:
    """-log10 of the two-sided tail probability of `target` [...] under sorted quantiles `read` [..., Q].

    Between quantiles the distribution is linear; beyond the outer ones its tails fall exponentially, at the rate that
    the outermost pair of quantiles shows (as in the splines of arXiv:2107.03653, section 3.2)."""
    level = torch.tensor(levels, dtype=read.dtype, device=read.device)
    below = (target[..., None] > read).sum(dim=-1)
    right = below.clamp(1, len(levels) - 1)
    low, high = (read.gather(-1, (right - k)[..., None])[..., 0] for k in (1, 0))
    part = ((target - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    share = level[right - 1] + part * (level[right] - level[right - 1])
    inside = -torch.log10(2 * torch.minimum(share, 1 - share).clamp_min(1e-12))

    def beyond(distance: Tensor, gap: Tensor, outer: float, inner: float) -> Tensor:
        rate = math.log(inner / outer) / gap.clamp_min(1e-3)
        return (rate * distance - math.log(2 * outer)) / math.log(10)

    under = beyond(read[..., 0] - target, read[..., 1] - read[..., 0], levels[0], levels[1])
    over = beyond(target - read[..., -1], read[..., -1] - read[..., -2], 1 - levels[-1], 1 - levels[-2])
    return torch.where(below == 0, under, torch.where(below == len(levels), over, inside))
