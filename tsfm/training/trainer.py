"""The settings of `trainer` (length, precision, devices, loggers), and Lightning's Trainer made from them."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
)
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from tsfm.messages import check_choice
from tsfm.registry import schema
from tsfm.training.callbacks import EMA, ProgressBar, Throughput, TimeLimit
from tsfm.training.checkpoint_file import RunCheckpointIO
from tsfm.training.checkpoints import RunCheckpoints
from tsfm.training.metrics_file import MetricsFile
from tsfm.training.precision import fastest_precision
from tsfm.training.sharding import fsdp_strategy

log = logging.getLogger("tsfm")

PRECISIONS = ("32", "bf16", "16", "auto")
LOGGERS = ("csv", "tensorboard")
KEEP = ("best", "last")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
MINIMUM = {
    "patience": 1,
    "val_every": 0,
    "checkpoint_every": 1,
    "grad_clip": 0,
    "accumulate": 1,
    "prefetch": 0,
    "devices": 1,
}


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@schema("trainer", "trainer")
@dataclass
class TrainerConfig:
    """Settings of `trainer`."""

    max_epochs: int = 20
    max_steps: int = -1  # optimizer steps; -1: as many as the epochs have
    max_time: Optional[str] = None  # noqa: UP045  dd:hh:mm:ss of one process; resume=auto continues in another
    keep: str = "best"  # weights of the final model: best (in validation) | last (needs no validation)
    patience: Optional[int] = 5  # noqa: UP045  validations without a better score before stopping; null: never stop
    val_every: Optional[int] = None  # noqa: UP045  training batches between validations; null: once per epoch; 0: never
    checkpoint_every: int = 200  # steps between checkpoints that an interrupted run resumes from
    grad_clip: float = 1.0  # largest norm of the gradient; 0: no clipping
    accumulate: int = 1  # batches per optimizer step
    ema: Optional[float] = None  # noqa: UP045  decay of the averaged weights that are validated and saved; null: none
    precision: str = "32"  # 32 | bf16 | 16 | auto (bf16 where it is faster on this machine, else 32)
    packed: bool = False  # compute only the tokens that the loss depends on: neither padding nor other predictions
    prefetch: int = 0  # training batches that a second process of one thread makes ahead; they are the same
    compile: bool = False
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"  # auto | ddp | fsdp (sharded weights) | another strategy of Lightning by its name
    loggers: list[str] = field(default_factory=lambda: ["csv"])  # csv, tensorboard
    progress: bool = True

    def __post_init__(self):
        check_choice("trainer.keep", self.keep, KEEP)
        check_choice("trainer.precision", self.precision, PRECISIONS)
        if self.strategy == "fsdp" and (self.devices < 2 or self.ema is not None or self.compile):
            raise ValueError(
                "trainer.strategy=fsdp shards weights over devices, so that no process can average or compile all of "
                f"them; found devices={self.devices}, ema={self.ema}, compile={self.compile}: use at least 2 devices, "
                "ema=null and compile=false, or strategy=ddp"
            )
        if self.packed and (self.compile or self.strategy == "fsdp"):
            raise ValueError(
                "trainer.packed has as many tokens as the batch needs, so that every step has shapes of its own; found "
                f"compile={self.compile}, strategy={self.strategy}: use compile=false and another strategy, or "
                "packed=false"
            )
        for logger in self.loggers:
            check_choice("an item of trainer.loggers", logger, LOGGERS)
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"trainer.ema is {self.ema}; a decay is between 0 and 1, for instance 0.999")
        for name, low in MINIMUM.items():
            if (value := getattr(self, name)) is not None and value < low:
                raise ValueError(f"trainer.{name} is {value}; it must be at least {low}")
        if self.val_every == 0 and self.keep != "last":
            raise ValueError(
                "trainer.val_every is 0; it must be at least 1, or 0 together with trainer.keep=last, to never validate"
            )
        check_choice("trainer.accelerator", self.accelerator, ACCELERATORS)
        if self.max_time is not None and not re.fullmatch(r"\d+(:\d\d){3}", self.max_time):
            raise ValueError(f"trainer.max_time is {self.max_time!r}; write dd:hh:mm:ss, as in 00:01:30:00")
        if self.max_epochs < 1 and self.max_epochs != -1:
            raise ValueError(f"trainer.max_epochs is {self.max_epochs}; expected at least 1, or -1 for no limit")
        if self.max_epochs < 1 and self.max_steps < 1 and self.max_time is None:
            raise ValueError("trainer has no end; set max_epochs, max_steps or max_time")


def make_trainer(config: TrainerConfig, run_dir: Path, *, monitor: str, validates: bool = True) -> pl.Trainer:
    """Return a Lightning Trainer that writes metrics.csv and checkpoints into the run directory.

    Parameters
    ----------
    config
        Settings of `trainer`.
    run_dir
        Its checkpoints/last.ckpt is the state to resume from, with the best weights so far.
    monitor
        The logged metric whose lowest value is the best.
    validates
        Whether there are validation windows.

    Raises
    ------
    ValueError
        If this machine does not have the devices, or cannot combine the settings.
    """
    if config.keep == "last" or not validates:
        reason = "trainer.keep=last" if config.keep == "last" else "no validation windows"
        ignored = "; trainer.patience is ignored" if config.patience is not None else ""
        log.info("%s: the last weights are kept%s", reason, ignored)
        config = replace(config, keep="last", patience=None)
    if config.precision == "auto":
        is_cuda = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        config = replace(config, precision=fastest_precision("cuda" if is_cuda else "cpu"))
        log.info("trainer.precision=auto: %s", config.precision)
    available = max(os.cpu_count() or 1, torch.cuda.device_count())
    if config.devices > available:
        raise ValueError(f"trainer.devices is {config.devices}; this machine has at most {available}: use fewer")
    try:
        return _trainer(config, run_dir, monitor=monitor)
    except (MisconfigurationException, ValueError, ImportError) as error:  # of Lightning, on devices and strategies
        reason = str(error).splitlines()[0].split(". ")[0]
        raise ValueError(
            f"trainer.accelerator={config.accelerator} devices={config.devices} strategy={config.strategy} "
            f"precision={config.precision} is not possible here ({reason}); "
            "try accelerator=auto devices=1 strategy=auto"
        ) from None


def _trainer(config: TrainerConfig, run_dir: Path, *, monitor: str) -> pl.Trainer:
    metrics = MetricsFile(run_dir) if "csv" in config.loggers else None
    loggers: list[Any] = [metrics] if metrics is not None else []
    if "tensorboard" in config.loggers:
        loggers.append(TensorBoardLogger(str(run_dir), name="", version="tensorboard"))
    return pl.Trainer(
        default_root_dir=str(run_dir),
        max_epochs=config.max_epochs,
        max_steps=config.max_steps,
        val_check_interval=config.val_every or None,
        check_val_every_n_epoch=None if config.val_every else 1,
        limit_val_batches=0 if config.val_every == 0 else None,
        gradient_clip_val=config.grad_clip or None,
        accumulate_grad_batches=config.accumulate,
        precision={"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[config.precision],  # type: ignore[arg-type]
        accelerator=config.accelerator,
        devices=config.devices,
        strategy=fsdp_strategy(config.devices) if config.strategy == "fsdp" else config.strategy,
        logger=loggers or False,
        callbacks=[
            *_callbacks(config, monitor=monitor, logs=bool(loggers)),
            RunCheckpoints(  # last, so that a state has what the others did
                run_dir,
                monitor=monitor,
                every=config.checkpoint_every,
                keeps_best=config.keep == "best",
                metrics=metrics,
            ),
        ],
        plugins=[RunCheckpointIO()],
        use_distributed_sampler=False,  # the loader uses its rank itself
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        enable_progress_bar=config.progress,
        enable_model_summary=False,
    )


def describe_interruption(trainer: pl.Trainer) -> str | None:
    """Return how far a run came that the time limit ended, such as `120 of 500 steps`; None if it was complete."""
    timers = [callback for callback in trainer.callbacks if isinstance(callback, TimeLimit)]  # type: ignore[attr-defined]
    steps, epochs = trainer.max_steps, trainer.max_epochs or -1
    ended = 0 < steps <= trainer.global_step or 0 < epochs <= trainer.current_epoch
    if ended or max(steps, epochs) < 0 or not any(timer.is_over for timer in timers):
        return None
    return f"{trainer.global_step} of {steps} steps" if steps > 0 else f"{trainer.current_epoch} of {epochs} epochs"


def _callbacks(config: TrainerConfig, *, monitor: str, logs: bool) -> list[Callback]:
    callbacks: list[Callback] = [Throughput()]
    if config.max_time is not None:
        callbacks.append(TimeLimit(config.max_time, verbose=False))
    if config.ema is not None:
        callbacks.append(EMA(config.ema))
    if config.patience is not None:
        # checked at the end of a validation: a run may end before its first
        stop = EarlyStopping(monitor, patience=config.patience, check_on_train_epoch_end=False, strict=False)
        callbacks.append(stop)
    if logs:
        callbacks.append(LearningRateMonitor("step"))
    if config.progress:
        callbacks.append(ProgressBar())
    return callbacks
