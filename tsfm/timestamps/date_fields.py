"""From the numbers of a date to days and nanoseconds since midnight. N cells of one form."""

from __future__ import annotations

import numpy as np

from tsfm.timestamps.offsets import month_length
from tsfm.timestamps.text_forms import Form


def days_and_nanos(form: Form, numbers: dict[str, np.ndarray], order: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the days [N] as datetime64[D], NaT where they are none, and the nanoseconds since midnight."""
    fields = dict(numbers)
    if "a" in fields and "b" in fields:
        names = order if order in form.orders else form.orders[0]
        fields |= {letter: fields[key] for letter, key in zip(names, "abc", strict=True)}
        width = {letter: form.spans[key] for letter, key in zip(names, "abc", strict=True)}["y"]
    elif "a" in fields:
        is_ymd = order == "ymd" and "ymd" in form.orders
        fields |= {"y": fields["a"], "d": fields["c"]} if is_ymd else {"d": fields["a"], "y": fields["c"]}
        width = form.spans["a"] if is_ymd else form.spans["c"]
    else:
        width = form.spans["y"]
    year = fields["y"]
    if width[1] - width[0] <= 2:
        year = year + np.where(year < 69, 2000, 1900)
    first = np.ones_like(year)
    month = np.full_like(year, form.month) if form.month else fields.get("m", first)
    month = fields["q"] * 3 - 2 if "q" in fields else fields["t"] * 6 - 5 if "t" in fields else month
    day = fields.get("d", first)
    valid = (year > 0) & (month >= 1) & (month <= 12)
    months = ((year - 1970) * 12 + np.where(valid, month, 1) - 1).astype("M8[M]")
    valid &= (day >= 1) & (day <= month_length(months))
    days = months.astype("M8[D]") + (day - 1)
    if "j" in fields:
        days = days + (fields["j"] - 1)
        valid &= (fields["j"] > 0) & (days.astype("M8[Y]") == months.astype("M8[Y]"))
    if "w" in fields:
        days, fits = _iso_week(year, fields["w"], fields.get("k", first))
        valid &= fits
    hour, minute, second = (fields.get(key, np.zeros_like(year)) for key in "HMS")
    if form.half_day:
        valid &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + (12 if form.half_day == "p" else 0)
    midnight = (hour == 24) & (minute == 0) & (second == 0)  # 24:00 is the end of the day
    valid &= ((hour < 24) | midnight) & (minute < 60) & (second < 60)
    nanos = ((hour * 60 + minute) * 60 + second) * 10**9 + fields.get("F", 0)
    return np.where(valid, days, np.datetime64("NaT", "D")), nanos


def _iso_week(year: np.ndarray, week: np.ndarray, weekday: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the days of ISO weeks, the first of which holds 4 January, and whether they exist."""
    fourth = (year - 1970).astype("M8[Y]").astype("M8[D]") + 3
    monday = fourth - (fourth.astype(np.int64) + 3) % 7
    days = monday + (week - 1) * 7 + (weekday - 1)
    thursday = monday + (week - 1) * 7 + 3
    fits = (week >= 1) & (weekday >= 1) & (weekday <= 7) & (thursday.astype("M8[Y]").astype(np.int64) + 1970 == year)
    return days, fits
