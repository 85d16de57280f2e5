"""Norms over the last axis, by name. N rows (batch and channels together), P patches, D width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

NORMS = ("batch", "layer", "rms")


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm of each feature over all rows and tokens, as PatchTST uses it (arXiv:2211.14730, section 3.1)."""

    def forward(self, input: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        return super().forward(input.reshape(-1, input.shape[-1])).reshape(input.shape)


def make_norm(name: str, width: int) -> nn.Module:
    if name == "batch":
        return TokenBatchNorm(width)
    if name == "layer":
        return nn.LayerNorm(width)
    if name == "rms":
        return nn.RMSNorm(width, eps=1e-6)
    raise ValueError(f"unknown norm {name!r}; known: {', '.join(NORMS)}")
