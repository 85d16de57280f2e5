"""Frequencies and time zones of timestamps with or without a zone: to a regular grid, and back to the user's zone.

Steps shorter than a day are regular in UTC, longer ones in local time: daylight saving moves midnight in UTC, and not
the length of an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from tsfm.timestamps.frequency import parse_freq, typical_freq
from tsfm.timestamps.grid import as_times
from tsfm.timestamps.panel_frequency import PanelFrequencies
from tsfm.timestamps.sessions import describe_sessions

DAY = 86400 * 10**6  # microseconds


def naive_utc(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return timestamps in UTC without a zone; those without a zone are unchanged."""
    return stamps if stamps.tz is None else stamps.tz_convert("UTC").tz_localize(None)


def without_advice(error: ValueError) -> str:
    """Return the first part of a message: what is wrong, without advice that fits another entry point."""
    return str(error).partition("; ")[0]


def in_timezone(utc: np.ndarray, zone: tzinfo) -> pd.DatetimeIndex:
    """Return timestamps in UTC as timestamps in a zone."""
    return pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert(zone)


def local_times(times: pd.DatetimeIndex) -> np.ndarray:
    """Return local times without a zone."""
    return as_times(times.tz_localize(None))


def zone_name(zone: tzinfo) -> str:
    """Return the name of a time zone, or its offset from UTC, of any library of time zones.

    Examples
    --------
    >>> import datetime as dt, zoneinfo
    >>> zone_name(zoneinfo.ZoneInfo("Europe/Berlin")), zone_name(dt.timezone(dt.timedelta(hours=-5)))
    ('Europe/Berlin', '-05:00')
    """
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)  # zoneinfo, pytz
    if name:
        return str(name)
    offset = zone.utcoffset(None)
    if offset is None:  # dateutil keeps the path of the file
        return str(getattr(zone, "_filename", zone)).partition("zoneinfo/")[2] or str(zone)
    minutes = round(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "UTC"


def item_frequencies(
    times: pd.DatetimeIndex,
    bounds: np.ndarray,
    ids: pd.Series,
    freq: Any,
    *,
    notes: list[str],
    label: str = "df",
    steps: bool = False,
    keep: bool = False,
    failed: Collection[int] = (),
    report: Callable[[int, str], None] | None = None,
) -> list[str | None]:
    """Return the frequency of each item, None where it was reported as not known.

    Items that are too short to have a frequency get that of the others, if those agree.

    Parameters
    ----------
    times
        Of all items, item by item; item i has the rows ``bounds[i]:bounds[i + 1]``.
    freq
        The frequency given by the user; None infers it.
    notes
        Assumptions are appended to it.
    label
        The DataFrame, for messages.
    steps
        Whether the timestamps number steps.
    keep
        Whether rows are equally spaced, so that a series without a dominating step has its median one.
    failed
        Items to pass over.
    report
        Takes the number of an item without a frequency, and why; None: that is an error.
    """
    if freq is not None:
        return [str(parse_freq(freq))] * len(ids)
    local = local_times(times)
    panel = PanelFrequencies(local, bounds)
    inferred: list[str | None] = []
    errors: dict[int, str] = {}
    for i, item in enumerate(ids):
        if i in failed:
            inferred.append(None)
            continue
        try:
            inferred.append(panel.infer(i, item=str(item), steps=steps))
        except ValueError as error:
            inferred.append(typical_freq(local[bounds[i] : bounds[i + 1]]) if keep else None)
            if inferred[-1] is None:
                errors[i] = without_advice(error)
    known = {name for name in inferred if name is not None} or ({"1"} if steps else set())
    short = [i for i in errors if bounds[i + 1] - bounds[i] < 3 and len(known) == 1]
    for i in [i for i in errors if i not in short]:
        reason = f"{label}: {errors[i]}: its frequency cannot be inferred; pass freq=, e.g. freq='D'"
        if report is None:
            raise ValueError(reason)
        report(i, reason)
    if short:
        common = next(iter(known))
        notes.append(f"{label}: {len(short)} items are too short to show a frequency; read as {common}")
        inferred = [common if i in short else name for i, name in enumerate(inferred)]
    notes += [
        f"{label}: closed hours are not forecast; steps are {describe_sessions(sessions)} (freq {name})"
        for name in sorted(known)
        if (sessions := parse_freq(name).sessions)
    ]
    return inferred


def regular_timestamps(times: pd.DatetimeIndex, freq: str) -> tuple[np.ndarray, bool]:
    """Return timestamps in the zone in which they are regular, and whether that is UTC.

    UTC for steps shorter than a day, else local time.
    """
    if times.tz is None:
        return as_times(times), False
    return regular_times(as_times(naive_utc(times)), local_times(times), freq)


def regular_times(utc: np.ndarray, local: np.ndarray, freq: str) -> tuple[np.ndarray, bool]:
    """Return those of the same timestamps in UTC and in local time that are regular, and whether that is UTC."""
    step = parse_freq(freq)
    micros = step.micros
    if step.sessions or not 0 < micros < DAY:
        return local, False
    absolute = micros < DAY // 12 or _num_on_grid(utc, micros) >= _num_on_grid(local, micros)
    return (utc if absolute else local), absolute


def _num_on_grid(times: np.ndarray, micros: int) -> int:
    """Return how many timestamps are whole steps apart, at most: a few may be beside the grid."""
    residues = (times - times[0]).astype("m8[us]").astype(np.int64) % micros
    return int(np.unique(residues, return_counts=True)[1].max()) if residues.any() else len(times)


def restore_timezone(times: np.ndarray, zone: tzinfo | None, *, absolute: bool, unit: str) -> pd.DatetimeIndex:
    """Return grid timestamps in the zone of the frame, and in its resolution where that can represent them."""
    index = pd.DatetimeIndex(times)
    if zone is not None and absolute:
        index = index.tz_localize("UTC").tz_convert(zone)
    elif zone is not None:
        index = index.tz_localize(zone, ambiguous=np.ones(len(index), bool), nonexistent="shift_forward")
    return as_unit(index, unit)


def as_unit(index: pd.DatetimeIndex, unit: str) -> pd.DatetimeIndex:
    """Return timestamps in a resolution, or unchanged where it cannot represent them."""
    try:
        converted = index.as_unit(unit)
    except (ValueError, OverflowError):
        return index
    return converted if (converted == index).all() else index
