"""The training step of every run: a task poses a problem, the model predicts, the task computes the loss."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from typing_extensions import override

from tsfm.model.model import Model
from tsfm.tasks.base import Ratio, Task
from tsfm.training.initialization import set_frozen_to_eval
from tsfm.training.optim import NEED_LAST_STEP, OptimConfig, learning_rate_factor, make_optimizer
from tsfm.types import Answer, Batch, Problem

log = logging.getLogger("tsfm")


class Learner(pl.LightningModule):
    """A Lightning module that trains a model on the problems of a task.

    All randomness of a step follows from the seed, the step and the rank, so that a resumed run is bit-equal to an
    uninterrupted one although no generator is stored.

    Parameters
    ----------
    model
        With its first weights.
    task
        Poses problems and computes losses and metrics.
    optim
        Optimizer and schedule.
    seed
        Of all random numbers.
    compiled
        Whether the training step uses `torch.compile`.
    packed
        Whether the training step computes only the tokens that its loss depends on, see `Model.forward`.
    layer_decay
        Factor of the learning rate from each depth of the network to the one below; None: the same rate everywhere.

    Raises
    ------
    ValueError
        If the task cannot use the outputs of the model, or the model does not support `packed`.
    """

    predict_problem: Callable[..., Answer]

    def __init__(
        self,
        model: Model,
        task: Task,
        optim: OptimConfig,
        *,
        seed: int,
        compiled: bool = False,
        packed: bool = False,
        layer_decay: float | None = None,
    ):
        super().__init__()
        task.check(
            quantile_levels=model.quantile_levels,
            predicts=model.head.predicts,
            window=model.config.context + model.config.horizon,
        )
        if packed:
            model.check_packed()
        self.packed = packed
        self.model, self.task, self.optim, self.seed, self.layer_decay = model, task, optim, seed, layer_decay
        # not a submodule: the state dict has the names of the model alone
        object.__setattr__(self, "predict_problem", torch.compile(model, dynamic=False) if compiled else model)
        self.metrics: dict[str, Ratio] = {}
        self.num_windows = 0  # used for training so far, in this process
        self.validated_at = -1  # step of the last validation
        self.validation: dict[str, Tensor] = {}  # metrics of the last validation

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch.

        Raises
        ------
        FloatingPointError
            If the loss is not finite, here or in another process: all of them stop at the same step.
        """
        generator = self._generator()
        problem = self.task.pose(self.task.augment(batch, generator), generator)
        answer = self.predict_problem(problem, packed=True) if self.packed else self.predict_problem(problem)
        loss = self.task.loss(answer, problem)
        self._check_finite(loss)
        self.num_windows += len(batch.values)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def _check_finite(self, loss: Tensor) -> None:
        """Stop in all processes where one loss is not finite: the others would wait for its gradients for ever."""
        broken = ~torch.isfinite(loss.detach())
        if self.trainer.world_size > 1:
            broken = self.trainer.strategy.reduce(broken.float(), reduce_op="sum") > 0
        if broken:
            value = "not finite in another process" if torch.isfinite(loss) else str(loss.item())
            raise FloatingPointError(
                f"the loss is {value} at step {self.global_step}; lower optim.lr (now {self.optim.lr:g}), "
                "set trainer.grad_clip, or look for extreme values in the data"
            )

    def whole_model(self) -> Model:
        """Return the model with all of its weights, wherever they are while training."""
        return self.model

    def on_train_start(self) -> None:
        """Put frozen parts into evaluation mode; not at the start of an epoch, which a resumed epoch does not have."""
        set_frozen_to_eval(self.model)

    @override
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the global generator, which dropout uses."""
        torch.manual_seed(self._step_seed())

    def _step_seed(self) -> int:
        epoch_batch = self.trainer.fit_loop.epoch_loop.total_batch_idx
        return hash((self.seed, epoch_batch, self.global_rank)) & 0x7FFF_FFFF_FFFF_FFFF

    def _generator(self) -> torch.Generator:
        return torch.Generator(device=self.device).manual_seed(self._step_seed() ^ 0x5DEECE66D)

    def _evaluation_problem(self, batch: Batch, batch_idx: int) -> Problem:
        """Pose the problem of a batch outside training, the same whatever was trained before."""
        generator = torch.Generator(device=self.device).manual_seed(self.seed * 1_000_003 + batch_idx)
        return self.task.pose(batch, generator)

    def on_validation_epoch_start(self) -> None:
        """Start the metrics again."""
        self.metrics = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics; a process that has no windows gets one without any."""
        if not len(batch.values):
            return
        for name, (total, count) in self.report(batch, batch_idx).items():
            old = self.metrics.get(name)
            self.metrics[name] = Ratio(total, count) if old is None else Ratio(old.total + total, old.count + count)

    def report(self, batch: Batch, batch_idx: int) -> dict[str, Ratio]:
        """Return the metrics of a batch outside training."""
        problem = self._evaluation_problem(batch, batch_idx)
        return self.task.report(self.model(problem), problem)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of all processes as `val/NAME`."""
        self.validated_at = self.global_step
        self.validation = self._log_metrics("val")

    def on_test_epoch_start(self) -> None:
        """Start the metrics again."""
        self.metrics = {}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of all processes as `test/NAME`."""
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        for name, ratio in self._whole_metrics().items():
            total, count = ratio
            if not count:  # for instance windows without a scale
                log.warning("%s data has no values for %s, so it counts as 0", stage, name)
            values[name] = (total / torch.where(count == 0, 1, count)).float()
            self.log(f"{stage}/{name}", values[name], prog_bar=name == self.task.monitor, rank_zero_only=True)
        return values

    def _whole_metrics(self) -> dict[str, Ratio]:
        """Return the sums over all processes; one without windows knows no metric, and takes part with zeros."""
        if self.trainer.world_size == 1:
            return self.metrics
        known: list[list[str]] = [[] for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(known, list(self.metrics))
        zero, whole = torch.zeros((), device=self.device), {}
        for name in dict.fromkeys(name for names in known for name in names):
            own = [value.to(torch.float64, copy=True) for value in self.metrics.get(name, Ratio(zero, zero))]
            whole[name] = Ratio(*(self.trainer.strategy.reduce(value, reduce_op="sum") for value in own))
        return whole

    @override
    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the predictions for the problems of a batch, in the units of the batch.

        Returns
        -------
        Tensor
            Quantiles of each step `[batch, channels, time, quantile_levels]`, where time is the whole window (NaN at
            steps that the model does not predict); or logits or numbers of each window `[batch, outputs]`.
        """
        return self.model(self._evaluation_problem(batch, batch_idx)).prediction

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule over the optimizer steps of the run."""
        optimizer = make_optimizer(self.optim, self.model.named_parameters(), layer_decay=self.layer_decay)
        steps, epoch_steps = self._num_steps()
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(self.optim, step=step, steps=steps, epoch_steps=epoch_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _num_steps(self) -> tuple[int, int]:
        """Optimizer steps of the whole run and of one epoch.

        Not by `trainer.estimated_stepping_batches`: it makes the loader before a checkpoint is read, and Lightning then
        does not give the loader its saved position.
        """
        trainer: Any = self.trainer
        if trainer.datamodule is not None:
            batches = len(trainer.datamodule.train_dataloader())
        else:
            trainer.fit_loop.setup_data()
            batches = trainer.num_training_batches
        epoch_steps = -(-batches // trainer.accumulate_grad_batches)
        limits = [trainer.max_epochs * epoch_steps if trainer.max_epochs and trainer.max_epochs > 0 else None]
        limits += [trainer.max_steps if trainer.max_steps > 0 else None]
        known = [limit for limit in limits if limit is not None]
        if not known and self.optim.schedule in NEED_LAST_STEP:
            raise ValueError(
                f"optim.schedule={self.optim.schedule} depends on the last step, and this run has none; set "
                "trainer.max_steps or trainer.max_epochs, or use optim.schedule=constant or exponential"
            )
        return (min(known) if known else epoch_steps), epoch_steps

    @override
    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Copy a batch to the device."""
        return batch.to(device, non_blocking=True)
