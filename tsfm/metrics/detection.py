"""Anomaly detection metrics: pure functions of labels [L] (0 or 1) and scores [L] or flags [L] (0 or 1).

L steps of one series. A higher score is more anomalous. Metrics that count ranges are in ranges.py, volumes under the
surface in vus.py, checks of the input in labels.py. Only `f1_point_adjusted` uses point adjustment.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of numpy leave the types of some results open)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tsfm.metrics.labels import check_flags, check_pair, find_events, flags_above
from tsfm.metrics.metric import register_metric
from tsfm.metrics.ranges import affiliation, f1_affiliation, f1_event, f1_range, range_precision, range_recall
from tsfm.metrics.vus import find_length_rank, vus, vus_pr, vus_roc

THRESHOLD_FREE = ("vus_pr", "vus_roc", "auc_pr", "auc_roc")
AT_BEST = ("f1_best", "f1_range", "f1_event", "f1_affiliation", "f1_point_adjusted")
for _name in (*THRESHOLD_FREE, *AT_BEST, "f1_at_own"):
    register_metric(_name, "higher")
register_metric("false_alarms", "lower")

__all__ = [
    "affiliation",
    "auc_pr",
    "auc_roc",
    "best_over",
    "detection_scores",
    "f1",
    "f1_affiliation",
    "f1_at",
    "f1_best",
    "f1_event",
    "f1_point_adjusted",
    "f1_range",
    "find_length_rank",
    "range_precision",
    "range_recall",
    "vus",
    "vus_pr",
    "vus_roc",
]


def _counts(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count true positives and flagged steps at each distinct score used as threshold, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each group of equal scores
    return np.cumsum(labels[order])[last], last + 1


def auc_pr(labels: Any, scores: Any) -> float:
    """Compute the average precision, ``sum (R_n - R_(n-1)) P_n`` over the distinct scores, as scikit-learn does."""
    labels, scores = check_pair(labels, scores)
    hits, alarms = _counts(labels, scores)
    return float(np.diff(hits, prepend=0) @ (hits / alarms) / labels.sum())


def auc_roc(labels: Any, scores: Any) -> float:
    """Compute the area under the ROC curve by the trapezoidal rule.

    It is the probability that an anomalous step has a higher score than a normal one; ties count one half.

    References
    ----------
    Hanley & McNeil, "The meaning and use of the area under a ROC curve", 1982.
    """
    labels, scores = check_pair(labels, scores, normal=True)
    hits, alarms = _counts(labels, scores)
    false = np.concatenate([[0], alarms - hits])
    hits = np.concatenate([[0], hits])
    return float(np.diff(false) @ (hits[1:] + hits[:-1]) / 2 / hits[-1] / false[-1])


def f1(labels: Any, flags: Any) -> float:
    """Compute F1 over steps, ``2 TP / (2 TP + FP + FN)``."""
    labels, flags = check_flags(labels, flags)
    return float(2 * (labels & flags).sum() / (labels.sum() + flags.sum()))


def f1_at(labels: Any, scores: Any, threshold: float) -> float:
    """Compute F1 over steps, where a step is flagged if its score is above the threshold."""
    labels, scores = check_pair(labels, scores)
    return f1(labels, flags_above(scores, threshold))


def f1_best(labels: Any, scores: Any, *, epsilon: float = 0.0) -> float:
    """Compute F1 over steps at the best of all thresholds: an upper bound, since the labels choose the threshold.

    TSB-AD's Standard-F1 adds 1e-5 to precision + recall; `epsilon=1e-5` reproduces its numbers.
    """
    labels, scores = check_pair(labels, scores)
    hits, alarms = _counts(labels, scores)
    precision, recall = hits / alarms, hits / labels.sum()
    return float(np.max(2 * precision * recall / np.maximum(precision + recall + epsilon, np.finfo(float).tiny)))


def f1_point_adjusted(labels: Any, flags: Any) -> float:
    """Compute F1 over steps after every anomaly with one flagged step is counted as flagged throughout.

    Random scores reach high values (Kim et al., AAAI 2022), so it must not rank detectors; it is here only to compare
    with older tables.

    References
    ----------
    Xu et al., "Unsupervised Anomaly Detection via Variational Auto-Encoder", WWW 2018.
    """
    labels, flags = check_flags(labels, flags)
    starts, stops = find_events(labels)
    touched = np.logical_or.reduceat(np.append(flags, False), np.stack([starts, stops], 1).ravel())[::2]
    depth = np.zeros(len(labels) + 1, int)
    depth[starts[touched]] += 1
    depth[stops[touched]] -= 1
    return f1(labels, flags | (np.cumsum(depth)[:-1] > 0))


def best_over(metric: Callable[[Any, Any], float], labels: Any, scores: Any, *, thresholds: int = 100) -> float:
    """Return the best value of a metric of flags over evenly spaced thresholds from the lowest to the highest score.

    TSB-AD reports its range, event and affiliation metrics this way. The labels choose the threshold.
    """
    labels, scores = check_pair(labels, scores)
    cuts = np.linspace(scores.min(), scores.max(), thresholds)
    return max(metric(labels, scores > cut) for cut in cuts)


def detection_scores(labels: Any, scores: Any, *, window: int) -> dict[str, float]:
    """Compute all metrics that need no threshold, and each F1 at its best threshold.

    `window` is the widest tolerance of VUS in steps: `find_length_rank` of channel 0.
    """
    labels, scores = check_pair(labels, scores, normal=True)
    roc, pr = vus(labels, scores, window)
    return {
        "vus_pr": pr,
        "vus_roc": roc,
        "auc_pr": auc_pr(labels, scores),
        "auc_roc": auc_roc(labels, scores),
        "f1_best": f1_best(labels, scores),
        "f1_range": best_over(f1_range, labels, scores),
        "f1_event": best_over(f1_event, labels, scores),
        "f1_affiliation": best_over(f1_affiliation, labels, scores),
        "f1_point_adjusted": best_over(f1_point_adjusted, labels, scores),
    }
