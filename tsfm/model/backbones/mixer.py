"""MLP-mixer over the patches, the features and, when asked, the channels of a window (PatchTSMixer, arXiv:2306.09364).

B batch, C channels, P patches, D width, N rows (batch and channels together), L the most patches a window may have,
I inputs and O outputs of a linear map over the first axis, X the axis that a gate weighs. Inside, the patches stand
first, [P, N, D]: an MLP over patches is then one matrix product from the left, and nothing is transposed on its way.
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
    """Blocks of gated MLPs; without `channel_mlp` a channel-independent model. The newest patch always takes the last
    slot of the MLP over patches, and a patch that is absent or unseen is exactly zero in it and in its gate."""

    @dataclass
    class Config(MixingConfig):
        depth: int = 8  # blocks
        expansion: int = 2  # hidden units of an MLP, in multiples of its inputs
        dropout: float = 0.1
        norm: str = "layer"  # batch | layer | rms
        gated: bool = True  # weigh what an MLP says by a softmax over the axis it mixes
        channel_mlp: bool = False  # also mix over channels; their number and order are then fixed
        max_patches: int = 0  # windows of up to so many patches; 0: exactly as many as the model is built for

        def __post_init__(self):
            super().__post_init__()
            for name in ("depth", "expansion"):
                if getattr(self, name) < 1:
                    raise ValueError(f"backbone.{name} is {getattr(self, name)}; a mixer needs at least 1")
            if not 0 <= self.dropout < 1:
                raise ValueError(f"backbone.dropout is {self.dropout}; it is a probability in [0, 1)")
            if self.norm not in NORMS:
                raise ValueError(f"backbone.norm is {self.norm!r}; known: {', '.join(NORMS)}")
            if self.max_patches < 0:
                raise ValueError(
                    f"backbone.max_patches is {self.max_patches}; it counts patches, and 0 means as many as the model's"
                )

    layout = "p (b c) d"

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        most = config.max_patches or grid.patches
        if most is None:
            raise ValueError("a mixer needs to know how many patches there are at most; set backbone.max_patches")
        if most < (grid.patches or 0):
            raise ValueError(
                f"backbone.max_patches {config.max_patches} is less than the {grid.patches} patches of this model; "
                "use at least that"
            )
        if config.channel_mlp and grid.channels is None:
            raise ValueError("backbone.channel_mlp needs a fixed number of channels; set model.channels")
        self.max_patches = most
        self.fixed_length = config.max_patches == 0
        self.blocks = nn.ModuleList(
            Block(config, patches=self.max_patches, channels=grid.channels, width=grid.width)
            for _ in range(config.depth)
        )
        self.mixing = ChannelMixing(config, depth=config.depth, width=grid.width)
        self.mixes_channels = config.channel_mlp or self.mixing.any
        self.ordered_channels = config.channel_mlp

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        channels, patches = valid.shape[1:]
        if patches > self.max_patches or (self.fixed_length and patches != self.max_patches):
            raise ValueError(
                f"this mixer takes windows of {'exactly' if self.fixed_length else 'at most'} {self.max_patches} "
                f"patches; found {patches}; use another length, or train one with a larger backbone.max_patches"
            )
        all_valid = not torch.compiler.is_compiling() and bool(valid.all())  # a mask costs more than the look at it
        mask = None if all_valid else rearrange(valid, "b c p -> p (b c) 1")
        y = rearrange(x, "b c p d -> p (b c) d").contiguous()
        for place, block in enumerate(self.blocks):
            y = block(y, mask, channels=channels)
            if self.mixing.any:
                y = self.mixing(y.transpose(0, 1), valid, after=place).transpose(0, 1).contiguous()
        return rearrange(y, "p (b c) d -> b c p d", c=channels)


class Block(nn.Module):
    """The MLP over channels where there is one, then over patches, then over features: each with a norm before it and
    a residual around it."""

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
        if self.over_channels is not None:
            x = x + self.over_channels(self.norm_channels(x), valid, channels=channels)
        x = x + self.over_patches(self.norm_patches(x), valid)
        return x + self.over_features(self.norm_features(x))


class GatedMLP(nn.Module):
    """The parts of each MLP: two linear maps with GELU between them, and the linear map of the gate."""

    def __init__(self, config: Mixer.Config, size: int):
        super().__init__()
        self.up = nn.Linear(size, config.expansion * size)
        self.down = nn.Linear(config.expansion * size, size)
        self.gate = nn.Linear(size, size) if config.gated else None
        self.dropout = Dropout(config.dropout)


class PatchMLP(GatedMLP):
    """Over the patches. A window of P of the L patches meets the last P columns of what reads patches and the last P
    rows of what writes them, so it costs no more than it holds, and what is absent adds nothing."""

    def forward(self, x: Float[Tensor, "P N D"], valid: Bool[Tensor, "P N 1"] | None) -> Float[Tensor, "P N D"]:
        last = slice(-x.shape[0], None)
        x = hide(x, valid)
        y = self.dropout(F.gelu(from_left(self.up.weight[:, last], self.up.bias, x)))
        y = self.dropout(from_left(self.down.weight[last], self.down.bias[last], y))
        if self.gate is None:
            return y
        y = hide(y, valid)
        return gated(y, from_left(self.gate.weight[last, last], self.gate.bias[last], y), valid, axis=0)


class FeatureMLP(GatedMLP):
    """Over the features of a token."""

    def forward(self, x: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        y = self.dropout(self.down(self.dropout(F.gelu(self.up(x)))))
        return y if self.gate is None else gated(y, self.gate(y), None, axis=-1)


class ChannelMLP(GatedMLP):
    """Over the channels at the same patch. Its gate weighs the inputs, as in transformers' code; the other
    two weigh what the MLP says."""

    def forward(self, x: Float[Tensor, "P N D"], valid: Tensor | None, *, channels: int) -> Float[Tensor, "P N D"]:
        y = rearrange(hide(x, valid), "p (b c) d -> p b d c", c=channels)
        if self.gate is not None:
            mask = None if valid is None else rearrange(valid, "p (b c) 1 -> p b 1 c", c=channels)
            y = gated(y, self.gate(y), mask, axis=-1)
        y = self.dropout(self.down(self.dropout(F.gelu(self.up(y)))))
        return rearrange(y, "p b d c -> p (b c) d")


def from_left(weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"], x: Float[Tensor, "I N D"]) -> Tensor:
    """The linear map over the first axis, [O, N, D]."""
    return torch.addmm(bias[:, None], weight, x.flatten(1)).unflatten(1, x.shape[1:])


def hide(x: Tensor, valid: Tensor | None) -> Tensor:
    return x if valid is None else torch.where(valid, x, 0.0)


def gated(x: Float[Tensor, "... X"], scores: Tensor, valid: Tensor | None, *, axis: int) -> Tensor:
    """Gated attention: x weighed by the softmax, over what is valid, of a linear map of x."""
    if valid is not None:  # finite, so that a row without anything valid stays so
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
    return x * scores.softmax(dim=axis)
