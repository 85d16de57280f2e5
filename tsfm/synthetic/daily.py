"""Series with days: working days, weekends and holidays; sun. N rows, L steps, R phases of a day, K kinds of day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.periods import draw_day_length
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import autoregressive, outliers, slow_curve, step_index, white

if TYPE_CHECKING:
    from jaxtyping import Float, Int

POINTS = 128  # stored phases of a day
KINDS = 4  # working day, Saturday, Sunday, holiday
WEEKS = ((0, 0, 0, 0, 0, 1, 2), (0, 0, 0, 0, 0, 1, 1), (0, 0, 0, 0, 0, 0, 2), (0, 0, 0, 0, 0, 0, 0))


def profiles(rng: Sampler, num: int) -> Float[Tensor, "N R"]:
    """Draw what a day looks like: a base, a long hump of activity and up to three peaks; low about phase 0."""
    at = torch.arange(POINTS, device=rng.device)[None] / POINTS
    rise = rng.uniform(num, 1, low=0.2, high=0.4)
    fall = rng.uniform(num, 1, low=0.65, high=0.95)
    edge = rng.log_uniform(num, 2, low=0.008, high=0.08)
    x = (
        rng.uniform(num, 1, high=1.0)
        * torch.sigmoid((at - rise) / edge[:, :1])
        * torch.sigmoid((fall - at) / edge[:, 1:])
    )
    for _ in range(3):
        centre = rng.uniform(num, 1, low=0.25, high=0.9)
        width = rng.log_uniform(num, 1, low=0.012, high=0.12)
        height = rng.uniform(num, 1, low=-0.3, high=1.2) * rng.chance(num, 1, rate=0.7)
        x = x + height * torch.exp(-0.5 * ((at - centre) / width) ** 2)
    return x


def day_profiles(rng: Sampler, num: int) -> Float[Tensor, "N K R"]:
    """One profile per kind of day: weekends and holidays are the working day reshaped and mostly smaller."""
    work = profiles(rng, num)
    table = [work]
    for _ in range(KINDS - 1):
        share = rng.uniform(num, 1) * rng.chance(num, 1, rate=0.8)
        other = (1 - share) * work + share * profiles(rng, num)
        table.append(other * rng.uniform(num, 1, low=0.25, high=1.15))
    return torch.stack(table, 1)


def kinds(rng: Sampler, num: int, days: int, *, holidays: float) -> Int[Tensor, "N days"]:
    """Draw the kind of each day: a weekly plan from a random weekday on, with single holidays."""
    plans = torch.tensor(WEEKS, device=rng.device)[rng.choose(num, (4.0, 3.0, 1.0, 1.5))]
    weekday = (torch.arange(days, device=rng.device)[None] + rng.integers(num, 1, low=0, high=6)) % 7
    rate = rng.uniform(num, 1, high=2 * holidays)
    return torch.where(rng.chance(num, days, rate=rate), KINDS - 1, plans.gather(1, weekday))


@GENERATORS("daytype")
class DayType(Generator):
    """A daily profile per kind of day (working, Saturday, Sunday, holiday), as in load, traffic and visits.

    The size of the days is an AR(1), the level walks slowly, the noise is an AR(1) that may grow with the value; some
    rows are counts (Poisson).
    """

    @dataclass
    class Config:
        """Settings of `DayType`."""

        noise: float = 0.4  # most noise, in heights of the day
        days: float = 4.0  # at least so many days fit into the length, where a day of 6 steps or more can
        holidays: float = 0.03  # mean share of days
        counts: float = 0.2  # share of rows that are Poisson counts
        off_calendar: float = 0.2  # share of rows whose day is not a usual number of steps

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("days", 2.0, self.days, least=2.0)
            for name in ("holidays", "counts", "off_calendar"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        steps_a_day = draw_day_length(rng, num, length, least=config.days, off_calendar=config.off_calendar)
        time_in_days = step_index(length, rng.device) / steps_a_day + rng.uniform(num, 1)
        today = time_in_days.long()
        phase = (time_in_days - today) * POINTS
        days = int(today.max()) + 2
        kind = kinds(rng, num, days, holidays=config.holidays).gather(1, today)
        table = F.pad(day_profiles(rng, num).flatten(1), (0, 1))
        index = kind * POINTS + phase.long()
        low = table.gather(1, index)
        x = low + (phase - phase.floor()) * (table.gather(1, index + (phase.long() < POINTS - 1)) - low)

        change = autoregressive(rng.normal(num, days), rng.uniform(num, 1, high=0.95))
        size = (1 + 0.25 * rng.uniform(num, 1) ** 2 * change).clamp_min(0.1).gather(1, today)
        year = 1 + 0.4 * rng.uniform(num, 1) * torch.sin(2 * math.pi * (time_in_days / 365.25 + rng.uniform(num, 1)))
        walk = slow_curve(rng, num, length, knots=8) * rng.uniform(num, 1) ** 2 * 0.5
        base = rng.uniform(num, 1, high=1.0) * rng.chance(num, 1, rate=0.8)
        x = (base + x * size) * year + walk

        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.97)) + outliers(rng, num, length)
        grows = torch.where(rng.chance(num, 1, rate=0.6), 0.2 + x.abs(), 1.0)
        x = x + noise * grows * config.noise * rng.uniform(num, 1) ** 1.5
        counted = rng.chance(num, 1, rate=config.counts)
        counts = rng.poisson(x.clamp_min(0.0) * rng.log_uniform(num, 1, low=2.0, high=300.0))
        floored = torch.where(rng.chance(num, 1, rate=0.4), x.clamp_min(0.0), x)
        return torch.where(counted, counts, floored)


@GENERATORS("solar")
class Solar(Generator):
    """Sunlit half-days clipped at 0, dimmed by clouds that last for days and for minutes, sometimes with a ceiling."""

    @dataclass
    class Config:
        """Settings of `Solar`."""

        clouds: float = 0.9  # most of the light that a cloudy day can lose
        days: float = 3.0  # at least so many days fit into the length, where a day of 6 steps or more can

        def __post_init__(self) -> None:
            check_share("clouds", self.clouds)
            check_range("days", 2.0, self.days, least=2.0)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        steps_a_day = draw_day_length(rng, num, length, least=self.config.days, off_calendar=0.1)
        time_in_days = step_index(length, rng.device) / steps_a_day + rng.uniform(num, 1)
        today = time_in_days.long()
        tilt = rng.uniform(num, 1, high=0.6) * torch.sin(2 * math.pi * (time_in_days / 365.25 + rng.uniform(num, 1)))
        light = (tilt - torch.cos(2 * math.pi * (time_in_days - today))).clamp_min(0.0) / (1 + tilt)
        light = light ** rng.uniform(num, 1, low=0.8, high=1.6)
        days = int(today.max()) + 1
        lasting = autoregressive(rng.normal(num, days), rng.uniform(num, 1, high=0.8)).gather(1, today)
        passing = autoregressive(rng.normal(num, length), 1 - 3 / steps_a_day.clamp_min(4.0))
        cloud = torch.sigmoid(1.5 * lasting + rng.uniform(num, 1, high=2.0) * passing - rng.uniform(num, 1, high=3.0))
        x = light * (1 - self.config.clouds * rng.uniform(num, 1) ** 0.5 * cloud)
        ceiling = torch.where(rng.chance(num, 1, rate=0.25), rng.uniform(num, 1, low=0.5, high=0.95), 2.0)
        x = torch.minimum(x, ceiling)
        sensor = rng.normal(num, length) * 0.01 * rng.chance(num, 1, rate=0.2)
        return x + sensor * (x > 0)
