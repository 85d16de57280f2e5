"""What a member of an ensemble implements, and the quantiles of a point forecast from its errors in a back-test.

W windows, P past steps, H horizon, Q quantile levels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tsfm.ensemble.panel import Panel, Windows, spread_windows

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MAX_WINDOWS = 8192  # that a member is fitted on
MAX_VALUES = 12_000_000  # past and future values of them
MIN_SCALE = 0.01  # of the spread of a series: the scale of a window that is nearly constant
MIN_SCALE_STEPS = 32
SMOOTHING = 5  # steps over which the size of errors is averaged


@dataclass(frozen=True)
class History:
    """The past of a panel, divided for a back-test: members choose their settings by its last part.

    Attributes
    ----------
    panel
        The series up to the origin of the forecast.
    horizon, season_length
        In steps.
    long_season
        The next longer season, such as a week for hours; 0 if there is none.
    quantile_levels
        Ascending.
    windows
        Those of the back-test.
    begin
        The first step of each series that is kept for the back-test.
    """

    panel: Panel
    horizon: int
    season_length: int
    long_season: int
    quantile_levels: tuple[float, ...]
    windows: Windows
    begin: Int[np.ndarray, " N"]

    @property
    def actual(self) -> Float[np.ndarray, "W H"]:
        """Return what happened in the windows of the back-test; NaN where it is missing."""
        return self.panel.future(self.windows, self.horizon)

    def training_windows(self, num_steps: int, *, whole: bool, max_windows: int = MAX_WINDOWS) -> Windows:
        """Return windows to fit on that have most of `num_steps` past steps.

        Parameters
        ----------
        whole
            Up to the end of the history; otherwise up to the begin of the back-test, none of whose values are used.
        """
        stop = self.panel.lengths if whole else self.begin
        first = np.maximum(np.minimum(num_steps, self.panel.lengths // 2), 2)
        last = np.where(self.panel.lengths >= num_steps // 2, stop - self.horizon, 0)
        max_windows = min(max_windows, MAX_VALUES // (num_steps + self.horizon))
        return spread_windows(first, last, max_windows=max_windows)

    def mean_error(self, forecast: Float[np.ndarray, "W H"]) -> float:
        """Return the mean absolute error in the back-test, relative to the spread of each series."""
        errors = np.abs(forecast - self.actual) / self.panel.scale_of(self.windows)[:, None]
        return float(np.nanmean(errors))

    @property
    def scale_steps(self) -> int:
        """Return the past steps from which the scale of a window is computed."""
        return max(3 * self.season_length, MIN_SCALE_STEPS)


class Member(ABC):
    """A forecaster that is fitted on all series of a panel at once, in seconds."""

    name: ClassVar[str]
    needs_backtest: ClassVar[bool] = True  # whether it can forecast only where the history has windows of a back-test

    @abstractmethod
    def fit(self, history: History) -> Float[np.ndarray, "W H Q"] | None:
        """Choose settings by the back-test, fit to the whole history, and return the quantiles of the back-test.

        None if the history is too short for it. The forecasts of the back-test use no value of its part.
        """

    @abstractmethod
    def quantiles(self, panel: Panel, windows: Windows) -> Float[np.ndarray, "W H Q"]:
        """Return quantiles of windows, from their past only."""

    @property
    @abstractmethod
    def settings(self) -> str:
        """Return what was chosen, in words."""


def standardize(
    past: Float[np.ndarray, "W P"], spread: Float[np.ndarray, " W"], *, scale_steps: int
) -> tuple[Float[np.ndarray, "W P"], Float[np.ndarray, "W 1"], Float[np.ndarray, "W 1"]]:
    """Return the past minus its last value, divided by its recent scale; that value; and the scale.

    The scale is the mean absolute deviation of the last `scale_steps` steps, at least 1 % of `spread`.
    """
    level, recent = past[:, -1:], past[:, -scale_steps:]
    scale = np.abs(recent - recent.mean(axis=1, keepdims=True)).mean(axis=1, keepdims=True)
    scale = np.maximum(scale, MIN_SCALE * spread[:, None])
    return (past - level) / scale, level, scale


class ErrorQuantiles:
    """Quantiles around a point forecast: errors of all windows in one shape, with a size for each step.

    Parameters
    ----------
    errors
        Of a back-test, [W, H], divided by the scale of their windows; NaN is missing.
    """

    def __init__(self, errors: Float[np.ndarray, "W H"], quantile_levels: tuple[float, ...]):
        observed = np.isfinite(errors)
        size = np.abs(np.where(observed, errors, 0.0)).sum(axis=0) / np.maximum(observed.sum(axis=0), 1)
        width = min(SMOOTHING, len(size) // 2 * 2 - 1) if len(size) > 1 else 1
        padded = np.pad(size, max(width, 1) // 2, mode="edge")
        self.size = np.convolve(padded, np.full(max(width, 1), 1 / max(width, 1)), "valid")
        self.size = np.maximum(self.size, np.finfo(np.float32).tiny)
        relative = (errors / self.size)[observed]
        self.shape = np.quantile(relative, quantile_levels) if len(relative) else np.zeros(len(quantile_levels))

    def around(self, forecast: Float[np.ndarray, "W H"], scale: Float[np.ndarray, "W 1"]) -> Float[np.ndarray, "W H Q"]:
        """Return quantiles around point forecasts of windows with the given scales."""
        return forecast[..., None] + (scale * self.size)[..., None] * self.shape
