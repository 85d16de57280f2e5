"""Heads that correct the forecast of the flatten head by that of other channels, or of whole patches.

They are the online reconciliation heads of PatchTSMixer (arXiv:2306.09364, section 3), for any backbone. All quantile
levels are reconciled alike. B batch, C channels, P patches, D width, H horizon, Q quantile levels, S steps and G
patches of the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.model.heads import FlattenHead, Head
from tsfm.registry import HEADS
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@HEADS("cross_channel")
class CrossChannelHead(Head):
    """Adds to each step a gated linear map of the forecasts of all channels in the steps around it.

    The gate is the paper's: a softmax over pairs of channel and step of a linear map of them. Steps beyond the ends are
    zero, the location of the window in scaled units. The number and the order of the channels are fixed.
    """

    @dataclass
    class Config(FlattenHead.Config):
        """Settings of `CrossChannelHead`."""

        neighbour_steps: int = 1  # steps before and after each step that are read

        def __post_init__(self):
            super().__post_init__()
            if self.neighbour_steps < 0:
                raise ValueError(
                    f"head.neighbour_steps is {self.neighbour_steps}; expected the number of steps on either side, "
                    "0 or more"
                )

    reads_window = False
    mixes_channels = True

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        super().__init__()
        if grid.channels is None:
            raise ValueError("the cross_channel head needs a fixed number of channels; set model.channels")
        self.quantile_levels = tuple(config.quantile_levels)
        self.neighbour_steps = config.neighbour_steps
        self.flatten = FlattenHead(config, grid=grid, horizon=horizon)
        inputs = grid.channels * (2 * config.neighbour_steps + 1)
        self.gate = nn.Linear(inputs, inputs)
        self.mix = nn.Linear(inputs, grid.channels)

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C H Q"]:
        """Return the corrected quantiles of the horizon."""
        quantiles = self.flatten(hidden, valid)
        padded = F.pad(quantiles, (0, 0, self.neighbour_steps, self.neighbour_steps))
        near = rearrange(padded.unfold(2, 2 * self.neighbour_steps + 1, 1), "b c h q steps -> b h q (c steps)")
        near = near * self.gate(near).softmax(dim=-1)
        return quantiles + rearrange(self.mix(near), "b h q c -> b c h q")


@HEADS("hierarchy")
class HierarchyHead(Head):
    """Also forecasts the mean of each patch of the horizon, and corrects the steps of the patch.

    A residual MLP of both corrects the steps, which are then shifted so that their mean is the forecast mean. The paper
    connects steps and means by two more terms of the loss. Here they agree exactly, and a squared error is that of the
    means plus that of the deviations from them, so the loss of the task trains both.
    """

    @dataclass
    class Config(FlattenHead.Config):
        """Settings of `HierarchyHead`."""

        horizon_patch: int = 0  # steps; 0: the largest divisor of the horizon up to model.patch, or the whole horizon
        hidden: int = 64  # units of the MLP

        def __post_init__(self):
            super().__post_init__()
            if self.horizon_patch < 0 or self.horizon_patch == 1:
                raise ValueError(
                    f"head.horizon_patch is {self.horizon_patch}; expected at least 2 steps, or 0 for the default"
                )
            if self.hidden < 1:
                raise ValueError(f"head.hidden is {self.hidden}; expected at least 1 unit")

    reads_window = False

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        super().__init__()
        if horizon < 2:
            raise ValueError("the hierarchy head needs a horizon of at least 2 steps; use head=flatten")
        divisors = [steps for steps in range(2, horizon + 1) if horizon % steps == 0]
        if config.horizon_patch and config.horizon_patch not in divisors:
            raise ValueError(
                f"head.horizon_patch {config.horizon_patch} does not divide the horizon {horizon}; use one of "
                f"{divisors}"
            )
        self.quantile_levels = tuple(config.quantile_levels)
        self.horizon_patch = config.horizon_patch or max(
            (steps for steps in divisors if steps <= grid.patch), default=horizon
        )
        self.steps = FlattenHead(config, grid=grid, horizon=horizon)
        self.means = FlattenHead(config, grid=grid, horizon=horizon // self.horizon_patch)
        self.up = nn.Linear(self.horizon_patch + 1, config.hidden)
        self.down = nn.Linear(config.hidden, self.horizon_patch)

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C H Q"]:
        """Return the corrected quantiles of the horizon."""
        steps = rearrange(self.steps(hidden, valid), "b c (g s) q -> b c g q s", s=self.horizon_patch)
        means: Float[Tensor, "B C G Q 1"] = self.means(hidden, valid).unsqueeze(-1)
        steps = steps + self.down(F.gelu(self.up(torch.cat([steps, means], dim=-1))))
        steps = steps - steps.mean(dim=-1, keepdim=True) + means
        return rearrange(steps, "b c g q s -> b c (g s) q")
