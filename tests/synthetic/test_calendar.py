"""The calendar against known dates, and series that follow it: weekdays, ends of months, feasts that move, years."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.synthetic.test_generators import make_generator, seeded
from tsfm.synthetic import dates
from tsfm.synthetic.calendar_months import month_tables
from tsfm.synthetic.calendar_weeks import yearly_peaks
from tsfm.synthetic.holidays import distances, holiday_share
from tsfm.synthetic.rng import Sampler


def day(date: str) -> int:
    return int((np.datetime64(date) - dates.FIRST).astype(int))


def lasting(x: Tensor, lag: int) -> Tensor:
    """Correlation at a lag, by row."""
    a, b = x[:, lag:], x[:, :-lag]
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-9)


def test_easter_falls_on_the_known_sundays() -> None:
    years = np.array([1943, 1961, 1999, 2000, 2008, 2024, 2025, 2038])
    known = ["04-25", "04-02", "04-04", "04-23", "03-23", "03-31", "04-20", "04-25"]
    feasts = dates.easter(years)
    assert [str(date) for date in feasts] == [f"{year}-{rest}" for year, rest in zip(years, known, strict=True)]
    every = dates.easter(np.arange(1900, 2300))
    assert set((every.astype(int) + 3) % 7) == {6}  # day 0 of 1970 was a Thursday


def test_lunar_new_years_are_right_to_a_day() -> None:
    known = ["2019-02-05", "2020-01-25", "2021-02-12", "2022-02-01", "2023-01-22", "2024-02-10", "2025-01-29"]
    feasts = dates.lunar_new_year(np.arange(2019, 2026))
    assert np.abs((feasts - np.array(known, "datetime64[D]")).astype(int)).max() <= 1


def test_the_tables_are_those_of_numpy_and_close_after_400_years() -> None:
    table = dates.calendar()
    assert np.datetime64("1900-01-01") + dates.NUM_DAYS == np.datetime64("2300-01-01")
    assert dates.NUM_DAYS % 7 == 0
    at = day("2024-02-29")
    assert (table.weekday[at], table.month[at], table.day[at], table.days_left[at]) == (3, 1, 28, 0)
    assert table.date[day("2023-12-25")] == table.date[day("2024-12-25")] == 358
    assert table.from_easter[day("2024-03-29")] == -2
    assert table.from_easter[day("2025-04-21")] == 1
    assert (table.from_easter.diff() != 1).sum() == 400  # from one feast to the next, once a year


def test_islamic_dates_are_right_to_two_days_and_move_through_the_year() -> None:
    """1 Shawwal, the feast after Ramadan, is about 266 days after the new year of the tabular calendar."""
    feasts = [day(date) for date in ("2010-09-10", "2016-07-06", "2020-05-24", "2024-04-10")]
    distance = dates.from_islamic(torch.tensor([feasts]), torch.tensor([[266.0]]))
    assert distance.abs().max() <= 2


def test_the_fourth_thursday_of_november_is_found() -> None:
    days = torch.tensor([[day("2023-11-23"), day("2024-11-28"), day("2024-11-29"), day("2024-01-01")]])
    distance = dates.from_nth_weekday(days, *(torch.tensor([[value]]) for value in (3, 10, 3)))
    assert distance.tolist() == [[0.0, 0.0, 1.0, -332.0]]


def test_every_row_meets_its_holiday_about_once_a_year() -> None:
    rng, years = Sampler(seeded()), 8
    days = torch.full((300, 1), day("2001-01-01")) + torch.arange(365 * years)
    met = (distances(rng, days) == 0).sum(-1)
    assert met.min() >= years - 1
    assert met.max() <= years + 1  # an Islamic year is 11 days shorter


def test_a_week_holds_what_its_days_hold() -> None:
    """A holiday has its number of days in weeks as in days, wherever in the week it begins."""
    days = torch.arange(70.0)[None] - torch.arange(20.0, 34.0)[:, None]
    for span in (1.0, 4.0, 15.0):
        spans = torch.full((14, 1), span)
        daily = holiday_share(days, spans, step=1)
        weekly = holiday_share(days[:, ::7], spans, step=7)
        assert torch.equal(daily.sum(-1), spans[:, 0])
        assert torch.allclose(weekly, daily.unflatten(-1, (10, 7)).mean(-1))


def test_daily_series_repeat_by_the_week_and_only_there() -> None:
    quiet = {"noise": 0.0, "level": 0.0, "month": 0.0, "holidays": 0.0, "year": 0.0, "counts": 0.0}
    x = make_generator("calendar_days", week=1.0, trading=0.0, **quiet).draw(200, 365, seeded())
    x = x[((x - x.median(-1, keepdim=True).values).abs().amax(-1) < 5)]
    assert (lasting(x, 7) > 0.8).float().mean() > 0.7  # outliers and jumps of the level stay
    assert lasting(x, 7).median() > lasting(x, 5).median() + 0.3
    trading = make_generator("calendar_days", week=1.0, trading=1.0, **quiet).draw(200, 365, seeded())
    assert lasting(trading, 5).median() > lasting(trading, 7).median() + 0.3


def test_the_end_of_a_month_returns_after_28_to_31_days() -> None:
    quiet = {"noise": 0.0, "level": 0.0, "week": 0.0, "holidays": 0.0, "year": 0.0, "counts": 0.0, "trading": 0.0}
    x = make_generator("calendar_days", month=1.0, **quiet).draw(300, 1461, seeded())
    power = torch.fft.rfft(x - x.mean(-1, keepdim=True)).abs().square()
    assert ((power[:, 1:].argmax(-1) + 1) % 48 == 0).float().mean() > 0.6  # 48 months in four years


@pytest.mark.parametrize("length", [157, 313])
def test_weekly_peaks_return_after_a_year_of_52_or_53_weeks(length: int) -> None:
    table = dates.calendar()
    start = day("2000-01-03") + 7 * torch.randint(0, 500, (200, 1), generator=seeded())
    date = table.date[start + 7 * torch.arange(length)]
    x = yearly_peaks(Sampler(seeded()), date, most=1)
    x = x * x.mean(-1, keepdim=True).sign()
    apart = [(row > 0.5 * row.max()).nonzero()[:, 0] for row in x]
    gaps = torch.cat([at.diff()[at.diff() > 4] for at in apart])
    assert ((gaps >= 46) & (gaps <= 53)).float().mean() > 0.9
    series = make_generator("calendar_weeks", noise=0.0, level=0.0, holidays=0.0, counts=0.0, peaks=1.0).draw(
        200, 313, seeded()
    )
    year = torch.maximum(lasting(series, 52), lasting(series, 53))
    assert year.median() > lasting(series, 40).median() + 0.3


def test_months_count_their_weekdays() -> None:
    weekdays, easter = month_tables("cpu")
    at = (2024 - 1900) * 12
    assert weekdays.shape == (4800, 7)
    assert weekdays[at + 1].tolist() == [4, 4, 4, 5, 4, 4, 4]  # February 2024 ends with a fifth Thursday
    assert set(weekdays.sum(-1).tolist()) == {28, 29, 30, 31}
    assert easter[at + 2] == pytest.approx(1.0)  # Easter was 31 March 2024
    assert easter.unflatten(0, (400, 12)).sum(-1).sub(1).abs().max() < 1e-5


def test_monthly_and_quarterly_series_have_their_season() -> None:
    quiet = {"noise": 0.0, "level": 0.0, "trend": 0.0, "trading": 0.0, "easter": 0.0}
    for quarters, lag, other in ((0.0, 12, 5), (1.0, 4, 3)):
        x = make_generator("calendar_months", season=1.0, quarters=quarters, **quiet).draw(200, 160, seeded()).log()
        assert lasting(x.diff(dim=-1), lag).median() > lasting(x.diff(dim=-1), other).median() + 0.4
