"""Transformer over the patches of each channel (PatchTST, arXiv:2211.14730).

B batch, C channels, P patches, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

from tsfm.model.backbone import Backbone
from tsfm.nn.attention import Attention, key_mask
from tsfm.nn.dropout import Dropout
from tsfm.nn.mlp import FeedForward
from tsfm.nn.norms import NORMS, make_norm
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

POSITIONS = ("learned", "rotary", "none")


@BACKBONES("patch_transformer")
class PatchTransformer(Backbone):
    """Channel-independent encoder; the defaults are PatchTST's (arXiv:2211.14730, appendix A.1.4).

    A departure: no residual attention scores (RealFormer), which the reference code adds and the paper does not
    name; scaled_dot_product_attention has no place for them.
    """

    @dataclass
    class Config:
        depth: int = 3  # blocks
        heads: int = 16
        hidden: int = 256  # units of the feed-forward layer
        norm: str = "batch"  # batch | layer | rms
        pre_norm: bool = False  # normalise before each sub-layer instead of after it
        positions: str = "learned"  # learned | rotary | none
        gated: bool = False  # SwiGLU instead of GELU
        qk_norm: bool = False
        causal: bool = False
        dropout: float = 0.2
        attention_dropout: float = 0.0

        def __post_init__(self):
            for name in ("depth", "heads", "hidden"):
                if getattr(self, name) < 1:
                    raise ValueError(f"backbone.{name} is {getattr(self, name)}; a transformer needs at least 1")
            if self.norm not in NORMS:
                raise ValueError(f"backbone.norm is {self.norm!r}; known: {', '.join(NORMS)}")
            if self.positions not in POSITIONS:
                raise ValueError(f"backbone.positions is {self.positions!r}; known: {', '.join(POSITIONS)}")
            for name in ("dropout", "attention_dropout"):
                if not 0 <= getattr(self, name) < 1:
                    raise ValueError(f"backbone.{name} is {getattr(self, name)}; it is a probability in [0, 1)")

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        self.causal = config.causal
        self.fixed_length = config.positions == "learned"
        if self.fixed_length:
            if grid.patches is None:
                raise ValueError("learned positions need a fixed number of patches; use backbone.positions=rotary")
            self.positions = nn.Parameter(torch.empty(grid.patches, grid.width).uniform_(-0.02, 0.02))
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, width=grid.width) for _ in range(config.depth))
        self.norm = make_norm(config.norm, grid.width) if config.pre_norm else nn.Identity()

    def forward(self, x: Float[Tensor, "B C P D"], seen: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        batch = x.shape[0]
        mask = key_mask(rearrange(seen, "b c p -> (b c) p"), causal=self.causal)
        y = rearrange(x, "b c p d -> (b c) p d")
        if self.fixed_length:
            y = y + self.positions
        y = self.dropout(y)
        for block in self.blocks:
            y = block(y, mask)
        return rearrange(self.norm(y), "(b c) p d -> b c p d", b=batch)


class Block(nn.Module):
    """Attention over patches, then a feed-forward layer over features, each with a residual and a norm."""

    def __init__(self, config: PatchTransformer.Config, *, width: int):
        super().__init__()
        self.pre_norm = config.pre_norm
        self.attention = Attention(
            width,
            heads=config.heads,
            rotary=config.positions == "rotary",
            qk_norm=config.qk_norm,
            causal=config.causal,
            dropout=config.attention_dropout,
        )
        self.feed = FeedForward(width, hidden=config.hidden, gated=config.gated, dropout=config.dropout)
        self.norm_attention = make_norm(config.norm, width)
        self.norm_feed = make_norm(config.norm, width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "N P D"], mask: Tensor | None) -> Float[Tensor, "N P D"]:
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.norm_attention(x), mask))
            return x + self.dropout(self.feed(self.norm_feed(x)))
        x = self.norm_attention(x + self.dropout(self.attention(x, mask)))
        return self.norm_feed(x + self.dropout(self.feed(x)))
