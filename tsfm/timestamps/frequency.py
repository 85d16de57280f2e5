"""Infer the frequency of timestamps."""

from __future__ import annotations

import numpy as np

from tsfm.timestamps.calendars import (
    MONTH_DAYS,
    business_edge,
    day_of_month,
    make_timestamps,
    month_length,
    nearest_steps,
    nth_weekday,
    weekday,
)
from tsfm.timestamps.grid import (
    DRIFT_DAYS,
    MIN_EXACT,
    GriddedSeries,
    as_times,
    check_order,
    describe_moves,
    format_duration,
    grid_index,
    item_location,
    regular_grid,
)
from tsfm.timestamps.jitter import has_changing_hours, jittered_step, month_boundary
from tsfm.timestamps.offsets import base_freq, gift_season_length, season_length
from tsfm.timestamps.sessions import find_sessions
from tsfm.timestamps.steps import (
    DAY,
    DAY_NAMES,
    MONDAY_TO_FRIDAY,
    MONTH_NAMES,
    SESSION_UNITS,
    Step,
    duration_step,
    parse_freq,
)

__all__ = [
    "GriddedSeries",
    "base_freq",
    "check_order",
    "describe_moves",
    "gift_season_length",
    "grid_index",
    "infer_freq",
    "item_location",
    "make_timestamps",
    "parse_freq",
    "regular_grid",
    "season_length",
    "typical_freq",
]

MIN_PRESENT = 0.9  # of the open days of a custom week


def infer_freq(timestamps, *, item: str = "series", file: str | None = None, steps: bool = False) -> str:
    """Return the alias of the dominating time step.

    Gaps, duplicates and months of unequal length do not disturb it.

    Parameters
    ----------
    timestamps
        Of one item, in any order; NaT is ignored.
    item, file
        Named in messages.
    steps
        Whether the timestamps number steps, and are not dates.

    Raises
    ------
    ValueError
        If there are fewer than 3 different timestamps, or no step dominates.
    """
    times = as_times(timestamps)
    times = np.unique(times[~np.isnat(times)])
    if len(times) < 3:
        raise ValueError(
            f"{item_location(item, file=file)} has {len(times)} different timestamp(s); a frequency needs at least 3: "
            "give freq, for example freq='D'"
        )
    nanos_per_unit = 1 if times.dtype == "M8[ns]" else 1000
    sizes = np.diff(times.astype(np.int64))
    if steps:
        return str(np.gcd.reduce(sizes))
    if (step := _calendar(times, sizes, nanos_per_unit)) is not None:
        return str(step)
    modal, dominates, share = _modal(sizes)
    if (step := _sampling_rate(times, sizes, modal, nanos_per_unit)) is not None:
        return str(step)
    if not dominates and has_changing_hours(times, sizes):
        return infer_freq(times.astype("M8[D]"), item=item, file=file)
    if not dominates and (step := jittered_step(times, nanos_per_unit)) is not None:
        return str(_weekly(step, times))
    if not dominates:
        raise ValueError(
            f"{item_location(item, file=file)} has no dominating time step: the most common, "
            f"{format_duration(modal * nanos_per_unit // 1000)}, is {share:.0%} of the steps; give freq (timestamps up "
            "to half a step beside its grid are then moved to it), or grid='keep' if rows are equally spaced"
        )
    step = duration_step(modal * nanos_per_unit)
    if step.unit in SESSION_UNITS and (sessions := find_sessions(times, step.micros)):
        return str(Step(step.count, step.unit, "", sessions))
    step = _weekly(step, times)
    return "B" if str(step) == "D" and _is_business(times, sizes) else str(step)


def _weekly(step: Step, times: np.ndarray) -> Step:
    """Return a step of whole weeks as such, with the commonest day of the week, of several that of the first row."""
    if step.unit != "D" or step.count % 7:
        return step
    days = weekday(times)
    counts = np.bincount(days, minlength=7)
    day = days[0] if counts[days[0]] == counts.max() else counts.argmax()
    return Step(step.count // 7, "W", "", DAY_NAMES[int(day)])


def typical_freq(times: np.ndarray) -> str | None:
    """Return the median time step, for rows that are equally spaced whatever their timestamps say; None for one row."""
    sizes = np.diff(np.unique(times).astype("M8[ns]").astype(np.int64))
    return str(duration_step(int(np.sort(sizes)[len(sizes) // 2]))) if len(sizes) else None


def _calendar(times: np.ndarray, sizes: np.ndarray, nanos_per_unit: int) -> Step | None:
    """Return a step of months, half-months or chosen days of the week; None for a step of fixed length."""
    if nanos_per_unit == 1:
        return None
    median = np.median(sizes)
    if median >= 27.5 * DAY:
        return _nth_weekday(times, sizes) or _months(times, sizes)
    if 12.5 * DAY <= median <= 16.5 * DAY:
        return _half_months(times)
    return _week_days(times) if DAY <= median <= 3 * DAY else None


def _modal(sizes: np.ndarray) -> tuple[int, bool, float]:
    """Return the most common step, whether it dominates (half of all, or a fifth dividing the rest), and its share."""
    distinct, counts = np.unique(sizes, return_counts=True)
    modal, share = int(distinct[counts.argmax()]), counts.max() / len(sizes)
    return modal, share >= 0.5 or (share >= 0.2 and not (sizes % modal).any()), share


def _months(times: np.ndarray, sizes: np.ndarray) -> Step | None:
    """Return a monthly, quarterly or yearly step, if the day of the month (or its end) is (nearly) always the same."""
    day, last = day_of_month(times), month_length(times)
    months = np.diff(times.astype("M8[M]").astype(np.int64))
    edge = _edge(times, day, last)
    same = (day == np.minimum(day.max(), last)).all()
    if not same and not (sizes % _modal(sizes)[0]).any():
        return None  # a fixed number of days, for example four weeks, and gaps
    if not same and len(edge) != 2:
        months = np.rint(sizes / (DAY * MONTH_DAYS)).astype(np.int64)
        if (np.abs(sizes - months * DAY * MONTH_DAYS) > DRIFT_DAYS * DAY).mean() > 0.1:
            return None
    months = months[months > 0]
    modal, dominates, _ = _modal(months) if len(months) else (0, False, 0.0)
    if not dominates:
        return None
    month = int(times[0].astype("M8[M]").astype(np.int64)) % 12
    if modal % 12 == 0:
        plain = (month, edge[-1]) in ((0, "S"), (11, "E"))
        return Step(modal // 12, "Y", edge, "" if plain else MONTH_NAMES[month])
    if modal % 3 == 0:  # pandas names a quarter by its last start (QS-OCT) or last end (QE-DEC) of the year
        return Step(modal // 3, "Q", edge, MONTH_NAMES[9 + month % 3])
    return Step(modal, "M", edge)


def _edge(times: np.ndarray, day: np.ndarray, last: np.ndarray) -> str:
    """Return S, or E for month ends, or BS or BE for business days where these fit more timestamps than any day."""
    if (day == last).all():
        return "E"
    if (day == np.minimum(day.max(), last)).all():
        return "S"
    days = times.astype("M8[D]")
    shares = {"S": np.bincount(day).max(), "E": (day == last).sum()}
    shares |= {edge: (days == business_edge(times, edge)).sum() for edge in ("BS", "BE")}
    if max(shares.values()) <= len(times) * MIN_EXACT and (boundary := month_boundary(times)) is not None:
        return "S" if boundary == 1 else "E"
    best = max(shares, key=lambda edge: shares[edge])
    return best if shares[best] > len(times) / 2 else "S"


def _nth_weekday(times: np.ndarray, sizes: np.ndarray) -> Step | None:
    """Return a step such as the third Friday of each month; the lengths have to differ, else it is four weeks."""
    days = times.astype("M8[D]")
    if len(np.unique(weekday(times))) > 1 or len(np.unique(sizes)) == 1:
        return None
    name = DAY_NAMES[int(weekday(times[0]))]
    for which in "1234L":
        if (days == nth_weekday(times, f"{which}{name}")).all():
            modal, dominates, _ = _modal(np.diff(times.astype("M8[M]").astype(np.int64)))
            return Step(modal, "WOM", "", f"{which}{name}") if dominates else None
    return None


def _half_months(times: np.ndarray) -> Step | None:
    """Return SMS (the 1st and the 15th, or another day) or SME (the 15th and the last day)."""
    day, last = day_of_month(times), month_length(times)
    at_end = day == last
    inner = np.unique(day[~at_end])
    if len(inner) == 1 and at_end.any() and 2 <= inner[0] <= 27:
        return Step(1, "SM", "E", str(inner[0]))
    days = np.unique(day)
    if len(days) == 2 and days[0] == 1 and days[1] <= 27:
        return Step(1, "SM", "S", str(days[1]))
    return None


def _week_days(times: np.ndarray) -> Step | None:
    """Return C with the days of the week, where the others never occur in four weeks; None for Monday to Friday."""
    days = times.astype("M8[D]")
    if len(np.unique(times - days)) > 1 or int((days[-1] - days[0]).astype(np.int64)) < 27:
        return None
    open_days = np.unique(weekday(times))
    mask = "".join("1" if day in open_days else "0" for day in range(7))
    if mask == MONDAY_TO_FRIDAY or len(open_days) in (1, 7):
        return None
    due = int(np.busday_count(days[0], days[-1], weekmask=mask)) + 1
    return Step(1, "C", "", mask) if len(days) >= MIN_PRESENT * due else None


def _is_business(times: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether the days are Monday to Friday, more than two weeks of them, nearly all present."""
    days = times.astype("M8[D]")
    due = int(np.busday_count(days[0], days[-1])) + 1
    return due > 10 and bool(np.is_busday(days).all()) and len(days) >= 0.9 * due and bool((sizes > DAY).any())


def _sampling_rate(times: np.ndarray, sizes: np.ndarray, modal: int, nanos_per_unit: int) -> Step | None:
    """Return a whole number of samples per second whose timestamps were rounded, as 33, 33 and 34 ms are 30 Hz."""
    unit = int(np.gcd.reduce(sizes))
    single = sizes[sizes < 1.5 * modal]
    if modal * nanos_per_unit >= 10**9 or len(np.unique(single)) != 2 or np.ptp(single) != unit:
        return None
    index = np.cumsum(np.rint(sizes / np.mean(single)).astype(np.int64))
    rate = round(10**9 / (float((times[-1] - times[0]).astype(np.int64)) / index[-1] * nanos_per_unit))
    if rate < 2:
        return None
    step = parse_freq(f"{rate}Hz")
    steps = nearest_steps(times[0], step, times)
    distances = np.abs((times - times[0]).astype(np.int64) * nanos_per_unit - steps * (10**9 / rate))
    return step if (np.diff(steps) > 0).all() and distances.max() <= unit * nanos_per_unit else None
