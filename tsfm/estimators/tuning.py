"""How a trained model is fine-tuned on series without labels: settings of experiment=finetune/series.

H horizon, N series.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.model_predictor import ModelPredictor
from tsfm.registry import HEADS

if TYPE_CHECKING:
    from jaxtyping import Int

log = logging.getLogger("tsfm")


@dataclass(frozen=True)
class ModelShape:
    """Context, horizon and head of the model to train."""

    context: int
    horizon: int
    head: str | None = None  # None keeps the trained one; else a new one starts from random weights
    num_levels: int = 1  # quantile levels of the head

    @property
    def overrides(self) -> list[str]:
        """Return the shape as settings."""
        settings = [f"model.context={self.context}", f"model.horizon={self.horizon}"]
        return settings if self.head is None else [*settings, f"head={self.head}", "init.reset=[head]"]


def find_shape(predictor: ModelPredictor, *, horizon: int | None) -> ModelShape:
    """Return the shape in which a trained model learns to forecast `horizon` steps.

    A horizon of None is for tasks on the whole window. The head is replaced where the trained one does not fit.
    """
    model, config = predictor.model, predictor.model.config
    reads_window = model.head.reads_window
    whole = config.context + (config.horizon if reads_window else 0)
    per_step = model.head.predicts == "steps"
    if horizon is None:
        context, fits = whole, per_step and reads_window
    else:
        fixed = model.backbone.fixed_length and reads_window  # as many patches as before
        context = whole - horizon if fixed else config.context
        fits = per_step and (reads_window or horizon == config.horizon)
    if context < 1:
        raise ValueError(
            f"prediction_length is {horizon}, and {predictor.name} takes windows of exactly {whole} steps; choose a "
            "shorter horizon"
        )
    if fits:
        return ModelShape(context, horizon or 0, num_levels=len(predictor.model.quantile_levels))
    kind = model.parts["head"].name if per_step and horizon is not None else "patch_quantiles"
    if kind == "patch_quantiles":
        check_patches(predictor, kind)
    log.info("the head of %s does not fit; a new %s starts from random weights", predictor.name, kind)
    num_levels = (
        len(HEADS.config({"name": kind}).quantile_levels)
        if kind != model.parts["head"].name
        else len(model.quantile_levels)
    )
    return ModelShape(context, horizon or 0, kind, num_levels)


def check_patches(predictor: ModelPredictor, head: str) -> None:
    """Raise a ValueError if patches overlap, since `head` predicts each step from one token."""
    config = predictor.model.config
    if config.stride != config.patch or config.pad_end:
        raise ValueError(
            f"{predictor.name} cuts patches of {config.patch} steps every {config.stride}"
            f"{', and repeats the last' if config.pad_end else ''}, and head={head} needs patches without overlap; "
            "use a "
            "model that was trained with them (model.stride=model.patch model.pad_end=false)"
        )


def validation_share(lengths: Int[np.ndarray, " N"], *, horizon: int, share: float) -> float:
    """Return the share of each series that validates: `share`, or more where the horizon needs it."""
    return max(share, min(0.5, (horizon + 1) / int(lengths.max())))


def context_overrides(shape: ModelShape, lengths: Int[np.ndarray, " N"], *, share: float) -> list[str]:
    """Return the settings of the validation split, and of shorter contexts where the series are short."""
    available = (
        int(np.quantile(lengths, 0.25) * (1 - share)) - shape.horizon
    )  # steps of context that a short series can give
    settings = [f"data.ratios=[{1 - share},{share},0.0]"]
    return settings if available >= shape.context else [*settings, f"data.min_context={max(1, available // 2)}"]


def task_overrides(predictor: ModelPredictor, task: str, *, num_levels: int) -> list[str]:
    """Return the settings of the task as in the model's training, else with the loss for `num_levels` levels."""
    trained: dict[str, Any] = dict(predictor.about.task)
    if trained.pop("name", None) != task:
        return [f"task.loss={'mse' if num_levels == 1 else 'pinball'}", "task.units=scaled"]
    return [f"task.{key}={str(value).replace(' ', '')}" for key, value in trained.items() if value is not None]


def column_overrides(
    predictor: ModelPredictor, targets: Sequence[str], *, past: Sequence[str] = (), known: Sequence[str] = ()
) -> list[str]:
    """Return the settings of targets and covariates, and whether the model needs standardized columns."""
    standardize = not predictor.model.scaler.equivariant and bool(predictor.about.standardize)
    roles = {"channels": targets, "past": past, "known": known}
    settings = [f"data.{key}=[{','.join(map(quote, names))}]" for key, names in roles.items() if names]
    settings += [f"data.time_features=[{','.join(predictor.time_features)}]"] if predictor.time_features else []
    return [f"data.standardize={standardize}", *settings]


def quote(text: object) -> str:
    """Return a name or a path quoted for Hydra's grammar."""
    return "'" + str(text).replace("'", "\\'") + "'"
