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
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
