"""Dilated depthwise convolutions over the patches of each channel, with one MLP for all dilations.

B batch, C channels, P patches, D width, N rows (batch and channels together), L state tokens.

The dilations 1, 2, 4, ... are those of WaveNet (arXiv:1609.03499, section 2.1). Depthwise filters followed by an MLP
over the features are separable convolutions (arXiv:1704.04861, section 3.1), here with SwiGLU. The MLP has the same
weights at all dilations, as in TinyCast (arXiv:2608.15767), so that a small model can have many features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import torch
from einops import rearrange
from torch import Tensor, nn

from tsfm.model.backbone import Backbone
from tsfm.model.mixing import ChannelMixing, MixingConfig
from tsfm.nn.dilated_conv import DilatedConv
from tsfm.nn.dropout import Dropout
from tsfm.nn.mlp import FeedForward
from tsfm.nn.norms import RMSNorm
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@BACKBONES("dilated_conv")
class DilatedConvolutions(Backbone):
    """Residual blocks of growing dilation, causal and streaming, or symmetric.

    Block i has a norm with a scale of each feature, a filter with dilation 2^i and a shift; then follows the shared
    MLP. With short patches the tokens are many and the cost of a token is small.
    """

    @dataclass
    class Config(MixingConfig):
        """Settings of `DilatedConvolutions`; kernel, causality and the shared MLP are TinyCast's."""

        depth: Optional[int] = None  # noqa: UP045  blocks, of dilations 1, 2, ... 2^(depth - 1); None: enough for the window
        kernel: int = 3  # tokens that a filter adds; odd unless causal
        causal: bool = True  # a token depends on earlier ones only; else filters are centred
        hidden: int = 256  # units of the shared MLP
        dropout: float = 0.1

        def __post_init__(self):
            super().__post_init__()
            if self.depth is not None and self.depth < 1:
                raise ValueError(f"backbone.depth is {self.depth}; expected at least 1, or null for the whole window")
            if self.kernel < 2 or not (self.causal or self.kernel % 2):
                raise ValueError(
                    f"backbone.kernel is {self.kernel}; expected at least 2, and an odd number for causal=false"
                )
            if self.hidden < 1:
                raise ValueError(f"backbone.hidden is {self.hidden}; expected at least 1")
            if not 0 <= self.dropout < 1:
                raise ValueError(f"backbone.dropout is {self.dropout}; expected a probability in [0, 1)")

    blocks: Any  # of Block; type checkers do not know what a ModuleList contains

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        depth = config.depth
        if depth is None:
            if grid.patches is None:
                raise ValueError("dilated_conv does not know the number of patches; set backbone.depth")
            depth = covering_depth(grid.patches, kernel=config.kernel, causal=config.causal)
        self.causal = self.streaming = config.causal
        self.blocks = nn.ModuleList(Block(config, width=grid.width, dilation=2**index) for index in range(depth))
        self.feed = FeedForward(grid.width, hidden=config.hidden, gated=True, dropout=config.dropout)
        self.mixing = ChannelMixing(config, depth=depth, width=grid.width)
        self.mixes_channels = self.mixing.any
        self.norm = RMSNorm(grid.width, eps=1e-6)

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the output of every token."""
        y, mask = rearrange(x, "b c p d -> (b c) p d"), rearrange(valid, "b c p -> (b c) p 1")
        if not torch.compiler.is_compiling() and bool(valid.all()):
            mask = None
        for index, block in enumerate(self.blocks):
            y = self.mixing(block(y, mask, feed=self.feed), valid, after=index)
        return rearrange(self.norm(y), "(b c) p d -> b c p d", c=x.shape[1])

    def start(self, *, batch: int, channels: int) -> list[Tensor]:
        """Return for each block the tokens before the first one, zeros."""
        if not self.streaming:
            return super().start(batch=batch, channels=channels)
        return [block.conv.start(batch * channels) for block in self.blocks]

    def step(self, x: Float[Tensor, "B C D"], state: list[Tensor]) -> tuple[Float[Tensor, "B C D"], list[Tensor]]:
        """Return the output of the next token of every channel, and for each block the tokens to remember."""
        if not self.streaming:
            return super().step(x, state)
        batch, channels, _ = x.shape
        valid = torch.ones(batch, channels, 1, dtype=torch.bool, device=x.device)
        y, new_state = rearrange(x, "b c d -> (b c) d"), []
        for index, (block, past) in enumerate(zip(self.blocks, state, strict=True)):
            y, recent = block.step(y, past, feed=self.feed)
            y = self.mixing(y[:, None], valid, after=index)[:, 0]
            new_state.append(recent)
        return rearrange(self.norm(y), "(b c) d -> b c d", b=batch), new_state


class Block(nn.Module):
    """Norm with a scale, filter with a shift, the MLP of all blocks, and a residual connection."""

    def __init__(self, config: DilatedConvolutions.Config, *, width: int, dilation: int):
        super().__init__()
        self.norm = RMSNorm(width, eps=1e-6)
        self.conv = DilatedConv(width, kernel=config.kernel, dilation=dilation, causal=config.causal)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "N P D"], valid: Bool[Tensor, "N P 1"] | None, *, feed: FeedForward
    ) -> Float[Tensor, "N P D"]:
        """Return the outputs; `valid` None means that all tokens are."""
        y = self.norm(x)
        y = self.conv(y if valid is None else torch.where(valid, y, 0.0))
        return x + self.dropout(feed(y))

    def step(
        self, x: Float[Tensor, "N D"], past: Float[Tensor, "N L D"], *, feed: FeedForward
    ) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N L D"]]:
        """Return the output of the next token and the tokens to remember."""
        y, recent = self.conv.step(self.norm(x), past)
        return x + self.dropout(feed(y)), recent


def covering_depth(patches: int, *, kernel: int, causal: bool) -> int:
    """Return the smallest depth with which a token depends on all others; if `causal`, on all earlier ones."""
    taps = kernel - 1 if causal else kernel // 2  # in one direction
    depth = 1
    while taps * (2**depth - 1) < patches - 1:
        depth += 1
    return depth
