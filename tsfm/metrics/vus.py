"""Volume under the surface: range-aware ROC and precision-recall areas, averaged over tolerances in time. L steps.

Paparrizos et al., "Volume Under the Surface", VLDB 2022, in the form that TSB-AD publishes (NeurIPS 2024; its version
"opt" with 250 thresholds). Around each anomaly the labels decrease as sqrt(1 - d/w) up to w/2 steps away; a flag there
counts partially, and recall is multiplied by the share of anomalies that any flag touches. The volume is the mean of
the area over w = 0 .. window. `find_length_rank` is the rule by which TSB-AD chooses that window.

Fast because the contribution of a step depends on a threshold only through the first threshold that it passes: each
curve is a cumulative histogram, and only the steps near anomalies are counted again for each w.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of numpy leave the types of some results open)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.metrics.labels import check_pair, find_events

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

THRESHOLDS = 250  # as published
SEARCHED, LAGS, SHORTEST, LONGEST, DEFAULT = 20_000, 400, 3, 300, 125  # of find_length_rank, in steps


def vus(labels: Any, scores: Any, window: int, *, thresholds: int = THRESHOLDS) -> tuple[float, float]:
    """Compute VUS-ROC and VUS-PR.

    Parameters
    ----------
    window
        The widest tolerance, in steps.
    thresholds
        Number of thresholds, at evenly spaced ranks of the scores.
    """
    labels, scores = check_pair(labels, scores, normal=True)
    if window < 0 or thresholds < 2:
        raise ValueError(f"window {window} must be at least 0 steps and thresholds {thresholds} at least 2")
    steps, positives = len(labels), int(labels.sum())
    ranks = np.linspace(0, steps - 1, thresholds).astype(int)
    cuts = np.sort(scores)[::-1][ranks]
    passes = np.searchsorted(-cuts, -scores, side="left")  # the first threshold that a step passes

    def curve(passed: Int[np.ndarray, " n"], weights: Any = None) -> np.ndarray:
        return np.cumsum(np.bincount(passed, weights, minlength=thresholds))

    num_flagged, true_positives = curve(passes), curve(passes[labels])
    starts, stops = find_events(labels)
    roc = pr = 0.0
    for tolerance in range(int(window) + 1):
        margin, weights = soft_margin(labels, starts, stops, tolerance)
        partial = curve(passes[margin], weights)
        detected = first_detection(passes, starts, stops, tolerance // 2)
        detections = true_positives + partial
        total = positives + partial / 2
        recall = np.minimum(detections / total, 1) * curve(detected) / len(detected)
        false = (num_flagged - detections) / (steps - total)
        recall, false = np.concatenate([[0.0], recall]), np.concatenate([[0.0], false])
        pr += np.diff(recall) @ (detections / num_flagged)
        recall, false = np.append(recall, 1.0), np.append(false, 1.0)
        roc += np.diff(false) @ (recall[1:] + recall[:-1]) / 2
    return float(roc / (window + 1)), float(pr / (window + 1))


def vus_roc(labels: Any, scores: Any, window: int, *, thresholds: int = THRESHOLDS) -> float:
    """Compute the volume under the range-aware ROC surface; see `vus`."""
    return vus(labels, scores, window, thresholds=thresholds)[0]


def vus_pr(labels: Any, scores: Any, window: int, *, thresholds: int = THRESHOLDS) -> float:
    """Compute the volume under the range-aware precision-recall surface, TSB-AD's main metric; see `vus`."""
    return vus(labels, scores, window, thresholds=thresholds)[1]


def soft_margin(labels: Bool[np.ndarray, " L"], starts: np.ndarray, stops: np.ndarray, tolerance: int):
    """Return the unlabelled steps near an anomaly and their soft labels; those of two anomalies add up to 1 at most."""
    distance = np.arange(1, tolerance // 2 + 1)
    if not len(distance):
        return np.empty(0, int), np.empty(0)
    steps = np.stack([stops[:, None] - 1 + distance, starts[:, None] - distance])
    soft = np.broadcast_to(np.sqrt(1 - distance / tolerance), steps.shape)
    inside = (steps >= 0) & (steps < len(labels))
    sums = np.minimum(np.bincount(steps[inside], soft[inside], minlength=len(labels)), 1)
    margin = np.flatnonzero((sums > 0) & ~labels)
    return margin, sums[margin]


def first_detection(passes: Int[np.ndarray, " L"], starts: np.ndarray, stops: np.ndarray, tolerance: int) -> np.ndarray:
    """Return the first threshold that flags a step of each anomaly or within the tolerance, in steps, of it.

    Anomalies whose tolerances touch count as one.
    """
    separate = stops[:-1] - 1 + tolerance < starts[1:] - tolerance
    low = np.maximum(starts[np.concatenate([[True], separate])] - tolerance, 0)
    high = np.minimum(stops[np.concatenate([separate, [True]])] + tolerance, len(passes))
    bounds = np.stack([low, high], 1).ravel()
    closed = np.append(passes, passes.max())  # so that a range may stop at the end
    return np.minimum.reduceat(closed, bounds)[::2]


def autocorrelation(values: Float[np.ndarray, " L"], lags: int) -> np.ndarray:
    """Compute the autocorrelation at lags 0 .. `lags` by FFT.

    It is biased (each sum is divided by that of lag 0), and NaN where the values do not vary.
    """
    centred = values - values.mean()
    size = 2 ** int(np.ceil(np.log2(2 * len(values) + 1)))
    spectrum = np.fft.fft(centred, size)
    sums = np.fft.ifft(spectrum * spectrum.conj()).real[: min(lags + 1, len(values))]
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / sums[0]


def find_length_rank(values: Any, rank: int = 1) -> int:
    """Return TSB-AD's window in steps: the lag of the highest local maximum of the autocorrelation, 125 without one.

    The first 20 000 steps and lags up to 400 are used. For a multivariate series give channel 0.

    Parameters
    ----------
    rank
        1: the highest maximum. 2: the highest of the later maxima. 3: a later one again, found in the ranking exactly
        as TSB-AD does (utils/slidingWindows.py, version 1.5). 0: a window of 1 step.
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
        index = later[0]  # used as an index into the ranking, as TSB-AD does
        later_again = order[index:][order[index:] > order[index]]
        chosen = later_again[0] if len(later_again) else order[0]
    lag = int(peaks[chosen])
    return DEFAULT if not SHORTEST <= lag <= LONGEST else lag + SHORTEST
