"""What holidays do to a series: closings, rushes before, quiet after, at fixed and moving dates. N rows, L steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.dates import NUM_DAYS, calendar, from_date, from_islamic, from_nth_weekday
from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float, Int

KIND_ODDS = (0.5, 0.2, 0.1, 0.1, 0.1)  # fixed date, Easter, lunisolar new year, Islamic year, n-th weekday of a month


def start_days(rng: Sampler, num: int) -> Int[Tensor, "N 1"]:
    """Draw the day of the first step: from 1970 to 2040."""
    return rng.integers(num, 1, low=25_567, high=51_135)


def distances(rng: Sampler, days: Int[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Draw one yearly holiday for each row, and return the distance of each step from it in days."""
    num, table, today = len(days), calendar(str(days.device)), days % NUM_DAYS
    kind = rng.choose(num, KIND_ODDS)
    day_index = rng.uniform(num, 1, high=365.0).floor()
    offset = rng.integers(num, 1, low=-3, high=50).float()
    weekday = rng.integers(num, 1, low=0, high=6)
    month, week = rng.integers(num, 1, low=0, high=11), rng.integers(num, 1, low=0, high=3)
    out = torch.empty(days.shape, device=days.device)
    for number in range(len(KIND_ODDS)):
        rows = (kind == number).nonzero()[:, 0]
        if not len(rows):
            continue
        if number == 0:
            out[rows] = from_date(table.date[today[rows]], day_index[rows])
        elif number == 1:
            out[rows] = table.from_easter[today[rows]] - offset[rows]
        elif number == 2:
            out[rows] = table.from_lunar[today[rows]]
        elif number == 3:
            out[rows] = from_islamic(days[rows], day_index[rows])
        else:
            out[rows] = from_nth_weekday(days[rows], weekday[rows], month[rows], week[rows])
    return out


def holiday_share(distance: Float[Tensor, "N L"], span: Float[Tensor, "N 1"], *, step: int) -> Float[Tensor, "N L"]:
    """Return the share of the days of each step that lie in a holiday of `span` days."""
    return (torch.minimum(distance + step, span) - distance.clamp_min(0)).clamp_min(0) / step


def holiday_effect(rng: Sampler, days: Int[Tensor, "N L"], *, step: int) -> Float[Tensor, "N L"]:
    """Draw one holiday for each row and return what it adds to the logarithm of the series.

    It lasts one to a few days, in a tenth of the rows some weeks; before it values may rise for days or weeks, after
    it they may be low. A step covers `step` days from its own day on, and takes its share of the days inside.
    """
    num = len(days)
    distance = distances(rng, days)
    long = rng.chance(num, 1, rate=0.1)
    span = torch.where(
        long, rng.uniform(num, 1, low=7.0, high=42.0), rng.log_uniform(num, 1, low=1.0, high=5.0)
    ).floor()
    height = rng.normal(num, 1) * torch.where(rng.chance(num, 1, rate=0.3), 1.2, 0.4)
    inside = holiday_share(distance, span, step=step)
    ramp = rng.log_uniform(num, 1, low=0.7, high=14.0) * max(1.0, step**0.5)
    before = torch.exp((distance + step).clamp(-120, 0) / ramp) * (distance + step <= 0)
    after = torch.exp(-(distance - span).clamp(0, 120) / ramp) * (distance >= span)
    rush = rng.uniform(num, 1, low=-0.2, high=0.8) * rng.chance(num, 1, rate=0.5)
    quiet = rng.uniform(num, 1, low=-0.6, high=0.2) * rng.chance(num, 1, rate=0.3)
    return height * inside + rush * before + quiet * after


def holidays(rng: Sampler, days: Int[Tensor, "N L"], *, step: int, most: int) -> Float[Tensor, "N L"]:
    """Return the sum of the effects of 1 to `most` holidays, drawn for each row."""
    num = len(days)
    count = rng.integers(num, 1, low=1, high=most)
    total = torch.zeros(days.shape, device=days.device)
    for k in range(most):
        rows = (count[:, 0] > k).nonzero()[:, 0]
        if len(rows):
            total[rows] += holiday_effect(rng, days[rows], step=step)
    return total
