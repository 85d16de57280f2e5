"""Weekly series with a year in them: peaks that return after 52.18 weeks, and holidays. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.dates import NUM_DAYS, calendar, from_date
from tsfm.synthetic.holidays import holidays, start_days
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.seasonal import drift
from tsfm.synthetic.signals import autoregressive, outliers, random_cycles, read_cycle, white

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def yearly_peaks(rng: Sampler, date: Int[Tensor, "N L"], *, most: int) -> Float[Tensor, "N L"]:
    """Return 1 to `most` peaks a year at dates of their own: built up over weeks, gone within one or two.

    The height of a peak differs from year to year by some percent.
    """
    num = len(date)
    count = rng.integers(num, 1, low=1, high=most)
    total = torch.zeros(date.shape, device=date.device)
    for k in range(most):
        weeks = from_date(date, rng.uniform(num, 1, high=365.0).floor()) / 7
        year = torch.nn.functional.pad((weeks.diff(dim=-1) < 0).cumsum(-1), (1, 0))  # begins half a year before a peak
        rise, fall = rng.log_uniform(num, 1, low=0.4, high=5.0), rng.log_uniform(num, 1, low=0.2, high=2.0)
        shape = torch.exp(weeks.clamp_max(0) / rise - weeks.clamp_min(0) / fall)
        varied = 1 + 0.15 * rng.uniform(num, 1) * rng.normal(num, int(year.max()) + 1).gather(1, year)
        height = rng.log_uniform(num, 1, low=0.2, high=2.0) * torch.where(rng.chance(num, 1, rate=0.8), 1.0, -0.6)
        total += shape * varied * height * (count > k)
    return total


@GENERATORS("calendar_weeks")
class CalendarWeeks(Generator):
    """Weekly series of sales, visits and cases: yearly peaks, a smooth yearly cycle, holidays that move between weeks.

    Weeks are seven real days, so a fixed date falls into week 51 or 52 and a year has 52.18 of them. Effects are
    multiplied.
    """

    @dataclass
    class Config:
        """Settings of `CalendarWeeks`."""

        noise: float = 0.3  # most noise of the logarithm
        level: float = 0.6  # most drift of the logarithm
        peaks: float = 0.7  # share of rows with yearly peaks
        year: float = 0.6  # share of rows with a smooth yearly cycle
        holidays: float = 0.6  # share of rows with holidays
        counts: float = 0.25  # share of rows that are Poisson counts

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("level", 0.0, self.level, least=0.0)
            for name in ("peaks", "year", "holidays", "counts"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config, table = self.config, calendar(str(rng.device))
        days = start_days(rng, num) + 7 * torch.arange(length, device=rng.device)[None]
        phase = table.year_phase[days % NUM_DAYS]
        x = drift(rng, num, length) * config.level * rng.uniform(num, 1) ** 1.5
        x = x + yearly_peaks(rng, table.date[days % NUM_DAYS], most=4) * rng.chance(num, 1, rate=config.peaks)
        cycle = read_cycle(random_cycles(rng, num, most=6), phase + rng.uniform(num, 1))
        x = x + cycle * rng.log_uniform(num, 1, low=0.03, high=0.8) * rng.chance(num, 1, rate=config.year)
        x = x + holidays(rng, days, step=7, most=4) * rng.chance(num, 1, rate=config.holidays)
        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.9)) + outliers(rng, num, length)
        x = x + noise * config.noise * rng.uniform(num, 1) ** 1.5
        x = torch.exp(x.clamp(-8, 8))
        counts = rng.poisson(x * rng.log_uniform(num, 1, low=3.0, high=500.0))
        return torch.where(rng.chance(num, 1, rate=config.counts), counts, x)
