"""Trend x season x noise, and plain waves. N rows, L steps."""

from __future__ import annotations

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
    interpolate_knots,
    outliers,
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


def drift(rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
    """Draw a z-scored level: a line, a bent line, a random walk or nothing; a fifth of the rows also jump a few times.

    The rows that have no level are 0.
    """
    kind = rng.choose(num, (0.25, 0.2, 0.25, 0.3))[:, None]
    walk = autoregressive(rng.normal(num, length), 1 - rng.log_uniform(num, 1, low=0.2, high=20) / length)
    line = step_index(length, rng.device) / length
    bent = interpolate_knots(rng.normal(num, 5).cumsum(-1), length)
    level = torch.where(kind == 1, line, torch.where(kind == 2, bent, walk))
    level = zscore(level) * rng.sign(num, 1)
    jump = rng.chance(num, length, rate=1.5 / length) & rng.chance(num, 1, rate=0.2)
    jumps = torch.where(jump, rng.normal(num, length), 0.0).cumsum(-1)
    return torch.where(kind == 0, 0.0, level) + jumps


def seasons(rng: Sampler, num: int, length: int, periods: Float[Tensor, "N 3"]) -> Float[Tensor, "N L"]:
    """Draw the sum of up to three cycles of unit and smaller size, each changing its size slowly."""
    total = torch.zeros(num, length, device=rng.device)
    t = step_index(length, rng.device)
    for k in range(periods.shape[1]):
        period = periods[:, k : k + 1]
        phase = t / period.clamp_min(2.0) + rng.uniform(num, 1)
        size = torch.exp(slow_curve(rng, num, length, knots=4) * rng.uniform(num, 1, high=0.4))
        share = 1.0 if k == 0 else rng.uniform(num, 1, low=0.1, high=1.2)
        total += torch.where(period > 0, share * size * read_cycle(random_cycles(rng, num), phase), 0.0)
    return total


@GENERATORS("seasonal")
class Seasonal(Generator):
    """Up to three nested calendar cycles with drifting level, AR(1) noise and outliers, added or multiplied.

    The parts are those of ForecastPFN (arXiv:2311.01933, section 3) and of Chronos-2's trend-season-irregular set
    (arXiv:2510.15821, section 4); cycles are smooth random profiles rather than lists of sines.
    """

    @dataclass
    class Config:
        """Settings of `Seasonal`."""

        noise: float = 0.6  # most noise, in sizes of the season; each row draws its own, small ones are common
        level: float = 2.0  # most drift of the level, in sizes of the season
        multiplied: float = 0.35  # share of rows whose parts are multiplied
        fits: float = 3.0  # the shortest cycle fits that often into the length
        off_calendar: float = 0.3  # share of rows with continuous periods
        jitter: float = 0.1  # share of rows whose calendar runs a few percent fast or slow

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("level", 0.0, self.level, least=0.0)
            check_range("fits", 2.0, self.fits, least=2.0)
            for name in ("multiplied", "off_calendar", "jitter"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        periods = draw_periods(
            rng, num, length, fits=config.fits, off_calendar=config.off_calendar, jitter=config.jitter
        )
        season = seasons(rng, num, length, periods)
        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1) ** 0.7 * 0.97)
        noise = noise + outliers(rng, num, length)
        level = drift(rng, num, length) * config.level * rng.uniform(num, 1) ** 1.5
        x = season + level + noise * config.noise * rng.uniform(num, 1) ** 2
        strength = rng.log_uniform(num, 1, low=0.1, high=1.0)  # of the logarithm: at 1 peaks are e times the mean
        return torch.where(rng.chance(num, 1, rate=config.multiplied), torch.exp((x * strength).clamp(-8, 8)), x)


@GENERATORS("waves")
class Waves(Generator):
    """Square, triangle, saw and pulse waves of any duty, edges sharp or blurred, with a little noise."""

    @dataclass
    class Config:
        """Settings of `Waves`."""

        noise: float = 0.3  # most noise, in heights of the wave
        fits: float = 2.5  # the wave fits that often into the length

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("fits", 2.0, self.fits, least=2.0)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        period = rng.log_uniform(num, 1, low=4.0, high=length / self.config.fits)
        whole = rng.chance(num, 1, rate=0.5)
        period = torch.where(whole, period.round(), period)
        wander = slow_curve(rng, num, length) * rng.uniform(num, 1, high=0.1) * rng.chance(num, 1, rate=0.2)
        phase = step_index(length, rng.device) / period + rng.uniform(num, 1) + wander
        phase = phase - phase.floor()
        duty = rng.uniform(num, 1, low=0.05, high=0.95)
        square = (phase < duty).float()
        triangle = torch.where(phase < duty, phase / duty, (1 - phase) / (1 - duty))
        stairs = (phase * rng.integers(num, 1, low=2, high=8)).floor() / 8
        kind = rng.choose(num, (3.0, 2.0, 2.0, 1.0))[:, None]
        x = torch.where(kind == 0, square, torch.where(kind == 1, triangle, torch.where(kind == 2, phase, stairs)))
        level = torch.where(rng.chance(num, 1, rate=0.3), slow_curve(rng, num, length), 0.0) * 0.5
        height = rng.normal(num, 64).gather(1, segment_index(rng, num, length, 2.0 / period).clamp_max(63))
        x = x * torch.where(rng.chance(num, 1, rate=0.2), 1 + 0.3 * height, 1.0)
        return x + level + white(rng, num, length) * self.config.noise * rng.uniform(num, 1) ** 2
