"""Anomaly detection: blocks are hidden and predicted; the score compares observed and predicted values.

B batch, C channels, T steps, Q quantile levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.messages import did_you_mean
from tsfm.registry import TASKS
from tsfm.tasks.losses import pinball
from tsfm.tasks.step_task import StepConfig, StepTask, hide_steps
from tsfm.types import Answer, Batch, Problem

if TYPE_CHECKING:
    from jaxtyping import Float

SCORES = ("pinball", "residual", "tail")
MODES = ("masked", "reconstruct")


@TASKS("detect")
class Detect(StepTask):
    """The window is cut into blocks from its end, and every `num_passes`-th block is hidden.

    In training the first hidden block is random. Scoring takes `num_passes` passes, so that every observed step is
    wanted once, and hidden when it is. In the mode `reconstruct` nothing is hidden and all steps are wanted: only the
    bottleneck of the network keeps it from copying them.
    """

    @dataclass
    class Config(StepConfig):
        """Settings of `Detect`."""

        loss: str = "pinball"
        units: str = "scaled"
        block: int = 8  # steps of a block
        num_passes: int = 4  # passes over a window; each hides every `num_passes`-th block
        mode: str = "masked"  # masked | reconstruct
        score: str = "pinball"  # pinball | residual | tail

        def __post_init__(self):
            super().__post_init__()
            for name, known in (("mode", MODES), ("score", SCORES)):
                if (value := getattr(self, name)) not in known:
                    raise ValueError(f"task.{name} is {value!r}; {did_you_mean(value, list(known))}")
            if self.block < 1 or self.num_passes < 2:
                raise ValueError(
                    f"task.block is {self.block} and num_passes {self.num_passes}; expected at "
                    "least 1 step and at least 2 passes"
                )

    config: Config  # pyright: ignore[reportIncompatibleVariableOverride]  (the settings of this task)
    hides_inner_steps = True
    usage = ("model.detect_df(df, level=0.99)",)

    def check(self, *, quantile_levels: tuple[float, ...], predicts: str = "steps", window: int | None = None) -> None:
        """Refuse windows that are shorter than two blocks, and the score `tail` without quantiles."""
        super().check(quantile_levels=quantile_levels, predicts=predicts, window=window)
        if self.config.mode == "masked" and window is not None and window < 2 * self.config.block:
            raise ValueError(
                f"task.block is {self.config.block} and a window has {window} steps, so nothing would be visible next "
                f"to a hidden block; use task.block={max(1, window // 2)} at most"
            )
        if self.config.score == "tail" and len(quantile_levels) < 3:
            raise ValueError(
                f"task.score=tail needs at least 3 quantiles, the head gives {len(quantile_levels)}; use "
                "head.quantile_levels=[0.1,0.5,0.9] or more, or task.score=residual"
            )

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        """Return the problem of one pass, drawn at random for each window."""
        if self.config.mode == "reconstruct":
            return self._reconstruct(batch)
        size = (len(batch.values), 1, 1)
        first = torch.randint(self.config.num_passes, size, generator=generator, device=batch.values.device)
        return self._hide_blocks(batch, first)

    def passes(self, batch: Batch) -> Iterator[Problem]:
        """Yield problems in which every observed step of the targets is wanted exactly once."""
        if self.config.mode == "reconstruct":
            yield self._reconstruct(batch)
            return
        for first in range(self.config.num_passes):
            yield self._hide_blocks(batch, torch.full((1, 1, 1), first, device=batch.values.device))

    def _hide_blocks(self, batch: Batch, first: Tensor) -> Problem:
        steps = batch.values.shape[-1]
        block = torch.arange(steps - 1, -1, -1, device=batch.values.device) // self.config.block  # from the end
        hidden = (block % self.config.num_passes == first).expand_as(batch.observed)
        has_visible = (batch.observed & ~hidden).any(dim=-1, keepdim=True)
        return hide_steps(batch, hidden, wanted=has_visible)

    def _reconstruct(self, batch: Batch) -> Problem:
        visible = hide_steps(batch, torch.zeros_like(batch.observed))
        hidden = hide_steps(batch, torch.ones_like(batch.observed))
        return Problem(
            values=batch.values,
            visible=visible.visible,
            wanted=hidden.wanted,
            unscaled=visible.unscaled,
            seasons=batch.seasons,
            timestamps=batch.timestamps,
        )

    def score(
        self, answer: Answer, problem: Problem, *, unit: Float[Tensor, "B C 1"] | None = None
    ) -> Float[Tensor, "B C T"]:
        """Return the anomaly score of each wanted step, NaN elsewhere; higher is more anomalous.

        The setting `score` selects it:

        - `pinball`: twice the mean quantile loss;
        - `residual`: distance from the median over the distance between the outermost quantiles (of a point model: the
          distance);
        - `tail`: -log10 of the probability of a value at least as extreme.

        Parameters
        ----------
        answer, problem
            A prediction and its problem.
        unit
            Of distances; None for the scale of the window.
        """
        unit = answer.scale if unit is None else unit
        quantiles = answer.prediction.sort(dim=-1).values / unit[..., None]
        target = problem.values / unit
        distance = (target - quantiles[..., len(answer.quantile_levels) // 2]).abs()
        if self.config.score == "pinball":
            score = 2 * pinball(quantiles, target, answer.quantile_levels)
        elif self.config.score == "residual" and len(answer.quantile_levels) > 1:
            # at least 1 % of the unit: for an overconfident model, rounding errors would be anomalous
            score = distance / (quantiles[..., -1] - quantiles[..., 0]).clamp_min(1e-2)
        elif self.config.score == "residual":
            score = distance
        else:
            score = tail_score(quantiles, target, answer.quantile_levels)
        return torch.where(problem.wanted, score, torch.nan)


def tail_score(
    quantiles: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], quantile_levels: tuple[float, ...]
) -> Float[Tensor, "*steps"]:
    """Return -log10 of the two-sided tail probability of `target` under sorted quantiles.

    Between quantiles the distribution is linear. Beyond the outer ones its tails are exponential, with the rate of the
    outermost pair of quantiles (as in the splines of arXiv:2107.03653, section 3.2).
    """
    level = torch.tensor(quantile_levels, dtype=quantiles.dtype, device=quantiles.device)
    num_levels = len(quantile_levels)
    num_below = (target[..., None] > quantiles).sum(dim=-1)
    right = num_below.clamp(1, num_levels - 1)
    low, high = (quantiles.gather(-1, (right - k)[..., None])[..., 0] for k in (1, 0))
    fraction = ((target - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    probability = level[right - 1] + fraction * (level[right] - level[right - 1])
    inside = -torch.log10(2 * torch.minimum(probability, 1 - probability).clamp_min(1e-12))

    def beyond(distance: Tensor, gap: Tensor, outer: float, inner: float) -> Tensor:
        rate = math.log(inner / outer) / gap.clamp_min(1e-3)
        return (rate * distance - math.log(2 * outer)) / math.log(10)

    first_gap, last_gap = quantiles[..., 1] - quantiles[..., 0], quantiles[..., -1] - quantiles[..., -2]
    below = beyond(quantiles[..., 0] - target, first_gap, quantile_levels[0], quantile_levels[1])
    above = beyond(target - quantiles[..., -1], last_gap, 1 - quantile_levels[-1], 1 - quantile_levels[-2])
    return torch.where(num_below == 0, below, torch.where(num_below == num_levels, above, inside))
