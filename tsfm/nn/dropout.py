"""Dropout that does not stall a CPU."""

from __future__ import annotations

from typing import Any

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
        keep = draws.ge_(dropped - 2 ** (BITS - 1))  # in place: int16 converts to float 8 x faster than bool does
        return _Keep.apply(input, keep, 2**BITS / (2**BITS - dropped))


class _Keep(torch.autograd.Function):
    """input * keep * scale, which remembers the 2 bytes of keep per element, not their product with scale in float."""

    @staticmethod
    def forward(input: Tensor, keep: Tensor, scale: float) -> Tensor:
        return keep.to(input.dtype).mul_(scale).mul_(input)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.scale = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return _Keep.apply(grad, keep, ctx.scale), None, None
