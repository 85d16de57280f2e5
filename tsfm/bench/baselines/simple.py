"""Simple forecasters, each with its known forecast distribution.

B batch, C channels, L past steps, H horizon, Q quantile levels, m season length. NaN is missing; on the left it is
padding. Formulas: Hyndman & Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), sections 5.2 and 5.5, table
5.2: a normal distribution around the forecast; its width is the RMS of the residuals times a known growth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.infer.predictor import Predictor
from tsfm.metrics.forecast import seasonal_moments
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def observed_past(context: Float[np.ndarray, "B C L"], *, name: str) -> Bool[np.ndarray, "B C L"]:
    """Return where the context is observed, [batch, channels, time].

    Raises
    ------
    ValueError
        If the shape is another, or a series has no observed value; the message begins with `name`.
    """
    if np.ndim(context) != 3:
        raise ValueError(f"{name} got a context of shape {np.shape(context)}; expected [batch, channels, steps]")
    observed = ~np.isnan(context)
    silent = np.argwhere(~observed.any(-1))
    if len(silent):
        row, channel = map(int, silent[0])
        raise ValueError(
            f"{name} cannot forecast {len(silent)} series with no observed value, the first is row {row}, channel "
            f"{channel}; leave them out or give a longer past"
        )
    return observed


def spread(
    center: Float[np.ndarray, "B C H"], sigma: Float[np.ndarray, "B C H"], quantile_levels: Sequence[float]
) -> Float[np.ndarray, "B C H Q"]:
    """Return quantiles of normal distributions around the forecast, float32."""
    z = np.array([NormalDist().inv_cdf(level) for level in quantile_levels])
    return (center[..., None] + z * sigma[..., None]).astype(np.float32)


def last_season(context: Float[np.ndarray, "B C L"], season: int) -> Float[np.ndarray, "B C m"]:
    """Return the last observed value of each phase, oldest phase first; without one, the last value of all phases."""
    rows, channels, steps = context.shape
    fill = -steps % season
    padded = np.pad(context, ((0, 0), (0, 0), (fill, 0)), constant_values=np.nan)
    cycles = padded.reshape(rows, channels, -1, season)
    newest = cycles.shape[2] - 1 - np.argmax(~np.isnan(cycles[:, :, ::-1]), axis=2)  # an unobserved phase: the last
    latest = np.take_along_axis(cycles, newest[:, :, None], axis=2)[:, :, 0]
    if season == 1:
        return latest
    return np.where(np.isnan(latest), last_season(context, 1), latest)


def seasonal_quantiles(
    context: Float[np.ndarray, "B C L"], *, horizon: int, quantile_levels: Sequence[float], season_length: int
) -> Float[np.ndarray, "B C H Q"]:
    """Return the seasonal naive forecast as in GIFT-Eval: f + z_q sigma sqrt(floor((h-1)/m) + 1).

    sigma is the RMS of the residuals. A series not longer than the season has no residual: it takes season 1, as its
    MASE scale does. Where no pair of steps is observed, sigma is 0.
    """
    context = np.asarray(context, np.float64)
    _, sigma, used = seasonal_moments(context, season_length)
    step = np.arange(horizon)
    center = np.empty((*context.shape[:2], horizon))
    growth = np.empty_like(center)
    for m in np.unique(used):
        rows = used == m
        series = context[rows][:, None]
        center[rows] = last_season(series, int(m))[:, 0][:, step % m]
        growth[rows] = np.sqrt(step // m + 1)
    return spread(center, np.nan_to_num(sigma)[..., None] * growth, quantile_levels)


class Simple(Predictor):
    """A forecaster with a config."""

    @dataclass
    class Config:
        """No settings."""

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config


@BASELINES("last_value")
class LastValue(Simple):
    """The last observed value; sigma sqrt(h) (FPP3 table 5.2): the seasonal naive of season 1."""

    name = "last_value"

    @dataclass
    class Config:
        """No settings."""

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        observed_past(context, name=self.name)
        return seasonal_quantiles(context, horizon=horizon, quantile_levels=quantile_levels, season_length=1)


@BASELINES("seasonal_naive")
class SeasonalNaive(Simple):
    """The value of the same phase in the last season observed (FPP3 5.2; distribution as in GIFT-Eval)."""

    name = "seasonal_naive"

    @dataclass
    class Config:
        """Settings of `SeasonalNaive`."""

        season: int = 0  # steps; 0: that of the data

        def __post_init__(self):
            if self.season < 0:
                raise ValueError(f"season is {self.season}; give steps, or 0 for the season of the data")

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        observed_past(context, name=self.name)
        return seasonal_quantiles(
            context,
            horizon=horizon,
            quantile_levels=quantile_levels,
            season_length=self.config.season or season_length,
        )


@BASELINES("drift")
class Drift(Simple):
    """The line from the first to the last observed value; sigma sqrt(h (1 + h / (T - 1))) (FPP3 5.2 and table 5.2)."""

    name = "drift"

    @dataclass
    class Config:
        """Settings of `Drift`."""

        window: int = 0  # past steps that are used; 0: all

        def __post_init__(self):
            if self.window < 0 or self.window == 1:
                raise ValueError(f"window is {self.window}; a line needs 2 steps or more; 0 takes all")

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        window = self.config.window
        whole = np.asarray(context, np.float64)
        observed = observed_past(whole, name=self.name)
        if window:  # counted back from the last observed step, so that a gap at the end does not empty it
            age = (whole.shape[-1] - np.argmax(observed[..., ::-1], -1))[..., None] - 1 - np.arange(whole.shape[-1])
            whole = np.where(age < window, whole, np.nan)
            observed = ~np.isnan(whole)
        first = np.argmax(observed, -1)[..., None]
        last = whole.shape[-1] - 1 - np.argmax(observed[..., ::-1], -1)[..., None]
        newest, oldest = np.take_along_axis(whole, last, -1), np.take_along_axis(whole, first, -1)
        span = np.maximum(last - first, 1)
        slope = (newest - oldest) / span
        residual = np.diff(whole, axis=-1) - slope
        pairs = (~np.isnan(residual)).sum(-1, keepdims=True)
        sigma = np.sqrt(np.nansum(residual**2, -1, keepdims=True) / np.maximum(pairs - 1, 1))
        steps = whole.shape[-1] - 1 - last + np.arange(1, horizon + 1)  # steps since the last observed one
        return spread(newest + steps * slope, sigma * np.sqrt(steps * (1 + steps / span)), quantile_levels)


@BASELINES("mean")
class Mean(Simple):
    """Mean of the observed values; sigma sqrt(1 + 1/n) with the n - 1 standard deviation (FPP3 5.2 and table 5.2)."""

    name = "mean"

    @dataclass
    class Config:
        """Settings of `Mean`."""

        window: int = 0  # last observed values that are used; 0: all

        def __post_init__(self):
            if self.window < 0:
                raise ValueError(f"window is {self.window}; give a number of values, or 0 for all")

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        values = np.asarray(context, np.float64)
        counted = observed_past(values, name=self.name)
        if self.config.window:
            counted = counted & (np.cumsum(counted[..., ::-1], -1)[..., ::-1] <= self.config.window)
        count = counted.sum(-1, keepdims=True)
        center = np.where(counted, values, 0.0).sum(-1, keepdims=True) / count
        square = np.where(counted, values - center, 0.0) ** 2
        sigma = np.sqrt(square.sum(-1, keepdims=True) / np.maximum(count - 1, 1) * (1 + 1 / count))
        shape = (*values.shape[:2], horizon)
        return spread(np.broadcast_to(center, shape), np.broadcast_to(sigma, shape), quantile_levels)
