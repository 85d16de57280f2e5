"""A ridge regression of all future steps on past steps, pooled over the series of a panel.

Windows are standardized, so that one set of coefficients serves all series. Each step of the horizon has coefficients
of its own (a direct forecast), in closed form. The number of past steps, the strength, and whether the last value or
the last season is what strong regularization leads to, are chosen in the back-test.

W windows, P past steps, H horizon, F = P features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from typing_extensions import override

from tsfm.ensemble.member import ErrorQuantiles, History, Member, standardize
from tsfm.ensemble.panel import Panel, Windows

if TYPE_CHECKING:
    from jaxtyping import Float

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # relative to the mean variance of a feature
FIXED_LOOKBACKS = (16, 32, 336, 512)
SEASONS = (2, 4, 7)  # lookbacks in seasons
MAX_LOOKBACK = 1024
MIN_WINDOWS = 16
MAX_TARGET = 20.0  # standardized future values are cut there


class RidgeSettings(NamedTuple):
    """What the back-test chooses."""

    lookback: int
    seasonal: bool  # whether the regression corrects the last season instead of the last value
    strength: float


class PooledRidge(Member):
    """A ridge regression on past steps; see the module."""

    name = "ridge"

    @override
    def fit(self, history: History) -> Float[np.ndarray, "W H Q"] | None:
        """Choose lookback, base and strength; see `Member.fit`."""
        self._history = history
        best: tuple[float, RidgeSettings, np.ndarray] | None = None
        for lookback in lookbacks(history):
            for chosen, forecast in self._trials(history, lookback):
                loss = history.mean_error(forecast)
                if best is None or loss < best[0]:
                    best = loss, chosen, forecast
        if best is None:
            return None
        _, self._chosen, forecast = best
        scale = self._features(history.panel, history.windows, self._chosen.lookback)[2]
        self._errors = ErrorQuantiles((history.actual - forecast) / scale, history.quantile_levels)
        quantiles = self._errors.around(forecast, scale)
        # the last part of a history can have so many gaps that the windows of the whole are fewer
        parts = self._decompose(self._chosen, whole=True) or self._decompose(self._chosen, whole=False)
        assert parts is not None
        values, vectors, products = parts
        self._coefficients = vectors @ _shrunk(products, values, self._chosen.strength)
        return quantiles

    @override
    def quantiles(self, panel: Panel, windows: Windows) -> Float[np.ndarray, "W H Q"]:
        """Return quantiles of windows; see `Member.quantiles`."""
        features, level, scale = self._features(panel, windows, self._chosen.lookback)
        forecast = features @ self._coefficients + self._base(features, self._chosen)
        return self._errors.around(forecast * scale + level, scale)

    @property
    @override
    def settings(self) -> str:
        base = "season" if self._chosen.seasonal else "value"
        return f"{self._chosen.lookback} past steps, from the last {base}, strength {self._chosen.strength:g}"

    def _trials(self, history: History, lookback: int):
        """Yield settings of one lookback with their forecasts of the back-test."""
        features, level, scale = self._features(history.panel, history.windows, lookback)
        for seasonal in (False, True) if 1 < history.season_length <= lookback else (False,):
            base = RidgeSettings(lookback, seasonal, 0.0)
            parts = self._decompose(base, whole=False)
            if parts is None:
                return
            values, vectors, products = parts
            rotated, offset = features @ vectors, self._base(features, base)
            for strength in STRENGTHS:
                forecast = rotated @ _shrunk(products, values, strength) + offset
                yield base._replace(strength=strength), forecast * scale + level

    def _features(self, panel: Panel, windows: Windows, lookback: int):
        """Return standardized past steps, the last of which is replaced by 1, with level and scale of each window."""
        history = self._history
        past = panel.past(windows, max(lookback, history.scale_steps))
        features, level, scale = standardize(past, panel.scale_of(windows), scale_steps=history.scale_steps)
        features = features[:, -lookback:].copy()
        features[:, -1] = 1.0  # the last value is 0 after standardization
        return features, level, scale

    def _base(self, features: Float[np.ndarray, "W P"], settings: RidgeSettings) -> Float[np.ndarray, "W H"]:
        """Return what the regression corrects: 0, the last value, or the last season."""
        horizon, season = self._history.horizon, self._history.season_length
        if not settings.seasonal:
            return np.zeros((len(features), horizon))
        cycle = features[:, -season:].copy()
        cycle[:, -1] = 0.0
        return cycle[:, np.arange(horizon) % season]

    def _decompose(self, settings: RidgeSettings, *, whole: bool):
        """Return eigenvalues and eigenvectors of the moments of the features, and their products with the targets."""
        history = self._history
        windows = history.training_windows(settings.lookback, whole=whole)
        if len(windows) < MIN_WINDOWS:
            return None
        features, level, scale = self._features(history.panel, windows, settings.lookback)
        targets = (history.panel.future(windows, history.horizon) - level) / scale
        complete = np.isfinite(targets).all(axis=1)
        if complete.sum() < MIN_WINDOWS:
            return None
        features = features[complete].astype(np.float32)
        targets = np.clip(targets[complete], -MAX_TARGET, MAX_TARGET) - self._base(features, settings)
        moments = (features.T @ features).astype(np.float64) / len(features)
        products = (features.T @ targets.astype(np.float32)).astype(np.float64) / len(features)
        values, vectors = np.linalg.eigh(moments)
        return np.maximum(values, 0.0), vectors, vectors.T @ products


def lookbacks(history: History) -> list[int]:
    """Return the numbers of past steps to try: some seasons, two horizons and fixed ones, at most half of a series."""
    season, long_season = history.season_length, history.long_season
    candidates = {*FIXED_LOOKBACKS, 2 * history.horizon, *(season * count for count in SEASONS)}
    if long_season:
        candidates |= {long_season + 8, 2 * long_season}
    limit = min(MAX_LOOKBACK, int(np.median(history.panel.lengths)) // 2)
    return sorted(count for count in candidates if 4 <= count <= limit) or ([limit] if limit >= 2 else [])


def _shrunk(
    products: Float[np.ndarray, "F H"], values: Float[np.ndarray, " F"], strength: float
) -> Float[np.ndarray, "F H"]:
    """Return the coefficients in the basis of the eigenvectors."""
    penalty = strength * max(float(values.mean()), np.finfo(np.float64).tiny)
    return products / (values[:, None] + penalty)
