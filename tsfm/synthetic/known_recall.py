"""Recall in context: values that the past holds once or more, and that nothing else predicts. N windows.

Recall is multi-query associative recall (MQAR, arXiv:2312.04927) as a series: patches with random shapes are keys, and
the patch after a key is its value. The delay probe is a copy of noise from a fixed number of steps before.
"""

from __future__ import annotations

from functools import partial

import torch

from tsfm.synthetic.known_base import KnownKind, KnownWindows, WindowSize, normal, split_window
from tsfm.synthetic.rng import Sampler

PATCH = 8  # steps of a key and of a value
PAIRS = (4, 8, 16)
DELAYS = (48, 96, 192)
CUE = 24  # steps of the past that are already a copy


def draw_recall(num_pairs: int, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return pairs of a key and its value in random order; the past ends with the key of a pair that it holds.

    The first steps that no whole pair fills are noise.
    """
    count = (size.context - PATCH) // (2 * PATCH)
    order = rng.integers(size.num, count, low=0, high=num_pairs - 1)
    query = order.gather(1, rng.integers(size.num, 1, low=0, high=count - 1))
    table = normal(rng, size.num, num_pairs, 2 * PATCH)
    rows = torch.arange(size.num)[:, None]
    pairs = table[rows, torch.cat([order, query], 1)].flatten(1)
    first = normal(rng, size.num, size.context - PATCH - count * 2 * PATCH)
    return split_window(torch.cat([first, pairs], 1)[:, None, : size.steps], size)


def draw_delayed(delay: int, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return white noise that begins, shortly before the end of the past, to repeat what was `delay` steps before."""
    values = normal(rng, size.num, size.steps)
    for start in range(size.context - CUE, size.steps, delay):
        end = min(start + delay, size.steps)
        values[:, start:end] = values[:, start - delay : end - delay]
    return split_window(values[:, None], size)


KINDS = (
    *(
        KnownKind(f"recall_{pairs}", "recall", partial(draw_recall, pairs), max_horizon=PATCH, min_context=3 * PATCH)
        for pairs in PAIRS
    ),
    *(
        KnownKind(f"delay_{delay}", "recall", partial(draw_delayed, delay), max_horizon=delay, min_context=delay + CUE)
        for delay in DELAYS
    ),
)
