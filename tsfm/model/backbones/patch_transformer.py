"""Transformer over the patches of each channel (PatchTST, arXiv:2211.14730).

B batch, C channels, P patches, D width, M packed tokens, R returned ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

from tsfm.model.backbone import Backbone
from tsfm.model.mixing import ChannelMixing, MixingConfig
from tsfm.nn.attention import ALL, key_mask
from tsfm.nn.dropout import Dropout
from tsfm.nn.encoder import EncoderBlock, EncoderConfig
from tsfm.nn.norms import make_norm
from tsfm.nn.packing import Packing
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

POSITIONS = ("learned", "rotary", "none")


@BACKBONES("patch_transformer")
class PatchTransformer(Backbone):
    """Channel-independent encoder; the defaults are PatchTST's (arXiv:2211.14730, appendix A.1.4).

    A departure: no residual attention scores (RealFormer), which the reference code adds and the paper does not
    mention; scaled_dot_product_attention does not support them.
    """

    @dataclass
    class Config(EncoderConfig, MixingConfig):
        """Settings of `PatchTransformer`."""

        positions: str = "learned"  # learned | rotary | none
        causal: bool = False

        def __post_init__(self):
            EncoderConfig.__post_init__(self)
            MixingConfig.__post_init__(self)
            if self.positions not in POSITIONS:
                raise ValueError(f"backbone.positions is {self.positions!r}; known: {', '.join(POSITIONS)}")

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        self.causal = config.causal
        self.fixed_length = config.positions == "learned"
        if self.fixed_length:
            if grid.patches is None:
                raise ValueError("learned positions need a fixed number of patches; use backbone.positions=rotary")
            self.positions = nn.Parameter(torch.empty(grid.patches, grid.width).uniform_(-0.02, 0.02))
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            EncoderBlock(config, width=grid.width, rotary=config.positions == "rotary", causal=config.causal)
            for _ in range(config.depth)
        )
        self.mixing = ChannelMixing(config, depth=config.depth, width=grid.width)
        self.mixes_channels = self.mixing.any
        self.norm = make_norm(config.norm, grid.width) if config.pre_norm else nn.Identity()

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the output of every token."""
        return self._mix(x, valid, queries=ALL)

    def tail(self, x: Tensor, valid: Tensor, *, last: int) -> Tensor:
        """Return the last tokens; the last block computes them alone."""
        return super().tail(x, valid, last=last) if self.causal else self._mix(x, valid, queries=slice(-last, None))

    def packed(self, x: Float[Tensor, "M D"], valid: Bool[Tensor, "B C P"], packing: Packing) -> Float[Tensor, "R D"]:
        """Return the outputs of the returned tokens; everything but the attention skips the other tokens."""
        if self.mixes_channels:
            return super().packed(x, valid, packing)
        mask = key_mask(rearrange(valid, "b c p -> (b c) p"), causal=self.causal)
        if self.fixed_length:
            x = x + self.positions[packing.positions]
        y = self.dropout(x)
        for index, block in enumerate(self.blocks):
            y = block(y, mask, packing=packing if index == len(self.blocks) - 1 else packing.return_all())
        return self.norm(y)

    def _mix(self, x: Tensor, valid: Tensor, *, queries: slice) -> Tensor:
        batch = x.shape[0]
        mask = key_mask(rearrange(valid, "b c p -> (b c) p"), causal=self.causal)
        y = rearrange(x, "b c p d -> (b c) p d")
        if self.fixed_length:
            y = y + self.positions
        y = self.dropout(y)
        for index, block in enumerate(self.blocks):
            tokens = queries if index == len(self.blocks) - 1 else ALL
            y = self.mixing(block(y, mask, queries=tokens), valid[..., tokens], after=index)
        return rearrange(self.norm(y), "(b c) p d -> b c p d", b=batch)
