"""Laws of training in several processes: no window counts twice, none waits for ever, a bad loss stops all of them."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tsfm.store.series_store import StoreWriter

LENGTHS = {"long": 203, "short": 70, "tiny": 56}  # steps of the series of each data set: see `two_processes.scenario`
BATCH = 16


def run(folder: Path, *scenarios: str, num: int = 2) -> list[dict[str, Any]]:
    """Return what each process saw in each scenario."""
    for name, length in LENGTHS.items():
        values = np.sin(np.arange(length) / 4) + 0.1 * np.random.default_rng(0).normal(size=length)
        with StoreWriter(folder / "data" / name, channels=["target"]) as writer:
            writer.add("s", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.training.two_processes", str(folder), str(num), *scenarios]
    with (folder / "output.txt").open("w") as output:
        processes = [
            subprocess.Popen(command, env=os.environ | shared | {"LOCAL_RANK": str(rank)}, stdout=output, stderr=output)
            for rank in range(num)
        ]
        try:
            codes = [process.wait(timeout=400) for process in processes]
        finally:
            for process in processes:
                process.kill()
    assert codes == [0] * num, (folder / "output.txt").read_text()[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(num)]


def seen(results: list[dict[str, Any]], scenario: str, split: str) -> list[tuple]:
    """The windows (series, first step) of all processes."""
    return [tuple(window) for result in results for window in result[scenario][split]]


@pytest.mark.slow
def test_no_process_waits_for_one_that_stops_or_has_nothing_to_validate(tmp_path: Path) -> None:
    results = run(tmp_path, "one_window", "nan")
    first, second = (result["one_window"] for result in results)
    assert len(first["val"]) + len(second["val"]) == 1
    assert first["scores"] == second["scores"]
    assert 0 < first["scores"]["val/loss"] < 10
    assert first["weights"] == second["weights"]
    messages = [result["nan"]["message"] for result in results]
    assert [result["nan"]["error"] for result in results] == ["FloatingPointError"] * 2
    assert messages[0].startswith("the loss is not finite in another process at step 2; lower optim.lr")
    assert messages[1].startswith("the loss is nan at step 2; lower optim.lr")


@pytest.mark.slow
def test_windows_are_divided_and_each_validation_window_is_scored_once(tmp_path: Path) -> None:
    """103 training windows: 3 batches of 16 for each process, and the 7 others divided into 3 and 4."""
    results = run(tmp_path, "uneven")
    first, second = (result["uneven"] for result in results)
    for batches, last in ((first["train"], 3), (second["train"], 4)):
        assert [len(batch) for batch in batches] == [BATCH, BATCH, BATCH, last] * 2
    for epoch in (slice(0, 4), slice(4, 8)):
        windows = [tuple(w) for result in (first, second) for batch in result["train"][epoch] for w in batch]
        assert len(set(windows)) == len(windows) == 103
    validated = seen(results, "uneven", "val")
    assert len(set(validated)) == len(validated) == 14
    assert (first["scores"], first["weights"], first["steps"]) == (second["scores"], second["weights"], 8)


@pytest.mark.slow
def test_windows_drawn_with_replacement_differ_by_process(tmp_path: Path) -> None:
    results = run(tmp_path, "random")
    batches = [tuple(map(tuple, batch)) for result in results for batch in result["random"]["train"]]
    assert len(batches) == 12
    assert all(a != b for a, b in itertools.combinations(batches, 2))
    assert results[0]["random"]["weights"] == results[1]["random"]["weights"]


@pytest.mark.slow
def test_fewer_windows_than_processes_are_refused_in_every_process(tmp_path: Path) -> None:
    for result in run(tmp_path, "few_windows"):
        assert result["few_windows"]["error"] == "ValueError"
        assert "1 train windows are fewer than the 2 processes; train with fewer" in result["few_windows"]["message"]


@pytest.mark.slow
def test_two_of_three_processes_without_a_validation_window(tmp_path: Path) -> None:
    results = run(tmp_path, "one_window", num=3)
    assert [len(result["one_window"]["val"]) for result in results] == [0, 0, 1]
    assert (
        results[0]["one_window"]["scores"] == results[1]["one_window"]["scores"] == results[2]["one_window"]["scores"]
    )
