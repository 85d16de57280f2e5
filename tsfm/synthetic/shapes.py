"""Series with a shape: steps, bent lines, spikes, growth, oscillations. N rows, L steps, K segments or knots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.periods import draw_periods
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import (
    autoregressive,
    coloured_noise,
    interpolate_knots,
    latest_true,
    random_cycles,
    read_cycle,
    segment_index,
    slow_curve,
    step_index,
    white,
    zscore,
)

if TYPE_CHECKING:
    from jaxtyping import Float


def little_noise(rng: Sampler, num: int, length: int, *, most: float) -> Float[Tensor, "N L"]:
    """AR(1) noise, small in most rows and absent in a fifth."""
    noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.9))
    return noise * most * rng.uniform(num, 1) ** 2 * rng.chance(num, 1, rate=0.8)


def little_season(rng: Sampler, num: int, length: int, *, share: float) -> Float[Tensor, "N L"]:
    """One calendar cycle of unit size in a share of the rows."""
    period = draw_periods(rng, num, length, fits=3.0, off_calendar=0.3, jitter=0.1)[:, :1]
    turn = read_cycle(random_cycles(rng, num), step_index(length, rng.device) / period + rng.uniform(num, 1))
    return turn * rng.chance(num, 1, rate=share)


@GENERATORS("steps")
class Steps(Generator):
    """Piecewise constant levels: new ones, a few that return, a staircase, or a counter that is reset; with noise."""

    @dataclass
    class Config:
        """Settings of `Steps`."""

        most: float = 40.0  # mean number of segments, log-uniform from 2
        noise: float = 0.4  # most noise, in sizes of a step

        def __post_init__(self) -> None:
            check_range("most", 2.0, self.most, least=2.0)
            check_range("noise", 0.0, self.noise, least=0.0)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        rate = rng.log_uniform(num, 1, low=2.0, high=min(self.config.most, length / 4)) / length
        segment = segment_index(rng, num, length, rate)
        table = rng.normal(num, int(segment.max()) + 1)
        few = rng.normal(num, 5).gather(
            1, rng.integers(*table.shape, low=0, high=4) % rng.integers(num, 1, low=2, high=5)
        )
        stair = (table.abs() + 0.2).cumsum(-1) * rng.sign(num, 1)
        at = step_index(length, rng.device)
        since = at - latest_true(torch.cat([torch.ones_like(segment[:, :1]), segment.diff(dim=-1)], -1) > 0)
        fresh = table.gather(1, segment)
        counter = since * rate * torch.where(rng.chance(num, 1, rate=0.5), 1.0, fresh.abs() + 0.2)
        kind = rng.choose(num, (0.35, 0.35, 0.15, 0.15))[:, None]
        x = torch.where(kind == 0, fresh, torch.where(kind == 1, few.gather(1, segment), stair.gather(1, segment)))
        x = torch.where(kind == 3, counter, x)
        wild = torch.exp(rng.normal(*table.shape) * 0.7 * rng.chance(num, 1, rate=0.4)).gather(1, segment)
        x = x + wild * little_noise(rng, num, length, most=self.config.noise)
        return x + 0.5 * little_season(rng, num, length, share=0.25)


@GENERATORS("piecewise_trend")
class PiecewiseTrend(Generator):
    """Lines that bend at random steps, with season and noise; a share is exponentiated."""

    @dataclass
    class Config:
        """Settings of `PiecewiseTrend`."""

        most: float = 12.0  # mean number of bends, log-uniform from 1
        noise: float = 0.5  # most noise, after z-scoring the trend
        season: float = 0.5  # share of rows with a cycle

        def __post_init__(self) -> None:
            check_range("most", 1.0, self.most, least=1.0)
            check_range("noise", 0.0, self.noise, least=0.0)
            check_share("season", self.season)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        segment = segment_index(rng, num, length, rng.log_uniform(num, 1, low=1.0, high=self.config.most) / length)
        slope = rng.normal(num, int(segment.max()) + 1) + rng.normal(num, 1)
        x = zscore(slope.gather(1, segment).cumsum(-1))
        size = rng.log_uniform(num, 1, low=0.1, high=1.0)
        x = x + size * little_season(rng, num, length, share=self.config.season)
        x = x + little_noise(rng, num, length, most=self.config.noise)
        strength = rng.uniform(num, 1, low=0.1, high=1.0)
        return torch.where(rng.chance(num, 1, rate=0.25), torch.exp(x * strength), x)


@GENERATORS("spikes")
class Spikes(Generator):
    """A flat or wavy base with trapezoid, V-shaped or decaying spikes: every so many steps, or at random times.

    Period 16 to an eighth of the length and trapezoids of a quarter, a half, a quarter as in TinyCast's bank.
    """

    @dataclass
    class Config:
        """Settings of `Spikes`."""

        noise: float = 0.3  # most noise, in heights of a spike
        periodic: float = 0.7  # share of rows with a period

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_share("periodic", self.periodic)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        period = rng.log_uniform(num, 1, low=min(12.0, length / 4), high=max(length / 6, 13.0)).round()
        at = step_index(length, rng.device) + (rng.uniform(num, 1) * period).floor()
        regular = at % period == 0
        regular[:, 0] = True  # what came before the first step is known too
        random = rng.chance(num, length, rate=1 / period)
        begins = torch.where(rng.chance(num, 1, rate=self.config.periodic), regular, random)
        last = latest_true(begins)
        since = step_index(length, rng.device) - last
        width = (rng.uniform(num, 1) ** 2 * period * 0.8).clamp_min(2.0)
        u = since / width
        trapezoid = torch.minimum((4 * u).clamp(0, 1), (4 * (1 - u)).clamp(0, 1))
        triangle = (1 - (2 * u - 1).abs()).clamp_min(0)
        falling = torch.exp(-3 * u)
        kind = rng.choose(num, (0.4, 0.3, 0.3))[:, None]
        shape = torch.where(kind == 0, trapezoid, torch.where(kind == 1, triangle, falling))
        varied = torch.exp(0.5 * rng.normal(num, length) * rng.chance(num, 1, rate=0.5)).gather(1, last)
        x = shape * varied * rng.sign(num, 1)
        x = x + 0.4 * slow_curve(rng, num, length) * rng.chance(num, 1, rate=0.3)
        return x + little_noise(rng, num, length, most=self.config.noise)


@GENERATORS("growth")
class Growth(Generator):
    """Growth that saturates or not: logistic, Gompertz, exponential, power and Bass curves, up or down, with noise.

    Yearly and quarterly series look like this. Noise is proportional and a cycle is multiplied.
    """

    @dataclass
    class Config:
        """Settings of `Growth`."""

        noise: float = 0.1  # most noise, as a share of the value
        walk: float = 0.5  # share of rows whose logarithm also walks
        season: float = 0.4  # share of rows with a cycle

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_share("walk", self.walk)
            check_share("season", self.season)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        t = step_index(length, rng.device) / length
        rate = rng.log_uniform(num, 1, low=3.0, high=25.0)
        middle = rng.uniform(num, 1, low=-0.1, high=1.1)
        logistic = torch.sigmoid(rate * (t - middle))
        gompertz = torch.exp(-torch.exp((-rate * (t - middle)).clamp_max(30)))
        exponential = torch.exp(rng.log_uniform(num, 1, low=0.3, high=5.0) * (t - 1))
        power = (t + 0.02) ** rng.log_uniform(num, 1, low=0.3, high=3.0)
        p, q = rng.log_uniform(num, 1, low=0.003, high=0.05), rng.uniform(num, 1, low=0.2, high=0.8)
        years = t * rng.uniform(num, 1, low=8.0, high=40.0)
        fading = torch.exp(-(p + q) * years)
        bass = (p + q) ** 2 / p * fading / (1 + q / p * fading) ** 2  # sales; adoptions are a logistic
        bass = bass / bass.amax(-1, keepdim=True)
        kind = rng.choose(num, (0.25, 0.15, 0.25, 0.25, 0.1))[:, None]
        x = torch.where(kind == 0, logistic, torch.where(kind == 1, gompertz, exponential))
        x = torch.where(kind == 3, power, torch.where(kind == 4, bass, x))
        x = torch.where(rng.chance(num, 1, rate=0.2), x.flip(-1), x)
        x = rng.uniform(num, 1, high=1.0) * rng.chance(num, 1, rate=0.6) + x
        walk = zscore(rng.normal(num, length).cumsum(-1)) * rng.uniform(num, 1, high=0.15)
        relative = walk * rng.chance(num, 1, rate=self.config.walk)
        relative = relative + 0.15 * rng.uniform(num, 1) * little_season(rng, num, length, share=self.config.season)
        relative = relative + little_noise(rng, num, length, most=self.config.noise).clamp(-2, 2)
        return x * torch.exp(relative)


@GENERATORS("oscillators")
class Oscillators(Generator):
    """One to three sines whose frequency and amplitude move: AM, FM, chirps, ringing that decays and starts anew."""

    @dataclass
    class Config:
        """Settings of `Oscillators`."""

        noise: float = 0.3  # most noise, in amplitudes
        fits: float = 2.5  # the slowest sine turns that often in the length

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("fits", 1.0, self.fits, least=1.0)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        t = step_index(length, rng.device)
        total = torch.zeros(num, length, device=rng.device)
        for k in range(3):
            turns = length / rng.log_uniform(num, 1, low=4.0, high=length / self.config.fits)
            bend = rng.uniform(num, 1, low=-0.7, high=0.7) * rng.chance(num, 1, rate=0.2)  # chirp: +- bend of the pace
            u = t / length
            phase = turns * (u + bend * u * (u - 1)) + rng.uniform(num, 1)
            beat = 2 * math.pi * (u * rng.log_uniform(num, 1, low=0.5, high=12.0) + rng.uniform(num, 1))
            phase = phase + rng.uniform(num, 1, high=0.6) * rng.chance(num, 1, rate=0.2) * torch.sin(beat)
            size = 1 + rng.uniform(num, 1, high=0.95) * rng.chance(num, 1, rate=0.35) * torch.cos(beat)
            struck = rng.chance(num, length, rate=rng.log_uniform(num, 1, low=1.0, high=10.0) / length)
            decay = torch.exp(-(t - latest_true(struck)) / length * rng.log_uniform(num, 1, low=2.0, high=40.0))
            size = size * torch.where(rng.chance(num, 1, rate=0.2), decay, 1.0)
            share = 1.0 if k == 0 else rng.uniform(num, 1, low=0.2, high=1.2) * rng.chance(num, 1, rate=0.5)
            total += share * size * torch.sin(2 * math.pi * phase)
        pink = coloured_noise(rng, num, length, rng.uniform(num, 1, high=1.5))
        bent = interpolate_knots(rng.normal(num, 3), length) * rng.chance(num, 1, rate=0.3)
        return total + bent + pink * self.config.noise * rng.uniform(num, 1) ** 2
