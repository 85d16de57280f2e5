"""Detection metrics that count anomalies as ranges, not as steps: range, event, affiliation. L steps, E events.

All take 0/1 labels [L] and 0/1 flags [L]; `best_over` in detection.py finds the best threshold for one of them.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of numpy leave the types of some results open)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.metrics.labels import check_flags, find_events, harmonic_mean

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def _rewards(real: Bool[np.ndarray, " L"], flags: Bool[np.ndarray, " L"]) -> tuple[np.ndarray, np.ndarray]:
    """Of each real event: whether a flag touches it, and its flagged share divided by the flagged events in it."""
    starts, stops = find_events(real)
    flag_starts, flag_stops = find_events(flags)
    covered = np.diff(np.concatenate([[0], np.cumsum(flags)])[np.stack([starts, stops], 1)])[:, 0]
    pieces = np.searchsorted(flag_starts, stops) - np.searchsorted(flag_stops, starts, side="right")
    return pieces > 0, covered / (stops - starts) / np.maximum(pieces, 1)


def range_recall(labels: Any, flags: Any, *, alpha: float = 0.2) -> float:
    """Compute the mean over anomalies of ``alpha [touched] + (1 - alpha) (flagged share) / (flagged events in it)``.

    Flat positional bias and reciprocal cardinality; TSB-AD uses alpha = 0.2.

    References
    ----------
    Tatbul et al., "Precision and Recall for Time Series", NeurIPS 2018, section 4.
    """
    labels, flags = check_flags(labels, flags)
    touched, overlap = _rewards(labels, flags)
    return float(np.mean(alpha * touched + (1 - alpha) * overlap))


def range_precision(labels: Any, flags: Any) -> float:
    """Compute the mean over flagged events of ``(labelled share) / (anomalies in it)``; 0 without a flag.

    References
    ----------
    Tatbul et al., "Precision and Recall for Time Series", NeurIPS 2018, section 4.
    """
    labels, flags = check_flags(labels, flags)
    return float(np.mean(_rewards(flags, labels)[1])) if flags.any() else 0.0


def f1_range(labels: Any, flags: Any, *, alpha: float = 0.2) -> float:
    """Compute the harmonic mean of `range_precision` and `range_recall`: TSB-AD's R-based-F1."""
    return harmonic_mean(range_precision(labels, flags), range_recall(labels, flags, alpha=alpha))


def f1_event(labels: Any, flags: Any) -> float:
    """Compute the harmonic mean of event recall and step precision: TSB-AD's Event-based-F1.

    An anomaly counts as detected if any of its steps is flagged, which favours long anomalies.

    References
    ----------
    Garg et al., IEEE TNNLS 2021, arXiv:2109.11428: the composite F score.
    """
    labels, flags = check_flags(labels, flags)
    precision = (labels & flags).sum() / max(flags.sum(), 1)
    return harmonic_mean(precision, float(np.mean(_rewards(labels, flags)[0])))


def affiliation(labels: Any, flags: Any) -> tuple[float, float]:
    """Compute affiliation precision and recall.

    Time is cut halfway between anomalies. In each zone a flagged point counts by the probability that a random point of
    the zone is at least as far from the anomaly, and a point of the anomaly by the probability that a random point is
    at least as far from it as the nearest flag. Zones without a flag have recall 0 and no precision. A step is the
    interval from its index to the next; the integrands are linear between quarters of a step, so their midpoints give
    the integrals exactly.

    Returns
    -------
    precision, recall
        Both in [0, 1]; precision is NaN where nothing is flagged.

    References
    ----------
    Huet, Navarro & Rossi, "Local Evaluation of Time Series Anomaly Detection Algorithms", KDD 2022.
    """
    labels, flags = check_flags(labels, flags)
    starts, stops = find_events(labels)
    cuts = np.concatenate([[0.0], (stops[:-1] + starts[1:]) / 2, [len(labels)]])
    zones = np.stack([cuts[:-1], cuts[1:]], 1)
    return _precision(flags, starts, stops, zones), _recall(flags, starts, stops, zones)


def f1_affiliation(labels: Any, flags: Any) -> float:
    """Compute the harmonic mean of affiliation precision and recall, 0 without a flag: TSB-AD's Affiliation-F."""
    precision, recall = affiliation(labels, flags)
    return harmonic_mean(precision, recall) if recall else 0.0


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
    low, high = zones[zone, 0], zones[zone, 1]
    start, stop = starts[zone], stops[zone]
    distance = np.maximum(np.maximum(start - half, half - stop), 0)
    nearer = stop - start + np.minimum(distance, start - low) + np.minimum(distance, high - stop)
    probability = np.where(distance > 0, 1 - nearer / (high - low), 1.0)
    count = np.bincount(zone, minlength=len(starts))
    return float(np.mean(np.bincount(zone, probability, minlength=len(starts))[count > 0] / count[count > 0]))


def _recall(
    flags: Bool[np.ndarray, " L"],
    starts: Int[np.ndarray, " E"],
    stops: Int[np.ndarray, " E"],
    zones: Float[np.ndarray, "E 2"],
) -> float:
    lengths = stops - starts
    event = np.repeat(np.arange(len(starts)), lengths)
    step = np.arange(lengths.sum()) + np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    index = np.arange(len(flags))
    before = np.maximum.accumulate(np.where(flags, index, -1))[step] + 1.0  # the end of the last flag up to this step
    after = np.minimum.accumulate(np.where(flags, index, len(flags))[::-1])[::-1][step].astype(float)
    low, high = zones[event, 0], zones[event, 1]
    before, after = np.where(before > low, before, -np.inf), np.where(after < high, after, np.inf)
    point = step[:, None] + np.array([0.125, 0.375, 0.625, 0.875])
    distance = np.minimum(point - before[:, None], after[:, None] - point)
    nearer = np.minimum(distance, point - low[:, None]) + np.minimum(distance, high[:, None] - point)
    probability = np.where(flags[step][:, None], 1.0, 1 - nearer / (high - low)[:, None]).mean(1)
    return float(np.mean(np.bincount(event, probability) / lengths))
