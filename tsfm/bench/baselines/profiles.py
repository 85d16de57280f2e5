"""Detectors without a fitted model: matrix profile, spectral residual, seasonal naive residual.

C channels, L steps, W windows. They score a whole series, train part included; `fit` does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.bench.baselines.subsequences import WindowConfig, check_series, find_window
from tsfm.bench.interfaces import SeriesDetector
from tsfm.metrics.vus import find_length_rank
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Float


def matrix_profile(values: Float[np.ndarray, " L"], window: int) -> Float[np.ndarray, " W"]:
    """Return the distance of each z-normalised window to the nearest one that starts more than window / 4 away.

    `window` / 4 is rounded up. Along a diagonal the covariance of two windows is a running sum of centred products,
    which avoids cancellation. Two windows that do not vary have distance 0; a window that does not vary has distance
    sqrt(window) from any that varies, as in stumpy.

    Raises
    ------
    ValueError
        If the series is too short for two such windows.

    References
    ----------
    mpx: Zimmerman et al., SoCC 2019.
    """
    count = len(values) - window + 1
    apart = -(-window // 4)
    if count <= apart:
        raise ValueError(f"{len(values)} steps hold no two windows of {window} more than {apart} apart; set it shorter")
    windows = np.lib.stride_tricks.sliding_window_view(values, window)
    mean = windows.mean(1)
    flat = np.ptp(windows, axis=1) == 0
    norm = np.sqrt(np.maximum(((windows - mean[:, None]) ** 2).sum(1), 0))
    inverse = np.divide(1.0, norm, out=np.zeros(count), where=~flat & (norm > 0))
    half = (values[window:] - values[:-window]) / 2
    joint = (values[window:] - mean[1:]) + (values[:-window] - mean[:-1])
    first = windows[0] - mean[0]
    best = np.full(count, -1.0)  # highest correlation so far
    for lag in range(apart + 1, count):
        run = np.empty(count - lag)
        run[0] = first @ (windows[lag] - mean[lag])
        run[1:] = half[: -lag or None][: len(run) - 1] * joint[lag:] + half[lag:] * joint[: len(run) - 1]
        np.cumsum(run, out=run)
        run *= inverse[:-lag]
        run *= inverse[lag:]
        np.maximum(best[:-lag], run, out=best[:-lag])
        np.maximum(best[lag:], run, out=best[lag:])
    profile = np.sqrt(2 * window * np.maximum(1 - np.minimum(best, 1), 0))
    return _with_flat(profile, flat, apart=apart, window=window)


def _with_flat(profile: np.ndarray, flat: np.ndarray, *, apart: int, window: int) -> np.ndarray:
    """Set the distances to and from windows that do not vary, which have no correlation."""
    starts = np.arange(len(flat))

    def has(kind: np.ndarray) -> np.ndarray:
        """Whether a window of that kind starts far enough away."""
        matches = np.flatnonzero(kind)
        if not len(matches):
            return np.zeros(len(kind), bool)
        return (starts - matches[0] > apart) | (matches[-1] - starts > apart)

    near = np.sqrt(window)
    of_varying = np.where(has(flat), np.minimum(profile, near), profile)
    of_flat = np.where(has(flat), 0.0, np.where(has(~flat), near, profile))
    return np.where(flat, of_flat, of_varying)


@BASELINES("matrix_profile")
class MatrixProfile(SeriesDetector):
    """Mean matrix profile of the channels (Yeh et al., ICDM 2016); its lowest value beyond its ends, as in TSB-AD."""

    name = "matrix_profile"

    @dataclass
    class Config(WindowConfig):
        """Settings of `MatrixProfile`."""

        def __post_init__(self):
            super().__post_init__()
            if self.window in (1, 2):
                raise ValueError(f"window is {self.window}; a window needs 3 steps or more; 0 finds its length")

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """See `SeriesDetector.score`."""
        values = check_series(series, name=self.name)
        window = find_window(values, self.config, name=self.name)
        out = np.empty(values.shape)
        for channel, row in enumerate(values):
            profile = matrix_profile(row, window)
            ends = (window // 2, (window - 1) // 2)
            out[channel] = np.pad(profile, ends, constant_values=profile.min())
        return out.mean(0)


@BASELINES("spectral_residual")
class SpectralResidual(SeriesDetector):
    """Saliency of a series: inverse transform of its log spectrum minus the moving average of the spectrum.

    Scores of channels are averaged. The spectrum is padded as in SR of TSB-AD, with the first and the last value of the
    series (scaled to 0..1) instead of values of the spectrum: this has no meaning, but the published numbers depend on
    it.

    References
    ----------
    Ren et al., KDD 2019.
    """

    name = "spectral_residual"

    @dataclass
    class Config:
        """Settings of `SpectralResidual`."""

        smooth: int = 100  # frequencies of the moving average

        def __post_init__(self):
            if self.smooth < 2:
                raise ValueError(f"smooth is {self.smooth}; an average needs 2 frequencies or more")

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """See `SeriesDetector.score`."""
        values = check_series(series, name=self.name)
        if values.shape[1] < 4:
            raise ValueError(f"{self.name} needs 4 steps or more; found {values.shape[1]}")
        return np.mean([self.saliency(row) for row in values], axis=0)

    def saliency(self, values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
        """Return the saliency of one channel; 0 if it does not vary."""
        low, high = values.min(), values.max()
        if low == high:
            return np.zeros(len(values))
        scaled, smooth = (values - low) / (high - low), self.config.smooth
        spectrum = np.fft.fft(scaled)
        amplitude = np.log(np.maximum(np.abs(spectrum), np.finfo(float).tiny))
        upper = amplitude[1:]
        half = upper[: (len(upper) + 1) // 2]
        before = (smooth - 1) // 2
        padded = np.concatenate([np.full(before, scaled[0]), half, np.full(smooth - 1 - before, scaled[-1])])
        mean = np.convolve(padded, np.full(smooth, 1 / smooth), "valid")
        mirrored = (mean[:-1] if len(upper) % 2 else mean)[::-1]
        residual = amplitude - np.concatenate([amplitude[:1], mean, mirrored])
        return np.abs(np.fft.ifft(np.exp(residual + 1j * np.angle(spectrum))))


@BASELINES("seasonal_residual")
class SeasonalResidual(SeriesDetector):
    """Absolute difference of each step to the step one season before, divided by the median difference of the channel.

    The first season is compared with the second. Scores are averaged over channels and smoothed over `smooth` seasons,
    since an anomaly is longer than a step. It is the simple reference for all other detectors.
    """

    name = "seasonal_residual"

    @dataclass
    class Config:
        """Settings of `SeasonalResidual`."""

        season: int = 0  # steps; 0: find_length_rank of the series
        smooth: float = 1.0  # length of the moving average in seasons; 0: none

        def __post_init__(self):
            if self.season < 0 or self.smooth < 0:
                raise ValueError(f"season {self.season} and smooth {self.smooth} must not be negative")

    def __init__(self, config: Any = None):
        self.config: Any = self.Config() if config is None else config

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """See `SeriesDetector.score`."""
        values = check_series(series, name=self.name)
        season = self.config.season or find_length_rank(values[0])
        steps = values.shape[1]
        if steps <= season:
            raise ValueError(f"{self.name} needs more steps than a season of {season}, found {steps}; set season")
        apart = np.abs(values[:, season:] - values[:, :-season])
        apart = np.concatenate([apart[:, :season], apart], 1)[:, :steps]
        usual = np.median(apart, 1, keepdims=True)
        spread = np.where(usual > 0, usual, apart.mean(1, keepdims=True))
        size = np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0).mean(0)
        width = round(self.config.smooth * season)
        if width < 2:
            return size
        total = np.concatenate([[0.0], np.cumsum(size)])
        start = np.maximum(np.arange(steps) - width // 2, 0)
        stop = np.minimum(np.arange(steps) + (width + 1) // 2, steps)
        return (total[stop] - total[start]) / (stop - start)
