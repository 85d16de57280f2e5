"""The usual pattern of a season, taken out of series before a model without one is fitted.

Classical decomposition: ratios to, or differences from, a centred moving average, as the Theta method uses it
(Assimakopoulos and Nikolopoulos, 2000). L steps, M steps of a season.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

SIGNIFICANT = 1.645  # standard errors of the autocorrelation at the season, a 90 % test
SMALLEST_RATIO = 0.01  # a pattern with smaller ratios is subtracted instead


class SeasonalIndex(NamedTuple):
    """The pattern from the first step of a series on."""

    pattern: Float[np.ndarray, " M"]
    ratios: bool  # whether it is multiplied, not added

    def remove(self, values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
        """Return a series without its season."""
        pattern = np.resize(self.pattern, len(values))
        return values / pattern if self.ratios else values - pattern

    def restore(self, values: Float[np.ndarray, "H Q"], *, first: int) -> Float[np.ndarray, "H Q"]:
        """Return values with the season, the first of which belong to step `first` of the series."""
        pattern = self.pattern[(first + np.arange(len(values))) % len(self.pattern), None]
        return values * pattern if self.ratios else values + pattern


def seasonal_index(values: Float[np.ndarray, " L"], season_length: int) -> SeasonalIndex | None:
    """Return the pattern of a series; None if it is not significant or the series has less than two seasons.

    Examples
    --------
    >>> seasonal_index(np.tile([1.0, 2.0, 3.0], 8), 3)
    SeasonalIndex(pattern=array([0.5, 1. , 1.5]), ratios=True)
    """
    if season_length < 2 or len(values) <= 2 * season_length or not _is_significant(values, season_length):
        return None
    weights = np.ones(season_length + 1 - season_length % 2)
    if season_length % 2 == 0:
        weights[[0, -1]] = 0.5
    half = len(weights) // 2
    average = np.convolve(values, weights / weights.sum(), "valid")
    phase = np.arange(half, len(values) - half) % season_length
    middle, counts = values[half : len(values) - half], np.bincount(phase, minlength=season_length)
    if values.min() > 0:
        pattern = np.bincount(phase, middle / average, season_length) / counts
        pattern /= pattern.mean()
        if pattern.min() >= SMALLEST_RATIO:
            return SeasonalIndex(pattern, ratios=True)
    pattern = np.bincount(phase, middle - average, season_length) / counts
    return SeasonalIndex(pattern - pattern.mean(), ratios=False)


def _is_significant(values: Float[np.ndarray, " L"], season_length: int) -> bool:
    """Return whether the autocorrelation at the season is above 0, with its standard error after Bartlett."""
    deviation = values - values.mean()
    variance = float(deviation @ deviation)
    if variance <= 0:
        return False
    correlation = [float(deviation[lag:] @ deviation[:-lag]) / variance for lag in range(1, season_length + 1)]
    error = np.sqrt((1 + 2 * np.square(correlation[:-1]).sum()) / len(values))
    return bool(correlation[-1] > SIGNIFICANT * error)
