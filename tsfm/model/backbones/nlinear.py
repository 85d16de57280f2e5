"""NLinear: no backbone at all (LTSF-Linear, arXiv:2205.13504, section 4). The context is one patch of values.

The paper's subtraction of the last value is `scaler=last`; its linear map is the flatten head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import override

from tsfm.model.backbone import Backbone
from tsfm.registry import BACKBONES
from tsfm.types import Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@BACKBONES("nlinear")
class NLinear(Backbone):
    """The identity."""

    @dataclass
    class Config:
        """`NLinear` has no settings."""

    fixed_length = True
    whole_window = True

    def __init__(self, _config: Config, *, grid: Grid):
        super().__init__()
        if grid.patches != 1 or grid.width != grid.patch:
            raise ValueError(
                "nlinear needs the values of the whole context as one patch; set model.patch and model.stride to "
                f"model.context and model.embed=values (found {grid.patches} patches)"
            )

    @override
    def forward(self, x: Float[Tensor, "B C P D"], valid: Bool[Tensor, "B C P"]) -> Float[Tensor, "B C P D"]:
        """Return the tokens unchanged."""
        return x
