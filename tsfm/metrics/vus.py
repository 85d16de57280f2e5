"""Volume under the surface: range-aware ROC and precision-recall areas, averaged over tolerances in time. L steps.

Paparrizos et al., "Volume Under the Surface", VLDB 2022, in the form that TSB-AD publishes (NeurIPS 2024; its version
"opt" with 250 thresholds). Around each anomaly the labels fall off as sqrt(1 - d/w) up to w/2 steps away; an alarm
there counts in part, and recall is multiplied by the share of anomalies that any alarm touches. The volume is the mean
of the area over w = 0 .. window. `find_length_rank` is the rule by which TSB-AD chooses that window.

Fast because a step's part depends on a threshold only through the first threshold it passes: each curve is a cumulative
histogram, and only the steps beside anomalies are looked at again for each w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.metrics.marks import check_pair, runs

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

THRESHOLDS = 250  # as published
SEARCHED, LAGS, SHORTEST, LONGEST, DEFAULT = 20_000, 400, 3, 300, 125  # of find_length_rank, in steps


def vus(labels: Any, scores: Any, window: int, *, thresholds: int = THRESHOLDS) -> tuple[float, float]:
    """(VUS-ROC, VUS-PR); `window` is the widest tolerance in steps, `thresholds` evenly spaced ranks of the scores."""
    labels, scores = check_pair(labels, scores, normal=True)
    if window < 0 or thresholds < 2:
        raise ValueError(f"window {window} must be at least 0 steps and thresholds {thresholds} at least 2")
    steps, positives = len(labels), int(labels.sum())
    ranks = np.linspace(0, steps - 1, thresholds).astype(int)
    cuts = np.sort(scores)[::-1][ranks]
    passes = np.searchsorted(-cuts, -scores, side="left")  # the first threshold that a step passes

    def curve(passed: Int[np.ndarray, " n"], weights: Any = None) -> np.ndarray:
        return np.cumsum(np.bincount(passed, weights, minlength=thresholds))

    alarms, hits = curve(passes), curve(passes[labels])
    starts, stops = runs(labels)
    roc = pr = 0.0
    for tolerance in range(int(window) + 1):
        beside, weights = halo(labels, starts, stops, tolerance)
        near = curve(passes[beside], weights)
        touched = first_touch(passes, starts, stops, tolerance // 2)
        found = hits + near
        size = positives + near / 2
        recall = np.minimum(found / size, 1) * curve(touched) / len(touched)
        false = (alarms - found) / (steps - size)
        recall, false = np.concatenate([[0.0], recall]), np.concatenate([[0.0], false])
        pr += np.diff(recall) @ (found / alarms)
        recall, false = np.append(recall, 1.0), np.append(false, 1.0)
        roc += np.diff(false) @ (recall[1:] + recall[:-1]) / 2
    return float(roc / (window + 1)), float(pr / (window + 1))


def vus_roc(labels: Any, scores: Any, window: int, *, thresholds: int = THRESHOLDS) -> float:
    """Volume under the range-aware ROC surface."""
    return vus(labels, scores, window, thresholds=thresholds)[0]


def vus_pr(labels: Any, scores: Any, window: int, *, thresholds: int = THRESHOLDS) -> float:
    """Volume under the range-aware precision-recall surface: TSB-AD's first metric."""
    return vus(labels, scores, window, thresholds=thresholds)[1]


def halo(labels: Bool[np.ndarray, " L"], starts: np.ndarray, stops: np.ndarray, tolerance: int):
    """The unlabelled steps beside an anomaly and their soft labels; those of two anomalies add up, to 1 at most."""
    away = np.arange(1, tolerance // 2 + 1)
    if not len(away):
        return np.empty(0, int), np.empty(0)
    places = np.stack([stops[:, None] - 1 + away, starts[:, None] - away])
    soft = np.broadcast_to(np.sqrt(1 - away / tolerance), places.shape)
    inside = (places >= 0) & (places < len(labels))
    sums = np.minimum(np.bincount(places[inside], soft[inside], minlength=len(labels)), 1)
    beside = np.flatnonzero((sums > 0) & ~labels)
    return beside, sums[beside]


def first_touch(passes: Int[np.ndarray, " L"], starts: np.ndarray, stops: np.ndarray, reach: int) -> np.ndarray:
    """The first threshold that flags a step of an anomaly or within reach of it; anomalies that meet are one."""
    apart = stops[:-1] - 1 + reach < starts[1:] - reach
    low = np.maximum(starts[np.concatenate([[True], apart])] - reach, 0)
    high = np.minimum(stops[np.concatenate([apart, [True]])] + reach, len(passes))
    bounds = np.stack([low, high], 1).ravel()
    closed = np.append(passes, passes.max())  # so that a range may stop at the end
    return np.minimum.reduceat(closed, bounds)[::2]


def autocorrelation(values: Float[np.ndarray, " L"], lags: int) -> np.ndarray:
    """At lags 0 .. lags, biased (divided by the lag-0 sum), by FFT; NaN where the values do not vary."""
    centred = values - values.mean()
    size = 2 ** int(np.ceil(np.log2(2 * len(values) + 1)))
    spectrum = np.fft.fft(centred, size)
    sums = np.fft.ifft(spectrum * spectrum.conj()).real[: min(lags + 1, len(values))]
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / sums[0]


def find_length_rank(values: Any, rank: int = 1) -> int:
    """TSB-AD's window: the lag of the highest local maximum of the autocorrelation, in steps; 125 where there is none.

    Rank 2 takes the highest among the later maxima, rank 3 (a later one again) is looked up in the ranking as TSB-AD
    does it (utils/slidingWindows.py, 1.5), so that its windows come out; rank 0 is 1. The first 20 000 steps are used,
    lags up to 400. For a multivariate series give channel 0.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"values have shape {values.shape} or are not all finite; give one channel [L] without gaps")
    if rank not in (0, 1, 2, 3):
        raise ValueError(f"rank is {rank}; known: 0, 1, 2, 3")
    if rank == 0:
        return 1
    height = autocorrelation(values[:SEARCHED], LAGS)[SHORTEST:]
    peaks = np.flatnonzero((height[1:-1] > height[:-2]) & (height[1:-1] > height[2:])) + 1
    if not len(peaks):
        return DEFAULT
    order = np.argsort(height[peaks])[::-1]  # highest first; the numbers count the peaks by their lag
    chosen = order[0]
    later = order[1:][order[1:] > order[0]]
    if rank >= 2 and len(later):
        chosen = later[0]
    if rank == 3:
        if not len(later):
            return DEFAULT
        place = later[0]  # read as a place in the ranking, as TSB-AD does
        again = order[place:][order[place:] > order[place]]
        chosen = again[0] if len(again) else order[0]
    lag = int(peaks[chosen])
    return DEFAULT if not SHORTEST <= lag <= LONGEST else lag + SHORTEST
