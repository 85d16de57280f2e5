"""Forecast errors as pure numpy functions, and one accumulator over batches of windows.

B windows, C channels, L context steps, H horizon, Q quantile levels. A NaN in `y_true` is a missing step and is not
scored. A forecast that is not finite where `y_true` was observed is an error. Sums run in float64.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.metrics.metric import ForecastBatch, forecast_metric, forecast_metrics

if TYPE_CHECKING:
    from jaxtyping import Float

logger = logging.getLogger("tsfm")
CENTRAL = (0.1, 0.9)  # the interval reported when a model gives several


def _masked(y_true: Any, y_pred: Any, *, num_levels: int | None = None):
    """Both arrays in float64 with 0 where `y_true` is NaN, and the mask of scored steps."""
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


def _step_errors(y_true: np.ndarray, y_pred: np.ndarray, mask: np.ndarray):
    """Squared error, absolute error and sMAPE term of each step; 0 where masked."""
    error = np.abs(y_pred - y_true)
    magnitude = np.abs(y_true) + np.abs(y_pred)
    return error**2, error, 200.0 * error / np.where(magnitude > 0, magnitude, 1.0)


def mse(y_true: Float[np.ndarray, "... H"], y_pred: Float[np.ndarray, "... H"]) -> float:
    """Compute the mean squared error over observed steps."""
    masked = _masked(y_true, y_pred)
    return _mean(_step_errors(*masked)[0].sum(), masked[2].sum(), metric="MSE")


def mae(y_true: Float[np.ndarray, "... H"], y_pred: Float[np.ndarray, "... H"]) -> float:
    """Compute the mean absolute error over observed steps."""
    masked = _masked(y_true, y_pred)
    return _mean(_step_errors(*masked)[1].sum(), masked[2].sum(), metric="MAE")


def smape(y_true: Float[np.ndarray, "... H"], y_pred: Float[np.ndarray, "... H"]) -> float:
    """Compute the symmetric MAPE of the M4 competition, in percent from 0 to 200.

    The mean of ``200 |y - f| / (|y| + |f|)``; a step where both are 0 counts 0.

    References
    ----------
    Makridakis, Spiliotis & Assimakopoulos, "The M4 Competition", International Journal of Forecasting 36, 2020.
    """
    masked = _masked(y_true, y_pred)
    return _mean(_step_errors(*masked)[2].sum(), masked[2].sum(), metric="sMAPE")


def seasonal_error(context: Float[np.ndarray, "*rows L"], season_length: int) -> Float[np.ndarray, "*rows"]:
    """Compute the in-sample MAE of the seasonal naive forecast, ``mean |y_t - y_(t-m)|``: the scale of MASE.

    Steps before the first observation of a row are ignored. m is `season_length`, or 1 where the observed context is
    not longer than that (as in GIFT-Eval). Pairs with a NaN are skipped; the result is NaN where no pair remains.

    References
    ----------
    Hyndman & Koehler, "Another look at measures of forecast accuracy", 2006.
    """
    return seasonal_moments(context, season_length)[0]


def seasonal_moments(context: Float[np.ndarray, "... L"], season_length: int):
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


def _scaled(error: np.ndarray, mask: np.ndarray, scale: Any):
    """Sum of error / scale, the number of steps in it, and the number of rows whose scale is zero or undefined."""
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
    y_true, y_pred, mask = _masked(y_true, y_pred)
    total, count, _ = _scaled(np.abs(y_pred - y_true), mask, scale)
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


def _pinball(y_true: np.ndarray, quantiles: np.ndarray, quantile_levels: Sequence[float]) -> np.ndarray:
    """Twice the quantile loss summed over all steps, per level [Q]; masked steps are 0 in both and add 0."""
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
    y_true, quantiles, _ = _masked(y_true, quantiles, num_levels=len(quantile_levels))
    return _mean(_pinball(y_true, quantiles, quantile_levels).mean(), np.abs(y_true).sum(), metric="WQL")


def coverage(y_true: Any, lower: Any, upper: Any) -> float:
    """Compute the share of observed steps inside [lower, upper]; a calibrated 80 % interval gives 0.8."""
    target, low, mask = _masked(y_true, lower)
    high = _masked(y_true, upper)[1]
    return _mean(((low <= target) & (target <= high) & mask).sum(), mask.sum(), metric="coverage")


def width(y_true: Any, lower: Any, upper: Any) -> float:
    """Compute the mean width of the interval [lower, upper] over observed steps, in data units."""
    _, low, mask = _masked(y_true, lower)
    return _mean((_masked(y_true, upper)[1] - low).sum(), mask.sum(), metric="interval width")


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


@forecast_metric("mse", better="lower")
def _mse(batch: ForecastBatch):
    return (batch.absolute_error**2).sum(), batch.mask.sum()


@forecast_metric("mae", better="lower")
def _mae(batch: ForecastBatch):
    return batch.absolute_error.sum(), batch.mask.sum()


@forecast_metric("smape", better="lower")
def _smape(batch: ForecastBatch):
    return _step_errors(batch.y_true, batch.median, batch.mask)[2].sum(), batch.mask.sum()


@forecast_metric("mase", better="lower")
def _mase(batch: ForecastBatch):
    return None if batch.scale is None else _scaled(batch.absolute_error, batch.mask, batch.scale)[:2]


@forecast_metric("wql", better="lower")
def _wql(batch: ForecastBatch):
    return _pinball(batch.y_true, batch.quantiles, batch.quantile_levels), np.abs(batch.y_true).sum()


@forecast_metric("coverage", better="target")
def _coverage(batch: ForecastBatch):
    if batch.interval is None:
        return None
    low, high = (batch.quantiles[..., index] for index in batch.interval)
    return ((low <= batch.y_true) & (batch.y_true <= high) & batch.mask).sum(), batch.mask.sum()


@forecast_metric("width", better="target")
def _width(batch: ForecastBatch):
    if batch.interval is None:
        return None
    low, high = (batch.quantiles[..., index] for index in batch.interval)
    return (high - low).sum(), batch.mask.sum()


class ForecastScore:
    """All registered forecast metrics over many windows: the result does not depend on how windows are batched.

    The point forecast is the quantile at level 0.5. A point model has the single level (0.5,).

    Parameters
    ----------
    quantile_levels
        Ascending levels in (0, 1); 0.5 must be one of them.
    season_length
        Steps of a season, used to scale MASE where `update` is given a context.
    """

    def __init__(self, quantile_levels: Sequence[float], season_length: int = 1):
        self.quantile_levels = check_quantile_levels(quantile_levels)
        self.season_length = season_length
        median = [index for index, level in enumerate(self.quantile_levels) if abs(level - 0.5) < 1e-9]
        if not median:
            raise ValueError(
                f"quantile levels {list(self.quantile_levels)} lack 0.5, the point forecast; add it to those that are "
                "requested from the predictor"
            )
        self.median_index = median[0]
        self.interval = central_pair(self.quantile_levels)
        self.with_scale: bool | None = None
        self.metrics = forecast_metrics()
        self.sums: dict[str, Any] = {}
        self.divisors: dict[str, float] = {}
        self.counts = {"windows": 0, "steps_scored": 0, "steps_masked": 0, "scales_undefined": 0}

    def update(
        self,
        y_true: Float[np.ndarray, "B C H"],
        quantiles: Float[np.ndarray, "B C H Q"],
        context: Float[np.ndarray, "B C L"] | None = None,
        *,
        scale: Float[np.ndarray, "B C"] | None = None,
    ) -> None:
        """Add a batch of windows.

        MASE is scaled by `scale`, else by the seasonal error of `context` (left-padded with NaN); without either it is
        not computed.
        """
        if scale is None and context is not None:
            scale = seasonal_error(context, self.season_length)
        if self.with_scale not in (None, scale is not None):
            raise ValueError("some batches came with a context and some without; give it for all windows or for none")
        if np.ndim(y_true) != 3:
            raise ValueError(f"y_true has shape {np.shape(y_true)}; expected [windows, channels, horizon]")
        target, predicted, mask = _masked(y_true, quantiles, num_levels=len(self.quantile_levels))
        batch = ForecastBatch(
            target, predicted, mask, self.quantile_levels, self.median_index, self.interval,
            None if scale is None else np.asarray(scale, np.float64),
        )  # fmt: skip
        if scale is not None:
            self.counts["scales_undefined"] += _scaled(batch.absolute_error, mask, scale)[2]
        for metric in self.metrics:
            assert metric.function is not None
            if (update := metric.function(batch)) is not None:
                total, divisor = np.asarray(update[0], np.float64), float(update[1])
                self.sums[metric.name] = self.sums.get(metric.name, 0.0) + total
                self.divisors[metric.name] = self.divisors.get(metric.name, 0.0) + divisor
        self.counts["windows"] += len(target)
        self.counts["steps_scored"] += int(mask.sum())
        self.counts["steps_masked"] += int((~mask).sum())
        self.with_scale = scale is not None

    def result(self) -> dict[str, float]:
        """Return every metric that is defined, and the counts.

        A metric that is undefined on these windows is absent and named in the log. `interval` is the nominal share of
        `coverage`; `scales_undefined` counts the rows (one window and channel) that are left out of MASE because their
        scale is zero or unknown.
        """
        if not self.counts["steps_scored"]:
            raise ValueError(f"nothing was scored: {self.counts['windows']} windows hold no observed target step")
        metrics = {
            name: float(np.mean(total) / self.divisors[name])
            for name, total in self.sums.items()
            if self.divisors[name]
        }
        if missing := [name for name in self.sums if name not in metrics]:
            logger.warning("undefined on these windows, so left out: %s", ", ".join(missing))
        if self.interval is not None:
            low, high = self.interval
            metrics["interval"] = round(self.quantile_levels[high] - self.quantile_levels[low], 9)
        counts = dict(self.counts)
        if not self.with_scale:
            del counts["scales_undefined"]
        return metrics | counts
