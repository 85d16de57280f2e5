"""Settings of the trainer: precision, compile, averaging, loggers, limits, early stopping."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.test_resume import SETTINGS
from tsfm.commands.train import train_and_score
from tsfm.config import compose, typed
from tsfm.infer.load import load
from tsfm.store.series_store import StoreWriter
from tsfm.training.components import build_model


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    values = np.sin(np.arange(300) / 4) + 0.1 * np.random.default_rng(0).normal(size=300)
    with StoreWriter(path, channels=["target"]) as writer:
        writer.add("s", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return path


def run(store: Path, run_dir: Path, *settings: str) -> dict:
    overrides = [*SETTINGS, f"data.dataset={store}", f"run_dir={run_dir}", "trainer.max_epochs=2", *settings]
    return train_and_score(typed(compose("train", [text for text in overrides if text != "optim.schedule=onecycle"])))


@pytest.mark.parametrize(
    "settings",
    [
        ["trainer.precision=bf16"],
        ["trainer.loggers=[csv,tensorboard]"],
        ["trainer.accumulate=3"],
        ["trainer.val_every=4"],
        ["trainer.max_steps=5", "trainer.ema=null"],
        ["trainer.max_steps=3", "trainer.patience=2"],
        ["optim.schedule=wsd", "optim.warmup=0.1"],
        ["optim=sgd"],
        ["data.sampling=random", "data.batches_per_epoch=4"],
        ["data.fraction=0.2", "data.min_context=8"],
        pytest.param(["trainer.compile=true"], marks=pytest.mark.slow),
    ],
    ids=lambda settings: " ".join(settings),
)
def test_a_run_with(settings: list[str], store: Path, tmp_path: Path) -> None:
    result = run(store, tmp_path / "r", *settings)
    assert np.isfinite(result["mse"])
    assert load(tmp_path / "r").predict(np.sin(np.arange(40) / 4), prediction_length=8).predictions.shape == (1, 1, 8)
    if "tensorboard" in settings[0]:
        assert list((tmp_path / "r" / "tensorboard").glob("events.*"))
    if settings[0] == "trainer.max_steps=5":  # it ends before the first validation
        last = torch.load(tmp_path / "r" / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["global_step"] == 5
        assert np.isfinite(result["val_loss"])


def test_early_stopping_keeps_the_best_weights(store: Path, tmp_path: Path) -> None:
    """A rate so high that later epochs are worse: training stops early, and the saved weights are the best ones."""
    result = run(
        store, tmp_path / "r", "trainer.max_epochs=30", "trainer.patience=2", "optim.lr=0.1", "trainer.ema=null"
    )
    with (tmp_path / "r" / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row.get("val/loss")]
    assert len(losses) < 30
    assert result["val_loss"] == pytest.approx(min(losses), rel=1e-6)
    assert losses.index(min(losses)) == len(losses) - 3


def test_averaged_weights_are_saved(store: Path, tmp_path: Path) -> None:
    """With a decay near 1 the averaged weights stay near the first ones."""
    run(store, tmp_path / "slow", "trainer.ema=0.9999")
    run(store, tmp_path / "none", "trainer.ema=null")
    averaged = load(tmp_path / "slow").model.head.linear.weight
    trained = load(tmp_path / "none").model.head.linear.weight
    overrides = [*SETTINGS, f"data.dataset={store}"]
    start = build_model(typed(compose("train", overrides))).head.linear.weight
    assert (averaged - start).abs().max() < 0.05 * (trained - start).abs().max()


def test_the_seed_decides_the_weights(store: Path, tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(store, tmp_path / name, f"seed={seed}", "trainer.max_epochs=1")
        weights.append(load(tmp_path / name).model.head.linear.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
