"""Rotary positions (RoFormer, arXiv:2104.09864, eq. 34). N rows, P tokens, K head width (even)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def rotate(x: Float[Tensor, "... P K"], *, base: float = 10_000.0) -> Float[Tensor, "... P K"]:
    """Turn the pairs (x[i], x[i + K/2]) of token p by the angle p * base^(-2i/K); relative positions remain."""
    tokens, width = x.shape[-2:]
    half = width // 2
    # float32: in bf16 the angle of token 1000 is off by more than a radian
    speed = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(tokens, device=x.device, dtype=torch.float32)[:, None] * speed
    cos = torch.cat([angle.cos(), angle.cos()], dim=-1).to(x.dtype)
    sin = torch.cat([-angle.sin(), angle.sin()], dim=-1).to(x.dtype)
    other = torch.cat([x[..., half:], x[..., :half]], dim=-1)
    return torch.addcmul(other * sin, x, cos)  # on a CPU half the time of four products of halves
