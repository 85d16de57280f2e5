"""What every detection metric asks of labels, scores and flags, and the runs of marked steps. L steps, E runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def check_marks(marks: Any, *, name: str) -> Bool[np.ndarray, " L"]:
    """0/1 marks of one series as booleans."""
    marks = np.asarray(marks)
    if marks.ndim != 1 or not len(marks):
        raise ValueError(f"{name} have shape {marks.shape}; expected one 0 or 1 for each step of one series, [L]")
    if marks.dtype != bool:
        if not np.isin(marks, (0, 1)).all():
            found = marks[~np.isin(marks, (0, 1))].tolist()[0]
            raise ValueError(f"{name} hold {found!r}; mark an anomalous step by 1 and any other by 0")
        marks = marks == 1
    return marks


def check_labels(labels: Any, *, normal: bool = False) -> Bool[np.ndarray, " L"]:
    """Labels with something to find in them; with `normal` also with a step that is not anomalous."""
    labels = check_marks(labels, name="labels")
    if not labels.any():
        raise ValueError(f"none of the {len(labels)} steps is labelled anomalous; leave such a series out of the mean")
    if normal and labels.all():
        raise ValueError(f"all {len(labels)} steps are labelled anomalous, so there is no false alarm to measure")
    return labels


def check_pair(labels: Any, scores: Any, *, normal: bool = False):
    """Labels [L] as booleans and scores [L] in float64."""
    labels = check_labels(labels, normal=normal)
    scores = np.asarray(scores)
    if scores.shape != labels.shape:
        raise ValueError(f"scores have shape {scores.shape}; expected one for each of the {len(labels)} labelled steps")
    scores = scores.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ValueError(
            f"{len(bad)} of {len(scores)} scores are not finite, the first at step {bad[0]}; mend the detector, a "
            "series is not scored in part"
        )
    return labels, scores


def check_flags(labels: Any, flags: Any):
    """Labels and flags [L] as booleans."""
    labels, flags = check_labels(labels), check_marks(flags, name="flags")
    if flags.shape != labels.shape:
        raise ValueError(f"{len(flags)} flags for {len(labels)} labelled steps; give one for each")
    return labels, flags


def runs(marks: Bool[np.ndarray, " L"]) -> tuple[Int[np.ndarray, " E"], Int[np.ndarray, " E"]]:
    """Where each run of marked steps starts, and where it stops (the first step after it)."""
    edges = np.flatnonzero(np.diff(marks.astype(np.int8), prepend=0, append=0))
    return edges[::2], edges[1::2]


def harmonic(precision: float, recall: float) -> float:
    """F1 of the two; 0 where both are 0."""
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def flagged_at(scores: Float[np.ndarray, " L"], threshold: float) -> Bool[np.ndarray, " L"]:
    """A step is flagged where its score lies above the threshold."""
    if not np.isfinite(threshold):
        raise ValueError(f"threshold is {threshold}; give a number in the units of the scores")
    return scores > threshold
