"""Infer the frequency of timestamps, and place rows with gaps on its regular grid.

L rows, C channels, T steps (rows and gaps).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.timestamps.offsets import (
    DAY,
    DAY_NAMES,
    MICROS,
    MONTH_NAMES,
    Step,
    base_freq,
    calendar_timestamps,
    day_of_month,
    format_timestamp,
    gift_season_length,
    make_timestamps,
    month_length,
    parse_freq,
    season_length,
    time_of_day,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = [
    "GriddedSeries",
    "base_freq",
    "gift_season_length",
    "grid_index",
    "infer_freq",
    "item_location",
    "make_timestamps",
    "parse_freq",
    "regular_grid",
    "season_length",
]

MONTH_DAYS = 365.2425 / 12
DRIFT_DAYS = 4  # tolerance of calendar grids: some data sets have timestamps near the start of a month
MAX_INFLATION = 20  # grid steps per row above which an outlying timestamp is more likely than a sparse series


class GriddedSeries(NamedTuple):
    """A series on a regular grid."""

    start: np.datetime64  # [us] timestamp of the first step
    values: Float[np.ndarray, "C T"]  # float32, NaN where missing
    inserted: int  # steps that had no row


def item_location(item: str, *, file: str | None = None, row: object = None) -> str:
    """Return the beginning of a message about data: file, item and row, as far as they are known."""
    files = [str(file)] if file else []
    return ", ".join([*files, f"item {str(item)!r}", *([f"row {row}"] if row is not None else [])])


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
    times = np.asarray(timestamps, dtype="datetime64[us]")
    times = np.unique(times[~np.isnat(times)])
    if len(times) < 3:
        raise ValueError(
            f"{item_location(item, file=file)} has {len(times)} different timestamp(s); a frequency needs at least 3: "
            "give freq, for example freq='D'"
        )
    sizes = np.diff(times.astype(np.int64))
    if steps:
        return str(np.gcd.reduce(sizes))
    if np.median(sizes) >= 27.5 * DAY and (step := _calendar_step(times, sizes)):
        return str(step)
    modal, dominates, share = _modal(sizes)
    if not dominates:
        raise ValueError(
            f"{item_location(item, file=file)} has no dominating time step: the most common, {_duration(modal)}, is "
            f"{share:.0%} of the steps; give freq, and grid='keep' if rows are equally spaced"
        )
    step = _fixed_step(modal, times)
    return "B" if str(step) == "D" and _is_business(times, sizes) else str(step)


def _modal(steps: np.ndarray) -> tuple[int, bool, float]:
    """Return the most common step, whether it dominates (half of all, or a fifth dividing the rest), and its share."""
    sizes, counts = np.unique(steps, return_counts=True)
    modal, share = int(sizes[counts.argmax()]), counts.max() / len(steps)
    return modal, share >= 0.5 or (share >= 0.2 and not (steps % modal).any()), share


def _calendar_step(times: np.ndarray, steps: np.ndarray) -> Step | None:
    """Return a monthly, quarterly or yearly step, if the day of the month (or its end) is (nearly) always the same."""
    day, last = day_of_month(times), month_length(times)
    months = np.diff(times.astype("M8[M]").astype(np.int64))
    if not (day == np.minimum(day.max(), last)).all():
        if not (steps % _modal(steps)[0]).any():
            return None  # a fixed number of days, for example four weeks, and gaps
        months = np.rint(steps / (DAY * MONTH_DAYS)).astype(np.int64)
        if (np.abs(steps - months * DAY * MONTH_DAYS) > DRIFT_DAYS * DAY).mean() > 0.1:
            return None
    months = months[months > 0]
    modal, dominates, _ = _modal(months) if len(months) else (0, False, 0.0)
    if not dominates:
        return None
    edge = "E" if (day == last).all() else "S"
    month = int(times[0].astype("M8[M]").astype(np.int64)) % 12
    if modal % 12 == 0:
        return Step(modal // 12, "Y", edge, "" if (month, edge) in ((0, "S"), (11, "E")) else MONTH_NAMES[month])
    if modal % 3 == 0:  # pandas names a quarter by its last start (QS-OCT) or last end (QE-DEC) of the year
        return Step(modal // 3, "Q", edge, MONTH_NAMES[9 + month % 3])
    return Step(modal, "M", edge)


def _fixed_step(micros: int, times: np.ndarray) -> Step:
    """Return the step of a fixed length, in its largest unit."""
    unit = next(unit for unit in ("W", "D", "h", "min", "s", "ms", "us") if micros % MICROS[unit] == 0)
    weekday = (int(times[0].astype("M8[D]").astype(np.int64)) + 3) % 7  # 1970-01-01 was a Thursday
    return Step(micros // MICROS[unit], unit, "", DAY_NAMES[weekday] if unit == "W" else "")


def _is_business(times: np.ndarray, steps: np.ndarray) -> bool:
    """Whether the days are Monday to Friday, more than two weeks of them, nearly all present."""
    days = times.astype("M8[D]")
    due = int(np.busday_count(days[0], days[-1])) + 1
    return due > 10 and bool(np.is_busday(days).all()) and len(days) >= 0.9 * due and bool((steps > DAY).any())


def _duration(micros: int) -> str:
    unit = next((unit for unit in ("D", "h", "min", "s", "ms") if micros >= MICROS[unit]), "us")
    return f"{micros / MICROS[unit]:g} {unit}"


def check_order(times: np.ndarray, *, item: str, file: str | None, rows: np.ndarray, strict: bool = True) -> None:
    """Raise a ValueError that names the first row whose timestamp is not after (or, if not strict, before) the last."""
    unordered = np.flatnonzero(times[1:] <= times[:-1] if strict else times[1:] < times[:-1])
    if not len(unordered):
        return
    index = int(unordered[0]) + 1
    same = np.flatnonzero(times[:index] == times[index])
    location, timestamp = item_location(item, file=file, row=rows[index]), format_timestamp(times[index])
    if len(same):
        raise ValueError(
            f"{location}: timestamp {timestamp} occurs twice (before in row {rows[same[0]]}); drop or average the "
            "duplicates, or use grid='keep' to treat rows as equally spaced"
        )
    raise ValueError(
        f"{location}: timestamp {timestamp} follows {format_timestamp(times[index - 1])}; sort the rows of each item "
        "by time"
    )


def regular_grid(
    timestamps, values: np.ndarray, *, freq: str, item: str, file: str | None = None, rows: Any = 1
) -> GriddedSeries:
    """Place rows on the grid of `freq` that starts at the first timestamp; steps without a row become NaN.

    Parameters
    ----------
    timestamps
        Ascending, without duplicates.
    values
        Shape [rows, channels].
    rows
        Row numbers for messages, or the number of the first row.

    Raises
    ------
    ValueError
        If timestamps are not ascending or not on the grid, or if one outlying timestamp would inflate the series to
        more than `MAX_INFLATION` steps per row (and more than 1,000 steps).
    """
    times, step = np.asarray(timestamps, dtype="datetime64[us]"), parse_freq(freq)
    if not len(times):
        raise ValueError(f"{item_location(item, file=file)} has no rows; a series needs at least one")
    values = np.asarray(values, dtype=np.float32).reshape(len(times), -1)
    if step.micros and (np.diff(times.astype(np.int64)) == step.micros).all():  # no gaps
        return GriddedSeries(times[0], np.ascontiguousarray(values.T), 0)
    rows = np.arange(rows, rows + len(times)) if np.ndim(rows) == 0 else np.asarray(rows)
    check_order(times, item=item, file=file, rows=rows)
    index = _on_grid(times, step, item=item, file=file, rows=rows)
    length = int(index[-1]) + 1
    if length > max(1000, MAX_INFLATION * len(times)):
        after = int(np.diff(index).argmax()) + 1
        raise ValueError(
            f"{item_location(item, file=file, row=rows[after])}: timestamp {format_timestamp(times[after])}, after "
            f"{format_timestamp(times[after - 1])}, would make {length} steps of {len(times)} rows at freq {freq}; "
            "correct it, give a coarser freq, or use grid='keep'"
        )
    grid = np.full((values.shape[1], length), np.nan, dtype=np.float32)
    grid[:, index] = values.T
    return GriddedSeries(times[0], grid, length - len(times))


def grid_index(timestamps, *, freq: str) -> Int[np.ndarray, " L"]:
    """Return the step of each row on the grid of `regular_grid`, counted from the first row."""
    times = np.asarray(timestamps, dtype="datetime64[us]")
    return _on_grid(times, parse_freq(freq), item="series", file=None, rows=np.arange(len(times)))


def _on_grid(times: np.ndarray, step: Step, *, item: str, file: str | None, rows: np.ndarray) -> np.ndarray:
    """Grid index of every timestamp, counted from the first; an error names the first timestamp off the grid."""
    start = times[0]
    elapsed = (times - start).astype(np.int64)
    if step.months:
        index = np.rint(elapsed / (DAY * MONTH_DAYS * step.months)).astype(np.int64)
        fits = np.abs((times - calendar_timestamps(start, step, index)).astype(np.int64)) <= DRIFT_DAYS * DAY
    elif step.unit == "B":
        days = times.astype("M8[D]")
        index, rest = np.divmod(np.busday_count(days[0], days), step.count)
        fits = np.is_busday(days) & (rest == 0) & (time_of_day(times) == time_of_day(start))
    else:
        index, rest = np.divmod(elapsed, step.micros)
        fits = rest == 0
    fits[1:] &= np.diff(index) > 0
    if not fits.all():
        first = int((~fits).argmax())
        raise ValueError(
            f"{item_location(item, file=file, row=rows[first])}: timestamp {format_timestamp(times[first])} is not on "
            f"the {step} grid that starts at {format_timestamp(start)}; correct it, give another freq, or use "
            "grid='keep'"
        )
    return index
