"""One process has a run directory at a time, and no process writes into the run of another one."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import yaml

from tsfm.config import RunConfig, compose, typed
from tsfm.files.locks import FolderInUseError, locked
from tsfm.training.run_directory import claimed_run
from tsfm.training.run_record import CONFIG

CONTEXT = multiprocessing.get_context("fork")
PROCESSES = 4


def configure(*settings: str) -> RunConfig:
    return typed(compose("train", ["data=etth1", *settings]))


def claim(config: RunConfig, then: Callable[[Path], Any] = str) -> str:
    """Claim a run directory and return it, or the error."""
    try:
        with claimed_run(config, command="", fingerprint=lambda: "f") as claimed:
            claimed.begin("f")
            then(claimed.run_dir)
            return str(claimed.run_dir)
    except (ValueError, OSError) as error:
        return f"error: {error}"


def at_once(configs: list[RunConfig]) -> list[str]:
    """What processes get that claim at the same time and keep what they have until all have an answer."""
    gate, answers = CONTEXT.Barrier(len(configs)), CONTEXT.Queue()

    def work(config: RunConfig, gate: Barrier, answers: Any) -> None:
        gate.wait()
        reported = False

        def keep(run_dir: Path) -> None:
            nonlocal reported
            reported = True
            answers.put(str(run_dir))
            gate.wait()

        answer = claim(config, keep)
        if not reported:
            answers.put(answer)
            gate.wait()

    jobs = [CONTEXT.Process(target=work, args=(config, gate, answers)) for config in configs]
    for job in jobs:
        job.start()
    answered = [answers.get(timeout=120) for _ in jobs]
    for job in jobs:
        job.join()
    return answered


def test_runs_that_begin_at_the_same_time_have_their_own_directories(tmp_path: Path) -> None:
    configs = [configure(f"optim.lr={k + 1}e-3", f"run_root={tmp_path}") for k in range(PROCESSES)]
    answered = at_once(configs)
    assert len(set(answered)) == PROCESSES
    rates = {yaml.safe_load((Path(folder) / CONFIG).read_text())["optim"]["lr"] for folder in answered}
    assert len(rates) == PROCESSES
    assert {path.name for path in (tmp_path / "run").iterdir()} == {Path(folder).name for folder in answered}


@pytest.mark.parametrize("named", [True, False], ids=["run_dir", "resume=auto"])
def test_one_of_several_processes_gets_a_run(named: bool, tmp_path: Path) -> None:
    target = f"run_dir={tmp_path / 'r'}" if named else f"run_root={tmp_path}"
    answered = at_once([configure(target, "resume=auto")] * PROCESSES)
    assert sum(not answer.startswith("error") for answer in answered) == 1
    for answer in answered:
        assert re.search(
            r"is in use by (process \d+ on .*|another process); wait until it has ended, or set run_dir=", answer
        ) or (not answer.startswith("error"))
    assert len(list(tmp_path.rglob(CONFIG))) == 1


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """Also where a process that it forked lives on."""
    config, ready = configure(f"run_dir={tmp_path / 'r'}"), CONTEXT.Event()
    children = CONTEXT.Queue()

    def forks_and_waits(_: Path) -> None:
        if (child := os.fork()) == 0:
            signal.pause()
        children.put(child)
        ready.wait()

    job = CONTEXT.Process(target=claim, args=(config, forks_and_waits))
    job.start()
    child = children.get(timeout=60)
    try:
        assert "is in use by process" in claim(configure(f"run_dir={tmp_path / 'r'}", "resume=auto"))
        assert job.pid is not None
        os.kill(job.pid, signal.SIGKILL)
        job.join()
        assert claim(configure(f"run_dir={tmp_path / 'r'}", "resume=auto")) == str(tmp_path / "r")
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lock_holds_within_a_process_and_leaves_nothing(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()} "), locked(tmp_path):
        pass
    with locked(tmp_path, wait=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_leaves_nothing(tmp_path: Path) -> None:
    for target in (f"run_root={tmp_path / 'a' / 'b'}", f"run_dir={tmp_path / 'c' / 'd'}"):
        with (
            pytest.raises(ValueError, match="refused"),
            claimed_run(configure(target), command="", fingerprint=str),
        ):
            raise ValueError("refused")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../esc", "/abs/path", "a/../../b", "", "..", "a\\..\\b"])
def test_a_name_does_not_leave_the_folder_of_runs(name: str, tmp_path: Path) -> None:
    answer = claim(configure(f"run_root={tmp_path / 'runs'}", f"name='{name}'"))
    assert answer.startswith("error: name is")
    assert "below run_root" in answer
    assert list(tmp_path.iterdir()) == []
