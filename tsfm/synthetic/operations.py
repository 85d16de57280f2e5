"""What machines and shops record: demand that comes and goes, bursts, counts, bad sensors. N rows, L steps."""

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
    coloured_noise,
    latest_true,
    prefix_scan,
    random_cycles,
    read_cycle,
    slow_curve,
    step_index,
    white,
    zscore,
)

if TYPE_CHECKING:
    from jaxtyping import Float

INTERVAL, VARIATION = 1.32, 0.49  # the borders of the four classes (Syntetos, Boylan & Croston, JORS 56, 2005)


def rhythm(rng: Sampler, num: int, length: int, *, share: float) -> Float[Tensor, "N L"]:
    """Draw a positive rate of mean 1: a cycle in a share of the rows, times a slow drift."""
    period = draw_periods(rng, num, length, fits=3.0, off_calendar=0.2, jitter=0.05)[:, :1]
    turn = read_cycle(random_cycles(rng, num, most=6), step_index(length, rng.device) / period + rng.uniform(num, 1))
    strength = rng.uniform(num, 1, high=1.0) * rng.chance(num, 1, rate=share)
    rate = torch.exp(strength * turn + slow_curve(rng, num, length) * rng.uniform(num, 1, high=0.5))
    return rate / rate.mean(-1, keepdim=True)


@GENERATORS("intermittent")
class Intermittent(Generator):
    """Demand with a random interval and a random size, in all four classes of Syntetos & Boylan.

    Smooth, erratic (sizes vary), intermittent (intervals do), lumpy (both); borders at a mean interval of 1.32 and a
    squared variation of sizes of .49. Sizes are log-normal, rounded to packs.
    """

    @dataclass
    class Config:
        """Settings of `Intermittent`."""

        classes: tuple[float, float, float, float] = (
            0.15,
            0.15,
            0.4,
            0.3,
        )  # odds of smooth, erratic, intermittent, lumpy
        longest: float = 30.0  # mean interval
        season: float = 0.5  # share of rows whose demand has a cycle

        def __post_init__(self) -> None:
            if len(self.classes) != 4 or min(self.classes) < 0 or sum(self.classes) <= 0:
                raise ValueError(f"classes is {self.classes}; expected four odds: smooth, erratic, intermittent, lumpy")
            check_range("longest", INTERVAL, self.longest, least=INTERVAL)
            check_share("season", self.season)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        kind = rng.choose(num, config.classes)[:, None]
        longest = min(config.longest, length / 4)
        often = rng.uniform(num, 1, low=1.0, high=1.25)
        seldom = rng.log_uniform(num, 1, low=1.5, high=longest)
        interval = torch.where(kind >= 2, seldom, often)
        even = rng.log_uniform(num, 1, low=0.01, high=0.35)
        uneven = rng.log_uniform(num, 1, low=0.7, high=3.0)
        variation = torch.where(kind % 2 == 1, uneven, even)

        rate = rhythm(rng, num, length, share=config.season)
        rate = torch.where(kind >= 2, rate, 1 + 0.1 * (rate - 1))  # a strong cycle would make gaps of its own
        happens = rng.chance(num, length, rate=(rate / interval))
        spread = torch.log1p(variation).sqrt()
        mean = rng.log_uniform(num, 1, low=2.0, high=60.0)
        size = (mean * torch.exp(spread * rng.normal(num, length) - spread * spread / 2)).clamp(max=1e4)
        pack = rng.pick(num, (1.0, 1.0, 1.0, 6.0, 12.0))
        demand = torch.where(happens, size.round().clamp_min(1.0), 0.0) * pack
        silent = demand.amax(-1, keepdim=True) <= 0
        at = rng.integers(num, 1, low=0, high=length - 1)
        return torch.where(silent & (step_index(length, rng.device) == at), pack, demand)


@GENERATORS("bursts")
class Bursts(Generator):
    """Operations: a positive floor, bursts that come at a diurnal rate and decay, stretches of 0, a ceiling, steps."""

    @dataclass
    class Config:
        """Settings of `Bursts`."""

        most: float = 60.0  # bursts in a row; the mean number is log-uniform from 3
        tallest: float = 300.0  # height of a burst in floors, log-uniform from 3
        longest: int = 96  # steps in which a burst falls to 1/e, log-uniform from .5
        zeros: float = 0.3  # share of rows with stretches of 0
        clipped: float = 0.3  # share of rows with a ceiling
        quantised: float = 0.4  # share of rows in whole units

        def __post_init__(self) -> None:
            check_range("most", 3.0, self.most, least=3.0)
            check_range("tallest", 3.0, self.tallest, least=3.0)
            check_range("longest", 1.0, float(self.longest), least=1.0)
            for name in ("zeros", "clipped", "quantised"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        floor = rng.log_uniform(num, 1, low=0.02, high=2.0)
        rate = rhythm(rng, num, length, share=0.6)
        number = rng.log_uniform(num, 1, low=3.0, high=config.most) * rng.log_uniform(num, 1, low=0.7, high=4.0)
        typical = rng.log_uniform(num, 1, low=3.0, high=config.tallest)
        x = rate ** rng.uniform(num, 1, high=1.0)
        for _ in range(2):  # quick and slow bursts
            comes = rng.chance(num, length, rate=rate * number / (2 * length))
            height = typical * torch.exp(0.7 * rng.normal(num, length))
            decay = torch.exp(-1 / rng.log_uniform(num, 1, low=0.5, high=float(config.longest)))
            x = x + prefix_scan(torch.where(comes, height, 0.0), decay)
        x = floor * x * (1 + rng.uniform(num, 1, high=0.2) * white(rng, num, length)).clamp_min(0.05)
        quiet = autoregressive(rng.normal(num, length), 1 - rng.log_uniform(num, 1, low=0.005, high=0.1)) > 1.0
        x = torch.where(quiet & rng.chance(num, 1, rate=config.zeros), 0.0, x)
        ceiling = x.amax(-1, keepdim=True) * rng.uniform(num, 1, low=0.2, high=0.8)
        x = torch.where(rng.chance(num, 1, rate=config.clipped), torch.minimum(x, ceiling), x)
        unit = x.amax(-1, keepdim=True).clamp_min(1e-6) / rng.log_uniform(num, 1, low=5.0, high=200.0)
        return torch.where(rng.chance(num, 1, rate=config.quantised), (x / unit).round() * unit, x)


@GENERATORS("counts")
class Counts(Generator):
    """Events per step: Poisson, or negative binomial with a size of .5 to 20, about a seasonal and drifting rate."""

    @dataclass
    class Config:
        """Settings of `Counts`."""

        mean: float = 200.0  # largest mean count, log-uniform from .5
        season: float = 0.8  # share of rows with a cycle

        def __post_init__(self) -> None:
            check_range("mean", 0.5, self.mean, least=0.5)
            check_share("season", self.season)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        rate = rhythm(rng, num, length, share=self.config.season)
        rate = rate * torch.exp(slow_curve(rng, num, length) * rng.uniform(num, 1) ** 2)
        rate = rate * rng.log_uniform(num, 1, low=0.5, high=self.config.mean)
        keep = rng.uniform(num, 1, high=0.98)
        size = rng.log_uniform(num, 1, low=0.5, high=20.0)
        wander = torch.exp(autoregressive(rng.normal(num, length), keep) / size.sqrt() * rng.chance(num, 1, rate=0.5))
        return rng.poisson((rate * wander).clamp_max(1e5))


@GENERATORS("sensors")
class Sensors(Generator):
    """Smooth quantities through poor sensors: coarse steps, a clipped range, readings that stick or are held."""

    @dataclass
    class Config:
        """Settings of `Sensors`."""

        coarse: float = 0.7  # share of rows in few values
        clipped: float = 0.3  # share of rows with a bounded range
        stuck: float = 0.4  # share of rows that repeat readings

        def __post_init__(self) -> None:
            for name in ("coarse", "clipped", "stuck"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        x = coloured_noise(rng, num, length, rng.uniform(num, 1, low=1.5, high=3.5))
        x = x + torch.log(rhythm(rng, num, length, share=0.6)) * rng.uniform(num, 1, high=2.0)
        x = x + rng.normal(num, length) * rng.log_uniform(num, 1, low=0.005, high=0.2)
        low, high = torch.quantile(x[:, :: max(length // 256, 1)], torch.tensor([0.1, 0.9], device=x.device), dim=-1)
        clipped = torch.maximum(torch.minimum(x, high[:, None]), low[:, None])
        x = torch.where(rng.chance(num, 1, rate=config.clipped), clipped, x)
        every = rng.log_uniform(num, 1, low=2.0, high=min(32.0, length / 8))
        held = x.gather(1, latest_true(rng.chance(num, length, rate=1 / every)))
        x = torch.where(rng.chance(num, 1, rate=config.stuck), held, x)
        unit = zscore(x).amax(-1, keepdim=True).clamp_min(0.1) / rng.log_uniform(num, 1, low=2.0, high=40.0)
        return torch.where(rng.chance(num, 1, rate=config.coarse), (zscore(x) / unit).round() * unit, zscore(x))
