"""Attention over variates: one token for the whole window of a channel (iTransformer, arXiv:2310.06625).

B batch, C channels (variates), P patches, D width. The window is one patch: `model.patch` is `model.context` with the
flatten head, and context plus horizon with a head of the whole window. Any number of channels is possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from einops import rearrange
from torch import Tensor, nn

from tsfm.model.backbone import Backbone
from tsfm.nn.attention import key_mask
from tsfm.nn.dropout import Dropout
from tsfm.nn.encoder import EncoderBlock, EncoderConfig
from tsfm.nn.norms import make_norm
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@BACKBONES("inverted")
class Inverted(Backbone):
    """Encoder over variate tokens without positions, with norms after the residuals and one at the end.

    The feed-forward layer acts on each variate separately.

    References
    ----------
    arXiv:2310.06625, section 3.2 and algorithm 1.
    """

    @dataclass
    class Config(EncoderConfig):
        """Settings of `Inverted`; the defaults are the paper's."""

        depth: int = 2
        heads: int = 8
        norm: str = "layer"
        dropout: float = 0.1
        attention_dropout: float = 0.1

    mixes_channels = True
    fixed_length = True
    whole_window = True
    layout = "(b p) c d"

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        if grid.patches != 1:
            raise ValueError(
                "inverted needs the window of a channel as one token; set model.patch and model.stride to "
                "model.context (plus model.horizon for a head of the whole window) and model.pad_end=false; "
                f"found {grid.patches} patches of {grid.patch}"
            )
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(EncoderBlock(config, width=grid.width) for _ in range(config.depth))
        self.norm = make_norm(config.norm, grid.width)

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the output of every variate."""
        mask = key_mask(rearrange(valid, "b c p -> (b p) c"), causal=False)
        y = self.dropout(rearrange(x, "b c p d -> (b p) c d"))
        for block in self.blocks:
            y = block(y, mask)
        return rearrange(self.norm(y), "(b p) c d -> b c p d", b=x.shape[0])
