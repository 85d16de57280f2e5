"""The states of the jobs of a sweep, a small file each, which every process of the sweep can write and read."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tsfm.files import write_text

RUNNING, DONE, REUSED, FAILED = "running", "done", "reused", "failed"
STATES = (DONE, REUSED, FAILED, RUNNING)


@dataclass(frozen=True)
class JobState:
    """How far a job of a sweep is.

    Attributes
    ----------
    number
        Of the job, from 0.
    settings
        Those that differ between the jobs.
    status
        One of `STATES`; `reused` is a job whose result was in the store already.
    detail
        The first metric of a finished job, or the error of a failed one.
    started, seconds
        Unix time, and how long the job took; 0 while it runs.
    """

    number: int
    settings: str
    status: str = RUNNING
    detail: str = ""
    started: float = 0.0
    seconds: float = 0.0

    def ended(self, status: str, detail: str) -> JobState:
        """Return the state of the same job after it ended."""
        return replace(self, status=status, detail=detail, seconds=round(time.time() - self.started, 1))


def write_state(folder: Path, state: JobState) -> None:
    """Write the state of a job, which replaces an earlier one."""
    write_text(folder / f"{state.number}.json", json.dumps(asdict(state)) + "\n")


def read_states(folder: Path) -> list[JobState]:
    """Return the states of all jobs that were begun, by number."""
    states = [JobState(**json.loads(file.read_text(encoding="utf-8"))) for file in folder.glob("[0-9]*.json")]
    return sorted(states, key=lambda state: state.number)


def summary(states: Sequence[JobState], total: int | None = None) -> str:
    """Return the number of jobs by state as text.

    Examples
    --------
    >>> summary([JobState(0, "seed=0", DONE), JobState(1, "seed=1", FAILED)], total=3)
    '3 jobs: 1 done, 1 failed'
    """
    counts = Counter(state.status for state in states)
    listed = ", ".join(f"{counts[status]} {status}" for status in STATES if counts[status])
    return f"{total or len(states)} jobs: {listed or 'none begun'}"
