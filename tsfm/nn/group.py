"""Attention across the channels of one item, patch by patch. B batch, C channels, P patches, D width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einops import rearrange
from torch import Tensor, nn

from tsfm.nn.attention import Attention, key_mask

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class GroupAttention(nn.Module):
    """Chronos-2's group attention (arXiv:2510.15821, section 3): tokens of the same patch of one item attend to each
    other, so that series of a group inform one another. No positions: the order of the channels can't matter, and
    their number is free."""

    def __init__(self, width: int, *, heads: int, dropout: float = 0.0):
        super().__init__()
        self.attention = Attention(width, heads=heads, rotary=False, qk_norm=False, causal=False, dropout=dropout)

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        mask = key_mask(rearrange(valid, "b c p -> (b p) c"), causal=False)
        y = self.attention(rearrange(x, "b c p d -> (b p) c d"), mask)
        return rearrange(y, "(b p) c d -> b c p d", b=x.shape[0])
