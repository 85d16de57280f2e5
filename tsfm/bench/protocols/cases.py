"""Labelled cases: a learner is fitted on the training cases and predicts every test case once.

N cases, M classes. Only the metrics see the test labels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.bench.interfaces import CaseLearner
from tsfm.bench.predictors import find_baseline, find_model, is_baseline
from tsfm.bench.protocol import Protocol
from tsfm.config import EvalConfig
from tsfm.data.base import SourceSeries
from tsfm.data.case_data import CaseData
from tsfm.data.case_files import cases_digest, count_repeated
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.metrics import classification, regression
from tsfm.registry import DATA_MODULES, PROTOCOLS
from tsfm.training.training_run import TrainedRun

if TYPE_CHECKING:
    from jaxtyping import Float

SPLITS = ("val", "test")
CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")
NUMBER_METRICS = ("rmse", "mae", "r2")
METRICS = CLASS_METRICS + NUMBER_METRICS  # what an experiment can make claims about


@PROTOCOLS("cases")
class CasesProtocol(Protocol):
    """Every case of a split once, in the split of the archive: the protocol of the UCR, UEA and TSER archives."""

    @dataclass
    class Config:
        """Settings of bench=cases."""

        split: str = "test"  # val | test

        def __post_init__(self):
            if self.split not in SPLITS:
                raise ValueError(f"bench.split is {self.split!r}; {did_you_mean(self.split, list(SPLITS))}")

    metrics = METRICS
    tasks = ("classify", "regress")
    default_for = ("classify", "regress")

    def load_predictor(self, config: EvalConfig) -> CaseScorer:
        """Return a baseline, which is fitted to the training cases, or a trained network."""
        if not DATA_MODULES.component_of(config.data).labelled:
            raise ValueError("bench=cases scores labelled cases; choose them by data=cases data.dataset=...")
        if is_baseline(config.predictor):
            learner = find_baseline(config.predictor, CaseLearner)  # type: ignore[type-abstract]
            return CaseScorer(partial(score_cases, learner))
        predictor = find_model(config.predictor, kind=CaseLearner, device=config.device)
        return CaseScorer(partial(score_network, predictor), predictor.about.trained_on)

    def load_data(self, config: EvalConfig, predictor: CaseScorer) -> CaseData:
        """Return the cases; a network scored on validation cases gets those held out in its training, by its seed."""
        trained_on = predictor.trained_on
        if trained_on is None:
            return CaseData(config.data, seed=config.seed or 0)
        settings = config.data
        if self.config.split == "val":
            trained = trained_on.get("data") or {}
            val, fraction = trained.get("val", settings.val), trained.get("fraction", settings.fraction)
            settings = replace(settings, val=val, fraction=fraction)
        return CaseData(settings, seed=int(trained_on.get("seed", 0)) if config.seed is None else config.seed)

    def scored_series(self, data: CaseData) -> SourceSeries:
        """Return training and test cases; the training cases have one joint fingerprint."""
        return data.source_series()

    @override
    def data_digest(self, config: EvalConfig) -> str:
        """Return the digest of the file or store of the cases."""
        return cases_digest(config.data.dataset)

    def score(self, predictor: CaseScorer, data: CaseData) -> dict[str, Any]:
        """Return the metrics over the cases of the split."""
        return predictor.score(data, split=self.config.split)

    def score_run(self, run: TrainedRun, *, name: str) -> dict[str, Any]:
        """Score the network of a run of task=classify or task=regress."""
        return score_network(ModelPredictor(run.model, name=name, about=run.about), run.data, split=self.config.split)


@dataclass(frozen=True)
class CaseScorer:
    """How a learner is scored: a function of the data and the split, and what a trained network was trained on."""

    score: Callable[..., dict[str, Any]]
    trained_on: dict[str, Any] | None = None  # None: a baseline


def score_network(predictor: ModelPredictor, data: CaseData, *, split: str) -> dict[str, Any]:
    """Return the metrics of a trained network on the cases of a split, as they were read."""
    cases = data.cases(split)
    if not len(cases):
        raise ValueError(f"data set {data.config.dataset!r} has no {split} cases to score; set bench.split=test")
    if data.regresses:
        scores = score_numbers(cases.labels, np.asarray(predictor.regress(cases.series)))
    else:
        classes = tuple(predictor.about.labels.get("classes", ()))
        if unknown := sorted(set(data.classes) - set(classes)):
            raise ValueError(
                f"{predictor.name} was not trained for the classes {', '.join(unknown[:5])} of data set "
                f"{data.config.dataset!r}; it knows {', '.join(classes[:5]) or 'none'}"
            )
        scores = score_probabilities(cases.labels, predictor.probabilities(cases.series), classes=classes)
    return scores | describe(data, split)


def score_labels(
    y_true: np.ndarray,
    y_pred: np.ndarray,
    *,
    classes: tuple[str, ...] = (),
    probabilities: Float[np.ndarray, "N M"] | None = None,
) -> dict[str, float]:
    """Return the metrics of labels (text); with probabilities of `classes` also log loss and calibration error."""
    scores = {name: getattr(classification, name)(y_true, y_pred) for name in CLASS_METRICS[:3]}
    if probabilities is not None:
        class_index = {name: index for index, name in enumerate(classes)}
        if unknown := sorted(set(y_true.tolist()) - set(class_index)):
            raise ValueError(f"labels {unknown[:5]} are none of the {len(classes)} classes that have probabilities")
        indices = np.array([class_index[label] for label in y_true.tolist()], dtype=np.int64)
        scores |= {name: getattr(classification, name)(indices, probabilities) for name in CLASS_METRICS[3:]}
    return scores


def score_probabilities(
    y_true: np.ndarray, probabilities: Float[np.ndarray, "N M"], *, classes: tuple[str, ...]
) -> dict[str, float]:
    """Return all five metrics of predicted probabilities; `y_true` holds labels (text)."""
    y_pred = np.array(classes, dtype=object)[np.asarray(probabilities).argmax(1)]
    return score_labels(y_true, y_pred, classes=classes, probabilities=probabilities)


def score_numbers(y_true: Float[np.ndarray, " N"], y_pred: Float[np.ndarray, " N"]) -> dict[str, float]:
    """Return RMSE, MAE and R2 in the units of the data."""
    return {name: getattr(regression, name)(y_true, y_pred) for name in NUMBER_METRICS}


def describe(data: CaseData, split: str) -> dict[str, Any]:
    """Return what decides a score apart from the learner; `repeated_cases` are also training cases."""
    repeated = count_repeated(data.cases(split), data.cases("train"))
    return {
        "split": split,
        "train_cases": len(data.windows("train")),
        "cases": len(data.windows(split)),
        **({"repeated_cases": repeated} if repeated else {}),
        "channels": data.num_channels,
        "length": data.length,
        "classes": len(data.classes),
        "standardized": data.standardizer is not None,
        "seed": data.seed,
        "fingerprint": data.fingerprint,
    }


def score_cases(learner: CaseLearner, data: CaseData, *, split: str = "test") -> dict[str, Any]:
    """Fit the learner to the training cases, as they were read, and score it on every case of `split`."""
    train, cases = data.cases("train"), data.cases(split)
    if not len(cases):
        hint = "set data.val" if split == "val" else "give test cases"
        raise ValueError(f"data set {data.config.dataset!r} has no {split} cases to score; {hint}")
    start = time.perf_counter()
    learner.fit(train.series, train.labels)
    fitted = time.perf_counter()
    y_pred = learner.predict(cases.series)
    seconds = {"fit_seconds": fitted - start, "predict_seconds": time.perf_counter() - fitted}
    if len(y_pred) != len(cases):
        raise RuntimeError(f"{learner.name} predicted {len(y_pred)} labels for {len(cases)} cases")
    if data.regresses:
        scores = score_numbers(cases.labels, y_pred)
    else:
        probabilities = learner.predict_proba(cases.series)
        classes = tuple(sorted(set(train.labels.tolist())))
        scores = score_labels(cases.labels, y_pred, classes=classes, probabilities=probabilities)
    return scores | describe(data, split) | {name: round(value, 3) for name, value in seconds.items()}
