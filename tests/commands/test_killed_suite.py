"""`tsfm suite quick`, killed at random points and repeated, ends with the table of an uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tsfm.results import read_results

COMMAND = [sys.executable, "-m", "tsfm", "suite", "quick"]
KEYS = ["protocol", "data", "subset", "context", "horizon", "setting", "seed", "model", "experiment", "metric"]


def start(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    with (folder / "log.txt").open("ab") as log:
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.Popen(COMMAND, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True)


def table(folder: Path) -> pd.DataFrame:
    """Return the values by everything that names them; no value may be there twice."""
    rows = read_results(folder / "results", suite="quick")
    assert set(rows["status"]) == {"done"}
    assert not rows.duplicated(KEYS).any()
    return rows.set_index(KEYS)["value"].sort_index()


@pytest.mark.slow
@pytest.mark.realdata
def test_a_killed_suite_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    begun = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - begun
    expected, rng = table(tmp_path / "whole"), random.Random(0)
    for attempt in range(3):
        process = start(tmp_path / "killed")
        try:
            process.wait(timeout=rng.uniform(0.15, 0.5) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        print(f"attempt {attempt}: {len(list((tmp_path / 'killed' / 'results').glob('*.parquet')))} jobs are done")
    assert start(tmp_path / "killed").wait() == 0
    pd.testing.assert_series_equal(table(tmp_path / "killed"), expected, check_exact=True)


@pytest.mark.slow
@pytest.mark.realdata
def test_two_suites_at_once_lose_no_row_and_compute_nothing_twice(tmp_path: Path) -> None:
    both = [start(tmp_path / "both") for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    rows = read_results(tmp_path / "both" / "results", suite="quick")
    assert not rows.duplicated(KEYS).any()
    assert rows["job"].nunique() == 21
