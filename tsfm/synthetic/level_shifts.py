"""Seasonal series whose level changes at once and whose season goes on at once. N rows, L steps, K segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range
from tsfm.synthetic.periods import draw_periods
from tsfm.synthetic.renewal import alternating_states
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import autoregressive, random_cycles, read_cycle, segment_index, step_index, white

if TYPE_CHECKING:
    from jaxtyping import Float

KINDS = ("level", "visit", "scale", "closed")  # a new level; another level for a while; a new size; nothing for a while


@GENERATORS("level_shift")
class LevelShift(Generator):
    """A season that keeps its phase while the level or the size jumps, for good or for a while.

    A new level, a visit to another level that ends at once (holiday, outage), a new size of the season, or a closed
    stretch at the floor after which the season goes on as if nothing had been.
    """

    @dataclass
    class Config:
        """Settings of `LevelShift`."""

        noise: float = 0.3  # most noise, in sizes of the season
        most: float = 12.0  # mean number of changes, log-uniform from 1
        kinds: tuple[float, float, float, float] = (0.3, 0.3, 0.15, 0.25)  # odds of level, visit, scale, closed

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("most", 1.0, self.most, least=1.0)
            if len(self.kinds) != 4 or min(self.kinds) < 0 or sum(self.kinds) <= 0:
                raise ValueError(f"kinds is {self.kinds}; expected four odds: {', '.join(KINDS)}")

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        periods = draw_periods(rng, num, length, fits=4.0, off_calendar=0.2, jitter=0.0).round()
        t = step_index(length, rng.device)
        first = periods[:, :1].clamp_min(3.0)
        season = read_cycle(random_cycles(rng, num), t / first + rng.uniform(num, 1))
        second = read_cycle(random_cycles(rng, num, most=7), t / periods[:, 1:2].clamp_min(3.0) + rng.uniform(num, 1))
        season = season + second * rng.uniform(num, 1) * (periods[:, 1:2] > 0) * rng.chance(num, 1, rate=0.5)

        changes = rng.log_uniform(num, 1, low=1.0, high=min(config.most, length / 8))
        segment = segment_index(rng, num, length, changes / length)
        table = rng.normal(num, int(segment.max()) + 1) * rng.log_uniform(num, 1, low=0.7, high=5.0)
        away, which = self.away(rng, first, changes, length)
        visits = rng.normal(num, int(which.max()) + 1)
        kind = rng.choose(num, config.kinds)[:, None]
        level = torch.where(kind == 0, table.gather(1, segment), 0.0)
        height = rng.sign(num, 1) * rng.log_uniform(num, 1, low=0.7, high=6.0)
        level = torch.where((kind == 1) & away, height * (1 + 0.2 * visits.gather(1, which)), level)
        size = torch.where(kind == 2, torch.exp(0.5 * table).clamp(0.1, 8.0).gather(1, segment), 1.0)
        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.9)) * rng.uniform(num, 1) ** 2
        x = season * size + level + config.noise * noise * size
        floor = season.amin(-1, keepdim=True) - rng.uniform(num, 1, high=1.0)
        return torch.where((kind == 3) & away, floor, x)

    def away(self, rng: Sampler, period: Float[Tensor, "N 1"], changes: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return where a row is away, and the number of the visit; in half of the rows visits are whole cycles long."""
        num, count = len(period), 64
        every = length / changes.clamp_min(2.0)
        stay = rng.log_uniform(num, 1, low=0.03, high=0.4) * every
        whole = rng.chance(num, 1, rate=0.5)
        stay = torch.where(whole, (stay / period).ceil() * period, stay)
        gaps = every * torch.exp(0.6 * rng.normal(num, count))
        gaps = torch.where(whole, (gaps / period).ceil() * period, gaps)
        present, _ = alternating_states(rng, length, on=gaps, off=stay.expand(num, count))
        begins = torch.cat([torch.zeros_like(present[:, :1]), present[:, 1:] != present[:, :-1]], -1)
        return ~present, begins.cumsum(-1)
