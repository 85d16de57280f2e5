"""Attention across channels, which any backbone over time can add.

B batch, C channels, P patches, D width, N rows of R tokens.

It is all that covariates need: a covariate known in the future is a channel whose last steps stay visible, a past one
is a channel whose last steps are hidden, and neither is to be predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from einops import rearrange
from torch import Tensor, nn

from tsfm.nn.attention import Attention, key_mask
from tsfm.nn.norms import RMSNorm

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass
class MixingConfig:
    """Settings that a backbone's Config inherits."""

    mix_every: int = 0  # attention across channels after every k-th block; 0: channels are independent
    mix_heads: int = 4
    mix_zero_init: bool = False  # the output of these layers starts at 0: the network starts as if it had none
    mix_single: bool = True  # whether windows of one channel pass these layers too; false: they skip them

    def __post_init__(self):
        if self.mix_every < 0:
            raise ValueError(
                f"backbone.mix_every is {self.mix_every}; expected a number of blocks, or 0 for independent channels"
            )
        if self.mix_heads < 1:
            raise ValueError(f"backbone.mix_heads is {self.mix_heads}; expected at least 1")


class ChannelMixing(nn.Module):
    """The attention layers across channels of a stack of `depth` blocks, with pre-norms and residual connections."""

    def __init__(self, config: MixingConfig, *, depth: int, width: int):
        super().__init__()
        if config.mix_every > depth:
            raise ValueError(
                f"backbone.mix_every {config.mix_every} is larger than the depth {depth}; use at most that"
            )
        if config.mix_every and width % config.mix_heads:
            raise ValueError(
                f"width {width} is not a multiple of backbone.mix_heads {config.mix_heads}; use heads that divide it"
            )
        blocks = range(config.mix_every - 1, depth, config.mix_every) if config.mix_every else ()
        self.norms = nn.ModuleDict({str(block): RMSNorm(width, eps=1e-6) for block in blocks})
        self.groups = nn.ModuleDict({str(block): GroupAttention(width, heads=config.mix_heads) for block in blocks})
        self.skips_single = not config.mix_single
        if config.mix_zero_init:
            for group in self.groups.values():
                assert isinstance(group, GroupAttention)
                group.set_output_to_zero()

    @property
    def any(self) -> bool:
        """Whether there is any layer across channels."""
        return len(self.groups) > 0

    def forward(self, y: Float[Tensor, "N R D"], valid: Bool[Tensor, "B C P"], *, after: int) -> Float[Tensor, "N R D"]:
        """Return the tokens after the layer that follows block `after`, if there is one; N = B C and R = P.

        A window of one channel is returned as it is where `mix_single` is false.
        """
        block = str(after)
        if block not in self.groups or (self.skips_single and valid.shape[1] == 1):
            return y
        x = y.unflatten(0, valid.shape[:2])
        return (x + self.groups[block](self.norms[block](x), valid)).flatten(0, 1)


class GroupAttention(nn.Module):
    """Attention across the channels of an item, patch by patch (Chronos-2, arXiv:2510.15821, section 3).

    Tokens of the same patch attend to each other, so that channels inform one another. There are no positions: the
    order of the channels has no effect, and their number is free.
    """

    def __init__(self, width: int, *, heads: int, dropout: float = 0.0):
        super().__init__()
        self.attention = Attention(width, heads=heads, rotary=False, qk_norm=False, causal=False, dropout=dropout)

    def set_output_to_zero(self) -> None:
        """Set the output projection to zero, so that every output is 0 until it is trained."""
        for parameter in self.attention.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the outputs; tokens that are not valid have no effect on others."""
        mask = key_mask(rearrange(valid, "b c p -> (b p) c"), causal=False)
        y = self.attention(rearrange(x, "b c p d -> (b p) c d"), mask)
        return rearrange(y, "(b p) c d -> b c p d", b=x.shape[0])
