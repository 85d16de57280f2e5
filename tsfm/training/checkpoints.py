"""The state that a run is resumed from, `checkpoints/last.ckpt`: one file with the best weights and their score.

A state is written only where nothing is half done: where a validation is due, after it. So a run that is killed at any
point ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor
from typing_extensions import override

from tsfm.training.checkpoint_file import FOLDER, LAST
from tsfm.training.metrics_file import MetricsFile


class RunCheckpoints(Checkpoint):
    """Write the state of a run, and keep the weights with the best validation score.

    Parameters
    ----------
    run_dir
        The state is its `checkpoints/last.ckpt`.
    monitor
        The logged metric whose lowest value is the best.
    every
        Optimizer steps between two states.
    keeps_best
        Whether the best weights are kept.
    metrics
        Its rows up to a state belong to the state; None where no metrics are written.

    Attributes
    ----------
    best_weights
        State dict of the module at the best score; None before the first validation.
    best_score
        Infinite where the score was not a number.
    validation
        Step and score of the last validation of the schedule; None before it.
    has_begun
        Whether the training has begun: what fails before it, fails because of the state that is resumed.
    """

    def __init__(
        self, run_dir: Path, *, monitor: str, every: int, keeps_best: bool, metrics: MetricsFile | None = None
    ):
        self.path, self.monitor, self.every = run_dir / FOLDER / LAST, monitor, every
        self.keeps_best, self.metrics = keeps_best, metrics
        self.best_weights: dict[str, Tensor] | None = None
        self.best_score = math.inf
        self.validation: tuple[int, float] | None = None
        self.has_begun = False
        self._saved_at = 0  # step of the last state
        self._is_due = False  # a state waits for the end of a validation
        self._is_cut = False  # the run ends before its schedule; validations since then are not part of its state
        self._owes_validation = False  # the state is of an earlier version, and was written before a validation

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do what was due when the state was written: stop, or validate (states of earlier versions)."""
        self.has_begun = True
        if any(stop.wait_count >= stop.patience for stop in trainer.early_stopping_callbacks):  # type: ignore[union-attr]
            trainer.should_stop = True
        if self._owes_validation and _validation_follows(trainer):
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True
        self._owes_validation = self._is_due = False

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the state where one is due and no validation follows."""
        waits = _validation_follows(trainer)
        self._is_cut = bool(trainer.should_stop) and not waits and not _is_last_batch(trainer)
        step = trainer.global_step
        self._is_due |= (step % self.every == 0 or self._is_cut) and step != self._saved_at
        if not waits:
            self._save_if_due(trainer)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best, and write the state if they are or one is due."""
        score = trainer.callback_metrics.get(self.monitor)
        if trainer.state.fn != "fit" or trainer.sanity_checking or score is None:
            return
        if self.keeps_best:
            self._is_due |= self.offer(float(score), trainer)
        if not self._is_cut:
            self.validation = trainer.global_step, float(score)
            self._is_due |= bool(trainer.should_stop)
            if not self._owes_validation:
                self._save_if_due(trainer)

    def offer(self, score: float, trainer: pl.Trainer) -> bool:
        """Keep the present weights if their score is better than that of the weights kept so far."""
        score = math.inf if math.isnan(score) else score
        is_better = self.best_weights is None or score < self.best_score
        if not trainer.strategy.reduce_boolean_decision(is_better):
            return False
        content: dict[str, Any] = {"state_dict": trainer.strategy.lightning_module_state_dict()}
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if callback is not self:  # one that averages weights replaces them by the averages
                callback.on_save_checkpoint(trainer, trainer.lightning_module, content)
        self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in content["state_dict"].items()}
        self.best_score = score
        return True

    def score_at(self, step: int) -> float | None:
        """Return the validation score at a step; None if it was not validated."""
        return self.validation[1] if self.validation is not None and self.validation[0] == step else None

    @property
    def owes_validation(self) -> bool:
        """Whether a validation that belongs to the state has not been run."""
        return self._owes_validation

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        if self._is_due and not trainer.fit_loop._should_accumulate():  # noqa: SLF001  gradients are no part of it
            self._is_due, self._saved_at = False, trainer.global_step
            if self.metrics is not None:
                self.metrics.flush()
            trainer.save_checkpoint(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Return best weights and scores."""
        return {"best_weights": self.best_weights, "best_score": self.best_score, "validation": self.validation}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the best weights and scores of a state."""
        self.best_weights, self.best_score = state_dict["best_weights"], float(state_dict["best_score"])
        validation = state_dict["validation"]
        self.validation = None if validation is None else (int(validation[0]), float(validation[1]))
        self._owes_validation = state_dict.get("owes_validation", False)

    @override
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note the step, whose state is not written again, and leave out the metrics of later ones."""
        self._saved_at = checkpoint["global_step"]
        own = pl_module.state_dict()
        for name, tensor in (checkpoint["callbacks"][self.state_key]["best_weights"] or {}).items():
            if name not in own or tensor.shape != own[name].shape:
                raise ValueError(f"its best weights have a tensor {name!r} that the model does not have")
        if self.metrics is not None and trainer.is_global_zero:
            self.metrics.keep_rows(before=self._saved_at)


def _is_last_batch(trainer: pl.Trainer) -> bool:
    return bool(trainer.fit_loop.epoch_loop.batch_progress.is_last_batch)


def _validation_follows(trainer: pl.Trainer) -> bool:
    """Whether the schedule has a validation after the present batch, also where the run ends now."""
    stops, trainer.should_stop = trainer.should_stop, False
    try:
        loop: Any = trainer.fit_loop
        return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)  # noqa: SLF001  no public name
    finally:
        trainer.should_stop = stops
