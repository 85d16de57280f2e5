"""One training run: data, model, task, learner, trainer; the best weights end as a checkpoint directory."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from tsfm.config import RunConfig, plain
from tsfm.data.module import WindowData
from tsfm.model.checkpoint import About, save
from tsfm.model.model import Model
from tsfm.registry import TASKS
from tsfm.tasks.base import Task
from tsfm.train.learner import Learner
from tsfm.train.rundir import open_run
from tsfm.train.trainer import make_trainer

log = logging.getLogger("tsfm")


@dataclass
class Trained:
    """What a finished run leaves."""

    model: Model
    model_dir: Path
    run_dir: Path
    data: WindowData
    seconds: float
    epochs: int
    validation: dict[str, float]


def make_data(config: RunConfig) -> WindowData:
    data = WindowData(config.data, context=config.model.context, horizon=config.model.horizon, seed=config.seed)
    data.setup()
    return data


def make_model(config: RunConfig) -> Model:
    """The network with its first weights, which follow from the seed alone."""
    torch.manual_seed(config.seed)
    return Model(config.model, scaler=config.scaler, backbone=config.backbone, head=config.head)


def make_task(config: RunConfig) -> Task:
    return TASKS.build(config.task, horizon=config.model.horizon)


def train(config: RunConfig, *, command: str = "") -> Trained:
    """Train as configured; returns the model with the weights that validation chose."""
    begun = time.perf_counter()
    quiet()
    data, model, task = make_data(config), make_model(config), make_task(config)
    learner = Learner(model, task, config.optim, seed=config.seed, compiled=config.trainer.compile)
    run_dir, checkpoint = open_run(config, command=command)
    log.info("run directory %s%s", run_dir, f", going on from {checkpoint.name}" if checkpoint else "")
    trainer = make_trainer(config.trainer, run_dir, monitor=f"val/{task.monitor}")
    trainer.fit(learner, datamodule=data, ckpt_path=checkpoint, weights_only=False if checkpoint else None)
    if trainer.interrupted:
        raise KeyboardInterrupt(f"training was interrupted; go on with resume=auto run_dir={run_dir}")
    validation = load_best(learner, trainer)
    about = About(
        task=plain(config.task),
        trained_on={"dataset": config.data.dataset, "split": config.data.split, "fingerprints": data.fingerprints},
        standardize=data.standardizer.as_dict() if data.standardizer else {},
        metrics=validation,
        command=command,
    )
    model_dir = save(model, run_dir / "model", about=about)
    seconds = time.perf_counter() - begun
    return Trained(model.eval(), model_dir, run_dir, data, seconds, trainer.current_epoch, validation)


def load_best(learner: Learner, trainer: pl.Trainer) -> dict[str, float]:
    """Put the weights with the best validation score into the learner's model; returns the scores logged then."""
    best = trainer.checkpoint_callbacks[0]
    path = getattr(best, "best_model_path", "")
    if not path:
        raise RuntimeError(
            "no validation ran, so no weights were chosen; train at least one epoch, or set trainer.val_every"
        )
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    learner.load_state_dict(state["state_dict"])
    score = getattr(best, "best_model_score", None)
    return {f"val_{learner.task.monitor}": float(score)} if score is not None else {}


def quiet() -> None:
    """Lightning's advertisements and hints that don't apply here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    hints = ("does not have many workers", "LeafSpec", "exists and is not empty", "transfer_batch_to", "logging interval")
    for text in hints:
        warnings.filterwarnings("ignore", f".*{text}.*")
