"""Pre-training from end to end: the saved model forecasts, and an interrupted run ends bit-equal."""

from __future__ import annotations

import csv
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import tsfm
from tests.data.test_corpus import LENGTHS, walk
from tests.data.test_pool import store
from tsfm.commands.train import train_and_score
from tsfm.config import compose, typed
from tsfm.contamination.verdict import check_contamination
from tsfm.training.learner import Learner

STEPS, EPOCH = 26, 11
SETTINGS = [
    "experiment=pretrain/nano", "model.context=96", "model.horizon=64", "model.patch=16", "model.stride=16",
    "model.width=32", "backbone.depth=2", "backbone.hidden=48", "head.hidden=32",
    "task.patch=16", "task.max_tail_patches=4",
    "data.lengths=[64,128]", "data.length_weights=[0.5,0.5]", "data.batch_values=1024",
    f"data.batches_per_epoch={EPOCH}", "data.val_windows=8", f"trainer.max_steps={STEPS}",
    "trainer.checkpoint_every=9", "trainer.progress=false",
    "trainer.accelerator=cpu", "trainer.ema=0.9",
]  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "set"
    store(folder, [walk(n, seed) for seed, n in enumerate(LENGTHS)])
    return folder


def run(path: Path, run_dir: Path, *settings: str) -> dict:
    overrides = [*SETTINGS, f"data.sets=[{path}]", f"run_dir={run_dir}", *settings]
    return train_and_score(typed(compose("train", overrides)))


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(run_dir / "model" / "model.safetensors")


def curve(run_dir: Path, *names: str) -> list[tuple[str, ...]]:
    """The logged values of these names at each step."""
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [tuple(row[name] for name in ("step", *names)) for row in rows if all(row.get(name) for name in names)]


@pytest.mark.parametrize(
    "override",
    [
        "optim.name=adamw",
        pytest.param("optim.name=muon", marks=pytest.mark.slow),
        "trainer.packed=true trainer.prefetch=2",
    ],
)
def test_an_interrupted_run_resumes_to_the_same_weights_and_losses(
    override: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(path, whole, *override.split())

    step = Learner.training_step

    def breaks(self: Learner, batch: tsfm.Batch, batch_idx: int) -> torch.Tensor:
        if self.global_step == 2 * 9 + 3:  # within an epoch, some steps after the last checkpoint
            raise RuntimeError("power failure")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", breaks)
        with pytest.raises(RuntimeError, match="power failure"):
            run(path, broken, *override.split())
    last = torch.load(broken / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 18
    assert 0 < last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"] < EPOCH

    run(path, broken, *override.split(), "resume=auto")
    expected, resumed = weights(whole), weights(broken)
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    losses = curve(whole, "train/loss")
    assert len(losses) >= STEPS // 20
    assert curve(broken, "train/loss") == losses


def test_a_run_that_began_plain_goes_on_packed_with_equal_losses(path: Path, tmp_path: Path) -> None:
    plain, changed = tmp_path / "plain", tmp_path / "changed"
    settings = ["trainer.max_steps=40", "trainer.precision=32"]
    run(path, plain, *settings)
    shutil.copytree(plain, changed)
    for name in ("result.json", "model"):
        file = changed / name
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    result = run(path, changed, *settings, "resume=auto", "trainer.packed=true")
    assert curve(changed, "train/loss")[0] == curve(plain, "train/loss")[0]
    assert float(curve(changed, "train/loss")[-1][1]) == pytest.approx(
        float(curve(plain, "train/loss")[-1][1]), rel=1e-3
    )
    assert "cut_short" not in result


@pytest.mark.slow
def test_runs_of_limited_time_end_bit_equal_to_one_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    run(path, whole)
    step = Learner.training_step

    def slow(self: Learner, batch: tsfm.Batch, batch_idx: int) -> torch.Tensor:
        if self.global_step == 20:
            time.sleep(2)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", slow)
        first = run(path, pieces, "trainer.max_time=00:00:00:02")
    steps = int(first["cut_short"].removesuffix(f" of {STEPS} steps"))
    assert 0 < steps <= 21
    assert "resume=auto" in caplog.text
    assert tsfm.load(pieces) is not None  # the weights of the last step

    second = run(path, pieces, "resume=auto", "trainer.max_time=00:00:10:00")
    assert "cut_short" not in second
    expected, resumed = weights(whole), weights(pieces)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    assert run(path, pieces, "resume=auto") == second  # nothing is left to do


def test_the_saved_model_forecasts_any_horizon(path: Path, tmp_path: Path) -> None:
    result = run(path, tmp_path / "r")
    assert result["parameters"] < 100_000
    model = tsfm.load(tmp_path / "r")
    stamps = pd.date_range("2024-01-01", periods=150, freq="h")
    rows = [pd.DataFrame({"item_id": i, "timestamp": stamps, "target": walk(150, i)}) for i in range(2)]
    for horizon in (1, 20, 64, 150):  # one step, less than a pass, a pass, rolled out
        forecast = model.predict_df(pd.concat(rows), prediction_length=horizon)
        assert len(forecast) == 2 * horizon
        numbers = forecast.select_dtypes("number").to_numpy()
        assert np.isfinite(numbers).all()
    assert len(model.about.trained_on["fingerprints"]) == len(LENGTHS)
    series, other = walk(max(LENGTHS), int(np.argmax(LENGTHS))), walk(max(LENGTHS), 99)
    assert check_contamination(tmp_path / "r", [-3 * series[: len(series) // 2] + 5]).word == "false"
    assert check_contamination(tmp_path / "r", [other]).word == "true"


def test_the_loss_falls(path: Path, tmp_path: Path) -> None:
    run(path, tmp_path / "r", "trainer.max_steps=81", "trainer.ema=null", "data.real_rate=1.0", "optim.lr=5e-3")
    losses = [float(loss) for _, loss in curve(tmp_path / "r", "train/loss")]
    assert sum(losses[-2:]) < 0.95 * sum(losses[:2])


def test_validation_on_the_held_out_ends_chooses_the_weights(path: Path, tmp_path: Path) -> None:
    result = run(path, tmp_path / "r", "trainer.keep=best", "trainer.val_every=null", "trainer.max_steps=22")
    assert np.isfinite(result["val_loss"])
    assert len(curve(tmp_path / "r", "val/loss")) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["task=forecast"], "data=corpus is for task=pretrain"),  # with none of the settings of the other
        (["data=etth1"], "task=pretrain learns from a corpus"),
        (["model.channels=3"], "model.channels is 3"),
        (["backbone.positions=learned"], "reads windows of exactly 160 steps"),
        (
            ["data.real_rate=0", "trainer.keep=best", "trainer.val_every=null"],
            "no validation part; set trainer.keep=last",
        ),
        (["trainer.packed=true", "trainer.compile=true"], "use compile=false and another strategy, or packed=false"),
        (["trainer.packed=true", "backbone.norm=batch"], "use backbone.norm=rms or layer"),
        (["model.embed=linear"], "needs model.embed=residual and model.fill=linear"),
    ],
)
def test_components_that_do_not_fit_are_refused_before_anything_is_written(
    settings: list[str], message: str, path: Path, tmp_path: Path
) -> None:
    group = settings[0].split("=")[0]
    overrides = [text for text in SETTINGS if not text.startswith(f"{group}.")]
    overrides += [f"data.sets=[{path}]"] if group != "data" else []
    with pytest.raises(ValueError, match=message):
        train_and_score(typed(compose("train", [*overrides, f"run_dir={tmp_path / 'r'}", *settings])))
    assert not (tmp_path / "r").exists()
