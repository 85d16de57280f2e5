"""Monthly and quarterly series that follow a calendar: trading days, Easter, an evolving season. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.dates import calendar
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.seasonal import drift
from tsfm.synthetic.signals import autoregressive, lagged_sum, outliers, step_index, white

if TYPE_CHECKING:
    from jaxtyping import Float


@lru_cache(maxsize=4)
def month_tables(device: str) -> tuple[Float[Tensor, "M 7"], Float[Tensor, " M"]]:
    """Return how often each weekday falls into each of the 4,800 months, and the share of the Easter week in it."""
    table = calendar(device)
    starts, stops = table.month_start[:-1], table.month_start[1:]
    weekday = torch.arange(7, device=table.weekday.device)
    before = (starts[:, None] + 6 - weekday) // 7  # such weekdays among the days before the month
    weekdays = ((stops[:, None] + 6 - weekday) // 7 - before).float()
    before_easter = ((table.from_easter > -8) & (table.from_easter <= 0)).float().cumsum(0)
    total = torch.nn.functional.pad(before_easter, (1, 0))
    return weekdays, (total[stops] - total[starts]) / 8


@GENERATORS("calendar_months")
class CalendarMonths(Generator):
    """Monthly and quarterly series: a season that evolves, the number of working days, Easter in March or April.

    Trading days and Easter are the regressors of X-12-ARIMA (Bell & Hillmer, JASA 78, 1983; Findley et al., JBES 16,
    1998); the season is a random walk for each month. Effects are multiplied.
    """

    @dataclass
    class Config:
        """Settings of `CalendarMonths`."""

        noise: float = 0.2  # most noise of the logarithm
        level: float = 1.0  # most drift of the logarithm
        trend: float = 0.6  # share of rows with a straight trend of the logarithm
        season: float = 0.85  # share of rows with a season
        trading: float = 0.6  # share of rows that know the weekdays of a month
        easter: float = 0.3  # share of rows that know Easter
        quarters: float = 0.2  # share of rows that are sums over quarters

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            check_range("level", 0.0, self.level, least=0.0)
            for name in ("trend", "season", "trading", "easter", "quarters"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        weekdays, easter = month_tables(str(rng.device))
        quarters = rng.chance(num, 1, rate=config.quarters)
        step = torch.arange(length, device=rng.device)[None]
        start = rng.integers(num, 1, low=70 * 12, high=140 * 12)
        months = torch.where(quarters, start - start % 3 + 3 * step, start + step) % len(easter)
        x = drift(rng, num, length) * config.level * rng.uniform(num, 1) ** 1.5
        slope = rng.normal(num, 1) * step_index(length, rng.device) / length
        x = x + slope * rng.uniform(num, 1, high=2.0) * rng.chance(num, 1, rate=config.trend)

        cycle = torch.where(quarters, 4, 12)
        moving = lagged_sum(rng.normal(num, length), cycle) * rng.log_uniform(num, 1, low=0.001, high=0.1)
        shape = rng.normal(num, 12).gather(1, step % cycle)
        season = (shape + moving) * rng.log_uniform(num, 1, low=0.04, high=0.6)
        x = x + season.clamp(-4, 4) * rng.chance(num, 1, rate=config.season)

        weights = rng.normal(num, 7) * rng.log_uniform(num, 1, low=0.003, high=0.02) + 0.01
        weights[:, 5:] -= rng.uniform(num, 2, high=0.04) * rng.chance(num, 1, rate=0.6)
        spread = weekdays - weekdays.mean(0)
        trading = torch.einsum("nlw,nw->nl", spread[months], weights)
        x = x + trading * rng.chance(num, 1, rate=config.trading)
        height = rng.normal(num, 1) * 0.15 * rng.chance(num, 1, rate=config.easter)
        x = x + height * easter[months]
        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.9)) + outliers(rng, num, length)
        return torch.exp((x + noise * config.noise * rng.uniform(num, 1) ** 1.5).clamp(-10, 10))
