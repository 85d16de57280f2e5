"""One training run: data, model, task, learner, trainer; the best weights end as a checkpoint directory."""

from __future__ import annotations

import logging
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from tsfm.config import RunConfig, plain
from tsfm.contamination.sketch import SKETCH_FILE
from tsfm.data.base import DataModule
from tsfm.files import write_error
from tsfm.model.checkpoint import About, save
from tsfm.model.model import Model
from tsfm.nn.lora import merge_lora
from tsfm.tasks.base import Task
from tsfm.training.components import build_components
from tsfm.training.learner import Learner
from tsfm.training.run_directory import create_run_directory, find_run_directory, shared_with_ranks
from tsfm.training.trainer import describe_interruption, make_trainer, restore_metrics

log = logging.getLogger("tsfm")


@dataclass
class TrainedRun:
    """What a run leaves. `cut`: how far it came, where trainer.max_time ended it before its end."""

    model: Model
    model_dir: Path
    run_dir: Path
    task: Task
    data: DataModule
    seconds: float
    epochs: int
    validation: dict[str, float]
    about: About
    cut: str | None = None


def train(config: RunConfig, *, command: str = "", cases: DataModule | None = None) -> TrainedRun:
    """Train as configured; returns the model with the weights that validation chose. `cases` are labelled cases in
    memory, in place of the data set that the config names."""
    begun = time.perf_counter()
    quiet()
    parts = build_components(config, cases)
    model, task, data, learner = parts.model, parts.task, parts.data, parts.learner()
    run_dir, checkpoint = find_run_directory(config)
    validates = len(data.windows("val")) > 0
    trainer = make_trainer(config.trainer, run_dir, monitor=f"val/{task.monitor}", validates=validates)
    create_run_directory(run_dir, config, command=command)  # last of all: what is refused leaves no directory
    log.info("run directory %s%s", run_dir, f", going on from {checkpoint.name}" if checkpoint else "")
    try:
        with shared_with_ranks(run_dir):
            fit(trainer, learner, data, checkpoint)
        model = learner.whole_model()
        validation = load_best_weights(model, learner, trainer, data)
        merge_lora(model)
        if not trainer.is_global_zero:
            raise SystemExit(0)  # one process scores, saves and reports
        sketch = data.sketch
        about = About(
            task=plain(config.task),
            trained_on={
                "dataset": config.data.dataset,
                "split": data.split_rule,
                "seed": config.seed,
                "data": plain(data.resolved_config),
                "fingerprints": data.fingerprints,
                **({"sketch": sketch.fingerprint} if sketch is not None else {}),
                **({"init": parts.begin.origin} if parts.begin.origin else {}),
            },
            standardize=data.standardizer.as_dict() if data.standardizer else {},
            labels=data.labels,
            metrics=validation,
            command=command,
        )
        beside = {SKETCH_FILE: sketch.to_bytes()} if sketch is not None else None
        model_dir = save(model, run_dir / "model", about=about, files=beside)
    except OSError as error:  # what the run is made of is read; what fails now is a write below run_dir
        raise write_error(run_dir, error, hint=f"then go on with resume=auto run_dir={run_dir}") from None
    except torch.cuda.OutOfMemoryError as error:
        size = data.memory_setting
        raise MemoryError(
            f"the accelerator's memory is full with data.{size}={getattr(config.data, size)}; lower it and raise "
            f"trainer.accumulate as much ({str(error).splitlines()[0]})"
        ) from None
    if cut := describe_interruption(trainer):
        log.warning(
            "trainer.max_time=%s ended the run after %s: resume=auto run_dir=%s goes on from its last checkpoint; the "
            "model so far was written, before its learning rate came down",
            config.trainer.max_time, cut, run_dir,
        )  # fmt: skip
    seconds = time.perf_counter() - begun
    epochs = trainer.current_epoch
    return TrainedRun(model.eval(), model_dir, run_dir, task, data, seconds, epochs, validation, about, cut)


def fit(trainer: pl.Trainer, learner: Learner, data: DataModule, checkpoint: Path | None) -> None:
    """Lightning's fit. It ends the process itself on Ctrl-C and on SIGTERM (as 0 in the second case): here both are
    interruptions, which the caller can tell from success."""
    if checkpoint is not None and trainer.is_global_zero:
        step = torch.load(checkpoint, map_location="cpu", weights_only=False)["global_step"]
        restore_metrics(trainer, checkpoint.parents[1] / "metrics.csv", before=step)
    try:
        trainer.fit(learner, datamodule=data, ckpt_path=checkpoint, weights_only=False if checkpoint else None)
    except SystemExit:
        raise KeyboardInterrupt(f"go on with resume=auto run_dir={trainer.default_root_dir}") from None


def load_best_weights(model: Model, learner: Learner, trainer: pl.Trainer, data: DataModule) -> dict[str, float]:
    """Put the weights with the best validation score into the model; returns that score. A run that ended
    before its first validation keeps its last weights, and they are validated now; one that is to keep its last
    weights needs no score, and has one where it ended on a validation."""
    best = next((part for part in trainer.checkpoint_callbacks if getattr(part, "monitor", None)), None)
    monitor = learner.task.monitor
    path, score = getattr(best, "best_model_path", ""), getattr(best, "best_model_score", None)
    if best is None:
        score = trainer.callback_metrics.get(f"val/{monitor}") if learner.validated_at == trainer.global_step else None
    elif not path:
        log.info("training ended before its first validation: the last weights are kept")
        score = trainer.validate(learner, datamodule=data, verbose=False)[0][f"val/{monitor}"]
    if score is not None and not math.isfinite(score):
        raise FloatingPointError(
            f"the validation {monitor} is {float(score)}{' at its best' if best else ''}, so no weights were kept; "
            f"lower optim.lr (now {learner.optim.lr:g}), or look for extreme values in the data"
        )
    if path:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
        model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in state["state_dict"].items()})
    return {f"val_{monitor}": float(score)} if score is not None else {}


def quiet() -> None:
    """Lightning's advertisements and hints that don't apply here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    hints = "does not have many workers|LeafSpec|exists and is not empty|transfer_batch_to|logging interval"
    hints += "|could not find the monitored key|Mismatch dtype between input and weight"
    hints += "|in eval mode at the start|across ranks is zero|returned a view tensor"
    for text in hints.split("|"):
        warnings.filterwarnings("ignore", f".*{text}.*")
