"""A gated skip connection from the last visible value and the seasonal lags to the prediction.

B batch, C channels, T steps, W >= T steps of the line, P patches, D width, Q quantile levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

from tsfm.model.season_search import PER_LAG, Copies, num_steps

if TYPE_CHECKING:
    from jaxtyping import Float


class SeasonalSkip(nn.Module):
    """The road around the network: each step's answer begins at the line between visible neighbours (the last value),
    moved towards the copies by shares that its token chooses, and what the head adds is in units between the channel's
    own and the window's. Shares of differences, so that a level far from zero adds no error of its own."""

    def __init__(self, *, width: int, patch: int, lags: int):
        super().__init__()
        self.bases = num_steps(lags)
        self.gates = nn.Linear(width, patch * (self.bases + 1))
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        share = torch.full((self.bases,), 0.6 / (PER_LAG * lags))
        share[-1] = 0.0
        self.start = nn.Parameter(share)

    def forward(
        self,
        read: Float[Tensor, "B C T Q"],
        hidden: Float[Tensor, "B C P D"],
        *,
        line: Float[Tensor, "B C W"],
        copies: Copies,
    ) -> Float[Tensor, "B C T Q"]:
        line = line[..., -read.shape[-2] :]
        away = copies.bases[..., -read.shape[-2] :, :] - line[..., None]
        gates = rearrange(self.gates(hidden).float(), "b c p (s f) -> b c (p s) f", f=self.bases + 1)
        gates = gates[..., -read.shape[-2] :, :]
        start = line + ((gates[..., :-1] + self.start) * away).sum(dim=-1)
        unit = copies.unit[..., None] ** gates[..., -1:].sigmoid()
        return start[..., None] + unit * read
