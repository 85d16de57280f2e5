"""What happens around the steps: windows per second, averaged weights, the progress bar."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Timer, TQDMProgressBar, WeightAveraging
from torch import Tensor

from tsfm.training.learner import Learner


class Throughput(Callback):
    """Windows per second since the last reading, into the progress bar and the loggers. Validation time is not
    counted."""

    def __init__(self, every_n_steps: int = 20):
        self.every = every_n_steps
        self.since = (0.0, 0)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restart(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restart(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Learner)
        begun, windows = self.since
        if (batch_idx + 1) % self.every == 0 and pl_module.windows_seen > windows:
            speed = (pl_module.windows_seen - windows) * trainer.world_size / (time.perf_counter() - begun)
            pl_module.log("windows/s", speed, prog_bar=True)
            self._restart(pl_module)

    def _restart(self, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        self.since = (time.perf_counter(), pl_module.windows_seen)


class TimeLimit(Timer):
    """Ends a run after some time (dd:hh:mm:ss). A run that goes on has it anew: Lightning's own timer would count
    from where it first began, and stop at once."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass

    @property
    def is_over(self) -> bool:
        return (self.time_remaining() or 0) <= 0


class EMA(WeightAveraging):
    """The exponential mean of the weights over the steps, which is validated and saved. Where mean and weights agree
    both stay, to the bit: what is frozen may not move by a rounding."""

    def __init__(self, decay: float):
        def mean(average: Tensor, current: Tensor, count: Tensor) -> Tensor:
            if not current.is_floating_point():
                return current
            return torch.where(average == current, current, decay * average + (1 - decay) * current)

        super().__init__(avg_fn=mean)

    @property
    def state_key(self) -> str:
        return "EMAWeightAveraging"  # as the checkpoints of earlier runs call it


class ProgressBar(TQDMProgressBar):
    """Lightning's bar without the version number it adds."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
