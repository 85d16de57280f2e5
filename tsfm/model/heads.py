"""Read the answer off the tokens. B batch, C channels, P patches, D width, H horizon, S patch, Q quantile levels.

R is the number of steps, at the end of the window, that a head speaks of.
A head says which steps it needs as tokens: the context alone, or the whole window with its hidden part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from einops import rearrange
from torch import Tensor, nn

from tsfm.nn.dropout import Dropout
from tsfm.nn.mlp import ResidualMLP
from tsfm.registry import HEADS
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def check_levels(levels: list[float]) -> None:
    if not levels or sorted(set(levels)) != list(levels) or not all(0 < level < 1 for level in levels):
        raise ValueError(f"head.quantile_levels is {list(levels)}; expected increasing quantile levels between 0 and 1")
    if levels[len(levels) // 2] != 0.5:  # the point forecast, everywhere
        raise ValueError(
            f"head.quantile_levels is {list(levels)}; expected the median 0.5 in the middle, as in [0.1, 0.5, 0.9]"
        )


class Head(nn.Module):
    """Base class: [B, C, P, D] -> [B, C, R, Q], quantiles in scaled units of the last R steps of the window. A head
    that answers for the window as a whole gives [B, M] instead and has no quantile levels."""

    reads_window: ClassVar[bool]  # tokens cover the whole window; else the context alone
    mixes_channels: bool = False  # what is read of a channel depends on others; on their order too
    predicts: ClassVar[str] = "steps"  # steps | window
    quantile_levels: tuple[float, ...] = ()

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Tensor:
        raise NotImplementedError


@HEADS("flatten")
class FlattenHead(Head):
    """All tokens of a channel in one vector, one linear map to the horizon (arXiv:2211.14730, section 3.1)."""

    @dataclass
    class Config:
        quantile_levels: list[float] = field(default_factory=lambda: [0.5])  # one level: a point forecast
        dropout: float = 0.0

        def __post_init__(self):
            check_levels(self.quantile_levels)

    reads_window = False

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        super().__init__()
        if grid.patches is None:
            raise ValueError("the flatten head needs a fixed number of patches; use head=patch_quantiles")
        if horizon < 1:
            raise ValueError("the flatten head reads a horizon; set model.horizon, or use head=patch_quantiles")
        self.quantile_levels = tuple(config.quantile_levels)
        self.dropout = Dropout(config.dropout)
        self.linear = nn.Linear(grid.patches * grid.width, horizon * len(self.quantile_levels))

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C H Q"]:
        read = self.linear(self.dropout(rearrange(hidden, "b c p d -> b c (p d)")))
        return rearrange(read, "b c (h q) -> b c h q", q=len(self.quantile_levels))


@HEADS("patch_quantiles")
class PatchQuantiles(Head):
    """Each token tells the quantiles of its own steps through one residual MLP, so the horizon can have any length."""

    @dataclass
    class Config:
        quantile_levels: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
        hidden: int = 256  # units of the MLP
        dropout: float = 0.0

        def __post_init__(self):
            check_levels(self.quantile_levels)

    reads_window = True

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        super().__init__()
        self.quantile_levels = tuple(config.quantile_levels)
        self.mlp = ResidualMLP(
            grid.width, hidden=config.hidden, outputs=grid.patch * len(self.quantile_levels), dropout=config.dropout
        )

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C T Q"]:
        return rearrange(self.mlp(hidden), "b c p (s q) -> b c (p s) q", q=len(self.quantile_levels))
