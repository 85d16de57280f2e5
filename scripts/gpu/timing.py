"""Seconds and memory of a step on a device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

Step = Callable[[], object]


def seconds_of(step: Step, device: str, *, rounds: int = 5, warm: int = 2) -> float:
    """Return the median of the seconds of a step, each round synchronized with the device."""
    for _ in range(warm):
        step()
    taken = []
    for _ in range(rounds):
        _wait(device)
        start = time.perf_counter()
        step()
        _wait(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def peak_mib(step: Step, device: str) -> float | None:
    """Return the most memory that tensors take during a step, in MiB; None on a CPU."""
    if device != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    step()
    _wait(device)
    return round(torch.cuda.max_memory_allocated() / 2**20, 1)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
