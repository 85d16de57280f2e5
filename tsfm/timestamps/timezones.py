"""On which clock the stamps of a frame are regular: its frequency, its zone, and the way back to what the user reads.

Steps under a day are regular in UTC, longer ones in local time: with daylight saving midnight moves, an hour does not.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from tsfm.timestamps.frequency import infer_freq, parse_freq

DAY = 86400 * 10**6  # microseconds


def format_id(item: Any) -> str:
    """An id as the user wrote it: 3, not np.int64(3)."""
    return repr(item.item() if isinstance(item, np.generic) else item)


def naive_utc(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return stamps if stamps.tz is None else stamps.tz_convert("UTC").tz_localize(None)


def without_advice(error: ValueError) -> str:
    """What was found, without the advice that only fits the ingest command."""
    return str(error).partition("; ")[0]


def local_times(times: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray(times.tz_localize(None), dtype="datetime64[us]")


def item_frequencies(
    times: pd.DatetimeIndex, bounds: np.ndarray, ids: pd.Series, freq: str | None, *, notes: list[str]
) -> list[str]:
    """The frequency of each item; items too short to tell take that of the others when those agree."""
    if freq is not None:
        return [str(parse_freq(freq))] * len(ids)
    local = local_times(times)
    found: list[str | None] = []
    errors: dict[int, str] = {}
    for i, item in enumerate(ids):
        try:
            found.append(infer_freq(local[bounds[i] : bounds[i + 1]], item=str(item)))
        except ValueError as error:
            errors[i] = without_advice(error)
            found.append(None)
    known = {name for name in found if name is not None}
    short = all(bounds[i + 1] - bounds[i] < 3 for i in errors)
    if errors and (len(known) != 1 or not short):
        raise ValueError(
            f"df: {next(iter(errors.values()))}: its frequency cannot be inferred; pass freq=, e.g. freq='D'"
        )
    if errors:
        notes.append(f"df: {len(errors)} items are too short to show a frequency; read as {next(iter(known))}")
    return [name or next(iter(known)) for name in found]


def regular_timestamps(times: pd.DatetimeIndex, freq: str) -> tuple[np.ndarray, bool]:
    """Stamps on the clock in which they are regular: UTC for steps under a day, else local time; and whether UTC."""
    if times.tz is None:
        return np.asarray(times, dtype="datetime64[us]"), False
    micros = parse_freq(freq).micros
    utc = np.asarray(naive_utc(times), dtype="datetime64[us]")
    absolute = 0 < micros < DAY and bool(((utc - utc[0]).astype(np.int64) % micros == 0).all())
    return (utc if absolute else local_times(times)), absolute


def restore_timezone(times: np.ndarray, zone: tzinfo | None, *, absolute: bool, unit: str) -> pd.DatetimeIndex:
    """Grid stamps as the user reads them: in the frame's zone, in its resolution where that reaches."""
    index = pd.DatetimeIndex(times)
    if zone is not None and absolute:
        index = index.tz_localize("UTC").tz_convert(zone)
    elif zone is not None:
        index = index.tz_localize(zone, ambiguous=np.ones(len(index), bool), nonexistent="shift_forward")
    try:
        return index.as_unit(unit)
    except (ValueError, OverflowError):
        return index
