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
from tsfm.synthetic.periods import day
from tsfm.synthetic.rng import Dice
from tsfm.synthetic.signals import autoregressive, outliers, slow, steps, white

if TYPE_CHECKING:
    from jaxtyping import Float, Int

POINTS = 128  # stored phases of a day
KINDS = 4  # working day, Saturday, Sunday, holiday
WEEKS = ((0, 0, 0, 0, 0, 1, 2), (0, 0, 0, 0, 0, 1, 1), (0, 0, 0, 0, 0, 0, 2), (0, 0, 0, 0, 0, 0, 0))


def profiles(dice: Dice, num: int) -> Float[Tensor, "N R"]:
    """What a day looks like: a base, a long hump of activity and up to three peaks; low about phase 0."""
    at = torch.arange(POINTS, device=dice.device)[None] / POINTS
    rise = dice.uniform(num, 1, low=0.2, high=0.4)
    fall = dice.uniform(num, 1, low=0.65, high=0.95)
    edge = dice.log_uniform(num, 2, low=0.008, high=0.08)
    x = (
        dice.uniform(num, 1, high=1.0)
        * torch.sigmoid((at - rise) / edge[:, :1])
        * torch.sigmoid((fall - at) / edge[:, 1:])
    )
    for _ in range(3):
        centre = dice.uniform(num, 1, low=0.25, high=0.9)
        width = dice.log_uniform(num, 1, low=0.012, high=0.12)
        height = dice.uniform(num, 1, low=-0.3, high=1.2) * dice.chance(num, 1, rate=0.7)
        x = x + height * torch.exp(-0.5 * ((at - centre) / width) ** 2)
    return x


def day_profiles(dice: Dice, num: int) -> Float[Tensor, "N K R"]:
    """One profile per kind of day: weekends and holidays are the working day reshaped and mostly smaller."""
    work = profiles(dice, num)
    table = [work]
    for _ in range(KINDS - 1):
        share = dice.uniform(num, 1) * dice.chance(num, 1, rate=0.8)
        other = (1 - share) * work + share * profiles(dice, num)
        table.append(other * dice.uniform(num, 1, low=0.25, high=1.15))
    return torch.stack(table, 1)


def kinds(dice: Dice, num: int, days: int, *, holidays: float) -> Int[Tensor, "N days"]:
    """The kind of each day: a weekly plan from a random weekday on, with single holidays."""
    plans = torch.tensor(WEEKS, device=dice.device)[dice.choose(num, (4.0, 3.0, 1.0, 1.5))]
    weekday = (torch.arange(days, device=dice.device)[None] + dice.integers(num, 1, low=0, high=6)) % 7
    rate = dice.uniform(num, 1, high=2 * holidays)
    return torch.where(dice.chance(num, days, rate=rate), KINDS - 1, plans.gather(1, weekday))


@GENERATORS("daytype")
class DayType(Generator):
    """A daily profile per kind of day (working, Saturday, Sunday, holiday), as in load, traffic and visits.

    The size of the days is an AR(1), the level walks slowly, the noise is an AR(1) that may grow with the value; some
    rows are counts (Poisson).
    """

    @dataclass
    class Config:
        noise: float = 0.4  # most noise, in heights of the day
        days: float = 4.0  # at least so many days fit into the length, where a day of 6 steps or more can
        holidays: float = 0.03  # mean share of days
        counts: float = 0.2  # share of rows that are Poisson counts
        off_calendar: float = 0.2  # share of rows whose day is no calendar's number of steps

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("days", 2.0, self.days, least=2.0)
            for name in ("holidays", "counts", "off_calendar"):
                check_share(name, getattr(self, name))

    def series(self, dice: Dice, num: int, length: int) -> Float[Tensor, "N L"]:
        config = self.config
        steps_a_day = day(dice, num, length, least=config.days, off_calendar=config.off_calendar)
        clock = steps(length, dice.device) / steps_a_day + dice.uniform(num, 1)
        today = clock.long()
        phase = (clock - today) * POINTS
        days = int(today.max()) + 2
        kind = kinds(dice, num, days, holidays=config.holidays).gather(1, today)
        table = F.pad(day_profiles(dice, num).flatten(1), (0, 1))
        index = kind * POINTS + phase.long()
        low = table.gather(1, index)
        x = low + (phase - phase.floor()) * (table.gather(1, index + (phase.long() < POINTS - 1)) - low)

        change = autoregressive(dice.normal(num, days), dice.uniform(num, 1, high=0.95))
        size = (1 + 0.25 * dice.uniform(num, 1) ** 2 * change).clamp_min(0.1).gather(1, today)
        year = 1 + 0.4 * dice.uniform(num, 1) * torch.sin(2 * math.pi * (clock / 365.25 + dice.uniform(num, 1)))
        walk = slow(dice, num, length, knots=8) * dice.uniform(num, 1) ** 2 * 0.5
        base = dice.uniform(num, 1, high=1.0) * dice.chance(num, 1, rate=0.8)
        x = (base + x * size) * year + walk

        noise = autoregressive(white(dice, num, length), dice.uniform(num, 1, high=0.97)) + outliers(dice, num, length)
        grows = torch.where(dice.chance(num, 1, rate=0.6), 0.2 + x.abs(), 1.0)
        x = x + noise * grows * config.noise * dice.uniform(num, 1) ** 1.5
        counted = dice.chance(num, 1, rate=config.counts)
        counts = dice.poisson(x.clamp_min(0.0) * dice.log_uniform(num, 1, low=2.0, high=300.0))
        floored = torch.where(dice.chance(num, 1, rate=0.4), x.clamp_min(0.0), x)
        return torch.where(counted, counts, floored)


@GENERATORS("solar")
class Solar(Generator):
    """Sunlit half-days clipped at 0, dimmed by clouds that last for days and for minutes, sometimes with a ceiling."""

    @dataclass
    class Config:
        clouds: float = 0.9  # most of the light that a cloudy day can lose
        days: float = 3.0  # at least so many days fit into the length, where a day of 6 steps or more can

        def __post_init__(self) -> None:
            check_share("clouds", self.clouds)
            check_range("days", 2.0, self.days, least=2.0)

    def series(self, dice: Dice, num: int, length: int) -> Float[Tensor, "N L"]:
        steps_a_day = day(dice, num, length, least=self.config.days, off_calendar=0.1)
        clock = steps(length, dice.device) / steps_a_day + dice.uniform(num, 1)
        today = clock.long()
        tilt = dice.uniform(num, 1, high=0.6) * torch.sin(2 * math.pi * (clock / 365.25 + dice.uniform(num, 1)))
        light = (tilt - torch.cos(2 * math.pi * (clock - today))).clamp_min(0.0) / (1 + tilt)
        light = light ** dice.uniform(num, 1, low=0.8, high=1.6)
        days = int(today.max()) + 1
        lasting = autoregressive(dice.normal(num, days), dice.uniform(num, 1, high=0.8)).gather(1, today)
        passing = autoregressive(dice.normal(num, length), 1 - 3 / steps_a_day.clamp_min(4.0))
        cloud = torch.sigmoid(1.5 * lasting + dice.uniform(num, 1, high=2.0) * passing - dice.uniform(num, 1, high=3.0))
        x = light * (1 - self.config.clouds * dice.uniform(num, 1) ** 0.5 * cloud)
        ceiling = torch.where(dice.chance(num, 1, rate=0.25), dice.uniform(num, 1, low=0.5, high=0.95), 2.0)
        x = torch.minimum(x, ceiling)
        sensor = dice.normal(num, length) * 0.01 * dice.chance(num, 1, rate=0.2)
        return x + sensor * (x > 0)
