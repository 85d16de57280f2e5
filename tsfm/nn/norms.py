"""Norms over the last axis, by name. N rows (batch and channels together), P patches, D width."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of torch leave the types of some results open)

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

NORMS = ("batch", "layer", "rms")


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm of each feature over all rows and tokens, as PatchTST uses it (arXiv:2211.14730, section 3.1)."""

    def forward(self, input: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Return the normalised features."""
        return super().forward(input.reshape(-1, input.shape[-1])).reshape(input.shape)


class RMSNorm(nn.RMSNorm):
    """`torch.nn.RMSNorm` with the gain converted to the type of the input.

    Under autocast the two types differ, and torch then takes a slow path and warns at every start. On a CPU without
    gradients, where torch has no kernel, this takes half the time.
    """

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Return the normalised features."""
        gain = self.weight.to(x.dtype)
        if x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return F.rms_norm(x, self.normalized_shape, gain, self.eps)
        wide = x.float() if x.dtype == torch.bfloat16 else x
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        unit = norm.square_().div_(x.shape[-1]).add_(self.eps or 0.0).rsqrt_()
        return torch.mul(wide, unit).mul_(gain).to(x.dtype)


def make_norm(name: str, width: int) -> nn.Module:
    """Return the norm called `name`: batch, layer or rms.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name == "batch":
        return TokenBatchNorm(width)
    if name == "layer":
        return nn.LayerNorm(width)
    if name == "rms":
        return RMSNorm(width, eps=1e-6)
    raise ValueError(f"unknown norm {name!r}; known: {', '.join(NORMS)}")
