"""How forecast errors of successive steps depend on each other, estimated from the past of a series.

An autoregression of low order is fitted to the past without its seasonal pattern. The error of its forecast h steps on
is ``e_h = psi_0 a_h + psi_1 a_(h-1) + ... + psi_(h-1) a_1`` with independent a (Box & Jenkins, Time Series Analysis,
1970, chapter 5). Errors of a random walk then add up, those of noise around a level are independent.

L past steps, H horizon, P order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_ORDER = 4
MAX_STEPS = 4096  # last past steps that are used
MIN_ROWS = 12  # of a regression, for each coefficient fewer are not enough: steps are independent
MIN_SEASONS = 2  # that a pattern is averaged over


def error_weights(past: Float[np.ndarray, " L"], *, horizon: int, season_length: int) -> Float[np.ndarray, "H H"]:
    """Return the weights of independent shocks in the errors of the steps, each row of length 1.

    Row h times its transpose are the correlations of the errors. A past that is constant or too short for a regression
    gives independent steps, the identity.

    Parameters
    ----------
    past
        NaN is missing.

    Examples
    --------
    >>> walk = np.random.default_rng(0).normal(size=4000).cumsum()
    >>> weights = error_weights(walk, horizon=4, season_length=1)
    >>> (weights @ weights.T)[0].round(1)  # of a random walk: 1 / sqrt(h)
    array([1. , 0.7, 0.6, 0.5])
    """
    values = np.asarray(past, np.float64)[-MAX_STEPS:]
    coefficients = fit_autoregression(values - seasonal_pattern(values, season_length))
    psi = shock_response(coefficients, horizon)
    lag = np.arange(horizon)[:, None] - np.arange(horizon)
    weights = np.where(lag >= 0, psi[np.abs(lag)], 0.0)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def seasonal_pattern(values: Float[np.ndarray, " L"], season_length: int) -> Float[np.ndarray, " L"]:
    """Return the seasonal pattern: sums of the mean change of each phase, without the drift; 0 for short pasts.

    Means of changes, unlike means of values, do not depend on where the level wandered.
    """
    if season_length < 2 or len(values) < MIN_SEASONS * season_length + 1:
        return np.zeros_like(values)
    change = np.diff(values)
    phase = np.arange(1, len(values)) % season_length
    known = np.isfinite(change)
    count = np.bincount(phase[known], minlength=season_length)
    mean = np.bincount(phase[known], weights=change[known], minlength=season_length) / np.maximum(count, 1)
    pattern = np.cumsum(mean - mean.mean())
    return pattern[np.arange(len(values)) % season_length]


def fit_autoregression(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " P"]:
    """Return the coefficients of an autoregression with a constant, by least squares; the order by BIC.

    An estimate with an explosive root is damped until the root is 1. Rows with a missing value are left out.
    """
    nothing = np.zeros(0)
    observed = values[np.isfinite(values)]
    if len(observed) < 2 or np.ptp(observed) <= 1e-9 * max(float(np.abs(observed).max()), 1e-300):
        return nothing
    order_limit = min(MAX_ORDER, len(values) - 1)
    lags = np.lib.stride_tricks.sliding_window_view(values, order_limit + 1)[:, ::-1]
    rows = lags[np.isfinite(lags).all(axis=1)]
    if len(rows) < MIN_ROWS:
        return nothing
    y, best = rows[:, 0] - rows[:, 0].mean(), nothing
    x = rows[:, 1:] - rows[:, 1:].mean(axis=0)
    lowest = _bic(y, 0)
    for order in range(1, min(order_limit, len(rows) // MIN_ROWS) + 1):
        coefficients = np.linalg.lstsq(x[:, :order], y, rcond=None)[0]
        criterion = _bic(y - x[:, :order] @ coefficients, order)
        if criterion < lowest:
            lowest, best = criterion, coefficients
    return _without_explosion(best)


def _bic(residuals: np.ndarray, order: int) -> float:
    """Return the criterion of Schwarz (1978) up to a constant."""
    size = len(residuals)
    return size * float(np.log(max(np.mean(residuals**2), 1e-300))) + order * float(np.log(size))


def _without_explosion(coefficients: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Return coefficients whose largest root is at most 1."""
    order = len(coefficients)
    if not order:
        return coefficients
    companion = np.eye(order, k=-1)
    companion[0] = coefficients
    radius = float(np.abs(np.linalg.eigvals(companion)).max())
    return coefficients if radius <= 1 else coefficients / radius ** np.arange(1, order + 1)


def shock_response(coefficients: Float[np.ndarray, " P"], horizon: int) -> Float[np.ndarray, " H"]:
    """Return how much a shock changes the series 0, 1, ... steps later.

    Examples
    --------
    >>> shock_response(np.array([0.5]), 4)
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    psi = np.zeros(horizon)
    psi[0] = 1.0
    for step in range(1, horizon):
        order = min(step, len(coefficients))
        psi[step] = psi[step - order : step][::-1] @ coefficients[:order]
    return psi
