"""Dropout that does not stall a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BITS = 16


class Dropout(nn.Dropout):
    """The same as nn.Dropout. On a CPU, torch draws one number per element on one thread, which took a third of a
    training step of a small transformer; four elements share one 64-bit number here, at a rate rounded to 2^-16."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return input
        if input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        dropped = round(self.p * 2**BITS)
        if dropped == 2**BITS:
            return torch.zeros_like(input)
        words = torch.empty(-(-input.numel() * BITS // 64), dtype=torch.int64).random_(-(2**63), None)
        draws = words.view(torch.int16)[: input.numel()].view(input.shape)
        keep = (draws >= dropped - 2 ** (BITS - 1)).to(input.dtype)
        return input * keep.mul_(2**BITS / (2**BITS - dropped))
