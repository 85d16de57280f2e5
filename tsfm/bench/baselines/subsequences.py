"""What detectors of sub-sequences share: how a series is cut into windows, and how their scores become those of steps.

C channels, L steps, W windows (every sub-sequence, from step to step), F features (channels x steps of a window).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.bench.interfaces import SeriesDetector
from tsfm.metrics.vus import find_length_rank

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class WindowConfig:
    window: int = 0  # steps of a sub-sequence; 0 finds it in the series (find_length_rank), 1 looks at single steps
    rank: int = 1  # which rank, where it is found

    def __post_init__(self):
        if self.window < 0:
            raise ValueError(f"window is {self.window}; give a number of steps, or 0 to find it in the series")
        if self.rank not in (1, 2, 3):
            raise ValueError(f"rank is {self.rank}; known: 1, 2, 3")


class Subsequences(SeriesDetector):
    """A detector that looks at windows: `strangeness` scores them, here they are cut and their scores laid out."""

    @dataclass
    class Config(WindowConfig):
        """See WindowConfig."""

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        values = check_series(series, name=self.name)
        window = find_window(values, self.config, name=self.name)
        return self.lay_out(self.strangeness(cut(values, window)), window)

    @abstractmethod
    def strangeness(self, windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, " W"]:
        """One number per window: higher is stranger."""

    def lay_out(self, scores: Float[np.ndarray, " W"], window: int) -> Float[np.ndarray, " L"]:
        return np.pad(scores, (window // 2, (window - 1) // 2), mode="edge")


def check_series(series: Any, *, name: str) -> Float[np.ndarray, "C L"]:
    """The series in float64."""
    values = np.asarray(series, np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{name} got a series of shape {np.shape(series)}; expected [channels, steps]")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        channel, step = map(int, bad[0])
        raise ValueError(
            f"{name} cannot score missing values: {len(bad)} of them, the first at channel {channel}, step {step}; "
            "fill them first, linearly say"
        )
    return values


def find_window(values: Float[np.ndarray, "C L"], config: WindowConfig, *, name: str) -> int:
    """The window that the config gives, else that of channel 0; the series must hold four of them."""
    window = config.window or find_length_rank(values[0], config.rank)
    if values.shape[1] < window + 3:
        raise ValueError(
            f"{name} needs at least 3 steps more than its window of {window}, found {values.shape[1]}; give a longer "
            "series or set a shorter window"
        )
    return window


def cut(values: Float[np.ndarray, "C L"], window: int) -> Float[np.ndarray, "W F"]:
    """Every window, its channels one after the other."""
    windows = np.lib.stride_tricks.sliding_window_view(values, window, axis=1)
    return windows.transpose(1, 0, 2).reshape(windows.shape[1], -1)


def normalised(windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, "W F"]:
    """Each window with zero mean and unit variance (ddof 1), 0 where it does not vary; one of a single number as it is.

    A flat window whose mean is off by rounding does not come out as 0 but as noise of size 1. Nothing is done about it:
    the published scores of the flat stretches of SMAP and MSL depend on it.
    """
    if windows.shape[1] == 1:
        return windows
    centred = windows - windows.mean(1, keepdims=True)
    deviation = windows.std(1, ddof=1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)


def at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; give at least 1")
