"""Read many random inputs in a process of limited memory that is stopped when one input takes too long."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.cases import Case
from tests.fuzz.csv_cases import csv_case
from tests.fuzz.frame_cases import frame_case
from tests.fuzz.parquet_cases import parquet_case
from tests.fuzz.run import FAULTS, run
from tests.fuzz.series_cases import series_case
from tests.fuzz.sheet_cases import sheet_case

SECONDS = 60.0  # for one input, on a busy machine
MEMORY = 6 * 2**30  # bytes of address space of the process
MAKERS: dict[str, Callable[[np.random.Generator], Case]] = {
    "csv": csv_case, "parquet": parquet_case, "series": series_case, "frame": frame_case, "xlsx": sheet_case
}  # fmt: skip


def make(kind: str, seed: int) -> Case:
    """Return the input of a kind and seed."""
    return MAKERS[kind](np.random.default_rng([seed, 1]))


def read_one(kind: str, seed: int, folder: Path) -> list[tuple[str, str, str]]:
    """Return group, verdict and description of each door for one input."""
    case = make(kind, seed)
    return [
        (
            case.kind,
            outcome.verdict,
            f"{kind} {seed}, {outcome.door}: {outcome.message} {case.mutations} {case.options}",
        )
        for outcome in run(case, folder)
    ]


def _work(connection: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        while (job := connection.recv()) is not None:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            connection.send((read_one(*job, Path(folder)), peak))


class Campaign:
    """The counts of verdicts, the faults with what shows them, and the largest memory of the process in bytes."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.peak = 0

    def add(self, group: str, verdict: str, text: str) -> None:
        """Count one outcome."""
        self.counts[group, verdict] += 1
        if verdict in FAULTS or verdict in ("HANG", "CRASH"):
            self.faults.append(f"{verdict}: {text}")

    def run(self, jobs: Iterator[tuple[str, int]]) -> None:
        """Read all inputs."""
        context = multiprocessing.get_context("spawn")
        process: Any = None
        for kind, seed in jobs:
            if process is None:
                here, far_end = context.Pipe()
                process = context.Process(target=_work, args=(far_end,), daemon=True)
                process.start()
                far_end.close()
            here.send((kind, seed))
            try:
                if not here.poll(SECONDS):
                    raise TimeoutError
                outcomes, self.peak = here.recv()
                for outcome in outcomes:
                    self.add(*outcome)
            except (TimeoutError, EOFError, ConnectionError) as error:
                self.add(kind, "HANG" if isinstance(error, TimeoutError) else "CRASH", f"{kind} {seed}")
                process.kill()
                process = None
        if process is not None:
            here.send(None)
            process.join()


def jobs(count: int, first: int = 0) -> Iterator[tuple[str, int]]:
    """Yield the kinds and seeds of `count` inputs: three tenths of them CSV, one tenth worksheets."""
    kinds = ("csv", "parquet", "csv", "series", "frame", "csv", "parquet", "frame", "series", "xlsx")
    for number in range(first, first + count):
        yield kinds[number % len(kinds)], number
