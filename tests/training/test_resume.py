"""An interrupted run is resumed, and ends bit-equal."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tsfm.commands.cli import main
from tsfm.store.series_store import StoreWriter

SETTINGS = [
    "data=store", "data.batch_size=8", "model.context=32", "model.horizon=8", "model.width=16", "model.patch=8",
    "model.stride=8", "backbone.heads=2", "backbone.depth=1", "backbone.hidden=16", "optim.schedule=onecycle",
    "trainer.max_epochs=3", "trainer.patience=null", "trainer.ema=0.9", "trainer.checkpoint_every=5",
    "trainer.progress=false", "trainer.accelerator=cpu",
]  # fmt: skip

BATCHES = 61  # of an epoch: two series with 280 train rows each, (280 - 40 + 1) windows, 8 at a time


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    generator = np.random.default_rng(0)
    with StoreWriter(path, channels=["target"]) as writer:
        for i in range(2):
            values = np.sin(np.arange(400) / (3 + i)) + 0.1 * generator.normal(size=400)
            writer.add(f"s{i}", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return path


def settings(store: Path, run_dir: Path, *extra: str) -> list[str]:
    return ["train", *SETTINGS, f"data.dataset={store}", f"run_dir={run_dir}", *extra]


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A process with as many threads as this one: sums in another order would end in other bits."""
    env = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    if os.name == "posix":  # a shell starts commands in the background with SIGINT ignored, which children inherit
        options["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([sys.executable, "-m", "tsfm", *arguments], text=True, env=env, **options)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The directory of an uninterrupted run, and what it printed."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(settings(store, run_dir)) == 0
    return run_dir, printed.getvalue()


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(run_dir / "model" / "model.safetensors")


def steps(run_dir: Path) -> list[str]:
    """The steps at which the training loss was logged."""
    with (run_dir / "metrics.csv").open() as file:
        return [row["step"] for row in csv.DictReader(file) if row["train/loss"]]


def test_a_run_killed_within_an_epoch_and_resumed_ends_bit_equal(
    store: Path, whole: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken, (expected_run, _) = tmp_path / "broken", whole
    process = start(*settings(store, broken), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = broken / "checkpoints" / "last.ckpt"
    wait_for(last, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert last.exists()
    assert not (broken / "result.json").exists(), "the run ended before it could be killed"
    state = torch.load(last, weights_only=True)
    batches = state["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    assert 0 < batches["current"]["ready"] < BATCHES, "the last checkpoint is not within an epoch"
    assert batches["total"]["ready"] < 3 * BATCHES

    caplog.set_level(logging.INFO, logger="tsfm")
    assert main(settings(store, broken, "resume=auto")) == 0
    assert "resumed from last.ckpt" in caplog.text
    assert steps(broken) == steps(expected_run), "the metrics of the first process are lost or doubled"
    expected, resumed = weights(expected_run), weights(broken)
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_a_finished_run_is_not_run_again(
    store: Path, whole: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, printed = whole
    weights_file = run_dir / "model" / "model.safetensors"
    written = weights_file.stat().st_mtime_ns
    assert main(settings(store, run_dir, "resume=auto")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == printed.splitlines()[-1]
    assert weights_file.stat().st_mtime_ns == written
    assert main(settings(store, run_dir)) == 2
    assert "resume=auto" in capsys.readouterr().err


def test_two_processes_train_one_model(store: Path, tmp_path: Path) -> None:
    """DDP over gloo: one run directory, one result, and both ranks together make the same epochs."""
    overrides = ["trainer.devices=2", "trainer.max_epochs=1", f"run_root={tmp_path / 'runs'}", "data.batch_size=4"]
    arguments = [word for word in settings(store, tmp_path) if not word.startswith("run_dir=")]
    process = start(*arguments, *overrides, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    results = [line for line in out.splitlines() if line.startswith("RESULT ")]
    assert len(results) == 1
    assert len(list((tmp_path / "runs").glob("*/*/model/config.json"))) == 1
    best = torch.load(next((tmp_path / "runs").glob("*/*/checkpoints/last.ckpt")), weights_only=True)
    assert best["global_step"] == BATCHES  # two ranks of 4 windows make the same steps as one of 8


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_run_is_not_finished(number: signal.Signals, store: Path, tmp_path: Path) -> None:
    process = start(
        *settings(store, tmp_path / "r", "trainer.max_epochs=500"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(tmp_path / "r" / "checkpoints" / "last.ckpt", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "RESULT" not in out
    assert f"resume it by resume=auto run_dir={tmp_path / 'r'}" in err
    assert "Traceback" not in err
