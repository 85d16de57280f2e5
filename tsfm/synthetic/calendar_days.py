"""Daily series that follow a calendar: weekdays, days of the month, holidays, the year. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.dates import NUM_DAYS, calendar
from tsfm.synthetic.holidays import holidays, start_days
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.seasonal import drift
from tsfm.synthetic.signals import autoregressive, outliers, random_cycles, read_cycle, white

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def calendar_steps(rng: Sampler, num: int, length: int, *, trading: float) -> Int[Tensor, "N L"]:
    """Return the day of each step: all days, or in a share of the rows Monday to Friday only."""
    start = start_days(rng, num)
    step = torch.arange(length, device=rng.device)[None]
    monday, weekday = start - start % 7, rng.integers(num, 1, low=0, high=4)
    working = monday + (step + weekday) // 5 * 7 + (step + weekday) % 5
    return torch.where(rng.chance(num, 1, rate=trading), working, start + step)


def weekday_effect(rng: Sampler, weekday: Int[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Return a logarithm by weekday: a dip or a rise at weekends, and small differences between the other days."""
    num = len(weekday)
    table = rng.normal(num, 7) * rng.uniform(num, 1, high=0.15)
    dip = rng.uniform(num, 1, low=0.3, high=1.0).log() * rng.chance(num, 1, rate=0.7)
    rise = rng.uniform(num, 1, low=0.05, high=0.7)
    weekend = torch.where(rng.chance(num, 1, rate=0.7), dip, rise)
    table[:, 6:] += weekend * rng.uniform(num, 1, low=0.7, high=1.6)
    table[:, 5:6] += weekend * rng.chance(num, 1, rate=0.8)
    return table.gather(1, weekday)


def month_effect(rng: Sampler, day: Int[Tensor, "N L"], days_left: Int[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Return a logarithm by the day of the month: a rise at its end, its start or a payday, fading from there."""
    num = len(day)
    kind = rng.choose(num, (0.4, 0.3, 0.3))[:, None]
    payday = rng.pick(num, (4.0, 9.0, 14.0, 19.0, 24.0, 27.0))
    since = torch.remainder(day - payday, 31.0)
    distance = torch.where(kind == 0, days_left.float(), torch.where(kind == 1, day.float(), since))
    height = rng.uniform(num, 1, low=0.05, high=0.5) * torch.where(rng.chance(num, 1, rate=0.8), 1.0, -1.0)
    return height * torch.exp(-distance / rng.log_uniform(num, 1, low=0.5, high=5.0))


@GENERATORS("calendar_days")
class CalendarDays(Generator):
    """Daily series of business and nature: weekday, day of the month, up to five yearly holidays, a yearly cycle.

    The days are real ones of the Gregorian calendar, so months have 28 to 31 days, and holidays stand at fixed dates,
    at Easter, at lunar dates or at the n-th weekday of a month. Effects are multiplied. Sizes of the weekend dip and
    the month-end rise include those of TempoPFN's calendar augmentation (x .7-.95, x 1.05-1.3; arXiv:2510.25502).
    """

    @dataclass
    class Config:
        """Settings of `CalendarDays`."""

        noise: float = 0.3  # most noise of the logarithm
        level: float = 0.5  # most drift of the logarithm
        week: float = 0.85  # share of rows that know weekdays
        month: float = 0.35  # share of rows that know the day of the month
        holidays: float = 0.8  # share of rows with holidays
        year: float = 0.7  # share of rows with a smooth yearly cycle
        trading: float = 0.15  # share of rows that have Monday to Friday only
        counts: float = 0.3  # share of rows that are Poisson counts

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("level", 0.0, self.level, least=0.0)
            for name in ("week", "month", "holidays", "year", "trading", "counts"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config, table = self.config, calendar(str(rng.device))
        days = calendar_steps(rng, num, length, trading=config.trading)
        today = days % NUM_DAYS
        x = drift(rng, num, length) * config.level * rng.uniform(num, 1) ** 1.5
        x = x + weekday_effect(rng, table.weekday[today]) * rng.chance(num, 1, rate=config.week)
        month = month_effect(rng, table.day[today], table.days_left[today])
        x = x + month * rng.chance(num, 1, rate=config.month)
        x = x + holidays(rng, days, step=1, most=5) * rng.chance(num, 1, rate=config.holidays)
        cycle = read_cycle(random_cycles(rng, num, most=5), table.year_phase[today] + rng.uniform(num, 1))
        x = x + cycle * rng.log_uniform(num, 1, low=0.02, high=0.8) * rng.chance(num, 1, rate=config.year)
        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.9)) + outliers(rng, num, length)
        x = x + noise * config.noise * rng.uniform(num, 1) ** 1.5
        x = torch.exp(x.clamp(-8, 8))
        counts = rng.poisson(x * rng.log_uniform(num, 1, low=3.0, high=500.0))
        return torch.where(rng.chance(num, 1, rate=config.counts), counts, x)
