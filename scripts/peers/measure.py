"""Measure time and memory of steps that take turns, and print tables of them."""

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
class Timer:
    """Measure the seconds of a step on a device.

    The kind `cpu` counts the seconds of all threads. It suits a busy machine, where the wall clock also counts other
    programs, but it does not count threads that wait for each other.
    """

    device: str = "cpu"
    kind: str = "wall"

    def __call__(self, step: Step) -> float:
        """Run a step and return its seconds."""
        seconds = time.process_time if self.kind == "cpu" else time.perf_counter
        self.wait()
        start = seconds()
        step()
        self.wait()
        return seconds() - start

    def wait(self) -> None:
        """Wait for the work that a GPU has begun."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def alternate(
    steps: Mapping[Key, Step], *, timer: Callable[[Step], float], rounds: int, warm: int = 2
) -> dict[Key, list[float]]:
    """Return the seconds of each step in each round, after `warm` runs that are not counted.

    The steps take turns, in the opposite order every second round, so that what slows the machine for a while slows
    all of them.
    """
    for step in steps.values():
        for _ in range(warm):
            step()
    taken: dict[Key, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps) if number % 2 == 0 else reversed(list(steps)):
            taken[name].append(timer(steps[name]))
    return taken


def ratio(seconds: Sequence[float], peer_seconds: Sequence[float]) -> float:
    """Return the median over the rounds of the ratio of both; a round compares runs that are next to each other."""
    return statistics.median(a / b for a, b in zip(seconds, peer_seconds, strict=True))


def repeat(step: Step, *, timer: Timer, seconds: float, most: int = 20) -> float:
    """Return the median of as many runs as fit into about `seconds`, at least one, after one that is not counted."""
    first = timer(step)
    taken: list[float] = []
    while not taken or (sum(taken) + first < seconds and len(taken) < most):
        taken.append(timer(step))
    return statistics.median(taken)


def milliseconds(seconds: Sequence[float]) -> str:
    """Return the median in milliseconds, as text."""
    return f"{1e3 * statistics.median(seconds):.1f}"


def resident() -> int | None:
    """Return the bytes of this process that are in memory; None if the system does not report them."""
    return _status("VmRSS")


def peak_resident() -> int | None:
    """Return the largest number of bytes that were in memory. Not ru_maxrss, which a new process inherits."""
    return _status("VmHWM")


def _status(field: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    return int(status.read_text().split(f"{field}:")[1].split()[0]) * 1024


def version(package: str) -> str:
    """Return the installed version of a package, or "absent"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def processor() -> str:
    """Return the name of the CPU."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if info.is_file() and names else platform.processor() or platform.machine()


def environment(device: str) -> str:
    """Return the device, the threads, the load and the versions of the libraries, which numbers depend on."""
    packages = ("torch", "transformers", "neuralforecast", "chronos-forecasting", "mamba_ssm")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    load = (
        f", load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores at the start" if hasattr(os, "getloadavg") else ""
    )
    hardware = torch.cuda.get_device_name() if device == "cuda" else processor()
    return f"{hardware}, {torch.get_num_threads()} thread(s){load}; Python {platform.python_version()}, {versions}"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table; its columns are the keys of the first row."""
    if not rows:
        return "(no rows)\n"
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row.get(key, "")) for key in head] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
