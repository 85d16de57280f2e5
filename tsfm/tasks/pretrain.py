"""Pre-training: hide a tail, blocks and points at once, ask for all of it. B batch, C channels, T steps.

Contiguous hidden blocks and tails make a horizon ordinary hidden patches, so that one pass answers any length (TiRex,
arXiv:2505.23719, section 3; Toto 2). Windows of short context come from hiding the beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tsfm.registry import TASKS
from tsfm.tasks import masks
from tsfm.tasks.base import Ratio
from tsfm.tasks.losses import LOSSES
from tsfm.tasks.step_task import StepConfig, StepTask, hide
from tsfm.types import Answer, Batch, Problem

LIMIT = 12.0  # largest arcsinh value of a target: 80,000 scales away


@TASKS("pretrain")
class Pretrain(StepTask):
    """Of each window one of two things: a tail of random length, and sometimes blocks and points before it; or blocks
    and points alone, as in imputation. The loss is taken in arcsinh of scaled units, and a step counts less the
    farther it lies behind the newest visible one, so that neither wild series nor long tails decide it."""

    @dataclass
    class Config(StepConfig):
        loss: str = "pinball"
        units: str = "scaled"
        patch: int = 32  # steps: tails are whole patches
        max_tail_patches: int = 23  # patches of a tail; its length is log-uniform
        impute_rate: float = 0.25  # share of windows with no tail
        block_rate: float = 0.3  # share of windows with a tail that have blocks too
        point_rate: float = 0.1  # share of windows with a tail that have points too
        short_context_rate: float = 0.45  # share of windows whose beginning is not shown
        min_context_length: int = 16  # steps that are shown at least where the beginning is not
        decay_steps: float = 24.0  # steps behind the newest visible one at which a step counts 1 / sqrt(2)
        smoothness_exponent: float = 0.5  # how much more a smooth series counts than a rough one; 0: as much
        arcsinh: bool = True  # arcsinh before the loss

        def __post_init__(self):
            super().__post_init__()
            for name in ("impute_rate", "block_rate", "point_rate", "short_context_rate"):
                if not 0 <= (value := getattr(self, name)) <= 1:
                    raise ValueError(f"task.{name} is {value}; expected a share between 0 and 1")
            for name in ("patch", "max_tail_patches", "min_context_length"):
                if (value := getattr(self, name)) < 1:
                    raise ValueError(f"task.{name} is {value}; it must be at least 1")
            if not 0 <= self.smoothness_exponent < math.inf:
                raise ValueError(
                    f"task.smoothness_exponent is {self.smoothness_exponent}; it is an exponent of at least 0"
                )
            if not self.decay_steps > 0:
                raise ValueError(f"task.decay_steps is {self.decay_steps}; it is a number of steps above 0")

    config: Config

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        num, _, size = batch.values.shape
        device, config = batch.values.device, self.config
        steps = torch.arange(size, device=device)

        def happens(rate: float) -> Tensor:
            return (torch.rand(num, generator=generator, device=device) < rate)[:, None, None]

        imputes = happens(config.impute_rate)
        most = max(1, min(config.max_tail_patches, (size * 5 // 8) // config.patch))
        tails = self._log_uniform(num, 1, most, generator, device=device).long() * config.patch
        tail = steps >= size - tails[:, None, None]
        rate = 0.05 + 0.55 * torch.rand(num, generator=generator, device=device)
        scattered = masks.points(batch.values.shape, rate, generator)
        wide = self._blocks(batch, rate, generator)
        with_blocks, with_points = happens(config.block_rate), happens(config.point_rate)
        either = happens(0.6)  # of imputation: blocks, else points; both where the next happens too
        both = happens(0.3)
        alone = torch.where(either, wide | (scattered & both), scattered | (wide & both))
        hidden = torch.where(imputes, alone, tail | (wide & with_blocks) | (scattered & with_points))
        shown = self._log_uniform(num, config.min_context_length, size, generator, device=device).long()
        begins = torch.where(imputes[:, 0, 0], size - shown, size - tails - shown).clamp_min(0)
        late = happens(config.short_context_rate) & (steps < begins[:, None, None])
        observed = batch.observed & ~late
        enough = (observed & ~hidden).sum(dim=-1, keepdim=True) >= min(config.min_context_length, 4)
        return hide(Batch(batch.values, observed, role=batch.role), hidden, wanted=enough & observed)

    def _blocks(self, batch: Batch, rate: Tensor, generator: torch.Generator | None) -> Tensor:
        """Hidden blocks, of one length for the batch and of another for half of its windows."""
        device, size = rate.device, batch.values.shape[-1]
        lengths = self._log_uniform(2, 2, min(96, size // 4), generator, device=device).long().tolist()
        kinds = [masks.blocks(batch.values.shape, rate, generator, length=length, aligned=False) for length in lengths]
        pick = torch.rand(len(rate), generator=generator, device=device) < 0.5
        return torch.where(pick[:, None, None], *kinds)

    def _log_uniform(
        self, num: int, low: int, high: int, generator: torch.Generator | None, *, device: torch.device
    ) -> Tensor:
        """Numbers in [low, high + 1) whose logarithm is uniform."""
        share = torch.rand(num, generator=generator, device=device)
        return torch.exp(math.log(low) + share * (math.log(high + 1) - math.log(low))).clamp(low, high)

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        weight = self._weight(answer, problem) * self._judged(answer, problem)
        return (self._per_step(answer, problem) * weight).sum() / weight.sum().clamp_min(1e-6)

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """The loss as it is trained."""
        weight = (self._weight(answer, problem) * self._judged(answer, problem)).double()
        return {"loss": Ratio((self._per_step(answer, problem).double() * weight).sum(), weight.sum())}

    def _weight(self, answer: Answer, problem: Problem) -> Tensor:
        """1 / sqrt(1 + steps behind the newest visible one / near), and more where a series moves little from one step
        to the next: (mean absolute difference, in units of the scale) ** -sharp, at most 8."""
        steps = torch.arange(problem.values.shape[-1], device=problem.values.device).expand_as(problem.visible)
        newest = torch.where(problem.visible, steps, -1).cummax(dim=-1).values
        weight = (1 + (steps - newest - 1).clamp_min(0) / self.config.decay_steps).rsqrt()
        if not self.config.smoothness_exponent:
            return weight
        pairs = problem.visible[..., 1:] & problem.visible[..., :-1]
        given = problem.visible_values()
        moves = torch.where(pairs, (given[..., 1:] - given[..., :-1]).abs(), 0.0).sum(dim=-1, keepdim=True)
        moves = moves / pairs.sum(dim=-1, keepdim=True).clamp_min(1) / answer.scale
        return weight * torch.where(moves > 0, moves.clamp_min(1e-6) ** -self.config.smoothness_exponent, 1.0).clamp(
            max=8.0
        )

    def _per_step(self, answer: Answer, problem: Problem) -> Tensor:
        if not self.config.arcsinh:
            return super()._per_step(answer, problem)
        read = torch.where(
            problem.wanted[..., None], (answer.prediction - answer.loc[..., None]) / answer.scale[..., None], 0.0
        )
        target = torch.where(problem.wanted, (problem.values - answer.loc) / answer.scale, 0.0)
        return LOSSES[self.config.loss](read.asinh(), target.asinh().clamp(-LIMIT, LIMIT), answer.quantile_levels)
