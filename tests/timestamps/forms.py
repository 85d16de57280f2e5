"""Forms of timestamps: what the cells of a column look like, what is read, and what is announced or refused.

`markdown()` is the table of docs/timestamps.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

MONTHS = pd.date_range("2020-01-01", periods=24, freq="MS")
DAYS = pd.date_range("2020-01-01", periods=40, freq="D")
HOURS = pd.date_range("2020-01-28 22:00", periods=40, freq="h")
QUARTERS = pd.date_range("2020-01-01", periods=8, freq="QS")
YEARS = pd.date_range("1959-01-01", periods=30, freq="YS")
BERLIN = pd.date_range("2024-10-24", periods=100, freq="h", tz="Europe/Berlin")
BERLIN_DAYS = pd.date_range("2024-10-20", periods=20, freq="D", tz="Europe/Berlin")

LEAP = pd.date_range("2024-02-27", periods=20, freq="D")
NEW_YORK = pd.date_range("2024-03-09", periods=60, freq="h", tz="America/New_York")
SYDNEY = pd.date_range("2024-04-06", periods=60, freq="h", tz="Australia/Sydney")


class Form(NamedTuple):
    """A form of timestamps; `times` is None where it is refused."""

    cells: Sequence[Any]
    times: pd.DatetimeIndex | None
    message: str = ""  # in a note, or in the error
    options: Mapping[str, Any] = MappingProxyType({})


def text(times: pd.DatetimeIndex, pattern: str) -> list[str]:
    return list(times.strftime(pattern))


SHORT_YEAR = "years of two digits are read as 1969 to 2068"
DAY_FIRST, MONTH_FIRST, YEAR_FIRST = (
    f"dates are read as {order}" for order in ("day/month/year", "month/day/year", "year/month/day")
)
FORMS: dict[str, Form] = {
    "ISO date": Form(text(DAYS, "%Y-%m-%d"), DAYS),
    "ISO date and time": Form(text(HOURS, "%Y-%m-%dT%H:%M:%S"), HOURS),
    "ISO with microseconds": Form(text(HOURS, "%Y-%m-%d %H:%M:%S.%f"), HOURS),
    "ISO in UTC": Form(text(HOURS, "%Y-%m-%dT%H:%M:%SZ"), HOURS.tz_localize("UTC")),
    "ISO with an offset": Form(text(HOURS, "%Y-%m-%d %H:%M+05:30"), HOURS.tz_localize("UTC+05:30")),
    "ISO with changing offsets": Form(
        list(BERLIN.astype(str)), BERLIN.tz_convert("UTC"), "offsets from UTC change (+01:00, +02:00): read as UTC"
    ),
    "changing offsets, timezone=": Form(list(BERLIN.astype(str)), BERLIN, "", {"timezone": "Europe/Berlin"}),
    "local days with changing offsets": Form(
        list(BERLIN_DAYS.astype(str)), BERLIN_DAYS.tz_localize(None), "read as local days without a zone"
    ),
    "no zone, timezone=": Form(
        text(HOURS, "%Y-%m-%d %H:%M"),
        HOURS.tz_localize("Asia/Tokyo"),
        "are read as local times in Asia/Tokyo",
        {"timezone": "Asia/Tokyo"},
    ),
    "ISO, compact": Form(text(HOURS, "%Y%m%dT%H%M"), HOURS),
    "ISO week": Form(
        text(DAYS[5::7], "%G-W%V"), DAYS[5::7], "quarters, half-years and weeks are read as their first day"
    ),
    "ISO week and weekday": Form(text(DAYS, "%G-W%V-%u"), DAYS),
    "day of the year": Form(text(DAYS, "%Y-%j"), DAYS),
    "year/month/day": Form(text(DAYS, "%Y/%m/%d"), DAYS),
    "year.month.day": Form(text(DAYS, "%Y.%m.%d"), DAYS),
    "year-month": Form(text(MONTHS, "%Y-%m"), MONTHS),
    "year.month": Form(text(MONTHS, "%Y.%m"), MONTHS),
    "month/year": Form(text(MONTHS, "%m/%Y"), MONTHS),
    "day/month/year, daily": Form(text(DAYS, "%d/%m/%Y"), DAYS, DAY_FIRST),
    "day/month/year, monthly": Form(text(MONTHS, "%d/%m/%Y"), MONTHS, DAY_FIRST),
    "day.month.year": Form(text(MONTHS, "%d.%m.%Y"), MONTHS, DAY_FIRST),
    "day-month-year": Form(text(MONTHS, "%d-%m-%Y"), MONTHS, DAY_FIRST),
    "day/month/year, quarterly": Form(text(QUARTERS, "%d/%m/%Y"), QUARTERS, DAY_FIRST),
    "day/month/year and time": Form(text(HOURS, "%d/%m/%Y %H:%M"), HOURS, DAY_FIRST),
    "month/day/year, daily": Form(text(DAYS, "%m/%d/%Y"), DAYS, MONTH_FIRST),
    "month/day/year, monthly": Form(text(MONTHS, "%m/%d/%Y"), MONTHS, MONTH_FIRST),
    "month/day/year and AM or PM": Form(text(HOURS, "%m/%d/%Y %I:%M %p"), HOURS, MONTH_FIRST),
    "twelve days or twelve months": Form(
        text(DAYS[:12], "%d/%m/%Y"), None, "both readings are equally regular; give dayfirst=True or dayfirst=False"
    ),
    "twelve days, dayfirst=": Form(text(DAYS[:12], "%d/%m/%Y"), DAYS[:12], "", {"dayfirst": True}),
    "twelve months, dayfirst=": Form(text(DAYS[:12], "%d/%m/%Y"), MONTHS[:12], "", {"dayfirst": False}),
    "date_format=": Form(text(MONTHS, "%d/%m/%Y"), MONTHS, "", {"date_format": "%d/%m/%Y"}),
    "day/month/short year": Form(text(DAYS, "%d/%m/%y"), DAYS, SHORT_YEAR),
    "short year-month-day": Form(text(MONTHS, "%y-%m-%d"), MONTHS, YEAR_FIRST),
    "day, month name, year": Form(text(DAYS, "%d %b %Y"), DAYS),
    "day, month name, year, no spaces": Form(text(DAYS, "%d%b%Y"), DAYS),
    "day, month name, short year": Form(text(MONTHS, "%d-%b-%y"), MONTHS, DAY_FIRST),
    "weekday, day, month name, year": Form(text(DAYS, "%A %d %B %Y"), DAYS),
    "mail header": Form(text(HOURS, "%a, %d %b %Y %H:%M:%S +0000"), HOURS.tz_localize("UTC")),
    "month name, day, year": Form(text(DAYS, "%B %d, %Y"), DAYS),
    "month name, year": Form(text(MONTHS, "%b %Y"), MONTHS),
    "month name-short year": Form(text(MONTHS, "%b-%y"), MONTHS, SHORT_YEAR),
    "year, month name": Form(text(MONTHS, "%Y-%b"), MONTHS),
    "ctime": Form(text(HOURS, "%a %b %d %H:%M:%S %Y"), HOURS),
    "log of a web server": Form(text(HOURS, "%d/%b/%Y:%H:%M:%S +0000"), HOURS.tz_localize("UTC")),
    "quarters": Form(
        [f"{t.year}Q{t.quarter}" for t in QUARTERS], QUARTERS, "quarters, half-years and weeks are read as"
    ),
    "quarters, year last": Form(
        [f"Q{t.quarter} {t.year}" for t in QUARTERS], QUARTERS, "quarters, half-years and weeks are read as"
    ),
    "months of Eurostat": Form(text(MONTHS, "%YM%m"), MONTHS),
    "half-years": Form(
        [f"{t.year}H{1 + t.month // 7}" for t in QUARTERS[::2]],
        QUARTERS[::2],
        "quarters, half-years and weeks are read as",
    ),
    "a day ends at 24:00": Form(
        ["30.01.2020 24:00", "31.01.2020 12:00", "31.01.2020 24:00"],
        pd.DatetimeIndex(["2020-01-31", "2020-01-31 12:00", "2020-02-01"]),
        DAY_FIRST,
    ),
    "years, numbers": Form(list(YEARS.year), YEARS, "numbers such as 1959 are read as years"),
    "years, text": Form(text(YEARS, "%Y"), YEARS, "numbers such as 1959 are read as years"),
    "yyyymm": Form([100 * t.year + t.month for t in MONTHS], MONTHS, "read as year and month (yyyymm)"),
    "yyyymmdd": Form(text(DAYS, "%Y%m%d"), DAYS, "read as days (yyyymmdd)"),
    "yyyymmddhh": Form(text(HOURS, "%Y%m%d%H"), HOURS, "read as hours (yyyymmddhh)"),
    "yyyymmddhhmmss": Form(text(HOURS, "%Y%m%d%H%M%S"), HOURS, "read as seconds (yyyymmddhhmmss)"),
    "days of Excel": Form(list(range(43831, 43871)), DAYS, "read as days of Excel (2020-01-01)"),
    "days of Excel with a fraction": Form(
        [43831 + k / 24 for k in range(40)], pd.date_range("2020-01-01", periods=40, freq="h"), "read as days of Excel"
    ),
    "seconds since 1970": Form([t.timestamp() for t in HOURS], HOURS, "read as seconds since 1970 (UTC)"),
    "milliseconds since 1970": Form(
        [int(t.timestamp()) * 1000 for t in HOURS], HOURS, "read as milliseconds since 1970 (UTC)"
    ),
    "nanoseconds since 1970": Form(
        [t.value + 100 for t in HOURS.as_unit("ns")],
        HOURS.as_unit("ns") + pd.Timedelta(100, "ns"),
        "read as nanoseconds since 1970 (UTC)",
    ),
    "numbered steps": Form(
        list(range(40)),
        pd.DatetimeIndex(pd.array(range(40)).to_numpy("int64").astype("M8[us]")),
        "whole numbers (0 to 39) are read as numbered steps",
    ),
    "Excel days as steps, freq=1": Form(
        list(range(43831, 43871)),
        pd.DatetimeIndex(pd.array(range(43831, 43871)).to_numpy("int64").astype("M8[us]")),
        "are read as numbered steps",
        {"steps": True},
    ),
    "date objects": Form([date(2020, 1, day) for day in range(1, 32)], DAYS[:31]),
    "Timestamp objects with a zone": Form(list(BERLIN), BERLIN),
    "periods": Form(list(MONTHS.to_period("M")), MONTHS, "periods are read as their first moment"),
    "nanoseconds": Form(
        pd.date_range("2024-01-01", periods=30, freq="33333333ns"),
        pd.date_range("2024-01-01", periods=30, freq="33333333ns"),
    ),
    "leap day": Form(text(LEAP, "%Y-%m-%d"), LEAP),
    "leap day, day of the year": Form(text(LEAP, "%Y-%j"), LEAP),
    "leap day, day/month/year": Form(text(LEAP, "%d/%m/%Y"), LEAP, DAY_FIRST),
    "leap day, days of Excel": Form([(day - pd.Timestamp("1899-12-30")).days for day in LEAP], LEAP, "days of Excel"),
    "leap day of a year without": Form(["2023-02-27", "2023-02-28", "2023-02-29"], None, "row 2 is '2023-02-29'"),
    "west of Greenwich": Form(text(HOURS, "%Y-%m-%d %H:%M-05:00"), HOURS.tz_localize("UTC-05:00")),
    "far west": Form(text(HOURS, "%Y-%m-%dT%H:%M-1100"), HOURS.tz_localize("UTC-11:00")),
    "far east": Form(text(HOURS, "%Y-%m-%dT%H:%M+14:00"), HOURS.tz_localize("UTC+14:00")),
    "offset of 45 minutes": Form(text(HOURS, "%Y-%m-%dT%H:%M+05:45"), HOURS.tz_localize("UTC+05:45")),
    "clocks go forward in New York": Form(
        list(NEW_YORK.astype(str)), NEW_YORK.tz_convert("UTC"), "offsets from UTC change (-05:00, -04:00): read as UTC"
    ),
    "clocks go forward, timezone=": Form(list(NEW_YORK.astype(str)), NEW_YORK, "", {"timezone": "America/New_York"}),
    "clocks go back in Sydney, timezone=": Form(list(SYDNEY.astype(str)), SYDNEY, "", {"timezone": "Australia/Sydney"}),
    "an hour that clocks leave out": Form(
        ["2024-03-10 01:00", "2024-03-10 02:00", "2024-03-10 03:00"],
        None,
        "2024-03-10 02:00",
        {"timezone": "America/New_York"},
    ),
    "an hour that clocks repeat": Form(
        ["2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 02:00"],
        None,
        "daylight saving in America/New_York repeats",
        {"timezone": "America/New_York"},
    ),
    "times alone": Form(text(HOURS, "%H:%M"), None, "is '22:00', a time without a date"),
    "month name and day": Form(text(DAYS, "%b %d"), None, "is 'Jan 01', a date without a year"),
    "month name-day": Form(
        text(DAYS, "%b-%d"), None, "which can be a day without a year, or a month of a year of two digits"
    ),
    "day-month name": Form(text(DAYS, "%d-%b"), None, "is '01-Jan', a date without a year"),
    "month/short year": Form(text(MONTHS, "%m/%y"), None, "is '01/20', a date without a year"),
    "year of the study-month": Form(
        [f"{1 + k // 12}-{1 + k % 12:02d}" for k in range(36)], None, "is '1-01', a date without a year"
    ),
    "month names": Form(text(MONTHS, "%B"), None, "is 'January', a date without a year"),
    "zone abbreviation": Form(
        text(HOURS, "%Y-%m-%d %H:%M EST"), None, "in the time zone 'EST', and names of zones are not read"
    ),
    "decimal years": Form([1959 + k / 12 for k in range(1, 36)], None, "is the number 1959.083333"),
    "with and without a zone": Form(
        ["2020-01-01 00:00", "2020-01-02 00:00Z"], None, "rows with and without a time zone are mixed"
    ),
    "no such day": Form(["2020-02-28", "2020-02-29", "2020-02-30"], None, "row 2 is '2020-02-30', not a timestamp"),
    "missing": Form(["2020-02-28", None], None, "row 1 is missing"),
    "no dates": Form(["soon", "later"], None, "is 'soon', not a timestamp; expected dates such as"),
    "truth values": Form([True, False], None, "not a timestamp; expected dates or numbers of steps"),
}


def markdown() -> str:
    """The table of the documentation: form, cells, what is read, what is announced or why it is refused."""
    lines = ["| form | cells | read as | announced, or refused with |", "|---|---|---|---|"]
    for name, form in FORMS.items():
        cells = ", ".join(f"`{str(cell)[:32]}`" for cell in list(form.cells)[:2])
        times = "refused" if form.times is None else ", ".join(f"`{time}`" for time in form.times[:2])
        options = "".join(f" with `{key}={value!r}`" for key, value in form.options.items())
        lines.append(f"| {name} | {cells}{options} | {times} | {form.message} |")
    return "\n".join(lines)
