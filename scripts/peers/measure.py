"""Time and memory of steps that take turns, and tables of them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

Step = Callable[[], Any]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Clock:
    """Seconds of a step on a device. `cpu` counts the seconds of all threads: a way out on a busy machine, where the
    wall clock counts what others do; it does not see threads that wait for each other."""

    device: str = "cpu"
    kind: str = "wall"

    def __call__(self, step: Step) -> float:
        read = time.process_time if self.kind == "cpu" else time.perf_counter
        self.wait()
        begun = read()
        step()
        self.wait()
        return read() - begun

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def alternate(
    steps: Mapping[Key, Step], *, clock: Callable[[Step], float], rounds: int, warm: int = 2
) -> dict[Key, list[float]]:
    """Seconds of each step in each round. All take turns, in the opposite order every other round, so that what slows
    the machine for a while slows all of them."""
    for step in steps.values():
        for _ in range(warm):
            step()
    taken: dict[Key, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps) if number % 2 == 0 else reversed(list(steps)):
            taken[name].append(clock(steps[name]))
    return taken


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: each compares two neighbours in time."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def repeat(step: Step, *, clock: Clock, seconds: float, most: int = 20) -> float:
    """The median of as many runs as fit into about `seconds`, after one that is not counted; at least one."""
    spent = clock(step)
    taken: list[float] = []
    while not taken or (sum(taken) + spent < seconds and len(taken) < most):
        taken.append(clock(step))
    return statistics.median(taken)


def milliseconds(seconds: Sequence[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.1f}"


def resident() -> int | None:
    """Bytes of this process that are in memory now."""
    return _status("VmRSS")


def peak_resident() -> int | None:
    """The most that were at any time. Not ru_maxrss: a started process inherits the parent's there."""
    return _status("VmHWM")


def _status(field: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    return int(status.read_text().split(f"{field}:")[1].split()[0]) * 1024


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if info.is_file() and names else platform.processor() or platform.machine()


def surroundings(device: str) -> str:
    """Where numbers were taken: without it they say nothing."""
    packages = ("torch", "transformers", "neuralforecast", "chronos-forecasting", "mamba_ssm")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    load = (
        f", load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores at the start" if hasattr(os, "getloadavg") else ""
    )
    place = torch.cuda.get_device_name() if device == "cuda" else processor()
    return f"{place}, {torch.get_num_threads()} thread(s){load}; Python {platform.python_version()}, {versions}"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table with the keys of the first row as its head."""
    if not rows:
        return "(no rows)\n"
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row.get(key, "")) for key in head] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
