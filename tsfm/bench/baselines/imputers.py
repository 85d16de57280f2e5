"""The simple ways to fill what is missing. B windows, C channels, T steps, m season.

They learn nothing and look at one channel of one window at a time. A channel without any observed value is filled with
zeros, the mean of standardised data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.bench.interfaces import Imputer
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def checked(values: Float[np.ndarray, "B C T"], *, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The windows as floats and True where observed."""
    values = np.asarray(values)
    if values.ndim != 3 or values.dtype.kind != "f":
        raise ValueError(
            f"{name} got {values.dtype} of shape {values.shape}; expected floats [windows, channels, steps]"
        )
    if np.isinf(values).any():
        raise ValueError(f"{name} got {int(np.isinf(values).sum())} infinite values; mark unknown steps with NaN")
    return values, ~np.isnan(values)


def last_seen(observed: Bool[np.ndarray, "B C T"]) -> Int[np.ndarray, "B C T"]:
    """The latest observed step up to each step; -1 where there is none."""
    steps = np.where(observed, np.arange(observed.shape[-1]), -1)
    return np.maximum.accumulate(steps, -1)


def next_seen(observed: Bool[np.ndarray, "B C T"]) -> Int[np.ndarray, "B C T"]:
    """The earliest observed step from each step on; T where there is none."""
    return observed.shape[-1] - 1 - last_seen(observed[..., ::-1])[..., ::-1]


def take(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Values at those steps, which are pulled into the window first."""
    return np.take_along_axis(values, np.clip(steps, 0, values.shape[-1] - 1), -1)


def between(values: Float[np.ndarray, "B C T"], observed: Bool[np.ndarray, "B C T"]) -> np.ndarray:
    """Each step on the line between its observed neighbours; beyond the first or last the nearest value, 0 if none."""
    before, after = last_seen(observed), next_seen(observed)
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

    def impute(self, values, *, season=1):
        values, observed = checked(values, name=self.name)
        if season < 1:
            raise ValueError(f"season is {season}; it is a number of steps, at least 1")
        return np.where(observed, values, self.fill(values, observed, season)).astype(values.dtype)

    def fill(self, values: np.ndarray, observed: np.ndarray, season: int) -> np.ndarray:
        """A value for every step; those observed are not used."""
        raise NotImplementedError


@BASELINES("linear_interpolation")
class LinearInterpolation(SimpleImputer):
    """The line between the observed neighbours of a gap; at an end the nearest value."""

    name = "linear_interpolation"

    @dataclass
    class Config:
        """No settings."""

    @override
    def fill(self, values, observed, season):
        return between(values, observed)


@BASELINES("forward_fill")
class ForwardFill(SimpleImputer):
    """The last observed value; before the first one, the first."""

    name = "forward_fill"

    @dataclass
    class Config:
        """No settings."""

    @override
    def fill(self, values, observed, season):
        before, after = last_seen(observed), next_seen(observed)
        filled = np.where(before >= 0, take(values, before), take(values, after))
        return np.where(observed.any(-1, keepdims=True), filled, 0.0)


@BASELINES("seasonal_fill")
class SeasonalFill(SimpleImputer):
    """The line between the observed values of the same phase in the seasons before and after, the nearest one if there
    is one side only; a phase that was never observed, and a window of fewer than two seasons, take the plain line."""

    name = "seasonal_fill"

    @dataclass
    class Config:
        season: int = 0  # steps; 0 takes the season of the data

        def __post_init__(self):
            if self.season < 0:
                raise ValueError(f"season is {self.season}; give steps, or 0 for the season of the data")

    def fill(self, values, observed, season):
        season, steps = self.config.season or season, values.shape[-1]
        plain = between(values, observed)
        if season == 1 or steps < 2 * season:
            return plain
        end = ((0, 0), (0, 0), (0, -steps % season))
        cycles = np.pad(values, end, constant_values=np.nan).reshape(*values.shape[:2], -1, season).swapaxes(2, 3)
        seen = ~np.isnan(cycles)  # windows x channels x phases x cycles: phases are channels of a shorter window
        rows = cycles.reshape(len(values), -1, cycles.shape[-1])
        filled = between(rows, seen.reshape(rows.shape)).reshape(cycles.shape)
        filled = np.where(seen.any(-1, keepdims=True), filled, np.nan).swapaxes(2, 3)
        filled = filled.reshape(*values.shape[:2], -1)[..., :steps]
        return np.where(np.isnan(filled), plain, filled)
