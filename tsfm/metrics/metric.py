"""The registry of metrics: which direction is better, and how forecast metrics are computed.

B windows, C channels, H horizon, Q quantile levels. To add a forecast metric, define a function in a module of
`tsfm.metrics` (or of a package with an entry point in the group `tsfm.metrics`):

    @forecast_metric("bias", better="target")
    def bias(batch):
        return (batch.median - batch.y_true).sum(), batch.mask.sum()

Every table of forecasts then has a column `bias`, and experiments can expect it.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

log = logging.getLogger("tsfm")
Better = Literal["lower", "higher", "target"]


@dataclass(frozen=True)
class ForecastBatch:
    """What a forecast metric is computed from. Missing steps are 0 in `y_true` and `quantiles`, and False in `mask`."""

    y_true: Float[np.ndarray, "B C H"]
    quantiles: Float[np.ndarray, "B C H Q"]
    mask: Bool[np.ndarray, "B C H"]
    quantile_levels: tuple[float, ...]
    median_index: int
    interval: tuple[int, int] | None  # indices of the levels that bound the central interval
    scale: Float[np.ndarray, "B C"] | None  # of MASE; None where it is unknown

    @property
    def median(self) -> Float[np.ndarray, "B C H"]:
        """Return the point forecast."""
        return self.quantiles[..., self.median_index]

    @cached_property
    def absolute_error(self) -> Float[np.ndarray, "B C H"]:
        """Return the absolute error of the point forecast; 0 where masked."""
        return np.abs(self.median - self.y_true)

    @cached_property
    def usable_scale(self) -> Bool[np.ndarray, "B C"]:
        """Return True for rows with a finite, positive scale."""
        assert self.scale is not None
        return np.isfinite(self.scale) & (self.scale > 0)


# (sum over the batch, divisor); a sum may be an array over quantile levels, whose mean is reported. None: not defined
ForecastFunction = Callable[[ForecastBatch], "tuple[Any, Any] | None"]


@dataclass(frozen=True)
class Metric:
    """A metric: its name in results, whether lower or higher is better (or near a target), and its function.

    `function` is only for forecast metrics, which `ForecastScore` adds up batch by batch.
    """

    name: str
    better: Better
    function: ForecastFunction | None = None


_METRICS: dict[str, Metric] = {}


def register_metric(name: str, better: Better, function: ForecastFunction | None = None) -> Metric:
    """Register a metric; metrics of several kinds of predictions can share a name, if their direction is the same.

    Raises
    ------
    ValueError
        If the name is taken by a metric with another direction, or by another forecast metric.
    """
    known = _METRICS.get(name)
    if known is not None and known.better != better:
        raise ValueError(f"metric {name!r} is registered with better={known.better!r}; choose another name")
    if known is not None and known.function is not None and function is not None:
        module, own_module = known.function.__module__, function.__module__
        if (module, known.function.__name__) != (own_module, function.__name__):  # the same function: a reload
            raise ValueError(f"forecast metric {name!r} is defined in {module}; choose another name in {own_module}")
    if known is None or function is not None:
        _METRICS[name] = Metric(name, better, function)
    return _METRICS[name]


def forecast_metric(name: str, *, better: Better) -> Callable[[ForecastFunction], ForecastFunction]:
    """Register the decorated function as a forecast metric.

    Parameters
    ----------
    name
        The column of results.
    better
        "lower", "higher", or "target" for metrics with a nominal value, such as coverage.
    """

    def register(function: ForecastFunction) -> ForecastFunction:
        register_metric(name, better, function)
        return function

    return register


@lru_cache(maxsize=1)
def discover_metrics() -> None:
    """Import the modules of `tsfm.metrics`, and those of the entry point group `tsfm.metrics`."""
    package = importlib.import_module("tsfm.metrics")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"tsfm.metrics.{module.name}")
    for point in entry_points(group="tsfm.metrics"):
        try:
            point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  code of others must not disable everything else
            reason = "it ends the process by sys.exit" if isinstance(error, SystemExit) else error
            log.warning("the metric %r cannot be imported and is left out (%s)", point.name, reason)


def forecast_metrics() -> list[Metric]:
    """Return the forecast metrics in the order of their registration."""
    discover_metrics()
    return [metric for metric in _METRICS.values() if metric.function is not None]


def find_metric(name: str) -> Metric:
    """Return a registered metric by its name in results."""
    discover_metrics()
    if name not in _METRICS:
        raise ValueError(f"unknown metric {name!r}; {did_you_mean(name, list(_METRICS))}")
    return _METRICS[name]


def better_direction(name: str) -> Better:
    """Return which direction of a metric is better; "lower" for columns that are not registered, such as losses."""
    discover_metrics()
    return _METRICS[name].better if name in _METRICS else "lower"
