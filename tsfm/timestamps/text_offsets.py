"""Offsets from UTC in text: to instants, or to local days. U distinct cells, L rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np

NAIVE = np.iinfo(np.int64).min  # in place of the offset of a cell without one
INVALID = NAIVE + 1  # in place of an offset that no place on Earth has
MAX_OFFSET = 15 * 60 + 59  # minutes: the local mean time of Manila before 1845 was 15:56 behind


def offset_minutes(sign: int, hours: Any, minutes: Any) -> np.ndarray:
    """Return offsets from UTC in minutes, `INVALID` where they are none."""
    total = np.asarray(hours) * 60 + np.asarray(minutes)
    return np.where((np.asarray(minutes) > 59) | (total > MAX_OFFSET), INVALID, sign * total)


def check_offsets(offsets: np.ndarray, cells: list[str], codes: np.ndarray, location: Callable[[int], str]) -> None:
    """Refuse offsets that no place has, and cells with and without an offset in one column."""
    if (offsets == INVALID).any():
        row = int((offsets[codes] == INVALID).argmax())
        raise ValueError(
            f"{location(row)} is {cells[codes[row]]!r}, whose offset from UTC is none; expected -15:59 to +15:59, such "
            "as 2020-01-31 14:30+01:00"
        )
    naive = offsets == NAIVE
    if naive.any() and not naive.all():
        row = int((naive[codes] != naive[codes[0]]).argmax())
        raise ValueError(
            f"{location(row)} is {cells[codes[row]]!r} and an earlier row {cells[codes[0]]!r}: rows with and without a "
            "time zone are mixed; write the offset from UTC in all of them or in none"
        )


def to_utc(
    local: np.ndarray, offsets: np.ndarray, local_days: bool | None, notes: list[str]
) -> tuple[np.ndarray, dt.tzinfo | None]:
    """Return UTC and the zone where the cells have offsets; local days, which have changing offsets, have no zone."""
    if (offsets == NAIVE).all() or local_days:
        return local, None
    distinct = np.unique(offsets)
    if len(distinct) == 1:
        zone = dt.timezone(dt.timedelta(minutes=int(distinct[0]))) if distinct[0] else dt.timezone.utc
        return local - distinct[0].astype("m8[m]"), zone
    names = [f"{'-' if o < 0 else '+'}{abs(o) // 60:02d}:{abs(o) % 60:02d}" for o in distinct[:4].tolist()]
    change = f"offsets from UTC change ({', '.join(names)})"
    time_of_day = local - local.astype("M8[D]")
    if local_days is None and len(local) > 2 and (time_of_day == time_of_day[0]).all():
        notes.append(
            f"{change} while the time of day stays the same: read as local days without a zone; give timezone= to keep "
            "one"
        )
        return local, None
    if local_days is None:
        notes.append(f"{change}: read as UTC; give timezone= to read them in a zone")
    return local - offsets.astype("m8[m]"), dt.timezone.utc
