"""What `test_two_processes` runs in each of several processes: scenarios, one after another, and what each saw.

LOCAL_RANK=1 MASTER_PORT=12345 python -m tests.training.two_processes FOLDER NUM_PROCESSES SCENARIO ...
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

import tsfm
from tests.training.test_lightning import QUIET, SETTINGS

RANK = int(os.environ.get("LOCAL_RANK", "0"))
NAN_STEP = 2


class Seen(pl.Callback):
    """Records (series, first step) of all windows of this process, and the last validation scores."""

    def __init__(self) -> None:
        self.train: list[list] = []  # one list per batch
        self.val: list = []
        self.scores: dict[str, float] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.train.append(batch.key.tolist())

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.val = []

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.val += batch.key.tolist()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.scores = {name: float(value) for name, value in trainer.callback_metrics.items() if "val/" in name}


def fit(folder: Path, num: int, *, prepare: Callable[[Any], None] = lambda _: None, **settings: Any) -> dict[str, Any]:
    """Train for two epochs; the first process saves the model."""
    data = tsfm.LightningDataModule(**SETTINGS | settings)
    module, seen = tsfm.LightningModule(data), Seen()
    prepare(module)
    trainer = pl.Trainer(max_epochs=2, devices=num, strategy="ddp", use_distributed_sampler=False,
                         callbacks=[seen], **QUIET)  # fmt: skip
    trainer.fit(module, data)
    weights = [float(p.detach().double().sum()) for p in module.parameters()]
    if RANK == 0:
        module.save(folder)
    return {
        "train": seen.train,
        "val": seen.val,
        "scores": seen.scores,
        "weights": weights,
        "steps": trainer.global_step,
    }


def nan_in_last_process(module: Any) -> None:
    """Make the loss of the last process NaN at one step."""
    loss, world = module.task.loss, int(sys.argv[2])

    def broken(answer: Any, problem: Any) -> torch.Tensor:
        is_broken = world - 1 == RANK and module.global_step == NAN_STEP
        return loss(answer, problem) * (float("nan") if is_broken else 1.0)

    module.task.loss = broken


def scenario(name: str, folder: Path, num: int) -> dict[str, Any]:
    """Run a scenario by its name; data sets are folders next to `folder`."""
    data = folder.parent / "data"
    if name == "uneven":
        return fit(folder, num, **{"data.dataset": str(data / "long")})
    if name == "one_window":  # of validation; more training windows than processes
        return fit(folder, num, **{"data.dataset": str(data / "short"), "data.split": "last_horizon"})
    if name == "few_windows":
        return fit(folder, num, **{"data.dataset": str(data / "tiny"), "data.split": "last_horizon"})
    if name == "random":
        return fit(folder, num, **{"data.dataset": str(data / "long"), "data.sampling": "random",
                                   "data.batches_per_epoch": 3})  # fmt: skip
    if name == "nan":
        return fit(folder, num, prepare=nan_in_last_process, **{"data.dataset": str(data / "long")})
    raise ValueError(f"unknown scenario {name!r}")


def main() -> None:
    folder, num = Path(sys.argv[1]), int(sys.argv[2])
    results = {}
    for name in sys.argv[3:]:
        try:
            results[name] = scenario(name, folder / name, num)
        except Exception as error:  # noqa: BLE001  the test compares it
            results[name] = {"error": type(error).__name__, "message": str(error)}
        (folder / f"rank{RANK}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    torch.set_num_threads(1)
    faulthandler.dump_traceback_later(150, exit=True)
    main()
