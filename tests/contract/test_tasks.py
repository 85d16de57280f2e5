"""Every task with every backbone: it is trained, saved, and predicts the same bits after loading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tests.tiny import CHANNELS, CONTEXT, HORIZON, ONE_PATCH, QUANTILES, SMALL, steps_to_learn, waves
from tsfm.model.checkpoint import About, load, save
from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS, TASKS
from tsfm.tasks.base import Task
from tsfm.training.learner import Learner
from tsfm.training.optim import OptimConfig
from tsfm.types import Batch

BACKBONES_UNDER_TEST = ("patch_transformer", "inverted", "mamba", "mixer", "dilated_conv")
TASK_SETTINGS: dict[str, dict[str, Any]] = {
    "forecast": {"loss": "pinball", "units": "scaled"},
    "impute": {"loss": "pinball", "units": "scaled"},
    "detect": {},
    "classify": {"class_weights": "balanced", "label_smoothing": 0.1, "mixup": 0.2, "noise": 0.1, "drop_rate": 0.1},
    "regress": {"loss": "huber"},
}
CLASSES = 3
CASES = pytest.mark.parametrize(
    ("task", "backbone"), [(task, backbone) for task in TASK_SETTINGS for backbone in BACKBONES_UNDER_TEST]
)


def build(task: str, backbone: str) -> tuple[Task, Model]:
    """Return a task and a small model with a head for it."""
    built = TASKS.build(
        TASKS.config({"name": task, **TASK_SETTINGS[task]}),
        horizon=HORIZON if task == "forecast" else 0,
        counts=[5, 2, 1] if task == "classify" else None,
    )
    window, horizon = CONTEXT + HORIZON, built.horizon
    shape: dict[str, Any] = {"context": window - horizon, "horizon": horizon, "width": 16, "patch": 8, "stride": 8}
    shape |= {"embed": "residual"} | ({"patch": window, "stride": window} if backbone in ONE_PATCH else {})
    head: dict[str, Any] = {"name": "patch_quantiles", "hidden": 32}
    if built.predicts == "window":
        head = {"name": "pooled", "outputs": CLASSES if task == "classify" else 1, "pool": "attention"}
    known = BACKBONES.entry(backbone).config.__dataclass_fields__
    settings = {key: value for key, value in QUANTILES["backbone"].items() if key in known}
    torch.manual_seed(0)
    model = Model(
        ModelConfig(**shape),
        scaler=SCALERS.config({"name": "standard"}),
        backbone=BACKBONES.config({"name": backbone} | SMALL[backbone] | settings),
        head=HEADS.config(head),
    )
    return built, model


def windows(task: str, seed: int = 0) -> Batch:
    """Noisy sines with some missing steps; the label is a class or a number."""
    batch = waves(8, seed=seed)
    observed = batch.observed.clone()
    observed[::2, 0, 3:9] = False
    label = torch.arange(8) % CLASSES if task == "classify" else torch.linspace(-1, 1, 8)
    return Batch(torch.where(observed, batch.values, 0.0), observed, label=label)


class OneBatch:
    """A loader; Lightning takes a list for several of them."""

    def __init__(self, batch: Batch):
        self.batch = batch

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batch]:
        yield self.batch


class Once(pl.LightningDataModule):
    """One batch for training and one for validation."""

    def __init__(self, task: str):
        super().__init__()
        self.task = task

    def train_dataloader(self) -> OneBatch:
        return OneBatch(windows(self.task))

    def val_dataloader(self) -> OneBatch:
        return OneBatch(windows(self.task, seed=1))


def predict(model: Model, built: Task, task: str) -> torch.Tensor:
    problem = built.pose(windows(task, seed=2), torch.Generator().manual_seed(3))
    with torch.no_grad():
        return model.eval()(problem).prediction


@CASES
def test_a_task_is_trained_saved_and_predicts_the_same_after_loading(task: str, backbone: str, tmp_path: Path) -> None:
    built, model = build(task, backbone)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learner = Learner(model, built, OptimConfig(lr=3e-3), seed=0)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(learner, datamodule=Once(task))
    assert torch.isfinite(trainer.callback_metrics[f"val/{built.monitor}"])
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    prediction = predict(model, built, task)
    again, _ = load(save(model, tmp_path / "model", about=About()))
    assert torch.equal(predict(again, built, task).nan_to_num(7.0), prediction.nan_to_num(7.0))
    if built.predicts == "window":
        assert prediction.shape == (8, CLASSES if task == "classify" else 1)
    else:
        assert prediction.shape == (8, CHANNELS, CONTEXT + HORIZON, len(model.quantile_levels))


@CASES
def test_a_task_can_be_learnt(task: str, backbone: str) -> None:
    """Within 120 steps, the loss on one batch falls to less than 40 % of its first value."""
    built, model = build(task, backbone)
    if isinstance(getattr(built, "config", None), TASKS.entry("classify").config):
        built.config = replace(built.config, mixup=0.0, noise=0.0, drop_rate=0.0, label_smoothing=0.0)
    for module in model.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    problem = built.pose(windows(task), torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-2)
    assert steps_to_learn(lambda: built.loss(model(problem), problem), optimizer, to=0.4, limit=120)


@CASES
def test_the_monitored_metric_is_reported(task: str, backbone: str) -> None:
    built, model = build(task, backbone)
    problem = built.pose(windows(task), torch.Generator().manual_seed(0))
    report = built.report(model.eval()(problem), problem)
    assert built.monitor in report
    assert all(torch.isfinite(ratio.total / ratio.count) for ratio in report.values())


@pytest.mark.parametrize("backbone", BACKBONES_UNDER_TEST)
def test_hidden_values_cannot_change_a_label(backbone: str) -> None:
    built, model = build("classify", backbone)
    problem = built.pose(windows("classify"))
    poked = replace(problem, values=torch.where(problem.visible, problem.values, float("nan")))
    with torch.no_grad():
        assert torch.equal(model.eval()(problem).prediction, model(poked).prediction)


@pytest.mark.parametrize("task", ["impute", "detect"])
def test_wanted_steps_are_hidden_and_were_observed(task: str) -> None:
    built, _ = build(task, "mixer")
    batch = windows(task)
    problem = built.pose(batch, torch.Generator().manual_seed(0))
    assert problem.wanted.any()
    assert not (problem.wanted & problem.visible).any()
    assert not (problem.wanted & ~batch.observed).any()
