"""NLinear: no mixing at all (LTSF-Linear, arXiv:2205.13504, section 4). The context is one patch of raw values.

The paper's "subtract the last value, add it back" is `scaler=last`; its one linear map is the flattened head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from tsfm.model.backbone import Backbone
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@BACKBONES("nlinear")
class NLinear(Backbone):
    """Hands each token on as it is."""

    @dataclass
    class Config:
        pass

    fixed_length = True
    whole_window = True

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__()
        if grid.patches != 1 or grid.width != grid.patch:
            raise ValueError(
                "nlinear reads the values of the whole context as one patch; set model.patch and model.stride to "
                f"model.context and model.embed=values (found {grid.patches} patches)"
            )

    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        return x
