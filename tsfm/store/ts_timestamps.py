"""A case of a .ts file with timestamps: (2024-01-01,1.5),(2024-01-02,2), with ":" between dimensions.

C channels, L steps.

A. Bagnall et al., arXiv:1811.00075; timestamps are dates, or numbers that count time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from tsfm.timestamps.frequency import grid_index, infer_freq
from tsfm.timestamps.grid import MAX_INFLATION
from tsfm.timestamps.offsets import default_start

if TYPE_CHECKING:
    from jaxtyping import Float

UNTIMED = "s"  # the step of cases whose timestamps are numbers
PAIR = re.compile(r"\(\s*([^(),]+?)\s*,\s*([^(),]*?)\s*\)")
CASE = re.compile(rf"\s*{PAIR.pattern}(?:\s*,\s*{PAIR.pattern})*\s*")


def timed_case(line: str, location: str, *, freq: str | None) -> tuple[Float[np.ndarray, "C L"], np.datetime64, str]:
    """Return the values on a regular grid, NaN where there is no value, the first timestamp and the frequency.

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
    if dated:
        step = freq or infer_freq(merged, item=location)
        index = grid_index(merged, freq=step)
        start = merged[0]
    else:
        step = freq or UNTIMED
        index, start = _steps(merged, location), default_start(step)
    length = int(index[-1]) + 1
    if length > max(1000, MAX_INFLATION * len(merged)):
        raise ValueError(f"{location}: {len(merged)} timestamps would make {length} steps; correct the farthest one")
    values = np.full((len(pairs), length), np.nan, np.float32)
    for row, dimension, stamps in zip(values, pairs, times, strict=True):
        if len(np.unique(stamps)) < len(stamps):
            raise ValueError(f"{location}: a timestamp occurs twice in a dimension; drop or average the duplicates")
        row[index[np.searchsorted(merged, stamps)]] = [_value(text, location) for _, text in dimension]
    return values, start, step


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(stamps: list[str], location: str) -> np.ndarray:
    try:
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
        value = np.float32(text)
    except ValueError:
        raise ValueError(f"{location}: {text!r} is not a number; use ? where missing") from None
    if np.isinf(value):
        raise ValueError(f"{location}: {text!r} is infinite in float32; use ? where missing")
    return float(value)
