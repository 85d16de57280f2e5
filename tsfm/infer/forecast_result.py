"""The result of a forecast of arrays. N series, C channels, H horizon, Q quantile levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Forecast:
    """Forecasts of N series in the units of the data.

    Attributes
    ----------
    predictions
        The median, or a point model's prediction.
    quantiles, quantile_levels
        One quantile for each level, in the order of the request.
    mean
        The mean, where it was requested; see `tsfm.infer.quantiles.mean_from_quantiles`.
    notes
        What else was used than a single pass of a network: covariates, the season of short pasts.
    explanation
        Weights and settings that were found for these series.
    """

    predictions: Float[np.ndarray, "N C H"]
    quantiles: Float[np.ndarray, "N C H Q"]
    quantile_levels: tuple[float, ...]
    mean: Float[np.ndarray, "N C H"] | None = None
    notes: tuple[str, ...] = ()
    explanation: tuple[str, ...] = ()
