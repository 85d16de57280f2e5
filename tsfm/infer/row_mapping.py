"""From the steps of a frame's items back to the rows of the DataFrame. N items, C targets, L steps of an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.infer.columns import find_columns
from tsfm.infer.frames import Frame
from tsfm.timestamps.frequency import make_timestamps
from tsfm.timestamps.grid import as_times
from tsfm.timestamps.timezones import naive_utc, restore_timezone

if TYPE_CHECKING:
    from jaxtyping import Int


def step_of_each_row(frame: Frame) -> Int[np.ndarray, " rows"]:
    """Return, for each row of the DataFrame, the index of its step among the steps of all items, one after another."""
    rows = np.concatenate([item.rows for item in frame])
    steps = np.flatnonzero(rows >= 0)
    out = np.empty(len(steps), np.int64)
    out[rows[steps]] = steps
    return out


def insert_missing_rows(df: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """Return the DataFrame with a row for every step of every item, sorted by item and time; `frame` was read of it."""
    names = find_columns(df, **frame.settings.columns, label="df", notes=[])
    rows = np.concatenate([item.rows for item in frame])
    timestamps = pd.Series(frame.timestamps.index)
    out = names.frame.reset_index(drop=True).reindex(rows).reset_index(drop=True)
    zone, unit = frame.series[0].timestamps.tz, frame.series[0].timestamps.unit
    grids = [
        restore_timezone(make_timestamps(item.start, item.freq, len(item.rows)), zone, absolute=item.utc, unit=unit)
        for item in frame
    ]
    grid = pd.DatetimeIndex(np.concatenate([as_times(naive_utc(times)) for times in grids]))
    grid = grid if zone is None else grid.tz_localize("UTC").tz_convert(zone)
    observed_times = timestamps.reindex(rows).reset_index(drop=True)
    times = pd.DatetimeIndex(observed_times.where(rows >= 0, pd.Series(grid)))
    if names.timestamp is not None:
        out[names.timestamp] = frame.like_column(times)
    if names.item is not None:
        out[names.item] = frame.ids.repeat([len(item.rows) for item in frame]).reset_index(drop=True)
    return out


def check_new_columns(df: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise a ValueError when a column of the user would be overwritten."""
    existing = [name for name in names if name in df.columns]
    if existing:
        raise ValueError(
            f"df has a column {existing[0]!r} already, and the result needs that name; rename or drop the column"
        )
