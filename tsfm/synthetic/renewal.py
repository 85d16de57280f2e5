"""Events at random intervals, of many rows at once. N rows, L steps, K intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def interval_index(time: Float[Tensor, "#N L"], intervals: Float[Tensor, "N K"]) -> Int[Tensor, "N L"]:
    """Return how many intervals, laid end to end from 0, have ended by each time; K at most."""
    ends = intervals.cumsum(-1)
    return torch.searchsorted(ends, time.expand(ends.shape[0], -1).contiguous(), right=True)


def interval_start(index: Int[Tensor, "N L"], intervals: Float[Tensor, "N K"]) -> Float[Tensor, "N L"]:
    """Return the time at which the interval of each step begins, for the result of `interval_index`."""
    ends = torch.cat([torch.zeros_like(intervals[:, :1]), intervals.cumsum(-1)], -1)
    return ends.gather(1, index)


def gamma_intervals(
    rng: Sampler, num: int, count: int, *, mean: Float[Tensor, "N 1"], shape: Float[Tensor, "N 1"]
) -> Float[Tensor, "N K"]:
    """Draw gamma intervals: a `shape` of 1 is a Poisson process, a larger one is regular, a smaller one clustered."""
    drawn = rng.gamma(shape.expand(num, count).contiguous())
    return (drawn * (mean / shape)).clamp_min(1e-3)


def alternating_states(
    rng: Sampler, length: int, *, on: Float[Tensor, "N K"], off: Float[Tensor, "N K"]
) -> tuple[Tensor, Tensor]:
    """Return whether each step is on, and the steps since that state began, both `[N, L]`.

    Durations of on and off alternate; the first step lies anywhere in the first pair. Durations are rounded to whole
    steps, at least 1.
    """
    durations = torch.stack([on, off], -1).flatten(1).round().clamp_min(1.0)
    offset = (rng.uniform(len(on), 1) * durations[:, :2].sum(-1, keepdim=True)).floor()
    time = torch.arange(length, device=on.device, dtype=torch.float32)[None] + offset
    index = interval_index(time, durations)
    return index % 2 == 0, time - interval_start(index, durations)
