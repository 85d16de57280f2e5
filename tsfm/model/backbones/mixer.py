"""MLP-mixer over the patches, the features and optionally the channels of a window (PatchTSMixer, arXiv:2306.09364).

B batch, C channels, P patches, D width, N rows (batch and channels together), L largest number of patches, I inputs and
O outputs of a linear map over the first axis, X the axis that a gate weighs. Inside, patches are the first axis,
[P, N, D]: an MLP over patches is then one matrix product from the left, without transposition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.model.backbone import Backbone
from tsfm.model.mixing import ChannelMixing, MixingConfig
from tsfm.nn.dropout import Dropout
from tsfm.nn.norms import NORMS, make_norm
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@BACKBONES("mixer")
class Mixer(Backbone):
    """Blocks of gated MLPs; without `channel_mlp` a channel-independent model.

    The newest patch is always the last input of the MLP over patches; a patch that is absent or not valid is exactly
    zero in it and in its gate.
    """

    @dataclass
    class Config(MixingConfig):
        """Settings of `Mixer`."""

        depth: int = 8  # blocks
        expansion: int = 2  # hidden units of an MLP, in multiples of its inputs
        dropout: float = 0.1
        norm: str = "layer"  # batch | layer | rms
        gated: bool = True  # weigh the output of an MLP by a softmax over the axis that it mixes
        channel_mlp: bool = False  # also mix channels; their number and order are then fixed
        max_patches: int = 0  # largest number of patches; 0: exactly as many as the model is built for

        def __post_init__(self):
            super().__post_init__()
            for name in ("depth", "expansion"):
                if getattr(self, name) < 1:
                    raise ValueError(f"backbone.{name} is {getattr(self, name)}; expected at least 1")
            if not 0 <= self.dropout < 1:
                raise ValueError(f"backbone.dropout is {self.dropout}; expected a probability in [0, 1)")
            if self.norm not in NORMS:
                raise ValueError(f"backbone.norm is {self.norm!r}; known: {', '.join(NORMS)}")
            if self.max_patches < 0:
                raise ValueError(
                    f"backbone.max_patches is {self.max_patches}; expected a number of patches, or 0 for the model's"
                )

    layout = "p (b c) d"

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        max_patches = config.max_patches or grid.patches
        if max_patches is None:
            raise ValueError("a mixer needs the largest number of patches; set backbone.max_patches")
        if max_patches < (grid.patches or 0):
            raise ValueError(
                f"backbone.max_patches {config.max_patches} is less than the {grid.patches} patches of this model; "
                "use at least that"
            )
        if config.channel_mlp and grid.channels is None:
            raise ValueError("backbone.channel_mlp needs a fixed number of channels; set model.channels")
        self.max_patches = max_patches
        self.fixed_length = config.max_patches == 0
        self.blocks = nn.ModuleList(
            Block(config, patches=self.max_patches, channels=grid.channels, width=grid.width)
            for _ in range(config.depth)
        )
        self.mixing = ChannelMixing(config, depth=config.depth, width=grid.width)
        self.mixes_channels = config.channel_mlp or self.mixing.any
        self.ordered_channels = config.channel_mlp

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the output of every token.

        Raises
        ------
        ValueError
            If there are more patches than `max_patches`, or another number where it is fixed.
        """
        channels, patches = valid.shape[1:]
        if patches > self.max_patches or (self.fixed_length and patches != self.max_patches):
            raise ValueError(
                f"this mixer takes windows of {'exactly' if self.fixed_length else 'at most'} {self.max_patches} "
                f"patches; found {patches}; use another length, or train one with a larger backbone.max_patches"
            )
        all_valid = not torch.compiler.is_compiling() and bool(valid.all())  # the check costs less than a mask
        mask = None if all_valid else rearrange(valid, "b c p -> p (b c) 1")
        y = rearrange(x, "b c p d -> p (b c) d").contiguous()
        for index, block in enumerate(self.blocks):
            y = block(y, mask, channels=channels)
            if self.mixing.any:
                y = self.mixing(y.transpose(0, 1), valid, after=index).transpose(0, 1).contiguous()
        return rearrange(y, "p (b c) d -> b c p d", c=channels)


class Block(nn.Module):
    """MLPs over channels (optional), over patches, and over features, each with a norm and a residual connection."""

    def __init__(self, config: Mixer.Config, *, patches: int, channels: int | None, width: int):
        super().__init__()
        self.over_channels = None
        if config.channel_mlp and channels is not None:
            self.norm_channels = make_norm(config.norm, width)
            self.over_channels = ChannelMLP(config, channels)
        self.norm_patches = make_norm(config.norm, width)
        self.over_patches = PatchMLP(config, patches)
        self.norm_features = make_norm(config.norm, width)
        self.over_features = FeatureMLP(config, width)

    def forward(self, x: Float[Tensor, "P N D"], valid: Tensor | None, *, channels: int) -> Float[Tensor, "P N D"]:
        """Return the outputs; `valid` `[patches, rows, 1]`, None where all tokens are valid."""
        if self.over_channels is not None:
            x = x + self.over_channels(self.norm_channels(x), valid, channels=channels)
        x = x + self.over_patches(self.norm_patches(x), valid)
        return x + self.over_features(self.norm_features(x))


class GatedMLP(nn.Module):
    """Layers of each MLP: two linear maps with GELU between them, and the linear map of the gate."""

    def __init__(self, config: Mixer.Config, size: int):
        super().__init__()
        self.up = nn.Linear(size, config.expansion * size)
        self.down = nn.Linear(config.expansion * size, size)
        self.gate = nn.Linear(size, size) if config.gated else None
        self.dropout = Dropout(config.dropout)


class PatchMLP(GatedMLP):
    """MLP over the patches.

    A window of P of the L patches uses the last P columns of the first matrix and the last P rows of the second one, so
    that its cost depends on P, and absent patches add nothing.
    """

    def forward(self, x: Float[Tensor, "P N D"], valid: Bool[Tensor, "P N 1"] | None) -> Float[Tensor, "P N D"]:
        """Return the outputs, 0 for tokens that are not valid."""
        last = slice(-x.shape[0], None)
        x = zero_invalid(x, valid)
        y = self.dropout(F.gelu(from_left(self.up.weight[:, last], self.up.bias, x)))
        y = self.dropout(from_left(self.down.weight[last], self.down.bias[last], y))
        if self.gate is None:
            return y
        y = zero_invalid(y, valid)
        return gated(y, from_left(self.gate.weight[last, last], self.gate.bias[last], y), valid, axis=0)


class FeatureMLP(GatedMLP):
    """MLP over the features of a token."""

    def forward(self, x: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        """Return the outputs."""
        y = self.dropout(self.down(self.dropout(F.gelu(self.up(x)))))
        return y if self.gate is None else gated(y, self.gate(y), None, axis=-1)


class ChannelMLP(GatedMLP):
    """MLP over the channels at the same patch.

    The gate weighs the inputs, as in the code of transformers; the gates of the other two weigh the outputs.
    """

    def forward(self, x: Float[Tensor, "P N D"], valid: Tensor | None, *, channels: int) -> Float[Tensor, "P N D"]:
        """Return the outputs."""
        y = rearrange(zero_invalid(x, valid), "p (b c) d -> p b d c", c=channels)
        if self.gate is not None:
            mask = None if valid is None else rearrange(valid, "p (b c) 1 -> p b 1 c", c=channels)
            y = gated(y, self.gate(y), mask, axis=-1)
        y = self.dropout(self.down(self.dropout(F.gelu(self.up(y)))))
        return rearrange(y, "p b d c -> p (b c) d")


def from_left(weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"], x: Float[Tensor, "I N D"]) -> Tensor:
    """Return the linear map of the first axis, `[O, N, D]`."""
    return torch.addmm(bias[:, None], weight, x.flatten(1)).unflatten(1, x.shape[1:])


def zero_invalid(x: Tensor, valid: Tensor | None) -> Tensor:
    """Return x with zeros for tokens that are not valid."""
    return x if valid is None else torch.where(valid, x, 0.0)


def gated(x: Float[Tensor, "... X"], scores: Tensor, valid: Tensor | None, *, axis: int) -> Tensor:
    """Return x weighed by the softmax of `scores` over the valid entries of an axis (gated attention)."""
    if valid is not None:  # finite, so that a row without valid tokens stays finite
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
    return x * scores.softmax(dim=axis)
