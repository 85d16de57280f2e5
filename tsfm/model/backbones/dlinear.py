"""DLinear's decomposition: trend by moving average and remainder (LTSF-Linear, arXiv:2205.13504, section 4).

The context is one patch (`model.patch` = `model.context`, `model.embed` = values_visible): a token holds its S values
and its S visible flags. Out comes a token of the S remainders and the S trend values; the flattened head then holds
both linear maps of the paper, side by side in one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from tsfm.model.backbone import Backbone
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@BACKBONES("dlinear")
class DLinear(Backbone):
    """Splits each patch into trend and remainder; has no parameters of its own. Hidden steps do not enter the mean."""

    @dataclass
    class Config:
        kernel: int = 25  # steps of the moving average, odd

        def __post_init__(self):
            if self.kernel < 1 or self.kernel % 2 == 0:
                raise ValueError(f"backbone.kernel is {self.kernel}; a centred moving average needs an odd length")

    fixed_length = True
    whole_window = True

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        if grid.patches != 1 or grid.width != 2 * grid.patch:
            raise ValueError(
                "dlinear reads the values and visible flags of the whole context as one patch; set model.patch and "
                f"model.stride to model.context and model.embed=values_visible (found {grid.patches} patches)"
            )
        self.kernel = config.kernel

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        values, visible = x.chunk(2, dim=-1)
        mass = self._smooth(visible)
        trend = self._smooth(values * visible) / mass.clamp_min(1.0 / self.kernel)
        return torch.cat([(values - trend) * visible, trend], dim=-1)

    def _smooth(self, x: Float[Tensor, "B C P S"]) -> Float[Tensor, "B C P S"]:
        """Moving average with both ends repeated, as the paper's code pads."""
        half = self.kernel // 2
        flat = F.pad(x.flatten(0, 1), (half, half), mode="replicate")
        return F.avg_pool1d(flat, self.kernel, stride=1).unflatten(0, x.shape[:2])
