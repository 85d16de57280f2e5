"""What a backbone declares about itself, and promises: forward(x[B, C, P, D], seen[B, C, P]) -> [B, C, P, D].

`seen` is False for tokens that stand before the first visible step of their channel: padding, not to be looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class Backbone(nn.Module):
    """Base class. The flags may be set per instance, where a config decides them."""

    causal: bool = False  # a token depends on itself and earlier tokens only
    mixes_channels: bool = False  # a channel's tokens depend on other channels
    fixed_length: bool = False  # works for the number of patches it was built with only
    streaming: bool = False  # has step(): one token in, one out, constant memory

    def forward(self, x: Float[Tensor, "B C P D"], seen: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        raise NotImplementedError
