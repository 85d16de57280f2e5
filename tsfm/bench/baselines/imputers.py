"""Simple imputers. B windows, C channels, T steps.

They learn nothing, and fill each channel of each window by itself. A channel without any observed value is filled with
zeros, the mean of standardized data.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.bench.interfaces import Imputer
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def check_windows(
    values: Float[np.ndarray, "B C T"], *, name: str
) -> tuple[Float[np.ndarray, "B C T"], Bool[np.ndarray, "B C T"]]:
    """Return the windows and where they are observed; raise a ValueError for another shape, type or infinite values."""
    values = np.asarray(values)
    if values.ndim != 3 or values.dtype.kind != "f":
        raise ValueError(
            f"{name} got {values.dtype} of shape {values.shape}; expected floats [windows, channels, steps]"
        )
    if np.isinf(values).any():
        raise ValueError(f"{name} got {int(np.isinf(values).sum())} infinite values; mark unknown steps with NaN")
    return values, ~np.isnan(values)


def last_observed(observed: Bool[np.ndarray, "B C T"]) -> Int[np.ndarray, "B C T"]:
    """Return the latest observed step up to each step; -1 if there is none."""
    steps = np.where(observed, np.arange(observed.shape[-1]), -1)
    return np.maximum.accumulate(steps, -1)


def next_observed(observed: Bool[np.ndarray, "B C T"]) -> Int[np.ndarray, "B C T"]:
    """Return the earliest observed step from each step on; T if there is none."""
    return observed.shape[-1] - 1 - last_observed(observed[..., ::-1])[..., ::-1]


def take(values: Float[np.ndarray, "B C T"], steps: Int[np.ndarray, "B C T"]) -> Float[np.ndarray, "B C T"]:
    """Return the values at `steps`, which are clipped to the window."""
    return np.take_along_axis(values, np.clip(steps, 0, values.shape[-1] - 1), -1)


def interpolate(values: Float[np.ndarray, "B C T"], observed: Bool[np.ndarray, "B C T"]) -> Float[np.ndarray, "B C T"]:
    """Return linear interpolation of the observed values; at an end the nearest value, 0 if there is none."""
    before, after = last_observed(observed), next_observed(observed)
    low, high = take(values, before).astype(np.float64), take(values, after).astype(np.float64)
    none_before, none_after = before < 0, after >= values.shape[-1]
    low, high = np.where(none_before, high, low), np.where(none_after, low, high)
    share = (np.arange(values.shape[-1]) - before) / np.maximum(after - before, 1)
    line = np.where(none_before | none_after, low, low + share * (high - low))
    return np.where(none_before & none_after, 0.0, line)


class SimpleImputer(Imputer):
    """An imputer with a config."""

    @dataclass
    class Config:
        """No settings."""

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config

    def impute(self, values: Float[np.ndarray, "B C T"], *, season_length: int = 1) -> Float[np.ndarray, "B C T"]:
        """Return the windows with every NaN filled.

        Raises
        ------
        ValueError
            If the windows are not floats [windows, channels, time], or hold infinite values.
        """
        values, observed = check_windows(values, name=self.name)
        if season_length < 1:
            raise ValueError(f"season_length is {season_length}; it is a number of steps, at least 1")
        return np.where(observed, values, self.fill(values, observed, season_length)).astype(values.dtype)

    @abstractmethod
    def fill(
        self, values: Float[np.ndarray, "B C T"], observed: Bool[np.ndarray, "B C T"], season_length: int
    ) -> Float[np.ndarray, "B C T"]:
        """Return a value for every step; those of observed steps are ignored."""


@BASELINES("linear_interpolation")
class LinearInterpolation(SimpleImputer):
    """Linear interpolation between the observed neighbours of a gap; at an end the nearest value."""

    name = "linear_interpolation"

    @dataclass
    class Config:
        """No settings."""

    @override
    def fill(self, values, observed, season_length):
        return interpolate(values, observed)


@BASELINES("forward_fill")
class ForwardFill(SimpleImputer):
    """The last observed value; before the first one, the first."""

    name = "forward_fill"

    @dataclass
    class Config:
        """No settings."""

    @override
    def fill(self, values, observed, season_length):
        before, after = last_observed(observed), next_observed(observed)
        filled = np.where(before >= 0, take(values, before), take(values, after))
        return np.where(observed.any(-1, keepdims=True), filled, 0.0)


@BASELINES("seasonal_fill")
class SeasonalFill(SimpleImputer):
    """Linear interpolation between observed values of the same phase in earlier and later seasons.

    With one such value, it is taken. A phase that is never observed, and a window of fewer than two seasons, are filled
    by linear interpolation.
    """

    name = "seasonal_fill"

    @dataclass
    class Config:
        """Settings of `SeasonalFill`."""

        season: int = 0  # steps; 0: that of the data

        def __post_init__(self):
            if self.season < 0:
                raise ValueError(f"season is {self.season}; give steps, or 0 for the season of the data")

    @override
    def fill(self, values, observed, season_length):
        season, steps = self.config.season or season_length, values.shape[-1]
        plain = interpolate(values, observed)
        if season == 1 or steps < 2 * season:
            return plain
        end = ((0, 0), (0, 0), (0, -steps % season))
        cycles = np.pad(values, end, constant_values=np.nan).reshape(*values.shape[:2], -1, season).swapaxes(2, 3)
        observed = ~np.isnan(cycles)  # windows x channels x phases x cycles: phases are channels of a shorter window
        rows = cycles.reshape(len(values), -1, cycles.shape[-1])
        filled = interpolate(rows, observed.reshape(rows.shape)).reshape(cycles.shape)
        filled = np.where(observed.any(-1, keepdims=True), filled, np.nan).swapaxes(2, 3)
        filled = filled.reshape(*values.shape[:2], -1)[..., :steps]
        return np.where(np.isnan(filled), plain, filled)
