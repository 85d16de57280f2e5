"""Which protocol scores what: by the bench config that was chosen, and for a trained run by its task.

B windows, C channels, T steps, M classes.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsfm.bench import anomaly, cases, gift, imputation, protocols
from tsfm.bench.anomaly import AnomalyConfig, find_detector, score_anomaly
from tsfm.bench.cases import CasesBench, describe, score_cases, score_numbers, score_probabilities
from tsfm.bench.find import DOES, baselines, find_baseline
from tsfm.bench.gift import GiftBench, as_text, score_gift
from tsfm.bench.imputation import ImputationConfig, of_baseline, of_model, score_imputation
from tsfm.bench.interfaces import CaseLearner, Imputer, SeriesDetector
from tsfm.bench.ready import ready
from tsfm.bench.report import as_csv
from tsfm.bench.trained import as_trained, pick_device
from tsfm.config import EvalConfig, RunConfig
from tsfm.data.case_data import CaseData
from tsfm.data.window_data import WindowData
from tsfm.files import write_text
from tsfm.infer.detect import BLEND
from tsfm.infer.load import ModelPredictor, bundled, load
from tsfm.messages import did_you_mean
from tsfm.registry import BASELINES, DATA_MODULES
from tsfm.tasks.base import Ratio, Task
from tsfm.training.training_run import TrainedRun

log = logging.getLogger("tsfm")
METRICS = {  # what an experiment can make claims about, by the name of the bench config
    "windows": protocols.METRICS,
    "imputation": imputation.METRICS,
    "cases": cases.METRICS,
    "anomaly": anomaly.METRICS,
    "gift": gift.METRICS,
}
HIGHER = (  # is better
    *("accuracy", "balanced_accuracy", "macro_f1", "r2"),
    *anomaly.THRESHOLD_FREE,
    *anomaly.AT_BEST,
    "f1_at_own",
)
EITHER = ("coverage", "width")  # may miss by more and by less
FITS = {  # the benches that score a task's runs; `windows`, the default, leaves others to what fits them
    "forecast": ("windows",),
    "pretrain": ("windows",),
    "impute": ("windows", "imputation"),
    "detect": ("windows",),
    "classify": ("windows", "cases"),
    "regress": ("windows", "cases"),
}
REPORTED = ("loss", "mse", "mae", "wql", "accuracy")  # by a task itself


def known_metrics(bench: Any) -> list[str]:
    """The metrics that a claim can name; those of single masks and rates have longer names."""
    names = [*METRICS[bench.name], *REPORTED]
    if isinstance(bench, ImputationConfig):
        names += [f"{mask}_mse" for mask in bench.masks]
        names += [
            f"{mask}_{rate:g}_{metric}" for mask in bench.masks for rate in bench.rates for metric in imputation.METRICS
        ]
    return names


def score_trained(trained: TrainedRun, bench: Any) -> dict[str, Any]:
    """The scores of a run that does not forecast: by its protocol, or where none fits by what its task reports."""
    model, data, task = trained.model, trained.data, trained.task
    if data.labelled:
        split = bench.split if isinstance(bench, CasesBench) else "test"
        return score_network(ModelPredictor(model, name="model", about=trained.about), data, split=split)
    if task.name == "impute":
        bench = bench if isinstance(bench, ImputationConfig) else ImputationConfig(split=bench.split)
        return score_imputation(of_model(model, coupled=bench.coupled), data, bench)
    return score_task(task, trained, split=bench.split)


def score_task(task: Task, trained: TrainedRun, *, split: str, batch_size: int = 256) -> dict[str, Any]:
    """What the task reports over every window of a split, its problems drawn from one seed."""
    windows, generator = trained.data.windows(split), torch.Generator().manual_seed(0)
    device = next(trained.model.parameters()).device
    sums: dict[str, Ratio] = {}
    for first in range(0, len(windows), batch_size):
        batch = windows.gather(np.arange(first, min(first + batch_size, len(windows))))
        problem = task.pose(batch, generator).to(device)
        with torch.no_grad():
            told = task.report(trained.model(problem), problem)
        for name, (total, count) in told.items():
            old = sums.get(name, Ratio(torch.zeros_like(total), torch.zeros_like(count)))
            sums[name] = Ratio(old.total + total, old.count + count)
    if empty := [name for name, ratio in sums.items() if not ratio.count]:
        raise ValueError(
            f"task={task.name} asks for nothing in the {split} part, so {empty[0]} has no value; look at what it hides "
            "(tsfm show)"
        )
    found = {name: float(ratio.total / ratio.count) for name, ratio in sums.items()}
    return found | {"windows": len(windows), "split": split, "fingerprint": trained.data.fingerprint}


def score_network(predictor: ModelPredictor, data: CaseData, *, split: str) -> dict[str, Any]:
    """A trained network on labelled cases, as they were read."""
    asked = data.cases(split)
    if not len(asked):
        raise ValueError(f"data set {data.config.dataset!r} has no {split} cases to score; set bench.split=test")
    if data.regresses:
        scores = score_numbers(asked.labels, np.asarray(predictor.regress(asked.series)))
    else:
        classes = tuple(predictor.about.labels.get("classes", ()))
        if unknown := sorted(set(data.classes) - set(classes)):
            raise ValueError(
                f"{predictor.name} was not trained for the classes {', '.join(unknown[:5])} of data set "
                f"{data.config.dataset!r}; it knows {', '.join(classes[:5]) or 'none'}"
            )
        scores = score_probabilities(asked.labels, predictor.probabilities(asked.series), classes=classes)
    return scores | describe(data, split)


class ModelDetector(SeriesDetector):
    """A trained model that hides every block in turn; it learns nothing of the series. A step that nobody observed
    scores as the least strange one.

    score, combine: as in `ModelPredictor.detect`. A model of another task than detect is scored by blend if not
    told."""

    def __init__(self, predictor: ModelPredictor, *, score: str | None = None, combine: str = "mean"):
        self.predictor, self.name = predictor, predictor.name
        of_another = predictor.about.task.get("name") != "detect"
        self.how = {"score": BLEND if score is None and of_another else score, "combine": combine}

    def score(self, series: np.ndarray) -> np.ndarray:
        found = np.asarray(self.predictor.detect(series, **self.how))
        return np.where(np.isnan(found), np.nanmin(found), found)


def evaluate_other(config: EvalConfig) -> dict[str, Any]:
    """The scores of `tsfm eval` by any protocol but that of forecasts."""
    bench = config.bench
    unused = ["horizon"] if isinstance(bench, (ImputationConfig, GiftBench)) else ["context", "horizon"]
    for name in unused:
        if getattr(config, name) is not None:
            raise ValueError(f"bench={bench.name} has no {name}; leave {name}={getattr(config, name)} out")
    if isinstance(bench, AnomalyConfig):
        known = config.predictor in BASELINES.names()
        how = {"score": bench.score, "combine": bench.combine}
        if known and how != {"score": None, "combine": "mean"}:
            raise ValueError(f"bench.score and bench.combine are of trained models; {config.predictor} is a baseline")
        return score_anomaly(
            find_detector(config.predictor) if known else ModelDetector(find_model(config), **how), bench
        )
    if isinstance(bench, GiftBench):
        return evaluate_gift(config, bench)
    if isinstance(bench, CasesBench):
        return evaluate_cases(config, bench)
    if DATA_MODULES.component_of(config.data).labelled:
        raise ValueError(f"data set {config.data.dataset!r} holds labelled cases; score them by bench=cases")
    if config.predictor in BASELINES.names():
        imputer = find_baseline(config.predictor, Imputer)  # type: ignore[type-abstract]
        if config.context is None:
            raise ValueError(f"{config.predictor} has no window of its own; give context=512, say")
        data = WindowData(config.data, context=config.context, horizon=0)
        data.setup()
        return score_imputation(of_baseline(imputer, season=data.season_length), data, bench)
    predictor = find_model(config)
    shape = predictor.model.config
    data = WindowData(
        as_trained(config.data, predictor),
        context=config.context or shape.context + shape.horizon,
        horizon=0,
        covariates=predictor.model.mixes_channels,
    )
    data.setup()
    return score_imputation(of_model(predictor.model, coupled=bench.coupled), data, bench)


def evaluate_gift(config: EvalConfig, bench: GiftBench) -> dict[str, Any]:
    """A forecaster on GIFT-Eval, zero-shot; the table is told, and written where a folder is named."""
    result = score_gift(ready(config.predictor, device=config.device), bench, context=config.context)
    log.info("%s", as_text(result))
    if config.out is not None:
        write_text(Path(config.out) / "gift.csv", as_csv(result["rows"]))
    return result


def evaluate_cases(config: EvalConfig, bench: CasesBench) -> dict[str, Any]:
    """A trained network or a baseline on labelled cases. A network that is scored on validation cases gets those of its
    training, held out by its seed."""
    if not DATA_MODULES.component_of(config.data).labelled:
        raise ValueError("bench=cases scores labelled cases; choose them by data=cases data.dataset=...")
    if config.predictor in BASELINES.names():
        data = CaseData(config.data, seed=config.seed or 0)
        return score_cases(find_baseline(config.predictor, CaseLearner), data, split=bench.split)  # type: ignore[type-abstract]
    predictor, settings = find_model(config), config.data
    trained_on = predictor.about.trained_on
    seed = int(trained_on.get("seed", 0)) if config.seed is None else config.seed
    if bench.split == "val":
        kept = trained_on.get("data") or {}
        settings = replace(
            settings, val=kept.get("val", settings.val), fraction=kept.get("fraction", settings.fraction)
        )
    return score_network(predictor, CaseData(settings, seed=seed), split=bench.split)


def find_model(config: EvalConfig) -> ModelPredictor:
    """The trained model that an evaluation names."""
    if config.predictor in bundled() or Path(config.predictor).exists():
        return load(config.predictor, device=str(pick_device(config.device)))
    kind = {"imputation": Imputer, "cases": CaseLearner, "anomaly": SeriesDetector}[config.bench.name]
    raise ValueError(
        f"no predictor {config.predictor!r}: no folder of a trained model, no bundled model, no baseline that "
        f"{DOES[kind]}; {did_you_mean(config.predictor, baselines(kind) + bundled())}"
    )


def check_bench(config: RunConfig) -> None:
    """Refuse, before a run, a protocol that does not score its task."""
    fits = FITS.get(config.task.name, (config.bench.name,))
    if config.bench.name not in fits:
        raise ValueError(
            f"bench={config.bench.name} does not score runs of task={config.task.name}; use bench={fits[-1]}"
        )


def check_claim(metric: str, bench: Any) -> None:
    """Refuse an unknown metric before an hour is spent on it."""
    if metric not in (known := known_metrics(bench)):
        raise ValueError(f"expect.metric is {metric!r}; {did_you_mean(metric, known)}")
