"""Trainings that begin at the same time: each run has one owner and each directory one run, and no result is lost."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.training.test_crash_points import SETTINGS, outcome, store
from tsfm.commands.train import train_and_score
from tsfm.config import RunConfig, compose, typed
from tsfm.training import run_directory

assert store  # a fixture
CONTEXT = multiprocessing.get_context("fork")
PAIRS, RUNS = 20, 10
SHORT = ["data.batches_per_epoch=2", "trainer.max_epochs=1"]
REFUSED = r"is in use by (process \d+ on .*|another process); wait until it has ended, or set run_dir="


def configure(store: Path, *settings: str) -> RunConfig:
    return typed(compose("train", [*SETTINGS, *SHORT, f"data.dataset={store}", *settings]))


def train_at_once(configs: Sequence[RunConfig]) -> list[str]:
    """The run directories of trainings in processes that begin at the same time, or the messages of their errors."""
    gate, answers = CONTEXT.Barrier(len(configs)), CONTEXT.Queue()

    def work(config: RunConfig) -> None:
        gate.wait()
        try:
            answers.put(train_and_score(config)["run_dir"])
        except Exception as error:  # noqa: BLE001  reported
            answers.put(f"{type(error).__name__}: {error}")

    jobs = [CONTEXT.Process(target=work, args=(config,)) for config in configs]
    for job in jobs:
        job.start()
    answered = [answers.get(timeout=600) for _ in jobs]
    for job in jobs:
        job.join()
    return answered


def stable(run_dir: Path) -> dict[str, Any]:
    """What two runs of the same settings have in common."""
    return {key: value for key, value in outcome(run_dir).items() if key != "files"}


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False], ids=["run_dir", "resume=auto"])
def test_of_two_processes_one_has_the_run(named: bool, store: Path, tmp_path: Path) -> None:
    """The other is refused, or comes when the run is finished and gets its result."""
    train_and_score(configure(store, f"run_dir={tmp_path / 'whole'}"))  # forked processes have what it imports
    expected, refused = stable(tmp_path / "whole"), 0
    for number in range(PAIRS):
        root = tmp_path / str(number)
        target = f"run_dir={root / 'run' / 'r'}" if named else f"run_root={root}"
        answered = train_at_once([configure(store, target, "resume=auto")] * 2)
        (config,) = root.rglob("config.yaml")
        assert stable(config.parent) == expected
        messages = [answer for answer in answered if answer != str(config.parent)]
        assert len(messages) < 2
        assert all(re.search(REFUSED, message) for message in messages), messages
        refused += len(messages)
    print(f"{PAIRS} pairs, {'run_dir' if named else 'resume=auto'}: {PAIRS} runs, {refused} refused, none lost")


@pytest.mark.slow
def test_runs_that_begin_in_one_second_have_a_directory_each(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock stands still for all of them, so that they want the same name."""

    class Still(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2024, 1, 1, tzinfo=tz)

    monkeypatch.setattr(run_directory, "datetime", Still)
    train_and_score(configure(store, f"run_dir={tmp_path / 'whole'}"))
    answered = train_at_once([configure(store, f"run_root={tmp_path / 'runs'}", "resume=never")] * RUNS)
    folders = [path.parent for path in (tmp_path / "runs").rglob("result.json")]
    assert sorted(answered) == sorted(map(str, folders))
    assert len(set(answered)) == RUNS
    assert all(stable(folder) == stable(tmp_path / "whole") for folder in folders)
    assert {folder.name[:19] for folder in folders} == {"2024-01-01_00-00-00"}
    print(f"{RUNS} runs in one second: {len(folders)} directories, none lost")
