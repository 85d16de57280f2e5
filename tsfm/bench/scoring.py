"""Which protocol scores what: by the bench config that was chosen, and for a trained run by its task.

B windows, C channels, T steps, M classes.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from tsfm.bench import anomaly, cases, imputation, protocols
from tsfm.bench.anomaly import AnomalyConfig, find_detector, score_anomaly
from tsfm.bench.cases import CasesBench, describe, score_cases, score_numbers, score_probabilities
from tsfm.bench.find import baselines, find_baseline
from tsfm.bench.imputation import ImputationConfig, of_baseline, of_model, score_imputation
from tsfm.bench.kinds import CaseLearner, Imputer
from tsfm.config import EvalConfig
from tsfm.data.cases import CaseData, CasesConfig
from tsfm.data.module import WindowData
from tsfm.infer.load import ModelPredictor, load
from tsfm.registry import BASELINES, closest
from tsfm.tasks.base import Ratio, Task
from tsfm.train.run import Trained

log = logging.getLogger("tsfm")
METRICS = {  # what an experiment can make claims about, by the name of the bench config
    "windows": protocols.METRICS,
    "imputation": imputation.METRICS,
    "cases": cases.METRICS,
    "anomaly": anomaly.METRICS,
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


def score_trained(trained: Trained, bench: Any) -> dict[str, Any]:
    """The scores of a run that does not forecast: by its protocol, or where none fits by what its task reports."""
    model, data, task = trained.model, trained.data, trained.task
    if isinstance(data, CaseData):
        split = bench.split if isinstance(bench, CasesBench) else "test"
        return score_network(ModelPredictor(model, name="model", about=trained.about), data, split=split)
    if task.name == "impute":
        bench = bench if isinstance(bench, ImputationConfig) else ImputationConfig(split=bench.split)
        return score_imputation(of_model(model), data, bench)
    return score_task(task, trained, split=bench.split)


def score_task(task: Task, trained: Trained, *, split: str, batch_size: int = 256) -> dict[str, Any]:
    """What the task reports over every window of a split, its problems drawn from one seed."""
    assert isinstance(trained.data, WindowData)
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


def evaluate_other(config: EvalConfig) -> dict[str, Any]:
    """The scores of `tsfm eval` by any protocol but that of forecasts."""
    bench = config.bench
    if isinstance(bench, AnomalyConfig):
        return score_anomaly(find_detector(config.predictor), bench)
    if isinstance(bench, CasesBench):
        if not isinstance(config.data, CasesConfig):
            raise ValueError("bench=cases scores labelled cases; choose them by data=cases data.dataset=...")
        data = CaseData(config.data)
        data.setup()
        if config.predictor in BASELINES.names():
            return score_cases(find_baseline(config.predictor, CaseLearner), data, split=bench.split)
        return score_network(load(config.predictor, device=config.device), data, split=bench.split)
    if isinstance(config.data, CasesConfig):
        raise ValueError(f"data set {config.data.dataset!r} holds labelled cases; score them by bench=cases")
    if config.predictor in baselines(Imputer):  # type: ignore[type-abstract]
        if config.context is None:
            raise ValueError(f"{config.predictor} has no window of its own; give context=512, say")
        data = WindowData(config.data, context=config.context, horizon=0)
        data.setup()
        filler = of_baseline(find_baseline(config.predictor, Imputer), season=data.season)
        return score_imputation(filler, data, bench)
    if config.predictor in BASELINES.names():
        find_baseline(config.predictor, Imputer)  # says what it does instead
    predictor = load(config.predictor, device=config.device)
    shape = predictor.model.config
    steps = config.context or shape.context + shape.horizon
    data = WindowData(config.data, context=steps, horizon=0)
    data.setup()
    return score_imputation(of_model(predictor.model), data, bench)


def check_claim(metric: str, bench: Any) -> None:
    """Refuse an unknown metric before an hour is spent on it."""
    if metric not in (known := known_metrics(bench)):
        raise ValueError(f"expect.metric is {metric!r}; {closest(metric, known)}")
