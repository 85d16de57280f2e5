"""The head of whole windows: tokens pooled over time and channels, then a linear map.

B batch, C channels, P patches, D width, F features after pooling, M outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.messages import check_choice
from tsfm.model.heads import Head
from tsfm.nn.dropout import Dropout
from tsfm.registry import HEADS
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

POOLS = ("mean", "max", "mean_max", "last", "attention")
ACROSS = ("mean", "concat")


class FeatureNorm(nn.BatchNorm1d):
    """BatchNorm that uses its running statistics where a training batch contains a single case."""

    def forward(self, input: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Return the normalised features."""
        if self.training and len(input) == 1:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(input)


@HEADS("pooled")
class PooledHead(Head):
    """Class logits, or numbers, of a window.

    Only valid tokens are pooled, and of the channels only those with visible steps. BatchNorm before the linear map
    brings features of different size to one scale (the heads of MOMENT and TSPulse have none; FCN, arXiv:1611.06455,
    pools normalised features).
    """

    @dataclass
    class Config:
        """Settings of `PooledHead`."""

        outputs: int = 2  # number of classes, or of numbers; a training run sets it from the labels
        pool: str = "mean"  # over tokens: mean | max | mean_max | last | attention
        channel_pool: str = "mean"  # over channels: mean | concat, which needs model.channels
        batch_norm: bool = True
        dropout: float = 0.0

        def __post_init__(self):
            if self.outputs < 1:
                raise ValueError(f"head.outputs is {self.outputs}; expected the number of classes, or 1 for a number")
            check_choice("head.pool", self.pool, POOLS)
            check_choice("head.channel_pool", self.channel_pool, ACROSS)

    reads_window = True
    mixes_channels = True
    predicts = "window"

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        del horizon  # all heads are built with one
        super().__init__()
        if config.channel_pool == "concat" and grid.channels is None:
            raise ValueError("head.channel_pool=concat needs a fixed number of channels; set model.channels")
        self.pool, self.concat = config.pool, config.channel_pool == "concat"
        features = grid.width * (2 if config.pool == "mean_max" else 1) * ((grid.channels or 1) if self.concat else 1)
        self.scores = nn.Linear(grid.width, 1) if config.pool == "attention" else None
        self.norm = FeatureNorm(features) if config.batch_norm else nn.Identity()
        self.dropout = Dropout(config.dropout)
        self.linear = nn.Linear(features, config.outputs)

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B M"]:
        """Return logits or numbers."""
        return self.linear(self.dropout(self.norm(self.features(hidden, valid))))

    def features(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B F"]:
        """Return the pooled features, before the norm."""
        weights = self.scores(hidden)[..., 0] if self.scores is not None else None
        pooled = pool_tokens(hidden, valid, pool=self.pool, scores=weights)
        if self.concat:
            return rearrange(pooled, "b c f -> b (c f)")
        has_valid = valid.any(dim=-1)[..., None].to(pooled.dtype)
        return (pooled * has_valid).sum(dim=1) / has_valid.sum(dim=1).clamp_min(1)


def pool_tokens(
    hidden: Float[Tensor, "B C P D"],
    valid: Bool[Tensor, "B C P"],
    *,
    pool: str,
    scores: Float[Tensor, "B C P"] | None = None,
) -> Float[Tensor, "B C F"]:
    """Return the valid tokens of each channel pooled to one vector, zeros for a channel without any.

    Parameters
    ----------
    hidden, valid
        Tokens, and which of them are valid.
    pool
        One of `POOLS`; `mean_max` concatenates both and has twice the width.
    scores
        Of each token, for `attention`: tokens are weighed by their softmax.
    """
    mask, has_valid = valid[..., None], valid.any(dim=-1)[..., None]
    if pool == "attention":
        assert scores is not None
        weights = scores.masked_fill(~valid, torch.finfo(scores.dtype).min).softmax(dim=-1)
        return torch.where(has_valid, (hidden * weights[..., None]).sum(dim=2), 0.0)
    if pool == "last":
        return torch.where(has_valid, hidden[:, :, -1], 0.0)  # if any token is valid, the last one is
    mean = torch.where(mask, hidden, 0.0).sum(dim=2) / mask.sum(dim=2).clamp_min(1)
    if pool == "mean":
        return mean
    maximum = torch.where(has_valid, hidden.masked_fill(~mask, torch.finfo(hidden.dtype).min).amax(dim=2), 0.0)
    return maximum if pool == "max" else torch.cat([mean, maximum], dim=-1)
