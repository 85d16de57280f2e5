"""The folder of the long pre-training run: what it begins with, what it says, and that one process trains at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.pretrain_long import ORIGINS, LongRun
from tsfm.model.checkpoint import weights_dir


def test_it_begins_with_the_newest_bundled_weights_and_keeps_to_them(tmp_path: Path):
    long_run = LongRun(tmp_path)
    newest = next(name for name in ORIGINS if (weights_dir() / name).is_dir())
    assert long_run.origin() == newest
    assert f"init.from={newest}" in long_run.command([])
    long_run.origin_file.write_text("tsfm-mini\n", encoding="utf-8")
    assert long_run.origin() == newest  # the run itself is lost
    long_run.run_dir.mkdir()
    assert long_run.origin() == "tsfm-mini"


def test_settings_come_last_so_that_they_win(tmp_path: Path):
    assert LongRun(tmp_path).command(["optim.lr=1e-4"])[-1] == "optim.lr=1e-4"


def test_a_process_that_has_ended_does_not_train(tmp_path: Path):
    long_run = LongRun(tmp_path)
    assert long_run.process() is None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    long_run.process_file.write_text(f"{ended.pid}\n", encoding="utf-8")
    assert long_run.process() is None


def test_a_second_process_is_refused(tmp_path: Path):
    long_run = LongRun(tmp_path)
    long_run.process_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=f"process {os.getpid()} trains"):
        long_run.run([])
    assert not long_run.run_dir.exists()


def test_a_run_without_a_checkpoint_has_no_branch(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="has no checkpoint yet; start the run first"):
        LongRun(tmp_path).decay(10, [])
    LongRun(tmp_path).status()
    assert capsys.readouterr().out.splitlines() == ["no checkpoint yet", "not running"]
