"""The encoder block of a transformer; tokens are patches of time or whole variates.

N rows, P tokens, R queries, D width, M packed tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from tsfm.nn.attention import ALL, Attention
from tsfm.nn.dropout import Dropout
from tsfm.nn.mlp import FeedForward
from tsfm.nn.norms import NORMS, make_norm
from tsfm.nn.packing import Packing

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class EncoderConfig:
    """Settings of a stack of encoder blocks. A backbone's Config inherits them and may change the defaults.

    Raises
    ------
    ValueError
        If a size is below 1, a norm is unknown, or a rate is outside [0, 1).
    """

    depth: int = 3  # blocks
    heads: int = 16
    hidden: int = 256  # units of the feed-forward layer
    norm: str = "batch"  # batch | layer | rms
    pre_norm: bool = False  # normalise before each sub-layer instead of after it
    gated: bool = False  # SwiGLU instead of GELU
    qk_norm: bool = False
    dropout: float = 0.2
    attention_dropout: float = 0.0

    def __post_init__(self):
        for name in ("depth", "heads", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"backbone.{name} is {getattr(self, name)}; a transformer needs at least 1")
        if self.norm not in NORMS:
            raise ValueError(f"backbone.norm is {self.norm!r}; known: {', '.join(NORMS)}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"backbone.{name} is {getattr(self, name)}; expected a probability in [0, 1)")


class EncoderBlock(nn.Module):
    """Attention over tokens, then a feed-forward layer over features, each with a residual connection and a norm."""

    def __init__(self, config: EncoderConfig, *, width: int, rotary: bool = False, causal: bool = False):
        super().__init__()
        self.pre_norm = config.pre_norm
        self.attention = Attention(
            width,
            heads=config.heads,
            rotary=rotary,
            qk_norm=config.qk_norm,
            causal=causal,
            dropout=config.attention_dropout,
        )
        self.feed = FeedForward(width, hidden=config.hidden, gated=config.gated, dropout=config.dropout)
        self.norm_attention = make_norm(config.norm, width)
        self.norm_feed = make_norm(config.norm, width)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "*rows P D"],
        mask: Tensor | None,
        *,
        queries: slice = ALL,
        packing: Packing | None = None,
    ) -> Float[Tensor, "*rows R D"]:
        """Return the outputs of the tokens `queries`, which attend to all tokens that `mask` allows.

        With `packing` the tokens are packed, and the outputs are those of the returned ones.
        """
        if packing is not None:
            return self._packed(x, mask, packing)
        if self.pre_norm:
            x = x[:, queries] + self.dropout(self.attention(self.norm_attention(x), mask, queries=queries))
            return x + self.dropout(self.feed(self.norm_feed(x)))
        x = self.norm_attention(x[:, queries] + self.dropout(self.attention(x, mask, queries=queries)))
        return self.norm_feed(x + self.dropout(self.feed(x)))

    def _packed(self, x: Float[Tensor, "M D"], mask: Tensor | None, packing: Packing) -> Float[Tensor, "R D"]:
        if self.pre_norm:
            x = packing.select(x) + self.dropout(self.attention.packed(self.norm_attention(x), mask, packing))
            return x + self.dropout(self.feed(self.norm_feed(x)))
        x = self.norm_attention(packing.select(x) + self.dropout(self.attention.packed(x, mask, packing)))
        return self.norm_feed(x + self.dropout(self.feed(x)))
