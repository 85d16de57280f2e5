"""Which number format trains fastest on this machine."""

from __future__ import annotations

import time
from functools import cache

import torch

ROWS, INPUTS, OUTPUTS, REPEATS = 512, 256, 512, 3  # of the matrix product that is timed, about that of a small model


@cache
def fastest_precision(device: str = "cpu") -> str:
    """Return `bf16` where a matrix product is faster in it than in float32, else `32`.

    Processors without instructions for bf16 emulate it, more slowly than float32. On an accelerator the answer
    is `bf16` where the device supports it.

    Parameters
    ----------
    device
        `cpu`, or the type of an accelerator such as `cuda`.
    """
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if device != "cpu":
        return "32"
    inputs, weights = torch.ones(ROWS, INPUTS), torch.ones(INPUTS, OUTPUTS)
    return "bf16" if _seconds(inputs.bfloat16(), weights.bfloat16()) < _seconds(inputs, weights) else "32"


def _seconds(inputs: torch.Tensor, weights: torch.Tensor) -> float:
    """Return the CPU time of the fastest of a few products; the first one also starts the threads and is not timed."""
    torch.mm(inputs, weights)
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        torch.mm(inputs, weights)
        times.append(time.process_time() - begin)
    return min(times)
