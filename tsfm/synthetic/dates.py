"""Days of the Gregorian calendar and its moving feasts, as tables over 400 years. D days, M months, N rows, L steps.

The calendar repeats after 146,097 days, which are whole weeks, so an index of a day is taken modulo that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FIRST = np.datetime64("1900-01-01", "D")  # day 0, a Monday
NUM_DAYS = 146_097
YEARS = 400
SYNODIC_MONTH = 29.530588853  # days from new moon to new moon; Meeus, Astronomical Algorithms (1998), chapter 49
NEW_MOON = np.datetime64("2000-01-06", "D")  # of that day at 18 h
ISLAMIC_YEAR = 354.36708  # mean days, 12 synodic months
ISLAMIC_NEW_YEAR = np.datetime64("1979-11-20", "D")  # 1 Muharram 1400


def easter(year: np.ndarray) -> np.ndarray:
    """Return the date of Easter Sunday of each Gregorian year.

    References
    ----------
    Meeus, Astronomical Algorithms (1998), chapter 8: the algorithm of Butcher's Ecclesiastical Calendar (1876).
    """
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    weekday = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * weekday) // 451
    month, day = divmod(h + weekday - 7 * m + 114, 31)
    months = (year - 1970) * 12 + month - 1
    return months.astype("datetime64[M]").astype("datetime64[D]") + day


def lunar_new_year(year: np.ndarray) -> np.ndarray:
    """Return the first mean new moon from 21 January on, in UTC+8: a lunisolar new year, right to about a day."""
    start = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + 20
    new_moon = 18.1 / 24 + 8 / 24  # in days after NEW_MOON, UTC+8
    cycles = np.ceil(((start - NEW_MOON).astype(float) - new_moon) / SYNODIC_MONTH)
    return NEW_MOON + np.floor(cycles * SYNODIC_MONTH + new_moon).astype(int)


@dataclass(frozen=True)
class Calendar:
    """Tables by day, and the first day of each month; distances are in days, below 0 before the feast."""

    weekday: Int[Tensor, " D"]  # 0 is Monday
    month: Int[Tensor, " D"]  # 0 to 11
    day: Int[Tensor, " D"]  # of the month, 0 to 30
    days_left: Int[Tensor, " D"]  # of the month, 0 on its last day
    date: Int[Tensor, " D"]  # of the year, 0 to 364; 29 February has the number of 28 February
    year_phase: Float[Tensor, " D"]  # 0 to 1
    from_easter: Float[Tensor, " D"]
    from_lunar: Float[Tensor, " D"]
    month_start: Int[Tensor, " M"]  # first day of each month, and one more


def nearest(days: np.ndarray, feasts: np.ndarray) -> np.ndarray:
    """Return the signed distance of each day to the nearest feast."""
    after = np.searchsorted(feasts, days).clip(1, len(feasts) - 1)
    before, after = days - feasts[after - 1], days - feasts[after]
    return np.where(before <= -after, before, after)


@lru_cache(maxsize=4)
def calendar(device: str = "cpu") -> Calendar:
    """Return the tables on a device."""
    days = np.arange(NUM_DAYS)
    date = FIRST + days
    month = date.astype("datetime64[M]")
    year = date.astype("datetime64[Y]").astype("datetime64[D]")
    next_year = (date.astype("datetime64[Y]") + 1).astype("datetime64[D]")
    years = np.arange(1899, 1900 + YEARS + 1)
    starts = (np.arange(YEARS * 12 + 1) + FIRST.astype("datetime64[M]").astype(int)).astype("datetime64[M]")
    day = (date - month.astype("datetime64[D]")).astype(int)
    in_year, leap = (date - year).astype(int), (next_year - year).astype(int) == 366
    table = Calendar(
        weekday=torch.from_numpy(days % 7),
        month=torch.from_numpy(month.astype(int) % 12),
        day=torch.from_numpy(day),
        days_left=torch.from_numpy(((month + 1).astype("datetime64[D]") - date).astype(int) - 1),
        date=torch.from_numpy(in_year - (leap & (in_year > 58))),
        year_phase=torch.from_numpy(in_year / np.where(leap, 366.0, 365.0)).float(),
        from_easter=torch.from_numpy(nearest(days, (easter(years) - FIRST).astype(int))).float(),
        from_lunar=torch.from_numpy(nearest(days, (lunar_new_year(years) - FIRST).astype(int))).float(),
        month_start=torch.from_numpy((starts.astype("datetime64[D]") - FIRST).astype(int)),
    )
    return Calendar(**{name: value.to(device) for name, value in vars(table).items()})


def from_islamic(days: Int[Tensor, "N L"], day_index: Float[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """Return the distance to a day of the Islamic year, `day_index` days after its first; it moves 11 days a year."""
    start = float((ISLAMIC_NEW_YEAR - FIRST).astype(int))
    past = torch.remainder(days.double() - start - day_index, ISLAMIC_YEAR)
    return torch.where(past > ISLAMIC_YEAR / 2, past - ISLAMIC_YEAR, past).floor().float()


def from_date(date: Int[Tensor, "N L"], day_index: Float[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """Return the distance to a fixed date, `day_index` days after 1 January; `date` is `Calendar.date` of each step."""
    past = torch.remainder(date - day_index, 365.0)
    return torch.where(past > 182, past - 365, past)


def from_nth_weekday(days: Int[Tensor, "N L"], weekday: Tensor, month: Tensor, week: Tensor) -> Float[Tensor, "N L"]:
    """Return the distance to, say, the fourth Thursday of November of the same year.

    `weekday`, `month` and `week` are `[N, 1]` and count from 0.
    """
    table = calendar(str(days.device))
    today = days % NUM_DAYS
    january = torch.searchsorted(table.month_start[::12].contiguous(), today, right=True) - 1
    first = table.month_start[january * 12 + month]
    feast = first + (weekday - first) % 7 + 7 * week
    return (today - feast).float()
