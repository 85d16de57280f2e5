"""Scores of forecasts over many windows, added up batch by batch, and the built-in metrics of those scores.

B windows, C channels, L context steps, H horizon, Q quantile levels. Sums run in float64.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of numpy leave the types of some results open)

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.metrics.forecast import (
    central_pair,
    check_quantile_levels,
    mask_missing,
    seasonal_error,
    step_errors,
    sum_pinball,
    sum_scaled,
)
from tsfm.metrics.metric import ForecastBatch, forecast_metric, forecast_metrics

if TYPE_CHECKING:
    from jaxtyping import Float

logger = logging.getLogger("tsfm")
BUILT_IN = ("mse", "mae", "smape", "mase", "wql", "coverage", "width")


@forecast_metric("mse", better="lower")
def _mse(batch: ForecastBatch):
    return (batch.absolute_error**2).sum(), batch.mask.sum()


@forecast_metric("mae", better="lower")
def _mae(batch: ForecastBatch):
    return batch.absolute_error.sum(), batch.mask.sum()


@forecast_metric("smape", better="lower")
def _smape(batch: ForecastBatch):
    return step_errors(batch.y_true, batch.median)[2].sum(), batch.mask.sum()


@forecast_metric("mase", better="lower")
def _mase(batch: ForecastBatch):
    return None if batch.scale is None else sum_scaled(batch.absolute_error, batch.mask, batch.scale)[:2]


@forecast_metric("wql", better="lower")
def _wql(batch: ForecastBatch):
    return sum_pinball(batch.y_true, batch.quantiles, batch.quantile_levels), np.abs(batch.y_true).sum()


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
        target, predicted, mask = mask_missing(y_true, quantiles, num_levels=len(self.quantile_levels))
        batch = ForecastBatch(
            target, predicted, mask, self.quantile_levels, self.median_index, self.interval,
            None if scale is None else np.asarray(scale, np.float64),
        )  # fmt: skip
        if scale is not None:
            self.counts["scales_undefined"] += sum_scaled(batch.absolute_error, mask, scale)[2]
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


def added_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of metrics that are not built in: further columns of tables with fixed columns."""
    added = [metric.name for metric in forecast_metrics() if metric.name not in BUILT_IN]
    return {name: scores[name] for name in added if name in scores}
