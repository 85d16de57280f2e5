"""Periods, in steps, of series sampled at the usual frequencies. N rows, K periods of one frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float

# weight, then the nested periods of one sampling step, shortest first (0: none)
PERIODS = (
    (1.0, 4.0, 0.0, 0.0),  # quarters
    (2.0, 12.0, 0.0, 0.0),  # months
    (1.0, 13.0, 52.0, 0.0),  # weeks: quarter, year
    (1.5, 52.18, 0.0, 0.0),  # weeks
    (3.0, 7.0, 30.44, 365.25),  # days
    (1.0, 5.0, 21.74, 260.9),  # working days
    (0.5, 365.25, 0.0, 0.0),  # days, year only
    (0.5, 6.0, 42.0, 0.0),  # 4 hours: day, week
    (0.5, 8.0, 56.0, 0.0),  # 3 hours
    (0.5, 12.0, 84.0, 0.0),  # 2 hours
    (5.0, 24.0, 168.0, 8766.0),  # hours: day, week, year
    (2.0, 48.0, 336.0, 0.0),  # half hours
    (3.0, 96.0, 672.0, 0.0),  # 15 minutes
    (2.0, 144.0, 1008.0, 0.0),  # 10 minutes
    (2.0, 288.0, 2016.0, 0.0),  # 5 minutes
    (0.5, 30.0, 720.0, 0.0),  # 2 minutes: hour, day
    (1.0, 60.0, 1440.0, 0.0),  # minutes: hour, day
    (0.7, 6.0, 360.0, 8640.0),  # 10 seconds: minute, hour, day
    (0.5, 60.0, 3600.0, 0.0),  # seconds: minute, hour
)
DAYS = (6, 8, 12, 24, 48, 72, 96, 144, 288, 720, 1440)  # steps in a day
DAY_WEIGHTS = (0.5, 0.5, 0.7, 6.0, 2.5, 0.5, 3.0, 2.0, 2.0, 0.4, 0.4)


def draw_periods(
    rng: Sampler, num: int, length: int, *, fits: float, off_calendar: float, jitter: float
) -> Float[Tensor, "N 3"]:
    """Draw nested periods, ascending, 0 for none.

    The first fits `fits` times into the length, the others at least twice. A share `off_calendar` of the rows has
    continuous log-uniform periods; a share `jitter` deviates by a few percent.
    """
    table = torch.tensor(PERIODS, device=rng.device)
    weights = torch.where(table[:, 1] * fits <= length, table[:, 0], 0.0)
    periods = table[rng.choose(num, weights), 1:]
    if not bool(weights.any()):
        off_calendar = 1.0
    first = rng.log_uniform(num, 1, low=3.0, high=length / fits)
    ratios = rng.log_uniform(num, 2, low=2.0, high=12.0).cumprod(-1) * rng.chance(num, 2, rate=0.4)
    free = torch.cat([first, first * ratios], -1)
    periods = torch.where(rng.chance(num, 1, rate=off_calendar), free, periods)
    off = 1 + 0.04 * rng.normal(num, 1).clamp(-3, 3)
    periods = torch.where(rng.chance(num, 1, rate=jitter), periods * off, periods)
    fitting = (periods * 2 <= length) | (torch.arange(3, device=rng.device) == 0)
    return torch.where(fitting, periods, 0.0)


def draw_day_length(rng: Sampler, num: int, length: int, *, least: float, off_calendar: float) -> Float[Tensor, "N 1"]:
    """Draw the steps of a day so that `least` days fit into the length.

    A share `off_calendar` of the rows has an arbitrary number.
    """
    table = torch.tensor(DAYS, device=rng.device, dtype=torch.float32)
    weights = torch.tensor(DAY_WEIGHTS, device=rng.device)
    weights = torch.where(table * least <= length, weights, 0.0)
    if not bool(weights.any()):
        off_calendar = 1.0
    day_length = table[rng.choose(num, weights)][:, None]
    free = rng.log_uniform(num, 1, low=4.0, high=max(length / least, 4.5)).round()
    return torch.where(rng.chance(num, 1, rate=off_calendar), free, day_length)
