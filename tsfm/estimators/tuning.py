"""How a trained model goes on learning on series without labels, as settings of experiment=finetune/series.

H horizon, N series.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.load import ModelPredictor
from tsfm.registry import HEADS

if TYPE_CHECKING:
    from jaxtyping import Int

log = logging.getLogger("tsfm")


@dataclass(frozen=True)
class Shape:
    """Context, horizon and head of the model to be."""

    context: int
    horizon: int
    head: str | None = None  # None: the trained one; else that one begins at random
    levels: int = 1  # quantile levels of the head

    @property
    def words(self) -> list[str]:
        words = [f"model.context={self.context}", f"model.horizon={self.horizon}"]
        return words if self.head is None else [*words, f"head={self.head}", "init.reset=[head]"]


def shape_for(predictor: ModelPredictor, *, horizon: int | None) -> Shape:
    """The shape in which a trained model learns to forecast `horizon` steps; None is a task that asks about the whole
    window. Another head where the trained one does not answer for that."""
    model, config = predictor.model, predictor.model.config
    reads = model.head.reads_window
    whole = config.context + (config.horizon if reads else 0)
    per_step = model.head.predicts == "steps"
    if horizon is None:
        context, fits = whole, per_step and reads
    else:
        fixed = model.backbone.fixed_length and reads  # as many patches as before
        context = whole - horizon if fixed else config.context
        fits = per_step and (reads or horizon == config.horizon)
    if context < 1:
        raise ValueError(
            f"prediction_length is {horizon}, and {predictor.name} takes windows of exactly {whole} steps; choose a "
            "shorter horizon"
        )
    if fits:
        return Shape(context, horizon or 0, levels=len(predictor.model.quantile_levels))
    kind = model.parts["head"].name if per_step and horizon is not None else "patch_quantiles"
    if kind == "patch_quantiles":
        check_patches(predictor, kind)
    log.info("the head of %s does not answer for that; a new %s begins at random", predictor.name, kind)
    levels = (
        len(HEADS.config({"name": kind}).quantile_levels)
        if kind != model.parts["head"].name
        else len(model.quantile_levels)
    )
    return Shape(context, horizon or 0, kind, levels)


def check_patches(predictor: ModelPredictor, head: str) -> None:
    """Refuse a head that reads each step from one token, where patches overlap."""
    config = predictor.model.config
    if config.stride != config.patch or config.pad_end:
        raise ValueError(
            f"{predictor.name} cuts patches of {config.patch} steps every {config.stride}"
            f"{', and repeats the last' if config.pad_end else ''}, and head={head} needs them side by side; use a "
            "model that was trained so (model.stride=model.patch model.pad_end=false)"
        )


def context_words(shape: Shape, lengths: Int[np.ndarray, " N"], *, share: float) -> list[str]:
    """How much of each series trains, the rest validates: `share`, or more where a horizon needs it; and contexts that
    begin before their series does, where the series are short."""
    share = max(share, min(0.5, (shape.horizon + 1) / int(lengths.max())))
    room = (
        int(np.quantile(lengths, 0.25) * (1 - share)) - shape.horizon
    )  # steps of context that a short series can give
    words = [f"data.ratios=[{1 - share},{share},0.0]"]
    return words if room >= shape.context else [*words, f"data.min_context={max(1, room // 2)}"]


def task_words(predictor: ModelPredictor, task: str, *, levels: int) -> list[str]:
    """The task as the model was trained for it, else with the loss that suits a head of so many levels."""
    trained: dict[str, Any] = dict(predictor.about.task)
    if trained.pop("name", None) != task:
        return [f"task.loss={'mse' if levels == 1 else 'pinball'}", "task.units=scaled"]
    return [f"task.{key}={str(value).replace(' ', '')}" for key, value in trained.items() if value is not None]


def column_words(
    predictor: ModelPredictor, targets: Sequence[str], *, past: Sequence[str] = (), known: Sequence[str] = ()
) -> list[str]:
    """Which columns are what, and whether the model reads standardised ones."""
    units = not predictor.model.scaler.equivariant and bool(predictor.about.standardize)
    roles = {"channels": targets, "past": past, "known": known}
    words = [f"data.{key}=[{','.join(map(quoted, names))}]" for key, names in roles.items() if names]
    words += [f"data.calendar=[{','.join(predictor.time_features)}]"] if predictor.time_features else []
    return [f"data.standardize={units}", *words]


def quoted(text: object) -> str:
    """A name or a path as a setting may hold it, whatever is in it."""
    return "'" + str(text).replace("'", "\\'") + "'"
