"""Place rows on the regular grid of a frequency: gaps become NaN, timestamps beside the grid are moved to it.

L rows, C channels, T steps (rows and gaps).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.timestamps.calendars import nearest_steps, timestamp_at
from tsfm.timestamps.grid_start import grid_start
from tsfm.timestamps.jitter import MAX_JITTER, MIN_JITTERED
from tsfm.timestamps.offsets import format_timestamp
from tsfm.timestamps.steps import DAY, MICROS, Step, parse_freq

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DRIFT_DAYS = 4  # tolerance of calendar grids: some data sets have timestamps near the start of a month
MAX_INFLATION = 20  # grid steps per row above which an outlying timestamp is more likely than a sparse series
MAX_VALUES = 10**8  # values of a sparse series whose frequency was given: 400 MB
MIN_EXACT = 0.9  # of the rows that have to be on a grid exactly, where its frequency was inferred


class GriddedSeries(NamedTuple):
    """A series on a regular grid."""

    start: np.datetime64  # [us] or [ns] timestamp of the first step
    values: Float[np.ndarray, "C T"]  # float32, NaN where missing
    inserted: int  # steps that had no row
    moved: int = 0  # rows whose timestamp is not that of its step
    largest_move: int = 0  # microseconds


class GridSteps(NamedTuple):
    """The step of each row on a grid."""

    start: np.datetime64  # timestamp of step 0
    index: Int[np.ndarray, " L"]
    moves: Int[np.ndarray, " L"]  # microseconds from each timestamp to that of its step


def item_location(item: str, *, file: str | None = None, row: object = None) -> str:
    """Return the beginning of a message about data: file, item and row, as far as they are known."""
    files = [str(file)] if file else []
    return ", ".join([*files, f"item {str(item)!r}", *([f"row {row}"] if row is not None else [])])


def format_duration(micros: int) -> str:
    """Return a duration in its largest unit: 1.5 h."""
    unit = next((unit for unit in ("D", "h", "min", "s", "ms") if micros >= MICROS[unit]), "us")
    return f"{micros / MICROS[unit]:.6g} {unit}"


def describe_moves(moved: int, largest_move: int, freq: str) -> str:
    """Return a note about timestamps that were moved to a grid."""
    return f"{moved} timestamps were moved to the {freq} grid, by at most {format_duration(largest_move)}"


def check_order(times: np.ndarray, *, item: str, file: str | None, rows: np.ndarray) -> None:
    """Raise a ValueError that names the first row whose timestamp is not after the last."""
    unordered = np.flatnonzero(times[1:] <= times[:-1])
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
    timestamps,
    values: np.ndarray,
    *,
    freq: str,
    item: str,
    file: str | None = None,
    rows: Any = 1,
    is_given: bool = False,
) -> GriddedSeries:
    """Place rows on the grid of `freq`; steps without a row become NaN.

    Parameters
    ----------
    timestamps
        Ascending, without duplicates.
    values
        Shape [rows, channels].
    rows
        Row numbers for messages, or the number of the first row.
    is_given
        Whether the user gave the frequency: then timestamps up to half a step beside the grid are moved to it, and the
        series may be sparse. Otherwise rows are moved by up to half a step where most are on the grid exactly, and by
        up to a quarter where they are `MIN_JITTERED` or more.

    Raises
    ------
    ValueError
        If timestamps are not ascending, not on the grid, or two are on one step; if the frequency was inferred and one
        outlying timestamp would inflate the series to more than `MAX_INFLATION` steps per row (and more than 1,000).
    """
    times, step = as_times(timestamps), parse_freq(freq)
    if not len(times):
        raise ValueError(f"{item_location(item, file=file)} has no rows; a series needs at least one")
    values = np.asarray(values, dtype=np.float32).reshape(len(times), -1)
    if step.has_whole_micros and are_steps(times.astype("M8[us]", copy=False), step.micros):  # no gaps
        return GriddedSeries(times[0], np.ascontiguousarray(values.T), 0)
    rows = np.arange(rows, rows + len(times)) if np.ndim(rows) == 0 else np.asarray(rows)
    check_order(times, item=item, file=file, rows=rows)
    grid = _on_grid(times, step, item=item, file=file, rows=rows, is_given=is_given)
    length = int(grid.index[-1]) + 1
    limit = MAX_VALUES // values.shape[1] if is_given else max(1000, MAX_INFLATION * len(times))
    if length > limit:
        after = int(np.diff(grid.index).argmax()) + 1
        raise ValueError(
            f"{item_location(item, file=file, row=rows[after])}: timestamp {format_timestamp(times[after])}, after "
            f"{format_timestamp(times[after - 1])}, would make {length} steps of {len(times)} rows at freq {freq}; "
            "correct it, give freq= if the series is sparse, or use grid='keep'"
        )
    out = np.full((values.shape[1], length), np.nan, dtype=np.float32)
    out[:, grid.index] = values.T
    moved = grid.moves[grid.moves != 0]
    largest = int(np.abs(moved).max()) if len(moved) else 0
    return GriddedSeries(grid.start, out, length - len(times), len(moved), largest)


def are_steps(times: np.ndarray, micros: int) -> bool:
    """Return whether timestamps of datetime64[us] all follow each other after so many microseconds."""
    return bool((times[1:] - times[:-1] == np.timedelta64(micros, "us")).all())


def equal_steps(timestamps: Any, values: np.ndarray, *, freq: str) -> GriddedSeries:
    """Return rows as equally spaced steps of a frequency, whatever their timestamps say; the last keeps its own."""
    count = len(values)
    start = timestamp_at(as_times(timestamps)[-1], freq, np.int64(1 - count))
    return GriddedSeries(start, np.ascontiguousarray(values.T, dtype=np.float32), 0)


def as_times(timestamps: Any) -> np.ndarray:
    """Return timestamps as datetime64[us], or [ns] where microseconds would lose digits."""
    values = np.asarray(timestamps)
    micros = values.astype("datetime64[us]", copy=False)
    return values if values.dtype == "datetime64[ns]" and (micros.astype("M8[ns]") != values).any() else micros


def grid_index(timestamps, *, freq: str, is_given: bool = False) -> Int[np.ndarray, " L"]:
    """Return the step of each row on the grid of `regular_grid`."""
    times = as_times(timestamps)
    rows = np.arange(len(times))
    return _on_grid(times, parse_freq(freq), item="series", file=None, rows=rows, is_given=is_given).index


def _on_grid(
    times: np.ndarray, step: Step, *, item: str, file: str | None, rows: np.ndarray, is_given: bool
) -> GridSteps:
    """Step of every timestamp; an error names the first timestamp off the grid."""
    start = grid_start(times, step, is_given=is_given)
    index = nearest_steps(start, step, times)
    start, index = timestamp_at(start, str(step), index[0]), index - index[0]
    moves = (timestamp_at(start, str(step), index) - times).astype("m8[us]").astype(np.int64)
    if step.unit in ("ns", "Hz"):
        moves = np.where(np.abs(moves) <= 1, 0, moves)  # timestamps of microseconds
    fits = np.abs(moves) <= _tolerance(step, moves, is_given=is_given)
    if step.weekmask:
        fits &= np.is_busday(times.astype("M8[D]"), weekmask=step.weekmask)
    fits[1:] &= np.diff(index) > 0
    if not fits.all():
        first = int((~fits).argmax())
        raise ValueError(
            f"{item_location(item, file=file, row=rows[first])}: timestamp {format_timestamp(times[first])} is not on "
            f"the {step} grid that starts at {format_timestamp(start)}"
            f"{'' if np.abs(moves[first]) > 0 and not is_given else _same_step(times, index, first)}; correct it, give "
            "another freq, or use grid='keep'"
        )
    return GridSteps(start, index, moves)


def largest_move(freq: str) -> int:
    """Return by how many microseconds a timestamp may be beside the grid of a frequency that was given."""
    step = parse_freq(freq)
    tolerance = _tolerance(step, np.zeros(1, np.int64), is_given=True)
    return min(tolerance, DAY // 2 - 1) if step.weekmask or step.micros == DAY else tolerance


def _same_step(times: np.ndarray, index: np.ndarray, row: int) -> str:
    """Return which earlier timestamp is on the same step."""
    if not row or index[row] > index[row - 1]:
        return ""
    return f", and {format_timestamp(times[row - 1])} is on the same step"


def _tolerance(step: Step, moves: np.ndarray, *, is_given: bool) -> int:
    """Return by how many microseconds a timestamp may be moved."""
    if step.months:
        return DRIFT_DAYS * DAY
    if step.unit == "WOM":
        return 0
    if step.unit == "SM":
        return DRIFT_DAYS * DAY if is_given else 0
    if step.unit == "Hz":
        return step.micros // 2
    if not is_given and (moves == 0).mean() < MIN_EXACT:
        if len(moves) < MIN_JITTERED or step.sessions:
            return 0
        if not step.weekmask and step.micros != DAY:
            return step.micros // MAX_JITTER
    if step.weekmask or step.micros == DAY:
        return DAY - 1  # any time of the day
    return (step.micros - 1) // 2
