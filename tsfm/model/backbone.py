"""What a backbone declares about itself, and promises: forward(x[B, C, P, D], valid[B, C, P]) -> [B, C, P, D].

`valid` is False for tokens that stand before the first visible step of their channel: padding, not to be looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class Backbone(nn.Module):
    """Base class. The flags may be set per instance, where a config decides them."""

    causal: bool = False  # a token depends on itself and earlier tokens only
    mixes_channels: bool = False  # a channel's tokens depend on other channels
    ordered_channels: bool = False  # the order of the channels matters; else permuting them permutes the answer
    fixed_length: bool = False  # works for the number of patches it was built with only
    streaming: bool = False  # has start() and step(): one token in, one out, constant memory
    whole_window: bool = False  # takes the window of a channel as one token
    layout: str = "(b c) p d"  # how the tokens lie in what its `blocks` give, for those who look at layers

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        raise NotImplementedError

    def tail(
        self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"], *, last: int
    ) -> Float[Tensor, "B C last D"]:
        """The newest `last` tokens of forward, for inference; a backbone may leave out what only others need."""
        return self(x, valid)[:, :, -last:]

    def start(self, *, batch: int, channels: int) -> Any:
        """The state before the first token, a value: `step` returns the next one and changes nothing."""
        raise NotImplementedError(f"{type(self).__name__} does not stream")

    def step(self, x: Float[Tensor, "B C D"], state: Any) -> tuple[Float[Tensor, "B C D"], Any]:
        """The next token of every channel; equal to the last token of forward over all tokens so far."""
        raise NotImplementedError(f"{type(self).__name__} does not stream")

    def notes(self) -> str:
        """A line for `tsfm show`: which of several paths will run on this machine."""
        return ""
