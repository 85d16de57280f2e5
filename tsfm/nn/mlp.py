"""Feed-forward layers over the last axis. D width, I inputs, O outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.nn.dropout import Dropout

if TYPE_CHECKING:
    from jaxtyping import Float


class FeedForward(nn.Module):
    """Two linear maps with GELU between them, or SwiGLU if `gated` (arXiv:2002.05202, eq. 6)."""

    def __init__(self, width: int, *, hidden: int, gated: bool, dropout: float):
        super().__init__()
        self.gated = gated
        self.up = nn.Linear(width, 2 * hidden if gated else hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Return the output for each vector of the last axis."""
        y = self.up(x)
        if self.gated:
            y, gate = y.chunk(2, dim=-1)
            y = y * F.silu(
                gate.contiguous() if x.device.type == "cpu" else gate
            )  # a strided tensor takes twice as long
        else:
            y = F.gelu(y)
        return self.down(self.dropout(y))


class ResidualMLP(nn.Module):
    """A linear map plus an MLP with one hidden layer, the input and output map of recent forecasting models.

    References
    ----------
    TimesFM, arXiv:2310.10688, section 4.
    """

    def __init__(self, inputs: int, *, hidden: int, outputs: int, dropout: float = 0.0):
        super().__init__()
        self.skip = nn.Linear(inputs, outputs)
        self.up = nn.Linear(inputs, hidden)
        self.down = nn.Linear(hidden, outputs)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "... I"]) -> Float[Tensor, "... O"]:
        """Return the output for each vector of the last axis."""
        return self.skip(x) + self.dropout(self.down(F.silu(self.up(x))))
