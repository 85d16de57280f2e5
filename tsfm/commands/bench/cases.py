"""`tsfm bench cases`: classifiers and regressors on the sets of the archives, next to published values.

C channels, L steps.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from tsfm.bench.interfaces import CaseLearner
from tsfm.bench.predictors import find_baseline
from tsfm.bench.protocols.cases import score_cases
from tsfm.bench.seen_sets import check_sets
from tsfm.commands.bench.case_sets import (
    EUCLIDEAN,
    FULL_WINDOW,
    LEARNED_WINDOW,
    Published,
    choose_sets,
    classification_root,
    read_published,
)
from tsfm.commands.bench.stored_scores import read_scores, stored_weights, write_scores
from tsfm.config import compose, typed
from tsfm.data.base import SourceSeries
from tsfm.data.case_data import CaseData, CasesConfig
from tsfm.files import check_folder
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Float

PUBLISHED_AS = {  # learner -> published method
    "minirocket": "MiniROCKET",
    "nn_dtw": FULL_WINDOW,
    "nn_dtw:learn=true": LEARNED_WINDOW,
    "nn_euclidean": EUCLIDEAN,
    "catch22": "Catch22",
}
SCORES = ("accuracy", "rmse")  # of classes, of numbers
ALWAYS_SHOWN = ("InceptionTime", "ROCKET")  # published methods next to every learner
PROBE = "probe:"  # prefix of a trained model whose frozen features a linear model classifies


def run(args: argparse.Namespace) -> int:
    """Score the learners on the sets, and print the table; finished results are read from --out.

    Raises
    ------
    FileExistsError
        If a finished result is of other settings; nothing is scored then.
    """
    check_folder(args.out)
    anchors = args.anchors or classification_root().parent / "anchors"
    file = anchors / "classification_published.csv"
    published = read_published(file) if file.is_file() else {}
    sets = choose_sets(args.sets, published=published)
    stored = {
        (learner, data): read_scores(
            scores_path(learner, data, args=args),
            settings=learner_settings(learner, data, args=args),
            fingerprint=partial(data_fingerprint, data),
            metrics=SCORES,
        )
        for learner in args.learners
        for data in sets
    }
    models = {learner: name for learner in args.learners if (name := pretrained_model(learner, args.overrides))}
    seen_sets = check_sets(models, {data: partial(scored_cases, data) for data in sets}, zero_shot=args.zero_shot)
    results: dict[str, dict[str, dict]] = {}
    for (learner, data), finished in stored.items():
        scores, start = finished, time.perf_counter()
        if scores is None:
            scores = score_learner(learner, data, seed=args.seed, overrides=args.overrides, out=args.out)
            scores = {"learner": learner, "data": data, **scores, **seen_sets.columns(learner, data)}
            settings = learner_settings(learner, data, args=args)
            write_scores(scores_path(learner, data, args=args), scores, settings=settings)
            print(f"{learner}  {data}  {_score(scores):.4f}  {time.perf_counter() - start:.1f} s", flush=True)
        results.setdefault(learner, {})[data] = scores
    print("\n".join([results_table(results, sets, published), *seen_sets.sentences()]))
    return 0


def scores_path(learner: str, data: str, *, args: argparse.Namespace) -> Path:
    """Return the file of the scores of a learner on a set."""
    return args.out / f"{learner.replace('/', '_').replace(':', '-')}-{args.seed}" / f"{data}.json"


def learner_settings(learner: str, data: str, *, args: argparse.Namespace) -> dict[str, Any]:
    """Return what the scores of a learner on a set depend on, apart from the values of the set."""
    settings: dict[str, Any] = {"learner": learner, "data": data, "seed": args.seed}
    if learner.startswith(PROBE):
        return settings | {"weights": stored_weights(learner.removeprefix(PROBE))}
    return settings if is_baseline_learner(learner) else settings | {"overrides": list(args.overrides)}


def pretrained_model(learner: str, overrides: Sequence[str]) -> str | None:
    """Return the model of a probe, or from which the training of an experiment starts; None if there is none."""
    if learner.startswith(PROBE):
        return learner.removeprefix(PROBE)
    return (
        None if is_baseline_learner(learner) else compose("train", experiment_settings(learner, overrides)).init["from"]
    )


def is_baseline_learner(learner: str) -> bool:
    """Return whether a learner is a baseline, with or without settings."""
    return learner.split(":")[0] in BASELINES.names()


def data_fingerprint(data: str) -> str:
    """Return the fingerprint of all cases of a set."""
    return CaseData(CasesConfig(data)).fingerprint


def scored_cases(data: str) -> SourceSeries:
    """Return the training and test cases of a set, for the leak check."""
    return CaseData(CasesConfig(data)).source_series()


def score_learner(learner: str, data: str, *, seed: int, overrides: Sequence[str], out: Path) -> dict[str, Any]:
    """Return the scores of a learner on a set: a probe, a baseline, or else an experiment that is trained."""
    if learner.startswith(PROBE):
        return score_cases(ProbeLearner(learner.removeprefix(PROBE)), CaseData(CasesConfig(data), seed=seed))
    if is_baseline_learner(learner):
        return score_cases(find_learner(learner), CaseData(CasesConfig(data), seed=seed))
    return train_experiment(learner, data, seed=seed, overrides=overrides, out=out)


def find_learner(text: str) -> CaseLearner:
    """Return a baseline from `name` or `name:key=value,key=value`."""
    name, _, assignments = text.partition(":")
    settings = dict(assignment.split("=", 1) for assignment in assignments.split(",") if assignment)
    values = {key: yaml.safe_load(value) for key, value in settings.items()}
    return find_baseline(name, CaseLearner, **values)  # type: ignore[type-abstract]


class ProbeLearner(CaseLearner):
    """A ridge on the features of a frozen network, with the interface of a baseline.

    Parameters
    ----------
    model
        Name of a bundled model, or a model directory.
    """

    def __init__(self, model: str):
        from tsfm.estimators.probe import Probe
        from tsfm.infer.load import load

        predictor = load(model, precision="bf16")
        self.name, self.probe = PROBE + model, Probe(predictor, pool="views")

    def fit(self, cases: Sequence[Float[np.ndarray, "C _"]], labels: np.ndarray) -> ProbeLearner:
        """Fit the ridge on the features of the training cases."""
        self.probe.fit(list(cases), labels)
        return self

    def predict(self, cases: Sequence[Float[np.ndarray, "C _"]]) -> np.ndarray:
        """Return the label of each case."""
        return self.probe.predict(list(cases))


def experiment_settings(experiment: str, overrides: Sequence[str]) -> list[str]:
    """Return the settings of an experiment that do not depend on the set."""
    return [f"experiment={experiment}", *overrides]


def train_experiment(experiment: str, data: str, *, seed: int, overrides: Sequence[str], out: Path) -> dict[str, Any]:
    """Train and score an experiment on one set, as `tsfm train` does."""
    from tsfm.commands.train import train_and_score  # imports Lightning, which baselines do without

    settings = [f"data.dataset={data}", f"seed={seed}", f"run_root={out / 'runs'}"]
    settings = experiment_settings(experiment, [*settings, f"name={experiment.replace('/', '_')}_{data}", *overrides])
    return train_and_score(typed(compose("train", settings)), command=" ".join(sys.argv))


def results_table(results: Mapping[str, Mapping[str, dict]], sets: Sequence[str], published: Published) -> str:
    """Return a line per set: each learner and its published values; then the means over the sets that all have."""
    columns: list[tuple[str, dict[str, float]]] = []
    for learner, scores in results.items():
        columns.append((learner, {name: _score(scores[name]) for name in sets if name in scores}))
        if method := PUBLISHED_AS.get(learner):
            columns.append((method, _column(published, method, sets)))
    titles = {title for title, _ in columns}
    columns += [(method, _column(published, method, sets)) for method in ALWAYS_SHOWN if method not in titles]
    width = max(len(name) for name in (*sets, "mean over the common sets"))
    lines = ["  ".join([" " * width, *(title for title, _ in columns)])]
    for name in sets:
        cells = [f"{values[name]:.4f}" if name in values else "" for _, values in columns]
        aligned = [f"{cell:>{len(title)}}" for cell, (title, _) in zip(cells, columns, strict=True)]
        lines.append("  ".join([f"{name:{width}}", *aligned]))
    common = [name for name in sets if all(name in values for _, values in columns)]
    if common:
        means = [float(np.mean([values[name] for name in common])) for _, values in columns]
        cells = [f"{mean:>{max(len(title), 6)}.4f}" for mean, (title, _) in zip(means, columns, strict=True)]
        lines.append("  ".join([f"{f'mean over the {len(common)} common sets':{width}}", *cells]))
    return "\n".join(lines)


def _column(published: Published, method: str, sets: Sequence[str]) -> dict[str, float]:
    return {name: published[name, method] for name in sets if (name, method) in published}


def _score(scores: Mapping[str, Any]) -> float:
    """Return the accuracy, or of a set of numbers the RMSE."""
    return next(scores[name] for name in SCORES if name in scores)
