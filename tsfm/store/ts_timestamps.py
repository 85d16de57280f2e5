"""A case of a .ts file with timestamps: (2024-01-01,1.5),(2024-01-02,2), with ":" between dimensions.

C channels, L steps.

A. Bagnall et al., arXiv:1811.00075; timestamps are dates, or numbers that count time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from tsfm.store.number_text import check_digits
from tsfm.timestamps.frequency import describe_moves, infer_freq, item_location, regular_grid
from tsfm.timestamps.grid import MAX_INFLATION
from tsfm.timestamps.offsets import default_start

if TYPE_CHECKING:
    from jaxtyping import Float

UNTIMED = "s"  # the step of cases whose timestamps are numbers
PAIR = re.compile(r"\(\s*([^(),]+?)\s*,\s*([^(),]*?)\s*\)")
CASE = re.compile(rf"\s*{PAIR.pattern}(?:\s*,\s*{PAIR.pattern})*\s*")


def timed_case(
    line: str, location: str, *, freq: str | None, notes: list[str]
) -> tuple[Float[np.ndarray, "C L"], np.datetime64, str]:
    """Return the values on a regular grid, NaN where there is no value, the first timestamp and the frequency.

    Parameters
    ----------
    notes
        Timestamps that were moved to the grid are appended to it, for the first case that has such.

    Raises
    ------
    ValueError
        When the case is written differently, or its timestamps are not regular.
    """
    dimensions = [text + ")" for text in re.split(r"\)\s*:", line.strip().removesuffix(")"))]
    for number, text in enumerate(dimensions):
        if not CASE.fullmatch(text):
            raise ValueError(
                f"{location}: dimension {number} is {text[:60]!r}; expected (timestamp,value),(timestamp,value)..."
            )
    pairs = [PAIR.findall(text) for text in dimensions]
    dated = not _is_number(pairs[0][0][0])
    read = _dates if dated else _numbers
    times = [read([stamp for stamp, _ in dimension], location) for dimension in pairs]
    merged = np.unique(np.concatenate(times))
    rows = np.full((len(merged), len(pairs)), np.nan, np.float32)
    for channel, (dimension, stamps) in enumerate(zip(pairs, times, strict=True)):
        if len(np.unique(stamps)) < len(stamps):
            raise ValueError(f"{location}: a timestamp occurs twice in a dimension; drop or average the duplicates")
        rows[np.searchsorted(merged, stamps), channel] = [_value(text, location) for _, text in dimension]
    return _dated(merged, rows, location, freq, notes) if dated else _numbered(merged, rows, location, freq)


def _dated(
    times: np.ndarray, rows: np.ndarray, location: str, freq: str | None, notes: list[str]
) -> tuple[np.ndarray, np.datetime64, str]:
    """Return the grid of timestamps that are dates."""
    try:
        step = freq or infer_freq(times, item="")
        grid = regular_grid(times, rows, freq=step, item="", is_given=freq is not None)
    except ValueError as error:
        raise ValueError(f"{location}{str(error).removeprefix(item_location(''))}") from None
    if grid.moved and not any("were moved to the" in note for note in notes):
        notes.append(f"{location}: {describe_moves(grid.moved, grid.largest_move, step)} (the first such case)")
    return grid.values, grid.start, step


def _numbered(
    times: np.ndarray, rows: np.ndarray, location: str, freq: str | None
) -> tuple[np.ndarray, np.datetime64, str]:
    """Return the grid of timestamps that are numbers."""
    step = freq or UNTIMED
    index = _steps(times, location)
    length = int(index[-1]) + 1
    if length > max(1000, MAX_INFLATION * len(times)):
        raise ValueError(f"{location}: {len(times)} timestamps would make {length} steps; correct the farthest one")
    values = np.full((rows.shape[1], length), np.nan, np.float32)
    values[:, index] = rows.T
    return values, default_start(step), step


def _is_number(text: str) -> bool:
    try:
        check_digits(text)
        float(text)
    except ValueError:
        return False
    return True


def _numbers(stamps: list[str], location: str) -> np.ndarray:
    try:
        check_digits("".join(stamps))
        return np.array([float(stamp) for stamp in stamps])
    except ValueError as error:
        raise ValueError(f"{location}: {error}; the timestamps before it are numbers") from None


def _dates(stamps: list[str], location: str) -> np.ndarray:
    try:
        return np.array([np.datetime64(stamp.replace(" ", "T"), "us") for stamp in stamps])
    except ValueError as error:
        raise ValueError(f"{location}: timestamp {error}; expected 2024-01-31 or 2024-01-31 12:00:00") from None


def _steps(times: np.ndarray, location: str) -> np.ndarray:
    """Return the step of each number, counted in the smallest difference."""
    if len(times) < 2:
        return np.zeros(len(times), np.int64)
    steps = (times - times[0]) / np.diff(times).min()
    index = np.rint(steps).astype(np.int64)
    if np.abs(steps - index).max() > 0.01:
        raise ValueError(f"{location}: timestamps are not multiples of one step; make the series regular first")
    return index


def _value(text: str, location: str) -> float:
    if text in ("?", "", "NaN", "nan"):
        return np.nan
    try:
        check_digits(text)
        with np.errstate(over="ignore"):
            value = np.float32(float(text))
    except ValueError:
        raise ValueError(f"{location}: {text!r} is not a number; use ? where missing") from None
    if np.isinf(value):
        raise ValueError(f"{location}: {text!r} is infinite in float32; use ? where missing")
    return float(value)
