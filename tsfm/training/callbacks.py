"""Lightning callbacks of a run: windows per second, averaged weights, the time limit, the progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Timer, TQDMProgressBar, WeightAveraging
from torch import Tensor
from typing_extensions import override

from tsfm.training.learner import Learner


class Throughput(Callback):
    """Log the number of windows per second; the time of validation is not counted.

    Parameters
    ----------
    every_n_steps
        Batches between two values.
    """

    def __init__(self, every_n_steps: int = 20):
        self.every_n_steps = every_n_steps
        self.start = (0.0, 0)  # time and windows at the last value

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._restart(pl_module)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock again."""
        self._restart(pl_module)

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the speed of all processes together."""
        assert isinstance(pl_module, Learner)
        start, windows = self.start
        if (batch_idx + 1) % self.every_n_steps == 0 and pl_module.num_windows > windows:
            speed = (pl_module.num_windows - windows) * trainer.world_size / (time.perf_counter() - start)
            pl_module.log("windows/s", speed, prog_bar=True)
            self._restart(pl_module)

    def _restart(self, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        self.start = (time.perf_counter(), pl_module.num_windows)


class TimeLimit(Timer):
    """End a run after some time (dd:hh:mm:ss).

    A resumed run has the whole time again: Lightning's own timer counts from the start of the first run, so that it
    would stop at once.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the time is not part of a checkpoint."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Ignore the time of an earlier run."""

    @property
    def is_over(self) -> bool:
        """Whether the time is used up."""
        return (self.time_remaining() or 0) <= 0


class EMA(WeightAveraging):
    """The exponential moving average of the weights over the steps, which is validated and saved.

    Where average and weight are equal both stay bit-equal: a frozen weight may not change by a rounding error.

    Parameters
    ----------
    decay
        Of the average at each step, in (0, 1).
    """

    def __init__(self, decay: float):
        super().__init__(avg_fn=moving_average(decay))

    @override
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the averages to the model, also where no step was left and `on_train_end` was not called."""
        self._copy_average_to_current(pl_module)

    @property
    def state_key(self) -> str:
        """The name of the state in checkpoints, also in those of earlier versions."""
        return "EMAWeightAveraging"


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return the function that updates an average by the current weight, see `EMA`."""

    def update(average: Tensor, current: Tensor, _count: Tensor | int) -> Tensor:
        if not current.is_floating_point():
            return current
        return torch.where(average == current, current, decay * average + (1 - decay) * current)

    return update


class ProgressBar(TQDMProgressBar):
    """Lightning's bar without the version number that it adds."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the metrics of the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
