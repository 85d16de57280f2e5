"""An autoregression fitted to each series by least squares.

L past steps, M rows of a fit, P lags, H horizon, Q quantile levels.

The order has the smallest AIC. Inner gaps are interpolated linearly; the steps of a gap at the end are forecast first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from tsfm.bench.baselines.simple import Simple, observed_past, spread
from tsfm.bench.baselines.statistical import observed_run
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Float

ROWS_PER_WEIGHT = 2  # a fit of P lags and a mean needs twice as many rows
MOST_GROWTH = 10.0  # a forecast stays within this multiple of the range of the past around it: roots may be unstable
ROUNDING = 1e-14  # of the variance: residuals below it are rounding errors, and no reason for a further lag


def lagged_rows(series: Float[np.ndarray, " L"], order: int) -> Float[np.ndarray, "M P"]:
    """Return for each step after the first `order` a row: 1, the value before, the value two steps before, ..."""
    lags = [series[order - lag : len(series) - lag] for lag in range(1, order + 1)]
    return np.stack([np.ones(len(series) - order), *lags], 1)


def choose_order(series: Float[np.ndarray, " L"], most: int) -> int:
    """Return the order from 0 to `most` with the smallest AIC, all fitted to the same steps.

    The Q factor of the rows of the highest order has, in its first columns, those of all lower ones: the squared
    residuals of every order follow from one decomposition.
    """
    if most < 1:
        return 0
    target = series[most:]
    q, r = np.linalg.qr(lagged_rows(series, most))
    independent = np.abs(np.diag(r)) > 1e-10 * np.abs(r[0, 0])
    explained = np.cumsum(np.where(independent, (q.T @ target) ** 2, 0.0))
    total = target @ target
    residual = np.maximum(total - explained, ROUNDING * total + np.finfo(float).tiny)
    orders = np.arange(most + 1)
    return int(np.argmin(len(target) * np.log(residual / len(target)) + 2 * (orders + 2)))


def fit(series: Float[np.ndarray, " L"], most: int) -> tuple[float, Float[np.ndarray, " P"], float]:
    """Return intercept, weights of the last values (newest first) and the variance of the residuals."""
    order = choose_order(series, min(most, (len(series) - ROWS_PER_WEIGHT) // (ROWS_PER_WEIGHT + 1)))
    rows, target = lagged_rows(series, order), series[order:]
    weights = np.linalg.lstsq(rows, target, rcond=1e-12)[0]
    freedom = max(len(target) - len(weights), 1)
    return float(weights[0]), weights[1:], float(((target - rows @ weights) ** 2).sum() / freedom)


def iterate(
    series: Float[np.ndarray, " L"], intercept: float, weights: Float[np.ndarray, " P"], horizon: int, limit: float
) -> tuple[Float[np.ndarray, " H"], Float[np.ndarray, " H"]]:
    """Return the forecast and the growth of its variance in variances of the residuals, both limited in size."""
    order = len(weights)
    values, response = list(series[len(series) - order :]), [0.0] * order
    for step in range(horizon):
        recent = np.array(values[len(values) - order :][::-1])
        values.append(float(np.clip(intercept + weights @ recent, -limit, limit)))
        pushed = float(weights @ np.array(response[len(response) - order :][::-1])) if step else 1.0
        response.append(float(np.clip(pushed, -limit, limit)))
    return np.array(values[order:]), np.cumsum(np.square(response[order:]))


@BASELINES("ar_ols")
class ArOls(Simple):
    """An autoregression by ordinary least squares, its order by AIC; normal errors around the iterated forecast.

    The best that linear attention can do in context (arXiv:2510.09776). The season is not used.
    """

    name = "ar_ols"

    @dataclass
    class Config:
        """Settings of `ArOls`."""

        most: int = 12  # highest order; a short series has a lower one: two steps are left for each weight

        def __post_init__(self):
            if not 1 <= self.most <= 512:
                raise ValueError(f"most is {self.most}; expected an order from 1 to 512")

    @override
    def quantiles(self, context, *, horizon, quantile_levels, season_length=1, known=None):
        context = np.asarray(context, np.float64)
        observed_past(context, name=self.name)
        center, sigma = np.empty((*context.shape[:2], horizon)), np.empty((*context.shape[:2], horizon))
        for row in np.ndindex(context.shape[:2]):
            center[row], sigma[row] = self._forecast(context[row], horizon)
        return spread(center, sigma, quantile_levels)

    def _forecast(self, series: Float[np.ndarray, " L"], horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of one series."""
        run, gap = observed_run(series)
        location, scale = run.mean(), run.std()
        if scale <= 1e-9 * abs(location) or scale == 0:
            return np.full(horizon, run[-1]), np.zeros(horizon)
        standard = (run - location) / scale
        intercept, weights, variance = fit(standard, self.config.most)
        limit = MOST_GROWTH * np.ptp(standard)
        mean, growth = iterate(standard, intercept, weights, gap + horizon, limit)
        return location + scale * mean[gap:], scale * np.sqrt(variance * growth[gap:])
