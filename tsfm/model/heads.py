"""Heads: from tokens to quantiles of every step.

B batch, C channels, P patches, D width, H horizon, S patch, Q quantile levels, M outputs of a window, R steps that are
predicted, at the end of the window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from tsfm.nn.dropout import Dropout
from tsfm.nn.mlp import ResidualMLP
from tsfm.registry import HEADS
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def check_quantile_levels(quantile_levels: list[float]) -> None:
    """Raise ValueError unless levels increase between 0 and 1 with the median, the point forecast, in the middle."""
    quantile_levels = list(quantile_levels)
    if (
        not quantile_levels
        or sorted(set(quantile_levels)) != quantile_levels
        or not all(0 < q < 1 for q in quantile_levels)
    ):
        raise ValueError(
            f"head.quantile_levels is {quantile_levels}; expected increasing quantile levels between 0 and 1"
        )
    if quantile_levels[len(quantile_levels) // 2] != 0.5:
        raise ValueError(
            f"head.quantile_levels is {quantile_levels}; expected the median 0.5 in the middle, as in [0.1, 0.5, 0.9]"
        )


class Head(nn.Module):
    """Base class of heads.

    Attributes
    ----------
    reads_window
        Whether the tokens cover the whole window, hidden steps included; else they cover the context.
    mixes_channels
        Whether the prediction for a channel depends on other channels, and on their order.
    predicts
        `steps`: quantiles of every step; `window`: class logits or numbers of the whole window.
    quantile_levels
        One level for each quantile; empty where `predicts` is `window`.
    """

    reads_window: ClassVar[bool]
    mixes_channels: bool = False
    predicts: ClassVar[str] = "steps"
    quantile_levels: tuple[float, ...] = ()

    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Tensor:
        """Return `[batch, channels, steps, quantile]` in scaled units, or `[batch, outputs]`."""
        raise NotImplementedError


@HEADS("flatten")
class FlattenHead(Head):
    """One linear map from all tokens of a channel to the horizon (PatchTST, arXiv:2211.14730, section 3.1)."""

    @dataclass
    class Config:
        """Settings of `FlattenHead`."""

        quantile_levels: list[float] = field(default_factory=lambda: [0.5])  # one level: a point forecast
        dropout: float = 0.0

        def __post_init__(self):
            check_quantile_levels(self.quantile_levels)

    reads_window = False

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        super().__init__()
        if grid.patches is None:
            raise ValueError("the flatten head needs a fixed number of patches; use head=patch_quantiles")
        if horizon < 1:
            raise ValueError("the flatten head needs a horizon; set model.horizon, or use head=patch_quantiles")
        self.quantile_levels = tuple(config.quantile_levels)
        self.dropout = Dropout(config.dropout)
        self.linear = nn.Linear(grid.patches * grid.width, horizon * len(self.quantile_levels))

    @override
    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C H Q"]:
        """Return quantiles of the horizon."""
        quantiles = self.linear(self.dropout(rearrange(hidden, "b c p d -> b c (p d)")))
        return rearrange(quantiles, "b c (h q) -> b c h q", q=len(self.quantile_levels))


@HEADS("patch_quantiles")
class PatchQuantiles(Head):
    """A residual MLP from each token to the quantiles of its own steps, so that any horizon is possible."""

    @dataclass
    class Config:
        """Settings of `PatchQuantiles`."""

        quantile_levels: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
        hidden: int = 256  # units of the MLP
        dropout: float = 0.0

        def __post_init__(self):
            check_quantile_levels(self.quantile_levels)

    reads_window = True

    def __init__(self, config: Config, *, grid: Grid, horizon: int):
        del horizon  # all heads are built with one
        super().__init__()
        self.quantile_levels = tuple(config.quantile_levels)
        self.mlp = ResidualMLP(
            grid.width, hidden=config.hidden, outputs=grid.patch * len(self.quantile_levels), dropout=config.dropout
        )

    @override
    def forward(self, hidden: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C T Q"]:
        """Return quantiles of all steps of the window."""
        return rearrange(self.mlp(hidden), "b c p (s q) -> b c (p s) q", q=len(self.quantile_levels))
