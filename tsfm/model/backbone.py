"""The interface of backbones: from tokens to tokens. B batch, C channels, P patches, D width, M packed, R returned.

`valid` is False for tokens before the first visible step of their channel: padding, which must have no effect on
others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from tsfm.nn.packing import Packing

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class Backbone(nn.Module):
    """Base class of backbones; an instance may set the attributes where a config decides them.

    Attributes
    ----------
    causal
        A token depends on itself and earlier tokens only.
    mixes_channels
        The tokens of a channel depend on other channels.
    ordered_channels
        The order of the channels matters; else permuting them permutes the output.
    fixed_length
        The number of patches must be that of the grid.
    streaming
        `start` and `step` are implemented: one token in, one token out, constant memory.
    whole_window
        The window of a channel is one token.
    layout
        Order of the axes in the outputs of the modules in `blocks`, as an einops pattern.
    """

    causal: bool = False
    mixes_channels: bool = False
    ordered_channels: bool = False
    fixed_length: bool = False
    streaming: bool = False
    whole_window: bool = False
    layout: str = "(b c) p d"

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the output of every token; those of tokens that are not valid may be anything finite."""
        raise NotImplementedError

    def tail(
        self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"], *, last: int
    ) -> Float[Tensor, "B C last D"]:
        """Return the last `last` tokens of `forward`; a subclass may skip what only earlier tokens need."""
        return self(x, valid)[:, :, -last:]

    def packed(self, x: Float[Tensor, "M D"], valid: Bool[Tensor, "B C P"], packing: Packing) -> Float[Tensor, "R D"]:
        """Return the outputs of the returned tokens; a subclass may skip tokens that are not packed.

        All valid tokens are packed.
        """
        return packing.pack(self(packing.unpack(x).unflatten(0, valid.shape[:2]), valid).flatten(0, 1))

    def start(self, *, batch: int, channels: int) -> Any:
        """Return the state before the first token, a value that `step` does not change.

        Raises
        ------
        NotImplementedError
            If the backbone does not stream.
        """
        raise NotImplementedError(f"{type(self).__name__} does not stream")

    def step(self, x: Float[Tensor, "B C D"], state: Any) -> tuple[Float[Tensor, "B C D"], Any]:
        """Return the output of the next token of every channel and the state after it.

        The output equals the last one of `forward` over all tokens so far.
        """
        raise NotImplementedError(f"{type(self).__name__} does not stream")

    def notes(self) -> str:
        """Return a line for `tsfm show` about the code path on this machine; empty where there is one path."""
        return ""
