"""Heads that correct a flattened forecast by what it says elsewhere: in the other channels, or of whole patches.

They are the online reconciliation heads of PatchTSMixer (arXiv:2306.09364, section 3) and stand on any backbone.
B batch, C channels, P patches, D width, H horizon, Q quantile levels, S steps and G patches of the horizon. Each level
is reconciled like the others.
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
    """To each step is added a gated linear map of what the forecast says of all channels in the steps around it.

    The paper's gate: a softmax over (channel, step) pairs of a linear map of them. Beyond the ends stand zeros, the
    level of the window in scaled units. The number and the order of the channels are fixed.
    """

    @dataclass
    class Config(FlattenHead.Config):
        neighbour_steps: int = 1  # steps before and after each step that are looked at

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
        read = self.flatten(hidden, valid)
        padded = F.pad(read, (0, 0, self.neighbour_steps, self.neighbour_steps))
        near = rearrange(padded.unfold(2, 2 * self.neighbour_steps + 1, 1), "b c h q around -> b h q (c around)")
        near = near * self.gate(near).softmax(dim=-1)
        return read + rearrange(self.mix(near), "b h q c -> b c h q")


@HEADS("hierarchy")
class HierarchyHead(Head):
    """Forecasts the mean of each patch of the horizon too, and corrects the steps of the patch by a residual MLP that
    sees both; then moves them so that their mean is the forecast mean.

    The paper ties the two levels by two more terms of the loss. Here they agree exactly, and a squared error is the
    squared error of the means plus that of the deviations from them, so the one loss of a task trains both levels.
    """

    @dataclass
    class Config(FlattenHead.Config):
        horizon_patch: int = (
            0  # steps of a patch of the horizon; 0: the longest divisor of it up to model.patch, or all of it
        )
        hidden: int = 64  # units of the MLP

        def __post_init__(self):
            super().__post_init__()
            if self.horizon_patch < 0 or self.horizon_patch == 1:
                raise ValueError(
                    f"head.horizon_patch is {self.horizon_patch}; expected at least 2 steps, or 0 for the default"
                )
            if self.hidden < 1:
                raise ValueError(f"head.hidden is {self.hidden}; an MLP needs at least 1 unit")

    reads_window = False

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        super().__init__()
        if horizon < 2:
            raise ValueError("the hierarchy head takes means over the horizon, which has 1 step; use head=flatten")
        spans = [steps for steps in range(2, horizon + 1) if horizon % steps == 0]
        if config.horizon_patch and config.horizon_patch not in spans:
            raise ValueError(
                f"head.horizon_patch {config.horizon_patch} does not divide the horizon {horizon}; use one of {spans}"
            )
        self.quantile_levels = tuple(config.quantile_levels)
        self.horizon_patch = config.horizon_patch or max(
            (steps for steps in spans if steps <= grid.patch), default=horizon
        )
        self.steps = FlattenHead(config, grid=grid, horizon=horizon)
        self.means = FlattenHead(config, grid=grid, horizon=horizon // self.horizon_patch)
        self.up = nn.Linear(self.horizon_patch + 1, config.hidden)
        self.down = nn.Linear(config.hidden, self.horizon_patch)

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C H Q"]:
        steps = rearrange(self.steps(hidden, valid), "b c (g s) q -> b c g q s", s=self.horizon_patch)
        means: Float[Tensor, "B C G Q 1"] = self.means(hidden, valid).unsqueeze(-1)
        steps = steps + self.down(F.gelu(self.up(torch.cat([steps, means], dim=-1))))
        steps = steps - steps.mean(dim=-1, keepdim=True) + means
        return rearrange(steps, "b c g q s -> b c (g s) q")
