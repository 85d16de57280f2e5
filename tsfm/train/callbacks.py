"""What happens around the steps: windows per second, and errors of the disk in plain words."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, TQDMProgressBar

from tsfm.train.learner import Learner


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


class Progress(TQDMProgressBar):
    """Lightning's bar without the version number it adds."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
