"""Checks of labels, scores and flags that every detection metric makes, and events: runs of True steps.

L steps of one series, E events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def check_binary(values: Any, *, name: str) -> Bool[np.ndarray, " L"]:
    """Return the 0/1 values of one series as booleans; `name` says in messages what they are (labels, flags)."""
    values = np.asarray(values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} have shape {values.shape}; expected one 0 or 1 for each step of one series, [L]")
    if values.dtype != bool:
        if not np.isin(values, (0, 1)).all():
            invalid = values[~np.isin(values, (0, 1))].tolist()[0]
            raise ValueError(f"{name} hold {invalid!r}; mark an anomalous step by 1 and any other by 0")
        values = values == 1
    return values


def check_labels(labels: Any, *, normal: bool = False) -> Bool[np.ndarray, " L"]:
    """Return labels as booleans with at least one anomalous step; with `normal` also at least one normal step."""
    labels = check_binary(labels, name="labels")
    if not labels.any():
        raise ValueError(f"none of the {len(labels)} steps is labelled anomalous; leave such a series out of the mean")
    if normal and labels.all():
        raise ValueError(f"all {len(labels)} steps are labelled anomalous, so there is no false alarm to measure")
    return labels


def check_pair(labels: Any, scores: Any, *, normal: bool = False):
    """Return labels [L] as booleans (see `check_labels`) and finite scores [L] in float64."""
    labels = check_labels(labels, normal=normal)
    scores = np.asarray(scores)
    if scores.shape != labels.shape:
        raise ValueError(f"scores have shape {scores.shape}; expected one for each of the {len(labels)} labelled steps")
    scores = scores.astype(np.float64)
    invalid = np.flatnonzero(~np.isfinite(scores))
    if len(invalid):
        raise ValueError(
            f"{len(invalid)} of {len(scores)} scores are not finite, the first at step {invalid[0]}; fix the detector, "
            "because a series is scored as a whole or not at all"
        )
    return labels, scores


def check_flags(labels: Any, flags: Any):
    """Return labels and flags [L] as booleans of one length."""
    labels, flags = check_labels(labels), check_binary(flags, name="flags")
    if flags.shape != labels.shape:
        raise ValueError(f"{len(flags)} flags for {len(labels)} labelled steps; give one for each")
    return labels, flags


def find_events(mask: Bool[np.ndarray, " L"]) -> tuple[Int[np.ndarray, " E"], Int[np.ndarray, " E"]]:
    """Return the start of each run of True steps, and its stop (the first step after it)."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return edges[::2], edges[1::2]


def harmonic_mean(precision: float, recall: float) -> float:
    """Compute F1 from precision and recall; 0 where both are 0."""
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def flags_above(scores: Float[np.ndarray, " L"], threshold: float) -> Bool[np.ndarray, " L"]:
    """Return True for each step whose score is above the threshold, which must be finite."""
    if not np.isfinite(threshold):
        raise ValueError(f"threshold is {threshold}; give a number in the units of the scores")
    return scores > threshold
