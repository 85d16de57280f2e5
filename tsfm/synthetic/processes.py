"""Stochastic processes: walks, ARMA, exponential smoothing. N rows, L steps, P coefficients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.periods import draw_periods
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import lagged_sum, prefix_scan, random_cycles, read_cycle, step_index, white, zscore

if TYPE_CHECKING:
    from jaxtyping import Float


@GENERATORS("random_walk")
class RandomWalk(Generator):
    """Sums of independent steps: normal, heavy-tailed, or mostly 0; with or without drift; a share is exponentiated."""

    @dataclass
    class Config:
        """Settings of `RandomWalk`."""

        drift: float = 0.1  # most drift of a step, in standard deviations; half of the rows have none
        lazy: float = 0.15  # share of rows that stay where they are at most steps
        geometric: float = 0.3  # share of rows that are exp of a walk, as prices are

        def __post_init__(self) -> None:
            check_range("drift", 0.0, self.drift, least=0.0)
            check_share("lazy", self.lazy)
            check_share("geometric", self.geometric)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        step = white(rng, num, length)
        moves = rng.log_uniform(num, 1, low=0.01, high=0.5)
        lazy = rng.chance(num, 1, rate=config.lazy) & ~rng.chance(num, length, rate=moves)
        step = torch.where(lazy, 0.0, step)
        step = step + rng.normal(num, 1) * config.drift * rng.chance(num, 1, rate=0.5) * ~lazy
        x = step.cumsum(-1)
        geometric = rng.chance(num, 1, rate=config.geometric)
        return torch.where(geometric, torch.exp(zscore(x) * rng.log_uniform(num, 1, low=0.05, high=1.0)), x)


def roots(rng: Sampler, num: int, pairs: int, *, most: float) -> Float[Tensor, "N P"]:
    """Coefficients, 1 first, of a polynomial in the backward shift; its inverse roots are random, within radius `most`.

    A pair is conjugate (a damped cycle) or real; their number is random, up to `pairs`, each within 3/4 of the radius
    of the one before. P is 2 pairs + 1.
    """
    out = torch.zeros(num, 2 * pairs + 1, device=rng.device)
    out[:, 0] = 1.0
    count = rng.integers(num, 1, low=0, high=pairs)
    for k in range(pairs):
        radius = most * 0.75**k * rng.uniform(num, 2) ** 0.5  # two pairs at the edge would cancel all of float32
        angle = math.pi * rng.uniform(num, 1) ** 2  # slow cycles are common
        conjugate = rng.chance(num, 1, rate=0.5)
        real = radius * torch.where(rng.chance(num, 2, rate=0.75), 1.0, -1.0)
        real[:, 1:] *= rng.chance(num, 1, rate=0.5)  # a single root
        both = torch.where(conjugate, 2 * radius[:, :1] * torch.cos(angle), real.sum(-1, keepdim=True))
        product = torch.where(conjugate, radius[:, :1] ** 2, real.prod(-1, keepdim=True))
        longer = out - both * F.pad(out, (1, -1)) + product * F.pad(out, (2, -2))
        out = torch.where(count > k, longer, out)
    return out


@GENERATORS("arima")
class Arima(Generator):
    """ARMA with random roots inside the unit circle, integrated 0 to 2 times, a share with a seasonal root.

    The filter runs over white noise that is twice as long and cyclic, so the first step is as stationary as the last.
    """

    @dataclass
    class Config:
        """Settings of `Arima`."""

        pairs: int = 3  # most pairs of roots, for each of the two polynomials
        radius: float = 0.99  # of the largest root
        seasonal: float = 0.35  # share of rows with a root at a season's lag
        integrated: tuple[float, float, float] = (0.6, 0.32, 0.08)  # odds of 0, 1, 2 sums

        def __post_init__(self) -> None:
            if not 1 <= self.pairs <= 8:
                raise ValueError(f"pairs is {self.pairs}; expected 1 to 8 pairs of roots")
            if not 0 < self.radius < 1:
                raise ValueError(f"radius is {self.radius}; the roots of a stationary process lie in 0 < radius < 1")
            check_share("seasonal", self.seasonal)
            if len(self.integrated) != 3 or min(self.integrated) < 0 or sum(self.integrated) <= 0:
                raise ValueError(f"integrated is {self.integrated}; expected three odds, for 0, 1 and 2 sums")

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config, size = self.config, 2 * length
        over, under = roots(rng, num, config.pairs, most=0.9), roots(rng, num, config.pairs, most=config.radius)
        lag = draw_periods(rng, num, length, fits=4.0, off_calendar=0.2, jitter=0.0)[:, :1].round()
        keep = rng.uniform(num, 1, low=0.5, high=0.97) * rng.chance(num, 1, rate=config.seasonal)
        omega = 2 * math.pi * step_index(length + 1, rng.device) / size
        season = 1 - torch.polar(keep.expand(num, length + 1).contiguous(), -omega * lag)
        response = torch.fft.rfft(over, n=size) / (torch.fft.rfft(under, n=size) * season)
        x = torch.fft.irfft(torch.fft.rfft(white(rng, num, size)) * response, n=size)[:, :length]
        x = zscore(x)
        sums = rng.choose(num, config.integrated)[:, None]
        once = x.cumsum(-1)
        slope = once - once.mean(-1, keepdim=True) * rng.uniform(num, 1)  # else twice summed rows are all parabolas
        return torch.where(sums == 0, x, torch.where(sums == 1, once, slope.cumsum(-1)))


@GENERATORS("ets")
class Ets(Generator):
    """Exponential smoothing in its innovations form: level, damped trend and season driven by one noise.

    Hyndman et al., Forecasting with Exponential Smoothing (2008), chapter 3: l_t = l_{t-1} + phi b_{t-1} + alpha e_t,
    b_t = phi b_{t-1} + beta e_t, s_t = s_{t-m} + gamma e_t. The multiplied form is its exponential.
    """

    @dataclass
    class Config:
        """Settings of `Ets`."""

        trend: float = 0.6  # share of rows with a trend
        season: float = 0.7  # share of rows with a season
        multiplied: float = 0.3  # share of rows that are exponentiated

        def __post_init__(self) -> None:
            for name in ("trend", "season", "multiplied"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        noise = white(rng, num, length)
        alpha = rng.uniform(num, 1) ** 2
        beta = alpha * rng.log_uniform(num, 1, low=0.001, high=0.3) * rng.chance(num, 1, rate=config.trend)
        gamma = (1 - alpha) * rng.log_uniform(num, 1, low=0.005, high=0.4)
        damped = 1 - rng.log_uniform(num, 1, low=0.5 / length, high=0.2)
        phi = torch.where(rng.chance(num, 1, rate=0.6), damped, 1.0)
        start = rng.normal(num, 1) * rng.log_uniform(num, 1, low=0.1, high=10.0) * (1 - phi).clamp_min(1 / length)
        pushed = beta * noise
        pushed[:, :1] += start * rng.chance(num, 1, rate=config.trend)
        slope = prefix_scan(pushed, phi)
        before = torch.cat([torch.zeros_like(slope[:, :1]), (phi * slope)[:, :-1]], -1)
        level = (before + alpha * noise).cumsum(-1) - alpha * noise  # l_{t-1} + phi b_{t-1}

        lag = draw_periods(rng, num, length, fits=3.0, off_calendar=0.2, jitter=0.0)[:, :1].round().long()
        phase = step_index(length, rng.device) / lag
        shape = read_cycle(random_cycles(rng, num), phase) * rng.log_uniform(num, 1, low=0.5, high=10.0)
        moving = lagged_sum(gamma * noise, lag) - gamma * noise  # of the last cycle; the newest noise comes at the end
        season = torch.where(rng.chance(num, 1, rate=config.season), shape + moving, 0.0)
        x = level + season + noise
        strength = rng.log_uniform(num, 1, low=0.05, high=0.7)
        return torch.where(rng.chance(num, 1, rate=config.multiplied), torch.exp(zscore(x) * strength), x)
