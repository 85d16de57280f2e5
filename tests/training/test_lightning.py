"""`tsfm.LightningModule` and `tsfm.LightningDataModule` in a Trainer of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import tsfm
from tsfm.store.series_store import StoreWriter

HORIZON = 8
SETTINGS: dict[str, Any] = {
    "model": {"context": 32, "horizon": HORIZON, "width": 16, "patch": 8, "stride": 8},
    "backbone": {"heads": 2, "depth": 1, "hidden": 16},
    "data": "store",
    "data.batch_size": 16,
    "optim": {"lr": 0.01, "schedule": "cosine"},
    "task": {"loss": "mae"},
}
QUIET: dict[str, Any] = {
    "logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "accelerator": "cpu",
    "enable_model_summary": False, "num_sanity_val_steps": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    values = np.sin(np.arange(300) / 4) + 0.1 * np.random.default_rng(0).normal(size=300)
    with StoreWriter(path, channels=["target"]) as writer:
        writer.add("s", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return path


def make_data(store: Path, **settings: Any) -> tsfm.LightningDataModule:
    return tsfm.LightningDataModule(**SETTINGS | {"data.dataset": str(store)} | settings)


@pytest.fixture(scope="module")
def fitted(store: Path) -> tuple[pl.Trainer, tsfm.LightningModule, tsfm.LightningDataModule]:
    data = make_data(store)
    module = tsfm.LightningModule(data)
    trainer = pl.Trainer(max_epochs=2, gradient_clip_val=1.0, **QUIET)
    trainer.fit(module, data)
    return trainer, module, data


def test_a_trainer_fits_validates_tests_and_predicts(fitted: tuple) -> None:
    trainer, module, data = fitted
    windows = len(data.source.windows("test"))
    (validated,) = trainer.validate(module, data, verbose=False)
    (tested,) = trainer.test(module, data, verbose=False)
    assert 0 < validated["val/loss"] < 1
    assert 0 < tested["test/loss"] < 1
    predictions = torch.cat(trainer.predict(module, data))
    assert predictions.shape == (windows, 1, 40, 1)
    y_true = data.source.windows("test").gather(np.arange(windows)).values[..., -HORIZON:]
    errors = (predictions[..., -HORIZON:, 0] - y_true).abs()
    assert errors.mean().item() == pytest.approx(tested["test/loss"], rel=1e-5)


def test_it_trains_as_tsfm_train_does(fitted: tuple, store: Path, tmp_path: Path) -> None:
    trainer = {"max_epochs": 2, "keep": "last", "accelerator": "cpu", "progress": False, "patience": None}
    result = tsfm.train(**SETTINGS | {"data.dataset": str(store), "trainer": trainer, "run_dir": tmp_path / "run"})
    expected, (_, module, _) = result.load().model.state_dict(), fitted
    assert expected.keys() == module.model.state_dict().keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in module.model.state_dict().items())


def test_a_saved_module_is_an_ordinary_model(fitted: tuple, tmp_path: Path) -> None:
    _, module, _ = fitted
    model = tsfm.load(module.save(tmp_path / "model"))
    assert model.predict(np.sin(np.arange(40) / 4), prediction_length=HORIZON).predictions.shape == (1, 1, HORIZON)
    assert model.about.task["name"] == "forecast"
    assert len(model.about.trained_on["fingerprints"]) == 1
    assert model.about.metrics["val_loss"] > 0


def test_adapters_are_merged_when_the_module_is_saved(fitted: tuple, store: Path, tmp_path: Path) -> None:
    fitted[1].save(tmp_path / "first")
    data = make_data(store, init={"from": tmp_path / "first", "lora": {"rank": 2}})
    module = tsfm.LightningModule(data)
    pl.Trainer(max_steps=2, **QUIET).fit(module, data)
    saved = tsfm.load(module.save(tmp_path / "second")).model.state_dict()
    assert saved.keys() == fitted[1].model.state_dict().keys()
    assert any("parametrizations" in name for name in module.model.state_dict())


def test_a_checkpoint_of_the_trainer_is_loaded_with_its_data(fitted: tuple, tmp_path: Path) -> None:
    trainer, module, data = fitted
    trainer.save_checkpoint(tmp_path / "module.ckpt")
    loaded = tsfm.LightningModule.load_from_checkpoint(tmp_path / "module.ckpt", data=data, weights_only=False)
    assert all(torch.equal(p, q) for p, q in zip(loaded.parameters(), module.parameters(), strict=True))


def test_two_modules_of_the_same_data_have_weights_of_their_own(store: Path) -> None:
    data = make_data(store)
    first, second = tsfm.LightningModule(data), tsfm.LightningModule(data)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    assert not {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}


def test_a_schedule_also_knows_its_last_step_with_loaders_alone(store: Path) -> None:
    data = make_data(store)
    module = tsfm.LightningModule(data)
    trainer = pl.Trainer(max_epochs=1, **QUIET)
    trainer.fit(module, data.train_dataloader(), data.val_dataloader())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_labelled_cases(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["@problemName waves", "@classLabel true slow fast", "@data"]
    for i in range(24):
        wave = np.sin(np.arange(24) / (4 - 2 * (i % 2))) + 0.1 * rng.normal(size=24)
        lines.append(",".join(f"{x:.3f}" for x in wave) + (":fast" if i % 2 else ":slow"))
    for name in ("waves_TRAIN.ts", "waves_TEST.ts"):
        (tmp_path / name).write_text("\n".join(lines))
    tsfm.ingest([str(tmp_path / "waves_*.ts")], tmp_path / "waves")
    data = tsfm.LightningDataModule(
        experiment="classify/patch_transformer", data=str(tmp_path / "waves"), backbone={"depth": 1}
    )
    module, trainer = tsfm.LightningModule(data), pl.Trainer(max_epochs=1, **QUIET)
    trainer.fit(module, data)
    assert torch.cat(trainer.predict(module, data)).shape == (24, 2)
    assert "test/loss" in trainer.test(module, data, verbose=False)[0]


def test_making_them_leaves_random_generators_as_they_were(store: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    tsfm.LightningModule(make_data(store))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
