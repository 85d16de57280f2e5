"""DLinear's decomposition: trend by moving average and remainder (LTSF-Linear, arXiv:2205.13504, section 4).

The context is one patch (`model.patch` = `model.context`, `model.embed` = values_visible): a token contains its S
values and whether each is visible. The output contains the S remainders and the S trend values; the matrix of the
flatten head then contains both linear maps of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from tsfm.model.backbone import Backbone
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@BACKBONES("dlinear")
class DLinear(Backbone):
    """Split each patch into remainder and trend, without parameters. The moving average leaves hidden steps out."""

    @dataclass
    class Config:
        """Settings of `DLinear`."""

        kernel: int = 25  # steps of the moving average, odd

        def __post_init__(self):
            if self.kernel < 1 or self.kernel % 2 == 0:
                raise ValueError(
                    f"backbone.kernel is {self.kernel}; expected an odd number: the moving average is centred"
                )

    fixed_length = True
    whole_window = True

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        if grid.patches != 1 or grid.width != 2 * grid.patch:
            raise ValueError(
                "dlinear needs the values of the whole context and which are visible as one patch; set model.patch and "
                f"model.stride to model.context and model.embed=values_visible (found {grid.patches} patches)"
            )
        self.kernel = config.kernel

    @override
    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return remainder and trend of each patch, 0 for hidden remainders."""
        values, visible = x.chunk(2, dim=-1)
        visible_share = self._moving_average(visible)
        trend = self._moving_average(values * visible) / visible_share.clamp_min(1.0 / self.kernel)
        return torch.cat([(values - trend) * visible, trend], dim=-1)

    def _moving_average(self, x: Float[Tensor, "B C P S"]) -> Float[Tensor, "B C P S"]:
        """Return the moving average with both ends repeated, as in the paper's code."""
        half = self.kernel // 2
        flat = F.pad(x.flatten(0, 1), (half, half), mode="replicate")
        return F.avg_pool1d(flat, self.kernel, stride=1).unflatten(0, x.shape[:2])
