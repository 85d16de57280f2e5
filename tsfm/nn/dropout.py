"""Dropout that is fast on a CPU."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of torch leave the types of some results open)

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

BITS = 16  # of a random number for each element


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, faster on a CPU.

    There, torch draws one number per element on one thread, which took a third of a training step of a small
    transformer. Here four elements share a random 64-bit number, and the rate is rounded to a multiple of 2^-16.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the input with elements set to zero in training, the others scaled by 1 / (1 - p)."""
        if not self.training or self.p == 0.0:
            return input
        if input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        num_dropped = round(self.p * 2**BITS)  # of the 2^16 numbers that an element may draw
        if num_dropped == 2**BITS:
            return torch.zeros_like(input)
        numbers = torch.empty(-(-input.numel() * BITS // 64), dtype=torch.int64).random_(-(2**63), None)
        draws = numbers.view(torch.int16)[: input.numel()].view(input.shape)
        keep = draws.ge_(num_dropped - 2 ** (BITS - 1))  # in place: int16 converts to float 8 x faster than bool does
        return _Keep.apply(input, keep, 2**BITS / (2**BITS - num_dropped))


class _Keep(torch.autograd.Function):
    """input * keep * scale, saving the 2 bytes of keep per element instead of keep * scale in float."""

    @staticmethod
    def forward(input: Tensor, keep: Tensor, scale: float) -> Tensor:
        return keep.to(input.dtype).mul_(scale).mul_(input)

    @staticmethod
    @override
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.scale = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (keep,) = ctx.saved_tensors
        return _Keep.apply(grad, keep, ctx.scale), None, None
