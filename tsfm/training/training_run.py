"""One training run: the components are built and trained, and the chosen weights end as a checkpoint directory."""

from __future__ import annotations

import logging
import math
import time
import traceback
from dataclasses import dataclass
from functools import partial
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
from tsfm.training.checkpoint_file import read_state
from tsfm.training.checkpoints import RunCheckpoints
from tsfm.training.components import RunComponents, build_components, data_fingerprint
from tsfm.training.learner import Learner
from tsfm.training.process_state import quiet_lightning, restored_random_state
from tsfm.training.run_claim import RunClaim
from tsfm.training.run_directory import claimed_run, shared_with_ranks
from tsfm.training.trainer import describe_interruption, make_trainer

log = logging.getLogger("tsfm")


@dataclass
class TrainedRun:
    """The result of a training run.

    Attributes
    ----------
    model
        With the chosen weights, in evaluation mode.
    model_dir, run_dir
        Where the model and the files of the run are.
    task, data
        Of the run.
    seconds, epochs
        How long it took; a resumed run counts its own seconds alone.
    validation
        `{"val_NAME": value}` of the chosen weights; empty without validation.
    about
        What the checkpoint records of the training.
    cut_short
        How far a run came that `trainer.max_time` ended early, such as `120 of 500 steps`; else None.
    """

    model: Model
    model_dir: Path
    run_dir: Path
    task: Task
    data: Any  # a DataModule of the kind that the protocol needs
    seconds: float
    epochs: int
    validation: dict[str, float]
    about: About
    cut_short: str | None = None


@restored_random_state()
@quiet_lightning()
def train_config(
    config: RunConfig, *, command: str = "", data: DataModule | None = None, claim: RunClaim | None = None
) -> TrainedRun:
    """Train as configured, and save the model in the run directory.

    The state of the global random generators, of warnings and of logging is the same afterwards.

    Parameters
    ----------
    config
        Of the run.
    command
        The command line, for the records of the run.
    data
        Replaces the data set that the configuration names, for instance by labelled cases in memory.
    claim
        The run directory, if the caller holds it beyond the training.

    Raises
    ------
    ValueError
        If components do not fit together or the run directory cannot be used; nothing is written then.
    FloatingPointError
        If the loss or the validation score is not finite.
    OSError
        If the run directory cannot be written.
    MemoryError
        If the memory of the accelerator is full.
    KeyboardInterrupt
        If the run is interrupted, also by SIGTERM.
    """
    if claim is None:
        with claimed_run(config, command=command, fingerprint=partial(data_fingerprint, config)) as own:
            return train_config(config, command=command, data=data, claim=own)
    start = time.perf_counter()
    components = build_components(config, data)
    task, data, learner = components.task, components.data, components.learner()
    run_dir, checkpoint = claim.run_dir, claim.checkpoint
    validates = len(data.windows("val")) > 0
    trainer = make_trainer(config.trainer, run_dir, monitor=f"val/{task.monitor}", validates=validates)
    if checkpoint is not None:
        read_state(checkpoint)  # a damaged one is refused before anything is written
    claim.begin(data.fingerprint, init_digest=components.initialization.digest)
    log.info("run directory %s%s", run_dir, f", resumed from {checkpoint.name}" if checkpoint else "")
    try:
        with shared_with_ranks(run_dir):
            fit(trainer, learner, data, checkpoint)
        model = learner.whole_model()
        validation = load_best_weights(model, learner, trainer, data)
        merge_lora(model)
        if not trainer.is_global_zero:
            raise SystemExit(0)  # the first process saves, scores and reports
        about = describe_training(components, metrics=validation, command=command)
        files = {SKETCH_FILE: data.sketch.to_bytes()} if data.sketch is not None else None
        model_dir = save(model, run_dir / "model", about=about, files=files)
    except OSError as error:  # everything has been read; an error now is about writing below run_dir
        raise write_error(run_dir, error, hint=f"then resume it by resume=auto run_dir={run_dir}") from None
    except torch.cuda.OutOfMemoryError as error:
        setting = data.memory_setting
        raise MemoryError(
            f"the accelerator's memory is full with data.{setting}={getattr(config.data, setting)}; lower it and "
            f"raise trainer.accumulate by the same factor ({str(error).splitlines()[0]})"
        ) from None
    if cut_short := describe_interruption(trainer):
        log.warning(
            "trainer.max_time=%s ended the run after %s; resume=auto run_dir=%s continues it. The model has the "
            "weights of that step, before the learning rate decayed",
            config.trainer.max_time, cut_short, run_dir,
        )  # fmt: skip
    seconds, epochs = time.perf_counter() - start, count_epochs(trainer)
    return TrainedRun(model.eval(), model_dir, run_dir, task, data, seconds, epochs, validation, about, cut_short)


def count_epochs(trainer: pl.Trainer) -> int:
    """Return the number of epochs that were begun, also by the processes that this one has resumed."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready
    return math.ceil(batches / trainer.num_training_batches)


def describe_training(components: RunComponents, *, metrics: dict[str, float], command: str) -> About:
    """Return what the checkpoint of a run records of its training: task, data, fingerprints, origin, metrics."""
    config, data, origin = components.config, components.data, components.initialization.origin
    return About(
        task=plain(config.task),
        trained_on={
            "dataset": config.data.dataset,
            "split": data.split_rule,
            "seed": config.seed,
            "data": plain(data.resolved_config),
            "fingerprints": data.fingerprints,
            **({"sketch": data.sketch.fingerprint} if data.sketch is not None else {}),
            **({"init": origin} if origin else {}),
        },
        standardize=data.standardizer.as_dict() if data.standardizer else {},
        labels=data.labels,
        metrics=metrics,
        command=command,
    )


def fit(trainer: pl.Trainer, learner: Learner, data: DataModule, checkpoint: Path | None) -> None:
    """Train by Lightning.

    Lightning ends the process itself on Ctrl-C and on SIGTERM, with exit code 0 in the second case; here both are a
    KeyboardInterrupt, which the caller can distinguish from success.

    Raises
    ------
    ValueError
        If the state to resume from is not one of this run.
    """
    try:
        trainer.fit(learner, datamodule=data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    except SystemExit:
        raise KeyboardInterrupt(f"resume it by resume=auto run_dir={trainer.default_root_dir}") from None
    except Exception as error:
        if checkpoint is None or not _is_of_state(error, trainer):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{checkpoint} is not a state of this run ({reason}); remove it and the run starts again"
        ) from None


def _is_of_state(error: Exception, trainer: pl.Trainer) -> bool:
    """Return whether an error was raised while Lightning restored a state."""
    checkpoints, frames = trainer.checkpoint_callback, traceback.extract_tb(error.__traceback__)
    has_begun = isinstance(checkpoints, RunCheckpoints) and checkpoints.has_begun
    return not has_begun and any("checkpoint_connector" in frame.filename for frame in frames)


def load_best_weights(model: Model, learner: Learner, trainer: pl.Trainer, data: DataModule) -> dict[str, float]:
    """Load the weights with the best validation score into the model, and return that score.

    A run that ended before its first validation keeps its last weights, which are validated now. A run that is to keep
    its last weights needs no score; it has one if it ended with a validation.

    Returns
    -------
    dict
        `{"val_NAME": score}`, or empty.
    """
    checkpoints = trainer.checkpoint_callback
    assert isinstance(checkpoints, RunCheckpoints)
    monitor, keeps_best = learner.task.monitor, checkpoints.keeps_best
    weights, score = checkpoints.best_weights, checkpoints.best_score
    if not keeps_best:
        score = checkpoints.score_at(trainer.global_step)
    elif weights is None or checkpoints.owes_validation:
        last = trainer.validate(learner, datamodule=data, verbose=False)[0][f"val/{monitor}"]
        if weights is None:
            log.info("training ended before its first validation: the last weights are kept")
        if weights is None or last < score:
            weights, score = None, last
    if score is not None and not math.isfinite(score):
        raise FloatingPointError(
            f"the {'best ' if keeps_best else ''}validation {monitor} is {float(score)}, so no weights were kept; "
            f"lower optim.lr (now {learner.optim.lr:g}), or look for extreme values in the data"
        )
    if weights:  # of a sharded model only the first process has them
        model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()})
    return {f"val_{monitor}": float(score)} if score is not None else {}
