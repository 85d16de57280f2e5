"""The one learner: pose, answer, loss. Lightning runs it; it knows neither backbone nor task by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tsfm.model.model import Model
from tsfm.tasks.base import Ratio, Task
from tsfm.training.initialization import set_frozen_to_eval
from tsfm.training.optim import NEED_LAST_STEP, OptimConfig, learning_rate_factor, make_optimizer
from tsfm.types import Answer, Batch, Problem

log = logging.getLogger("tsfm")


class Learner(pl.LightningModule):
    """Trains `model` on the problems that `task` poses. All randomness of a step follows from (seed, step, rank), so a
    resumed run repeats the uninterrupted one bit by bit without storing any generator."""

    answer: Callable[[Problem], Answer]

    def __init__(
        self,
        model: Model,
        task: Task,
        optim: OptimConfig,
        *,
        seed: int,
        compiled: bool = False,
        layer_decay: float | None = None,
    ):
        super().__init__()
        self.layer_decay = layer_decay
        task.check(
            quantile_levels=model.quantile_levels,
            predicts=model.head.predicts,
            window=model.config.context + model.config.horizon,
        )
        self.model, self.task, self.optim, self.seed = model, task, optim, seed
        # not a submodule: the state dict keeps the plain names
        object.__setattr__(self, "answer", torch.compile(model, dynamic=False) if compiled else model)
        self.reports: dict[str, Ratio] = {}
        self.windows_seen = 0
        self.validated_at = -1  # the step of the last validation

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        generator = self._generator()
        problem = self.task.pose(self.task.augment(batch, generator), generator)
        loss = self.task.loss(self.answer(problem), problem)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.global_step}; lower optim.lr (now {self.optim.lr:g}), "
                "set trainer.grad_clip, or look for extreme values in the data"
            )
        self.windows_seen += len(batch.values)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def whole(self) -> Model:
        """The model with all of its weights, wherever they are kept while training; a call to all processes at once."""
        return self.model

    def on_train_start(self) -> None:  # an epoch that is resumed has no start
        set_frozen_to_eval(self.model)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(self._step_seed())  # dropout

    def _step_seed(self) -> int:
        epoch_batch = self.trainer.fit_loop.epoch_loop.total_batch_idx
        return hash((self.seed, epoch_batch, self.global_rank)) & 0x7FFF_FFFF_FFFF_FFFF

    def _generator(self) -> torch.Generator:
        return torch.Generator(device=self.device).manual_seed(self._step_seed() ^ 0x5DEECE66D)

    def on_validation_epoch_start(self) -> None:
        self.reports = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        # the same problems at every validation, whatever was trained before
        generator = torch.Generator(device=self.device).manual_seed(self.seed * 1_000_003 + batch_idx)
        problem = self.task.pose(batch, generator)
        for name, (total, count) in self.task.report(self.model(problem), problem).items():
            old = self.reports.get(name)
            self.reports[name] = Ratio(total, count) if old is None else Ratio(old.total + total, old.count + count)

    def on_validation_epoch_end(self) -> None:
        self.validated_at = self.global_step
        for name, ratio in self.reports.items():
            total, count = (self.trainer.strategy.reduce(part, reduce_op="sum") for part in ratio)
            if not count:  # windows without a scale, say: nothing tells weights apart
                log.warning("validation has nothing to judge %s by, so it counts as 0", name)
            value = (total / torch.where(count == 0, 1, count)).float()
            self.log(f"val/{name}", value, prog_bar=name == self.task.monitor, rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.optim, self.model.named_parameters(), layer_decay=self.layer_decay)
        steps, epoch_steps = self._steps()
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(self.optim, step=step, steps=steps, epoch_steps=epoch_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _steps(self) -> tuple[int, int]:
        """Optimiser steps of the whole run and of one epoch. Not by trainer.estimated_stepping_batches: it makes the
        loader before a checkpoint is read, and Lightning then never tells the loader where it was."""
        trainer: Any = self.trainer
        epoch_steps = -(-len(trainer.datamodule.train_dataloader()) // trainer.accumulate_grad_batches)
        limits = [trainer.max_epochs * epoch_steps if trainer.max_epochs and trainer.max_epochs > 0 else None]
        limits += [trainer.max_steps if trainer.max_steps > 0 else None]
        known = [limit for limit in limits if limit is not None]
        if not known and self.optim.schedule in NEED_LAST_STEP:
            raise ValueError(
                f"optim.schedule={self.optim.schedule} needs to know its last step, and this run has none; set "
                "trainer.max_steps or trainer.max_epochs, or use optim.schedule=constant or exponential"
            )
        return (min(known) if known else epoch_steps), epoch_steps

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=True)
