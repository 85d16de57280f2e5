"""Base of detectors of sub-sequences: cuts a series into windows, and turns scores of windows into scores of steps.

C channels, L steps, W windows (every sub-sequence, stride 1), F features (channels x steps of a window).
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
    """Length of the windows."""

    window: int = 0  # steps of a sub-sequence; 0: find_length_rank of the series; 1: single steps
    rank: int = 1  # of find_length_rank

    def __post_init__(self):
        if self.window < 0:
            raise ValueError(f"window is {self.window}; give a number of steps, or 0 to find it in the series")
        if self.rank not in (1, 2, 3):
            raise ValueError(f"rank is {self.rank}; known: 1, 2, 3")


class Subsequences(SeriesDetector):
    """A detector that scores windows with `anomaly_scores`; each step gets its score from the windows."""

    @dataclass
    class Config(WindowConfig):
        """See WindowConfig."""

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """Return one finite score per step.

        Raises
        ------
        ValueError
            If the series has missing values, or is too short for the window.
        """
        values = check_series(series, name=self.name)
        window = find_window(values, self.config, name=self.name)
        return self.step_scores(self.anomaly_scores(cut_windows(values, window)), window)

    @abstractmethod
    def anomaly_scores(self, windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, " W"]:
        """Return one score per window; higher is more anomalous."""

    def step_scores(self, scores: Float[np.ndarray, " W"], window: int) -> Float[np.ndarray, " L"]:
        """Return the scores at the middle of each window; the ends repeat the first and the last score."""
        return np.pad(scores, (window // 2, (window - 1) // 2), mode="edge")


def check_series(series: Any, *, name: str) -> Float[np.ndarray, "C L"]:
    """Return the series in float64; raise a ValueError for another shape or missing values."""
    values = np.asarray(series, np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{name} got a series of shape {np.shape(series)}; expected [channels, steps]")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        channel, step = map(int, bad[0])
        raise ValueError(
            f"{name} cannot score missing values: {len(bad)} of them, the first at channel {channel}, step {step}; "
            "fill them first, for example by linear interpolation"
        )
    return values


def find_window(values: Float[np.ndarray, "C L"], config: WindowConfig, *, name: str) -> int:
    """Return the window length of the config, else that of channel 0.

    Raises
    ------
    ValueError
        If the series has fewer than `window + 3` steps.
    """
    window = config.window or find_length_rank(values[0], config.rank)
    if values.shape[1] < window + 3:
        raise ValueError(
            f"{name} needs at least 3 steps more than its window of {window}, found {values.shape[1]}; give a longer "
            "series or set a shorter window"
        )
    return window


def cut_windows(values: Float[np.ndarray, "C L"], window: int) -> Float[np.ndarray, "W F"]:
    """Return every window with stride 1, its channels one after the other."""
    windows = np.lib.stride_tricks.sliding_window_view(values, window, axis=1)
    return windows.transpose(1, 0, 2).reshape(windows.shape[1], -1)


def normalised(windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, "W F"]:
    """Return each window with zero mean and unit variance (ddof 1); 0 if it does not vary.

    A window of a single feature is returned as it is. A flat window whose mean has a rounding error becomes noise of
    size 1, not 0. This is left so: the published scores of the flat stretches of SMAP and MSL depend on it.
    """
    if windows.shape[1] == 1:
        return windows
    centred = windows - windows.mean(1, keepdims=True)
    deviation = windows.std(1, ddof=1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)


def check_counts(**counts: int) -> None:
    """Raise a ValueError that names the first count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; give at least 1")
