"""A gated skip connection from the last visible value and the seasonal lags to the prediction.

B batch, C channels, T predicted steps, W steps of the window, P patches, D width, Q quantile levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

from tsfm.model.lag_features import FEATURES_PER_LAG, LagFeatures, num_step_features

if TYPE_CHECKING:
    from jaxtyping import Float


class SeasonalSkip(nn.Module):
    """Adds a starting value to the output of the head, and sets its unit.

    The starting value of a step is its interpolated value (after the last visible step: that value) plus a weighted sum
    of the differences between its lag features and that value; each token chooses the weights. Differences, so that a
    level far from zero adds no error of its own. The output of the head is multiplied by a unit between the channel's
    own and that of the window, which the token chooses too.

    Parameters
    ----------
    width, patch
        Features of a token, and its steps.
    num_lags
        As in `compute_lag_features`.
    """

    def __init__(self, *, width: int, patch: int, num_lags: int):
        super().__init__()
        self.num_features = num_step_features(num_lags)
        self.gates = nn.Linear(width, patch * (self.num_features + 1))
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        weights = torch.full((self.num_features,), 0.6 / (FEATURES_PER_LAG * num_lags))
        weights[-1] = 0.0
        self.start = nn.Parameter(weights)

    def forward(
        self,
        prediction: Float[Tensor, "B C T Q"],
        hidden: Float[Tensor, "B C P D"],
        *,
        interpolated: Float[Tensor, "B C W"],
        lag_features: LagFeatures,
    ) -> Float[Tensor, "B C T Q"]:
        """Return the prediction for the last steps of the window, as many as `prediction` has."""
        num_steps = prediction.shape[-2]
        line = interpolated[..., -num_steps:]
        differences = lag_features.values[..., -num_steps:, :] - line[..., None]
        gates = rearrange(self.gates(hidden).float(), "b c p (s f) -> b c (p s) f", f=self.num_features + 1)
        gates = gates[..., -num_steps:, :]
        start = line + ((gates[..., :-1] + self.start) * differences).sum(dim=-1)
        unit = lag_features.unit[..., None] ** gates[..., -1:].sigmoid()
        return start[..., None] + unit * prediction
