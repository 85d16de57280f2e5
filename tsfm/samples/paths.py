"""Sample paths whose steps have the distributions of a quantile forecast: a Gaussian copula over the steps.

Correlated normal numbers, one for each step, are turned into values by the quantile functions of the steps (Pinson et
al., "From probabilistic forecasts to statistical scenarios of short-term wind power production", Wind Energy 12, 2009).
The correlation is that of past forecast errors there; here it is that of `tsfm.samples.error_correlation`, which needs
no past forecasts.

N series, C channels, L past steps, H horizon, Q quantile levels, S samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from tsfm.metrics.forecast import check_quantile_levels
from tsfm.samples.error_correlation import error_weights

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_WHOLE = 2.0**23  # beyond it float32 holds whole numbers only, so that they say nothing about the data


def sample_paths(
    quantiles: Float[np.ndarray, "N C H Q"],
    quantile_levels: Sequence[float],
    pasts: Iterable[Float[np.ndarray, "C _"]],
    *,
    num_samples: int,
    season_lengths: Sequence[int],
    rng: np.random.Generator,
) -> Float[np.ndarray, "N C S H"]:
    """Return sample paths; those of different channels and series are independent of each other.

    Parameters
    ----------
    quantiles
        Ascending in the levels.
    pasts
        The past of each series; NaN is missing.
    season_lengths
        Of each series, in steps.
    """
    num_series, num_channels, horizon, _ = quantiles.shape
    out = np.empty((num_series, num_channels, num_samples, horizon))
    for number, (past, season_length) in enumerate(zip(pasts, season_lengths, strict=True)):
        for channel in range(num_channels):
            weights = error_weights(past[channel], horizon=horizon, season_length=int(season_length))
            scores = rng.standard_normal((num_samples, horizon)) @ weights.T
            out[number, channel] = quantile_function(quantiles[number, channel], quantile_levels, scores)
    return out


def quantile_function(
    quantiles: Float[np.ndarray, "H Q"], quantile_levels: Sequence[float], scores: Float[np.ndarray, "S H"]
) -> Float[np.ndarray, "S H"]:
    """Return the values of normal scores: linear in the score between two levels, and beyond the outer ones.

    A score is the standard normal quantile of a level, so that a normal distribution is exact everywhere.

    Examples
    --------
    >>> quantile_function(np.array([[8.0, 10.0, 12.0]]), (0.1, 0.5, 0.9), np.array([[0.0], [2.563]])).round(1)
    array([[10.],
           [14.]])
    """
    knots = np.array([NormalDist().inv_cdf(level) for level in check_quantile_levels(quantile_levels)])
    values = np.asarray(quantiles, np.float64)
    if len(knots) == 1:
        return np.broadcast_to(values[:, 0], scores.shape).copy()
    left = np.clip(np.searchsorted(knots, scores, side="right") - 1, 0, len(knots) - 2)
    steps = np.arange(len(values))
    lower, upper = values[steps, left], values[steps, left + 1]
    share = (scores - knots[left]) / (knots[left + 1] - knots[left])
    return lower + share * (upper - lower)


def is_whole(past: Float[np.ndarray, "C L"]) -> np.ndarray:
    """Return for each channel whether all observed values are whole numbers, and not too large to tell."""
    filled = np.where(np.isfinite(past), past, 0.0)
    return (filled == np.round(filled)).all(axis=1) & (np.abs(filled).max(axis=1, initial=0.0) < MAX_WHOLE)


def round_randomly(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return whole numbers next to the values, the higher one with the probability that keeps the mean.

    Rounding to the nearest number would take the sales out of a series that sells one piece a week.
    """
    return np.floor(values + rng.random(values.shape))
