"""Fine-tuning on the items of a DataFrame: `Pretrained.fit_df`, step by step."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tsfm.config import RunConfig
from tsfm.estimators import tuning
from tsfm.estimators.devices import resolve_device
from tsfm.estimators.fit_plan import FitPlan, plan_fit
from tsfm.estimators.fitting import compose_config, init_overrides, save_source, temporary_run, train_predictor
from tsfm.infer.columns import find_columns
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.progress import can_refresh
from tsfm.messages import announce, did_you_mean
from tsfm.model.model import Model
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore
from tsfm.training.components import build_components
from tsfm.training.first_measures import FirstMeasures, measure_first

if TYPE_CHECKING:
    import pandas as pd

    from tsfm.store.read_options import ReadSettings

log = logging.getLogger("tsfm")
UNLABELLED_TASKS = ("forecast", "impute", "detect")  # tasks that need no labels
VALIDATION_SHARE = 0.1  # share of each series, at its end, that selects the best weights


@dataclass(frozen=True)
class FitRequest:
    """What the user of `fit_df` asked for; the arguments are described there."""

    task: str
    method: str
    horizon: int | None
    epochs: int | None
    past: Sequence[str]
    known: Sequence[str]
    overrides: Sequence[str]
    seed: int
    device: str
    progress: bool | None
    keep_better: bool


def fine_tune(
    predictor: ModelPredictor, df: pd.DataFrame, request: FitRequest, *, settings: ReadSettings
) -> ModelPredictor:
    """Return the fine-tuned model, or `predictor` itself where it validates better and is to be kept then."""
    with temporary_run() as folder:
        store, targets = write_frame(df, folder / "store", request, settings=settings)
        config, plan = compose_run(predictor, store, targets, request, folder=folder)
        try:
            measures = measure_first(build_components(config), device=resolve_device(request.device))
            announce_plan(predictor, config, measures)
            tuned = train_predictor(
                config, folder, device=request.device, verbose=can_refresh(request.progress), name=predictor.name,
                source=predictor.name,
            )  # fmt: skip
        except ValueError as error:
            raise too_short(error) from None
    before = None if "head" in config.init.get("reset", ()) else measures.score  # a new head starts from nothing
    return select_better(predictor, tuned, plan, before=before, keep_better=request.keep_better)


def write_frame(
    df: pd.DataFrame, folder: Path, request: FitRequest, *, settings: ReadSettings
) -> tuple[SeriesStore, list[str]]:
    """Write the items of a DataFrame as a store; return it and the names of the targets."""
    notes: list[str] = []
    columns = find_columns(df, **settings.columns, label="df", notes=notes)
    targets = [str(name) for name in columns.targets]
    announce(notes)
    ingest(
        columns.frame,
        folder,
        layout="wide" if columns.item is None else "long",
        progress=False,
        **settings.updated(
            id_column=settings.id_column if columns.item is None else str(columns.item),
            timestamp_column=None if columns.timestamp is None else str(columns.timestamp),
            target=[*targets, *request.past, *request.known],
        ).options,
    )
    return SeriesStore.open(folder), targets


def compose_run(
    predictor: ModelPredictor, store: SeriesStore, targets: Sequence[str], request: FitRequest, *, folder: Path
) -> tuple[RunConfig, FitPlan]:
    """Return the settings of the run (the recipe, the plan that follows from the data, the user's), and the plan."""
    shape = tuning.find_shape(predictor, horizon=request.horizon)
    share = tuning.validation_share(store.lengths, horizon=shape.horizon, share=VALIDATION_SHARE)
    source = save_source(predictor, folder)
    recipe = ["experiment=finetune/series", f"task={request.task}", f"seed={request.seed}"]
    recipe += [f"data.dataset={tuning.quote(folder / 'store')}"]
    recipe += init_overrides(source, request.method) + shape.overrides
    recipe += tuning.task_overrides(predictor, request.task, num_levels=shape.num_levels)
    recipe += tuning.column_overrides(predictor, targets, past=request.past, known=request.known)
    plan = plan_fit(
        predictor.model, store.lengths, share=share, num_targets=len(targets), context=shape.context,
        horizon=shape.horizon, method=request.method,
    )  # fmt: skip
    recipe += plan.overrides
    recipe += tuning.context_overrides(replace(shape, context=plan.context), store.lengths, share=share)
    recipe += [f"trainer.max_epochs={request.epochs}"] if request.epochs is not None else []
    return compose_config(recipe, request.overrides), plan


def announce_plan(predictor: ModelPredictor, config: RunConfig, measures: FirstMeasures) -> None:
    """Announce what is trained, and how long it is expected to take."""
    data, trainer = config.data, config.trainer
    num_steps = (data.batches_per_epoch or 0) * max(trainer.max_epochs, 0)
    if trainer.max_steps > 0:
        num_steps = min(num_steps or trainer.max_steps, trainer.max_steps)
    num_validations = -(-num_steps // (data.batches_per_epoch or 1))
    seconds = measures.expected_seconds(num_steps=num_steps, num_validations=num_validations)
    announce([
        f"fine-tuning {predictor.name}: at most {num_steps} steps of {data.batch_size} windows of "
        f"{config.model.context} + {config.model.horizon} steps, learning rate {config.optim.lr:g}; about "
        f"{format_seconds(seconds)}"
    ])  # fmt: skip


def format_seconds(seconds: float) -> str:
    """Return a duration as text.

    Examples
    --------
    >>> format_seconds(8.2), format_seconds(95.0), format_seconds(300.0)
    ('8 s', '95 s', '5 min')
    """
    return f"{max(round(seconds), 1)} s" if seconds < 120 else f"{round(seconds / 60)} min"


def select_better(
    predictor: ModelPredictor, tuned: ModelPredictor, plan: FitPlan, *, before: float | None, keep_better: bool
) -> ModelPredictor:
    """Return the fine-tuned model in the lengths of the given one, or the given one where that is better.

    `before` is its validation loss, None where it cannot be compared.
    """
    name, score = next(iter(tuned.about.metrics.items()), (None, None))
    if score is None or before is None:
        return with_lengths_of(tuned, predictor)
    if keep_better and not plan.is_better(score, before):
        announce([
            f"fine-tuning changes the {name} of {predictor.name} from {before:.4f} to {score:.4f}; a gain below "
            f"{plan.min_gain:.1%} is chance here, so its weights are kept"
        ])  # fmt: skip
        return predictor
    tuned.about.metrics[f"{name}_before"] = before
    log.info("%s: %s %.4f before, %.4f after fine-tuning", predictor.name, name, before, score)
    return with_lengths_of(tuned, predictor)


def with_lengths_of(tuned: ModelPredictor, predictor: ModelPredictor) -> ModelPredictor:
    """Return a fine-tuned model that reads contexts as long as before, where its weights do not depend on them."""
    model, context = tuned.model, predictor.model.config.context
    if model.fixed_length or model.config.context >= context:
        return tuned
    longer = Model.from_spec({**model.spec(), "context": context})
    longer.load_state_dict(model.state_dict())
    tuned.model = longer.to(next(model.parameters()).device).eval()
    return tuned


def too_short(error: ValueError) -> ValueError:
    """Return the error of series that are too short to train on in the words of `fit_df`; another one as it is."""
    match = re.search(
        r"split '(\w+)'.* horizon (\d+) fits; (\d+) rows needed, at most (\d+) found \((item .*?):", str(error)
    )
    if match is None:
        return error
    split, horizon, needed, num_found, item = match.groups()
    phase = "training" if split == "train" else "validation"
    advice = ", or a smaller prediction_length" if int(horizon) > 1 else ""
    return ValueError(
        f"df is too short: the longest, {item}, leaves {num_found} steps for the {phase}, and a horizon of {horizon} "
        f"needs {needed} (the last steps of each item validate); give longer items{advice}"
    )


def check_horizon(task: str, requested: int | None, *, own: int, name: str) -> int | None:
    """Return the number of steps to learn to forecast; None for a task without a horizon."""
    if task not in UNLABELLED_TASKS:
        raise ValueError(
            f"task is {task!r}; {did_you_mean(str(task), list(UNLABELLED_TASKS))}; for labels use tsfm.Classifier"
        )
    if task != "forecast":
        if requested is not None:
            raise ValueError(f"prediction_length is {requested}, and task={task} has no horizon; leave it out")
        return None
    if requested is None and own < 1:
        raise ValueError(f"{name} has no horizon of its own; give prediction_length")
    if requested is None:
        return own
    if isinstance(requested, bool) or not isinstance(requested, (int, np.integer)) or requested < 1:
        raise ValueError(f"prediction_length is {requested!r}; it is a number of steps, at least 1")
    return int(requested)
