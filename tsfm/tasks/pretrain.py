"""Pre-training: the last steps, blocks and points are hidden and predicted. B batch, C channels, T steps.

With contiguous hidden steps, a horizon consists of ordinary hidden patches, so that one pass predicts any length
(TiRex, arXiv:2505.23719, section 3; Toto 2). Short contexts are made by hiding the beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tsfm.registry import TASKS
from tsfm.tasks import masks
from tsfm.tasks.base import Ratio
from tsfm.tasks.losses import LOSSES
from tsfm.tasks.step_task import StepConfig, StepTask, hide_steps
from tsfm.types import NO_TIMESTAMP, Answer, Batch, Problem

MAX_ARCSINH = 12.0  # of a target in the loss: 80,000 scales


@TASKS("pretrain")
class Pretrain(StepTask):
    """Of each window either a tail of random length is hidden, and sometimes blocks and points before it; or only
    blocks and points, as in imputation.

    The loss is computed on arcsinh of scaled values, and the weight of a step decreases with its distance from the last
    visible step before it, so that neither extreme series nor long tails dominate.
    """

    @dataclass
    class Config(StepConfig):
        """Settings of `Pretrain`."""

        loss: str = "pinball"
        units: str = "scaled"
        patch: int = 32  # steps: tails are whole patches
        max_tail_patches: int = 23  # largest number of patches in a tail; it is log-uniform
        impute_rate: float = 0.25  # share of windows without a tail
        block_rate: float = 0.3  # share of windows with a tail that also have blocks
        point_rate: float = 0.1  # share of windows with a tail that also have points
        short_context_rate: float = 0.45  # share of windows with a hidden beginning
        min_context_length: int = 16  # smallest number of visible steps after a hidden beginning
        decay_steps: float = 24.0  # steps after the last visible one at which the weight is 1 / sqrt(2)
        smoothness_exponent: float = 0.5  # larger: more weight for smooth series than for rough ones; 0: the same
        season_drop_rate: float = 0.3  # share of windows whose known seasons are left out
        timestamp_drop_rate: float = 0.4  # share of windows whose timestamps are left out
        arcsinh: bool = True  # apply arcsinh to scaled values before the loss

        def __post_init__(self):
            super().__post_init__()
            for name in (
                "impute_rate",
                "block_rate",
                "point_rate",
                "short_context_rate",
                "season_drop_rate",
                "timestamp_drop_rate",
            ):
                if not 0 <= (value := getattr(self, name)) <= 1:
                    raise ValueError(f"task.{name} is {value}; expected a share between 0 and 1")
            for name in ("patch", "max_tail_patches", "min_context_length"):
                if (value := getattr(self, name)) < 1:
                    raise ValueError(f"task.{name} is {value}; it must be at least 1")
            if not 0 <= self.smoothness_exponent < math.inf:
                raise ValueError(
                    f"task.smoothness_exponent is {self.smoothness_exponent}; expected an exponent of at least 0"
                )
            if not self.decay_steps > 0:
                raise ValueError(f"task.decay_steps is {self.decay_steps}; expected a number of steps above 0")

    config: Config  # pyright: ignore[reportIncompatibleVariableOverride]  (the settings of this task)
    hides_inner_steps = True
    usage = (
        "model.predict_df(df, prediction_length=24)",
        "model.impute_df(df)",
        "model.detect_df(df, level=0.99)",
        "model.embed_df(df)",
    )

    def pose(self, batch: Batch, generator: torch.Generator | None = None) -> Problem:
        """Return the problem; channels with fewer visible steps than `min_context_length`, or 4, are not wanted."""
        num, _, size = batch.values.shape
        device, config = batch.values.device, self.config
        steps = torch.arange(size, device=device)

        def draw(rate: float) -> Tensor:
            return (torch.rand(num, generator=generator, device=device) < rate)[:, None, None]

        is_imputation = draw(config.impute_rate)
        max_patches = max(1, min(config.max_tail_patches, (size * 5 // 8) // config.patch))
        tails = self._log_uniform(num, 1, max_patches, generator, device=device).long() * config.patch
        tail = steps >= size - tails[:, None, None]
        rate = 0.05 + 0.55 * torch.rand(num, generator=generator, device=device)
        points = masks.points(batch.values.shape, rate, generator)
        blocks = self._blocks(batch, rate, generator)
        with_blocks, with_points = draw(config.block_rate), draw(config.point_rate)
        mostly_blocks = draw(0.6)  # of imputation: blocks, else points
        with_both = draw(0.3)
        imputation = torch.where(mostly_blocks, blocks | (points & with_both), points | (blocks & with_both))
        hidden = torch.where(is_imputation, imputation, tail | (blocks & with_blocks) | (points & with_points))
        context_length = self._log_uniform(num, config.min_context_length, size, generator, device=device).long()
        end = torch.where(is_imputation[:, 0, 0], size, size - tails)
        first = (end - context_length).clamp_min(0)
        is_cut = draw(config.short_context_rate) & (steps < first[:, None, None])
        observed = batch.observed & ~is_cut
        is_enough = (observed & ~hidden).sum(dim=-1, keepdim=True) >= min(config.min_context_length, 4)
        seasons, timestamps = self._known_seasons(batch, generator), self._known_timestamps(batch, generator)
        visible_part = replace(batch, observed=observed, seasons=seasons, timestamps=timestamps)
        return hide_steps(visible_part, hidden, wanted=is_enough & observed)

    def _known_seasons(self, batch: Batch, generator: torch.Generator | None) -> Tensor | None:
        """Return the seasons of the batch, left out at random: a model must work without them."""
        if batch.seasons is None or not self.config.season_drop_rate:
            return batch.seasons
        kept = torch.rand(len(batch.seasons), 1, generator=generator, device=batch.seasons.device)
        return torch.where(kept >= self.config.season_drop_rate, batch.seasons, 0)

    def _known_timestamps(self, batch: Batch, generator: torch.Generator | None) -> Tensor | None:
        """Return the timestamps of the batch, left out at random for whole windows."""
        if batch.timestamps is None or not self.config.timestamp_drop_rate:
            return batch.timestamps
        kept = torch.rand(len(batch.timestamps), 1, generator=generator, device=batch.timestamps.device)
        return torch.where(kept >= self.config.timestamp_drop_rate, batch.timestamps, NO_TIMESTAMP)

    def _blocks(self, batch: Batch, rate: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return blocks of two random lengths, each for about half of the windows."""
        device, size = rate.device, batch.values.shape[-1]
        lengths = self._log_uniform(2, 2, min(96, size // 4), generator, device=device).long()
        kinds = [
            masks.blocks(batch.values.shape, rate, generator, length=int(length), aligned=False) for length in lengths
        ]
        is_first = torch.rand(len(rate), generator=generator, device=device) < 0.5
        return torch.where(is_first[:, None, None], kinds[0], kinds[1])

    def _log_uniform(
        self, num: int, low: int, high: int, generator: torch.Generator | None, *, device: torch.device
    ) -> Tensor:
        """Return random numbers between low and high with a uniform logarithm."""
        uniform = torch.rand(num, generator=generator, device=device)
        return torch.exp(math.log(low) + uniform * (math.log(high + 1) - math.log(low))).clamp(low, high)

    def loss(self, answer: Answer, problem: Problem) -> Tensor:
        """Return the weighted mean of the step losses."""
        weight = self.step_weights(answer, problem)
        problem = problem.predicted_by(answer)
        weight = weight * self.loss_mask(answer, problem)
        return (self.step_loss(answer, problem) * weight).sum() / weight.sum().clamp_min(1e-6)

    def report(self, answer: Answer, problem: Problem) -> dict[str, Ratio]:
        """Return the training loss."""
        weight = self.step_weights(answer, problem).double()
        problem = problem.predicted_by(answer)
        weight = weight * self.loss_mask(answer, problem)
        return {"loss": Ratio((self.step_loss(answer, problem).double() * weight).sum(), weight.sum())}

    def step_weights(self, answer: Answer, problem: Problem) -> Tensor:
        """Return the weight of each step in the loss, in the shape of the prediction, `[batch, channels, time]`.

        It is 1 / sqrt(1 + d / `decay_steps`), where d counts the hidden steps since the last visible one, times the
        mean absolute difference of neighbouring steps, in units of the scale, to the power of -`smoothness_exponent`
        (at most 8).
        """
        steps = torch.arange(problem.values.shape[-1], device=problem.values.device).expand_as(problem.visible)
        last_visible = torch.where(problem.visible, steps, -1).cummax(dim=-1).values
        num_hidden = (steps - last_visible - 1).clamp_min(0)
        patches = answer.patches
        weight = (1 + (num_hidden if patches is None else patches.cut(num_hidden)) / self.config.decay_steps).rsqrt()
        if not self.config.smoothness_exponent:
            return weight
        pairs = problem.visible[..., 1:] & problem.visible[..., :-1]
        values = problem.visible_values()
        change = torch.where(pairs, (values[..., 1:] - values[..., :-1]).abs(), 0.0).sum(dim=-1, keepdim=True)
        change = change / pairs.sum(dim=-1, keepdim=True).clamp_min(1)
        change = (change if patches is None else patches.of_channels(change)) / answer.scale
        factor = change.clamp_min(1e-6) ** -self.config.smoothness_exponent
        return weight * torch.where(change > 0, factor, 1.0).clamp(max=8.0)

    def step_loss(self, answer: Answer, problem: Problem) -> Tensor:
        """Return the loss of each step, on arcsinh of scaled values."""
        if not self.config.arcsinh:
            return super().step_loss(answer, problem)
        prediction = torch.where(
            problem.wanted[..., None], (answer.prediction - answer.loc[..., None]) / answer.scale[..., None], 0.0
        )
        target = torch.where(problem.wanted, (problem.values - answer.loc) / answer.scale, 0.0)
        return LOSSES[self.config.loss](
            prediction.asinh(), target.asinh().clamp(-MAX_ARCSINH, MAX_ARCSINH), answer.quantile_levels
        )
