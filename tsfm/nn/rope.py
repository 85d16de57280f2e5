"""Rotary positions (RoFormer, arXiv:2104.09864, eq. 34). N rows, P tokens, K head width (even)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def rotate(x: Float[Tensor, "... P K"], *, base: float = 10_000.0) -> Float[Tensor, "... P K"]:
    """Turn the pairs (x[i], x[i + K/2]) of token p by the angle p * base^(-2i/K); relative positions remain."""
    return turn(x, *angles(x, base=base))


def angles(x: Float[Tensor, "... P K"], *, base: float = 10_000.0) -> tuple[Float[Tensor, "P K"], Float[Tensor, "P K"]]:
    """Cosine and signed sine of every token and feature, for all that has the shape and type of x."""
    tokens, width = x.shape[-2:]
    half = width // 2
    # float32: in bf16 the angle of token 1000 is off by more than a radian
    speed = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(tokens, device=x.device, dtype=torch.float32)[:, None] * speed
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], dim=-1).to(x.dtype), torch.cat([-sin, sin], dim=-1).to(x.dtype)


def turn(x: Float[Tensor, "... P K"], cos: Float[Tensor, "P K"], sin: Float[Tensor, "P K"]) -> Float[Tensor, "... P K"]:
    half = x.shape[-1] // 2
    other = torch.cat([x[..., half:], x[..., :half]], dim=-1)
    return torch.addcmul(other * sin, x, cos)  # on a CPU half the time of four products of halves
