"""How learners of labelled cases are scored: fitted on the training cases, asked once for every test case.

N cases, M classes. The test labels are seen by the metrics alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.bench.interfaces import CaseLearner
from tsfm.data.case_data import CaseData
from tsfm.messages import did_you_mean
from tsfm.metrics import classification, regression
from tsfm.registry import schema

if TYPE_CHECKING:
    from jaxtyping import Float

SPLITS = ("val", "test")
CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")
NUMBER_METRICS = ("rmse", "mae", "r2")
METRICS = CLASS_METRICS + NUMBER_METRICS  # what an experiment can make claims about


@schema("bench", "cases")
@dataclass
class CasesBench:
    """Every case of a split, once, in the split of the archive: the protocol of the UCR, UEA and TSER archives."""

    name: str = "cases"
    split: str = "test"  # val | test

    def __post_init__(self):
        if self.split not in SPLITS:
            raise ValueError(f"bench.split is {self.split!r}; {did_you_mean(self.split, list(SPLITS))}")


def score_labels(
    truth: np.ndarray,
    told: np.ndarray,
    *,
    classes: tuple[str, ...] = (),
    probabilities: Float[np.ndarray, "N M"] | None = None,
) -> dict[str, float]:
    """The metrics of labels (text); with the probabilities of `classes`, log loss and calibration error too."""
    found = {name: getattr(classification, name)(truth, told) for name in CLASS_METRICS[:3]}
    if probabilities is not None:
        place = {name: index for index, name in enumerate(classes)}
        if unknown := sorted(set(truth.tolist()) - set(place)):
            raise ValueError(f"labels {unknown[:5]} are none of the {len(classes)} classes that have probabilities")
        indices = np.array([place[label] for label in truth.tolist()], dtype=np.int64)
        found |= {name: getattr(classification, name)(indices, probabilities) for name in CLASS_METRICS[3:]}
    return found


def score_probabilities(
    truth: np.ndarray, probabilities: Float[np.ndarray, "N M"], *, classes: tuple[str, ...]
) -> dict[str, float]:
    """All five metrics of a network: the likeliest class is the one told. `truth` holds labels (text)."""
    told = np.array(classes, dtype=object)[np.asarray(probabilities).argmax(1)]
    return score_labels(truth, told, classes=classes, probabilities=probabilities)


def score_numbers(truth: Float[np.ndarray, " N"], told: Float[np.ndarray, " N"]) -> dict[str, float]:
    """RMSE, MAE and R2 in the units of the data."""
    return {name: getattr(regression, name)(truth, told) for name in NUMBER_METRICS}


def describe(data: CaseData, split: str) -> dict[str, Any]:
    """What decides a score beside the learner."""
    return {
        "split": split,
        "train_cases": len(data.windows("train")),
        "cases": len(data.windows(split)),
        "channels": data.num_channels,
        "length": data.length,
        "classes": len(data.classes),
        "standardized": data.standardizer is not None,
        "seed": data.seed,
        "fingerprint": data.fingerprint,
    }


def score_cases(learner: CaseLearner, data: CaseData, *, split: str = "test") -> dict[str, Any]:
    """Fit the learner to the training cases as they were read, and score it on every case of `split`."""
    train, asked = data.cases("train"), data.cases(split)
    if not len(asked):
        hint = "set data.val" if split == "val" else "give test cases"
        raise ValueError(f"data set {data.config.dataset!r} has no {split} cases to score; {hint}")
    begun = time.perf_counter()
    learner.fit(train.series, train.labels)
    fitted = time.perf_counter()
    told = learner.predict(asked.series)
    seconds = {"fit_seconds": fitted - begun, "predict_seconds": time.perf_counter() - fitted}
    if len(told) != len(asked):
        raise RuntimeError(f"{learner.name} told {len(told)} labels for {len(asked)} cases")
    if data.regresses:
        scores = score_numbers(asked.labels, told)
    else:
        shares = learner.predict_proba(asked.series)
        known = tuple(sorted(set(train.labels.tolist())))
        scores = score_labels(asked.labels, told, classes=known, probabilities=shares)
    return scores | describe(data, split) | {name: round(value, 3) for name, value in seconds.items()}
