"""What a loaded model can be asked, given its head and what it was trained for; an error that says why not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsfm.infer.load import ModelPredictor

logger = logging.getLogger("tsfm")
HIDES = ("impute", "detect", "pretrain")  # tasks that teach a model to answer for hidden steps anywhere


def trained_for(model: ModelPredictor) -> str:
    """The task of a model, as the beginning of a sentence."""
    task = model.about.task.get("name")
    return f"{model.name} was trained for task={task}" if task else f"{model.name} does not say what it was trained for"


def check_forecasts(self: ModelPredictor) -> None:
    """A forecast needs a head that answers for steps, and a horizon."""
    if self.model.head.predicts != "steps":
        raise ValueError(
            f"{trained_for(self)} and answers for a series as a whole, so it can't forecast; use its classify, "
            "regress or embed, or a model trained with task=forecast"
        )
    if self.model.config.horizon < 1:
        raise ValueError(
            f"{trained_for(self)} and has no horizon, so it can't forecast; use a model trained with task=forecast "
            f"(init.from={self.name} can start it)"
        )


def check_steps(model: ModelPredictor, verb: str) -> None:
    """Imputing and detecting need a head that answers for every step of the window."""
    head, kind = model.model.head, model.model.parts["head"].name
    if head.predicts == "steps" and head.reads_window:
        return
    why = "answers for a series as a whole" if head.predicts != "steps" else f"answers for its horizon alone ({kind})"
    raise ValueError(
        f"{trained_for(model)} and its head {why}, so it can't {verb}; use a model trained with task={verb} "
        "head=patch_quantiles"
    )


def check_labels(model: ModelPredictor, task: str) -> None:
    """Classes and numbers are known to models of labelled cases."""
    key = {"classify": "classes", "regress": "loc"}[task]
    if model.model.head.predicts == "window" and key in model.about.labels:
        return
    what = {"classify": "classes", "regress": "numbers"}[task]
    labels = model.about.labels
    other = "; use its classify" if "classes" in labels else "; use its regress" if "loc" in labels else ""
    raise ValueError(
        f"{trained_for(model)}, so it tells no {what}"
        + (other or f"; train one with task={task} head=pooled data=cases, on it by init.from={model.name}")
    )


def labelled(model: ModelPredictor) -> str:
    """classify or regress: what a model of labelled cases was trained for."""
    task = "regress" if "loc" in model.about.labels else "classify"
    check_labels(model, task)
    return task


def notes(model: ModelPredictor, verb: str) -> list[str]:
    """What to announce when a model is asked for steps it was not trained to tell, or does without its covariates."""
    said, task = [], model.about.task.get("name")
    if task is not None and task not in HIDES:
        said.append(f"{trained_for(model)}, not to {verb}; one trained with task={verb} does it better")
    if beside := [*model.past, *model.known, *model.time_features]:
        said.append(f"{verb} does without the covariates of {model.name}'s training: {', '.join(beside)}")
    for note in said:
        logger.info(note)
    return said
