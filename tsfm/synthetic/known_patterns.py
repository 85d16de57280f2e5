"""Trends, periods and long dependence without noise: the best forecast has no error. N windows, T steps, P period.

Kinds of SynTSBench (arXiv:2510.20273) with random parameters: the parameters of the original are fixed, so that
a model could learn them by heart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.known_base import KnownKind, KnownWindows, WindowSize, normal, split_window, uniform
from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float

Trend = Callable[[Sampler, Tensor, float], Tensor]  # of time from 0 to 1 [1, T] and the share of the past


def linear(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return a line."""
    del past
    return time + uniform(rng, 1, 1)


def quadratic(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return a parabola with its vertex in the first half."""
    del past
    return (time - uniform(rng, 1, 1, high=0.5)).square()


def exponential(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return growth by a factor of 3 to 20."""
    del past
    return torch.exp(uniform(rng, 1, 1, low=1.0, high=3.0) * time)


def logarithm(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return growth that slows down for ever."""
    del past
    return torch.log1p(uniform(rng, 1, 1, low=5.0, high=50.0) * time)


def logistic(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return an S-curve with its middle in the past."""
    middle = past * uniform(rng, 1, 1, low=0.5, high=0.9)
    return torch.sigmoid(uniform(rng, 1, 1, low=8.0, high=15.0) * (time - middle))


def gompertz(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return an asymmetric S-curve."""
    del past
    start, rate = uniform(rng, 1, 1, low=3.0, high=6.0), uniform(rng, 1, 1, low=2.0, high=6.0)
    return torch.exp(-start * torch.exp(-rate * time))


def power(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return a power between the cube root and the cube."""
    del past
    return time ** torch.exp(uniform(rng, 1, 1, low=-1.0, high=1.0) * math.log(3.0))


def step(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return one change of the level, in the past."""
    return (time > past * uniform(rng, 1, 1, low=0.3, high=0.8)).double()


def piecewise(rng: Sampler, time: Tensor, past: float) -> Tensor:
    """Return a line that bends once, in the past."""
    bend = past * uniform(rng, 1, 1, low=0.3, high=0.8)
    before, after = (uniform(rng, 1, 1, low=0.3) * rng.sign(1, 1).double() for _ in range(2))
    return before * torch.minimum(time, bend) + after * (time - bend).clamp_min(0)


TRENDS: tuple[Trend, ...] = (
    linear, quadratic, exponential, logarithm, logistic, gompertz, power, step, piecewise,
)  # fmt: skip


def draw_trend(trend: Trend, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return windows of a trend, up or down, at any level."""
    time = torch.arange(size.steps, dtype=torch.float64)[None] / size.steps
    rows = torch.cat([trend(rng, time, size.context / size.steps) for _ in range(size.num)])
    level, sign = normal(rng, size.num, 1), rng.sign(size.num, 1).double()
    return split_window((level + sign * rows)[:, None], size)


def sine_cycle(rng: Sampler, num: int, periods: Sequence[int]) -> Float[Tensor, "N P"]:
    """Draw a whole cycle of a sum of sines of unit power; amplitudes between 0.5 and 1 before, random phases."""
    length = math.lcm(*periods)
    time = torch.arange(length, dtype=torch.float64)
    total = torch.zeros(num, length, dtype=torch.float64)
    for period in periods:
        amplitude, phase = uniform(rng, num, 1, low=0.5), uniform(rng, num, 1)
        total += amplitude * torch.sin(2 * math.pi * (time / period + phase))
    return total / total.square().mean(-1, keepdim=True).sqrt()


def repeat_cycle(cycle: Float[Tensor, "N P"], size: WindowSize) -> Float[Tensor, "N 1 T"]:
    """Repeat a cycle to whole windows: each value is bit for bit that of a period before."""
    return cycle[:, torch.arange(size.steps) % cycle.shape[-1]][:, None]


def _shift(rng: Sampler, cycle: Float[Tensor, " P"], num: int) -> Float[Tensor, "N P"]:
    """Begin a cycle at random steps, and turn it upside down at random."""
    at = torch.arange(len(cycle)) + rng.integers(num, 1, low=0, high=len(cycle) - 1)
    return cycle[at % len(cycle)] * rng.sign(num, 1).double()


def triangle_cycle(period: int) -> Float[Tensor, " P"]:
    """Return a triangle wave from -1 to 1."""
    time = torch.arange(period, dtype=torch.float64) / period
    return 4 * (time - 0.5).abs() - 1


def sawtooth_cycle(period: int) -> Float[Tensor, " P"]:
    """Return a rise from -1 to 1."""
    return torch.linspace(-1, 1, period, dtype=torch.float64)


def square_cycle(period: int) -> Float[Tensor, " P"]:
    """Return -1 for one half of the period and 1 for the other."""
    return torch.where(torch.arange(period) < period // 2, -1.0, 1.0).double()


def exp_sine_cycle(period: int) -> Float[Tensor, " P"]:
    """Return the exponential of a sine: narrow peaks, wide valleys."""
    return torch.exp(1.5 * torch.sin(2 * math.pi * torch.arange(period, dtype=torch.float64) / period))


def pulse_cycle(period: int, *, width: int = 24) -> Float[Tensor, " P"]:
    """Return a triangular pulse up and, half a period later, one down; 0 between them."""
    height = (1 - (torch.arange(period // 2, dtype=torch.float64) / (width / 2) - 1).abs()).clamp_min(0)
    return torch.cat([height, -height])


def draw_sines(periods: Sequence[int], rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return windows of a sum of sines."""
    return split_window(repeat_cycle(sine_cycle(rng, size.num, periods), size), size)


def draw_cycle(cycle: Float[Tensor, " P"], rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return windows of a cycle that begin at random steps."""
    return split_window(repeat_cycle(_shift(rng, cycle, size.num), size), size)


SINES = {
    "sin_20": (20,),
    "sin_200": (200,),
    "sines_2": (20, 30),
    "sines_3": (12, 20, 30),
    "sines_5": (8, 12, 20, 24, 30),
    "sines_10": (5, 6, 8, 10, 12, 15, 16, 20, 24, 30),
}
CYCLES = {
    "triangle_40": triangle_cycle(40),
    "sawtooth_40": sawtooth_cycle(40),
    "square_40": square_cycle(40),
    "exp_sine_40": exp_sine_cycle(40),
}
LONG_CYCLES = {
    "pulses_96_apart": pulse_cycle(192),
    "triangle_200": triangle_cycle(200),
    "triangle_400": triangle_cycle(400),
}

KINDS = (
    *(KnownKind(trend.__name__, "trend", partial(draw_trend, trend), min_context=8) for trend in TRENDS),
    *(
        KnownKind(name, "period", partial(draw_sines, periods), season=lcm, min_context=lcm)
        for name, periods in SINES.items()
        for lcm in (math.lcm(*periods),)
    ),
    *(
        KnownKind(name, capability, partial(draw_cycle, cycle), season=len(cycle), min_context=len(cycle))
        for capability, cycles in (("period", CYCLES), ("long_dependence", LONG_CYCLES))
        for name, cycle in cycles.items()
    ),
)
