"""Detection metrics that count anomalies as ranges, not as steps: range, event, affiliation. L steps, E runs.

All take 0/1 labels and 0/1 flags; `best_over` in detection.py takes the best threshold of one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.metrics.marks import check_flags, harmonic, runs

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def _rewards(real: Bool[np.ndarray, " L"], flags: Bool[np.ndarray, " L"]) -> tuple[np.ndarray, np.ndarray]:
    """Of each real run: whether a flag touches it, and the share of it flagged over the flagged runs in it."""
    starts, stops = runs(real)
    first, past = runs(flags)
    covered = np.diff(np.concatenate([[0], np.cumsum(flags)])[np.stack([starts, stops], 1)])[:, 0]
    pieces = np.searchsorted(first, stops) - np.searchsorted(past, starts, side="right")
    return pieces > 0, covered / (stops - starts) / np.maximum(pieces, 1)


def range_recall(labels: Any, flags: Any, *, alpha: float = 0.2) -> float:
    """Mean over anomalies of alpha [touched] + (1 - alpha) (share flagged) / (flagged runs in it): flat bias,
    reciprocal cardinality (Tatbul et al., NeurIPS 2018, section 4; TSB-AD takes alpha = 0.2)."""
    labels, flags = check_flags(labels, flags)
    touched, overlap = _rewards(labels, flags)
    return float(np.mean(alpha * touched + (1 - alpha) * overlap))


def range_precision(labels: Any, flags: Any) -> float:
    """Mean over flagged runs of (share labelled) / (anomalies in it) (Tatbul et al. 2018); 0 without a flag."""
    labels, flags = check_flags(labels, flags)
    return float(np.mean(_rewards(flags, labels)[1])) if flags.any() else 0.0


def f1_range(labels: Any, flags: Any, *, alpha: float = 0.2) -> float:
    """Harmonic mean of range_precision and range_recall: TSB-AD's R-based-F1."""
    return harmonic(range_precision(labels, flags), range_recall(labels, flags, alpha=alpha))


def f1_event(labels: Any, flags: Any) -> float:
    """Harmonic mean of the share of anomalies touched and the precision over steps: the composite F of Garg et al.
    (IEEE TNNLS 2021, arXiv:2109.11428), TSB-AD's Event-based-F1. Recall is generous to long anomalies."""
    labels, flags = check_flags(labels, flags)
    precision = (labels & flags).sum() / max(flags.sum(), 1)
    return harmonic(precision, float(np.mean(_rewards(labels, flags)[0])))


def affiliation(labels: Any, flags: Any) -> tuple[float, float]:
    """(precision, recall) of Huet et al., "Local Evaluation of Time Series Anomaly Detection Algorithms", KDD 2022.

    Time is cut halfway between anomalies; in each zone a flagged point counts by the chance that a random point of the
    zone lies at least as far from the anomaly, a point of the anomaly by the chance that a random point lies at least
    as far from it as the nearest flag. Zones without a flag have recall 0 and no precision; NaN precision where nothing
    is flagged at all. A step is the interval from its place to the next. The integrands are linear between quarters of
    a step, so their midpoints give the integrals exactly.
    """
    labels, flags = check_flags(labels, flags)
    starts, stops = runs(labels)
    cuts = np.concatenate([[0.0], (stops[:-1] + starts[1:]) / 2, [len(labels)]])
    zones = np.stack([cuts[:-1], cuts[1:]], 1)
    return _precision(flags, starts, stops, zones), _recall(flags, starts, stops, zones)


def f1_affiliation(labels: Any, flags: Any) -> float:
    """Harmonic mean of affiliation precision and recall, 0 without a flag: TSB-AD's Affiliation-F."""
    precision, recall = affiliation(labels, flags)
    return harmonic(precision, recall) if recall else 0.0


def _precision(
    flags: Bool[np.ndarray, " L"],
    starts: Int[np.ndarray, " E"],
    stops: Int[np.ndarray, " E"],
    zones: Float[np.ndarray, "E 2"],
) -> float:
    if not flags.any():
        return float("nan")
    half = np.repeat(np.flatnonzero(flags), 2) + np.tile([0.25, 0.75], int(flags.sum()))  # midpoints of half steps
    zone = np.searchsorted(zones[1:, 0], half)
    low, high = zones[zone].T
    start, stop = starts[zone], stops[zone]
    away = np.maximum(np.maximum(start - half, half - stop), 0)
    nearer = stop - start + np.minimum(away, start - low) + np.minimum(away, high - stop)
    chance = np.where(away > 0, 1 - nearer / (high - low), 1.0)
    count = np.bincount(zone, minlength=len(starts))
    return float(np.mean(np.bincount(zone, chance, minlength=len(starts))[count > 0] / count[count > 0]))


def _recall(
    flags: Bool[np.ndarray, " L"],
    starts: Int[np.ndarray, " E"],
    stops: Int[np.ndarray, " E"],
    zones: Float[np.ndarray, "E 2"],
) -> float:
    lengths = stops - starts
    event = np.repeat(np.arange(len(starts)), lengths)
    step = np.arange(lengths.sum()) + np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    place = np.arange(len(flags))
    before = np.maximum.accumulate(np.where(flags, place, -1))[step] + 1.0  # where the last flag up to here ends
    after = np.minimum.accumulate(np.where(flags, place, len(flags))[::-1])[::-1][step].astype(float)
    low, high = zones[event].T
    before, after = np.where(before > low, before, -np.inf), np.where(after < high, after, np.inf)
    point = step[:, None] + np.array([0.125, 0.375, 0.625, 0.875])
    away = np.minimum(point - before[:, None], after[:, None] - point)
    nearer = np.minimum(away, point - low[:, None]) + np.minimum(away, high[:, None] - point)
    chance = np.where(flags[step][:, None], 1.0, 1 - nearer / (high - low)[:, None]).mean(1)
    return float(np.mean(np.bincount(event, chance) / lengths))
