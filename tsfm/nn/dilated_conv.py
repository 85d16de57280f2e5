"""Depthwise convolution over tokens with gaps between its taps. N rows, P tokens, D width, K taps, L state tokens."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (the stubs of torch leave the types of some results open)

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

if TYPE_CHECKING:
    from jaxtyping import Float


class DilatedConv(nn.Module):
    """A filter for each feature over `kernel` tokens that are `dilation` apart; tokens outside the window are 0.

    A sum of shifted copies: on a CPU `torch.nn.functional.conv1d` with as many groups as features takes two to four
    times as long.

    Parameters
    ----------
    width
        Features of a token.
    kernel
        Number of tokens that are added; odd unless `causal`.
    dilation
        Tokens from one tap to the next.
    causal
        Whether the taps are the token and earlier ones; else they are centred on the token.
    """

    def __init__(self, width: int, *, kernel: int, dilation: int, causal: bool):
        super().__init__()
        self.dilation, self.causal = dilation, causal
        bound = 1 / math.sqrt(kernel)
        self.weight = nn.Parameter(torch.empty(width, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(width))
        last = 0 if causal else kernel // 2
        self.offsets = tuple(dilation * (tap - kernel + 1 + last) for tap in range(kernel))

    def forward(self, x: Float[Tensor, "N P D"]) -> Float[Tensor, "N P D"]:
        """Return the filtered tokens."""
        if torch.compiler.is_compiling():
            return _padded_sum(x, self.weight, self.bias, self.offsets)
        return _ShiftedSum.apply(x, self.weight, self.bias, self.offsets)

    def start(self, rows: int) -> Float[Tensor, "N L D"]:
        """Return the tokens before the first one of a causal filter, zeros."""
        return self.weight.new_zeros(rows, -self.offsets[0], self.weight.shape[0])

    def step(
        self, x: Float[Tensor, "N D"], past: Float[Tensor, "N L D"]
    ) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N L D"]]:
        """Return the output of the next token of a causal filter, and the tokens that later outputs depend on."""
        window = torch.cat([past, x[:, None].to(past.dtype)], dim=1)
        return (window[:, :: self.dilation] * self.weight.T).sum(dim=1) + self.bias, window[:, 1:]


def _padded_sum(x: Tensor, weight: Tensor, bias: Tensor, offsets: tuple[int, ...]) -> Tensor:
    """Sum the weighted tokens over the taps, padded with zeros on both sides: the definition."""
    tokens, before = x.shape[1], max(0, -offsets[0])
    padded, y = F.pad(x, (0, 0, before, max(0, offsets[-1]))), bias.to(x.dtype)
    for offset, tap in zip(offsets, weight.to(x.dtype).unbind(1), strict=True):
        y = torch.addcmul(y, padded[:, before + offset : before + offset + tokens], tap)
    return y


class _ShiftedSum(torch.autograd.Function):
    """`_padded_sum` in half the time where float32 is trained: no copies for padding, gradients added in place."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, offsets: tuple[int, ...]) -> Tensor:
        y = bias.to(x.dtype).expand_as(x).clone()
        for offset, tap in zip(offsets, weight.to(x.dtype).unbind(1), strict=True):
            outputs, inputs = _overlap(offset, x.shape[1])
            y[:, outputs].addcmul_(x[:, inputs], tap)
        return y

    @staticmethod
    @override
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, tuple[int, ...]], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.offsets = inputs[3]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        grad_x = torch.zeros_like(x)
        grad_taps: list[Tensor] = []
        for offset, tap in zip(ctx.offsets, weight.to(x.dtype).unbind(1), strict=True):
            outputs, inputs = _overlap(offset, x.shape[1])
            grad_x[:, inputs].addcmul_(grad[:, outputs], tap)
            grad_taps.append((grad[:, outputs] * x[:, inputs]).sum(dim=(0, 1), dtype=weight.dtype))
        return grad_x, torch.stack(grad_taps, dim=1), grad.sum(dim=(0, 1), dtype=weight.dtype), None


def _overlap(offset: int, tokens: int) -> tuple[slice, slice]:
    """Return the outputs whose tap at `offset` is inside the window, and these taps."""
    first, stop = max(0, -offset), min(tokens, tokens - offset)
    return (slice(first, stop), slice(first + offset, stop + offset)) if stop > first else (slice(0, 0), slice(0, 0))
