"""Forecast errors as pure numpy functions; `forecast_score` adds them up over batches of windows.

B windows, C channels, L context steps, H horizon, Q quantile levels. A NaN in `y_true` is a missing step and is not
scored. A forecast that is not finite where `y_true` was observed is an error. Sums run in float64.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of numpy leave the types of some results open)

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

CENTRAL = (0.1, 0.9)  # the interval reported when a model gives several


def mask_missing(
    y_true: Any, y_pred: Any, *, num_levels: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both arrays in float64 with 0 where `y_true` is missing, and the mask of observed steps.

    Parameters
    ----------
    y_true, y_pred
        Arrays [..., H]; with `num_levels`, `y_pred` is [..., H, num_levels].

    Raises
    ------
    ValueError
        If the shapes do not match, `y_true` is infinite, or `y_pred` is not finite where `y_true` is observed.
    """
    y_true, y_pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    shape = y_true.shape if num_levels is None else (*y_true.shape, num_levels)
    if y_pred.shape != shape:
        raise ValueError(f"the forecast has shape {y_pred.shape}; expected {shape}, which matches y_true")
    if np.isinf(y_true).any():
        raise ValueError(f"y_true holds {int(np.isinf(y_true).sum())} infinite values; mark unknown steps with NaN")
    mask = ~np.isnan(y_true)
    wide_mask = mask if num_levels is None else mask[..., None]
    invalid = wide_mask & ~np.isfinite(y_pred)
    if invalid.any():
        index = tuple(int(i) for i in np.argwhere(invalid)[0])
        raise ValueError(
            f"{int(invalid.sum())} forecast values are not finite where y_true was observed, the first at {index}; "
            "fix the forecaster, because a window is scored as a whole or not at all"
        )
    return np.where(mask, y_true, 0.0), np.where(wide_mask, y_pred, 0.0), mask


def _mean(total: float, count: float, *, metric: str) -> float:
    if count == 0:
        raise ValueError(f"{metric} is undefined: its divisor is 0 (y_true has no observed step, or only zeros)")
    return float(total / count)


def step_errors(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return squared error, absolute error and sMAPE term of each step; 0 where both arrays are 0."""
    error = np.abs(y_pred - y_true)
    magnitude = np.abs(y_true) + np.abs(y_pred)
    return error**2, error, 200.0 * error / np.where(magnitude > 0, magnitude, 1.0)


def mse(y_true: Float[np.ndarray, "... H"], y_pred: Float[np.ndarray, "... H"]) -> float:
    """Compute the mean squared error over observed steps."""
    y_true, y_pred, mask = mask_missing(y_true, y_pred)
    return _mean(step_errors(y_true, y_pred)[0].sum(), mask.sum(), metric="MSE")


def mae(y_true: Float[np.ndarray, "... H"], y_pred: Float[np.ndarray, "... H"]) -> float:
    """Compute the mean absolute error over observed steps."""
    y_true, y_pred, mask = mask_missing(y_true, y_pred)
    return _mean(step_errors(y_true, y_pred)[1].sum(), mask.sum(), metric="MAE")


def smape(y_true: Float[np.ndarray, "... H"], y_pred: Float[np.ndarray, "... H"]) -> float:
    """Compute the symmetric MAPE of the M4 competition, in percent from 0 to 200.

    The mean of ``200 |y - f| / (|y| + |f|)``; a step where both are 0 counts 0.

    References
    ----------
    Makridakis, Spiliotis & Assimakopoulos, "The M4 Competition", International Journal of Forecasting 36, 2020.
    """
    y_true, y_pred, mask = mask_missing(y_true, y_pred)
    return _mean(step_errors(y_true, y_pred)[2].sum(), mask.sum(), metric="sMAPE")


def seasonal_error(context: Float[np.ndarray, "*rows L"], season_length: int) -> Float[np.ndarray, "*rows"]:
    """Compute the in-sample MAE of the seasonal naive forecast, ``mean |y_t - y_(t-m)|``: the scale of MASE.

    Steps before the first observation of a row are ignored. m is `season_length`, or 1 where the observed context is
    not longer than that (as in GIFT-Eval). Pairs with a NaN are skipped; the result is NaN where no pair remains.

    References
    ----------
    Hyndman & Koehler, "Another look at measures of forecast accuracy", 2006.
    """
    return seasonal_moments(context, season_length)[0]


def seasonal_moments(
    context: Float[np.ndarray, "... L"], season_length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the mean absolute and the root mean square seasonal difference of each row.

    Returns
    -------
    mean, root, used
        Arrays of shape [...]: both moments in data units, and the season length that each row could use.
    """
    if season_length < 1:
        raise ValueError(f"season_length is {season_length}; expected a number of steps, at least 1")
    context = np.asarray(context)
    if np.isinf(context).any():
        raise ValueError("the context holds infinite values; mark unknown steps with NaN")
    observed = ~np.isnan(context)
    num_steps = context.shape[-1]
    no_steps = np.zeros(context.shape[:-1])
    num_observed = np.where(observed.any(-1), num_steps - np.argmax(observed, -1), 0) if num_steps else no_steps
    used = np.where(num_observed > season_length, season_length, 1)
    mean = np.full(context.shape[:-1], np.nan)
    root = mean.copy()
    for lag in np.unique(used):
        rows = context[used == lag].astype(np.float64)
        difference = np.abs(rows[:, lag:] - rows[:, :-lag])
        count = (~np.isnan(difference)).sum(-1)
        difference = np.nan_to_num(difference)
        divisor = np.maximum(count, 1)
        mean[used == lag] = np.where(count > 0, difference.sum(-1) / divisor, np.nan)
        root[used == lag] = np.where(count > 0, np.sqrt((difference**2).sum(-1) / divisor), np.nan)
    return mean, root, used


def sum_scaled(error: np.ndarray, mask: np.ndarray, scale: Any) -> tuple[float, int, int]:
    """Return the sum of error / scale, the number of steps in it, and the number of rows without a usable scale.

    Parameters
    ----------
    error, mask
        Absolute errors [..., H], 0 where masked, and the observed steps.
    scale
        One number for each row, [...]; rows where it is zero or NaN are left out.
    """
    scale = np.asarray(scale, np.float64)
    if scale.shape != error.shape[:-1]:
        raise ValueError(f"scale has shape {scale.shape}; expected one per row of y_true, {error.shape[:-1]}")
    usable = np.isfinite(scale) & (scale > 0)
    ratio = (error.sum(-1)[usable] / scale[usable]).sum()
    return ratio, int(mask[usable].sum()), int((~usable).sum())


def mase(y_true: Float[np.ndarray, "... H"], y_pred: Float[np.ndarray, "... H"], *, scale: Any) -> float:
    """Compute the mean absolute scaled error over all steps of all rows.

    Parameters
    ----------
    scale
        One positive number for each row, shape [...], from `seasonal_error`. Rows whose scale is zero or NaN are left
        out (`ForecastScore` counts them).

    References
    ----------
    Hyndman & Koehler, "Another look at measures of forecast accuracy", 2006, eq. 3.
    """
    y_true, y_pred, mask = mask_missing(y_true, y_pred)
    total, count, _ = sum_scaled(np.abs(y_pred - y_true), mask, scale)
    return _mean(total, count, metric="MASE")


def check_quantile_levels(quantile_levels: Sequence[float]) -> tuple[float, ...]:
    """Return the quantile levels as a tuple.

    Raises
    ------
    ValueError
        Unless there is at least one level, each is in (0, 1), and they are strictly ascending.
    """
    checked = tuple(float(level) for level in quantile_levels)
    if not checked or any(not 0 < level < 1 for level in checked) or list(checked) != sorted(set(checked)):
        raise ValueError(
            f"quantile levels are {list(checked)}; expected at least one, each in (0, 1), in ascending order, each once"
        )
    return checked


def sum_pinball(y_true: np.ndarray, quantiles: np.ndarray, quantile_levels: Sequence[float]) -> np.ndarray:
    """Return twice the quantile loss of each level [Q], summed over all steps; steps that are 0 in both add 0."""
    error = y_true[..., None] - quantiles
    loss = 2.0 * np.abs(error * ((quantiles >= y_true[..., None]) - np.asarray(quantile_levels)))
    return loss.reshape(-1, len(quantile_levels)).sum(0)


def wql(
    y_true: Float[np.ndarray, "... H"], quantiles: Float[np.ndarray, "... H Q"], quantile_levels: Sequence[float]
) -> float:
    """Compute the mean weighted quantile loss, which approximates CRPS divided by the mean of ``|y|``.

    For each level, the sum over all steps of ``2 |(y - f)(1[f >= y] - q)|`` divided by the sum of ``|y|``; then the
    mean over levels.

    References
    ----------
    GIFT-Eval, arXiv:2410.10393.
    """
    quantile_levels = check_quantile_levels(quantile_levels)
    y_true, quantiles, _ = mask_missing(y_true, quantiles, num_levels=len(quantile_levels))
    return _mean(sum_pinball(y_true, quantiles, quantile_levels).mean(), np.abs(y_true).sum(), metric="WQL")


def coverage(y_true: Any, lower: Any, upper: Any) -> float:
    """Compute the share of observed steps inside [lower, upper]; a calibrated 80 % interval gives 0.8."""
    target, low, mask = mask_missing(y_true, lower)
    high = mask_missing(y_true, upper)[1]
    return _mean(((low <= target) & (target <= high) & mask).sum(), mask.sum(), metric="coverage")


def width(y_true: Any, lower: Any, upper: Any) -> float:
    """Compute the mean width of the interval [lower, upper] over observed steps, in data units."""
    _, low, mask = mask_missing(y_true, lower)
    return _mean((mask_missing(y_true, upper)[1] - low).sum(), mask.sum(), metric="interval width")


def central_pair(quantile_levels: Sequence[float]) -> tuple[int, int] | None:
    """Return the indices of the levels that bound a central interval.

    These are 0.1 and 0.9 where present, else the widest symmetric pair; None without a symmetric pair.
    """
    pairs = [
        (low, high)
        for low, low_level in enumerate(quantile_levels)
        for high, high_level in enumerate(quantile_levels)
        if low_level < 0.5 and abs(low_level + high_level - 1) < 1e-9
    ]
    preferred = [pair for pair in pairs if abs(quantile_levels[pair[0]] - CENTRAL[0]) < 1e-9]
    return (preferred or sorted(pairs, key=lambda pair: quantile_levels[pair[0]]) or [None])[0]
