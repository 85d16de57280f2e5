"""Channel mixing as a part that any backbone over time can take in.

B batch, C channels, P patches, D width, N rows of R tokens.

With it, covariates need nothing else: a known-future covariate is a channel whose tail stays visible, a past-only one
a channel whose tail is hidden, and neither is asked for (DESIGN.md, "The one idea").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from tsfm.nn.group import GroupAttention
from tsfm.nn.norms import RMSNorm

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass
class MixingConfig:
    """The settings that a backbone's Config inherits."""

    mix_every: int = 0  # a group attention across channels after every so many blocks; 0: channels stay apart
    mix_heads: int = 4

    def __post_init__(self):
        if self.mix_every < 0:
            raise ValueError(f"backbone.mix_every is {self.mix_every}; it counts blocks, and 0 means no channel mixing")
        if self.mix_heads < 1:
            raise ValueError(f"backbone.mix_heads is {self.mix_heads}; an attention needs at least 1")


class ChannelMixing(nn.Module):
    """The group attentions of a stack of `depth` blocks, each with a norm before it and a residual around it."""

    def __init__(self, config: MixingConfig, *, depth: int, width: int):
        super().__init__()
        if config.mix_every > depth:
            raise ValueError(f"backbone.mix_every {config.mix_every} never comes in {depth} blocks; use at most that")
        if config.mix_every and width % config.mix_heads:
            raise ValueError(
                f"width {width} is not a multiple of backbone.mix_heads {config.mix_heads}; use heads that divide it"
            )
        places = range(config.mix_every - 1, depth, config.mix_every) if config.mix_every else ()
        self.norms = nn.ModuleDict({str(place): RMSNorm(width, eps=1e-6) for place in places})
        self.groups = nn.ModuleDict({str(place): GroupAttention(width, heads=config.mix_heads) for place in places})

    @property
    def any(self) -> bool:
        return len(self.groups) > 0

    def forward(self, y: Float[Tensor, "N R D"], valid: Bool[Tensor, "B C P"], *, after: int) -> Float[Tensor, "N R D"]:
        """Rows are items and channels together, N = B C, and R = P; unchanged where no group attention
        follows block `after`."""
        place = str(after)
        if place not in self.groups:
            return y
        x = y.unflatten(0, valid.shape[:2])
        return (x + self.groups[place](self.norms[place](x), valid)).flatten(0, 1)
