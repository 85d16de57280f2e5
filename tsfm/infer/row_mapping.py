"""From the grids of a frame's items back to its rows: where a step's answer stands in the frame that was given.

N items, C targets, L steps of an item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.columns import read_stamps, settle
from tsfm.infer.frames import Frame
from tsfm.timestamps.frequency import make_timestamps
from tsfm.timestamps.timezones import naive_utc, restore_timezone

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def in_units(frame: Frame, units: Float[np.ndarray, "2 C"] | None) -> list[Float[np.ndarray, "C L"]]:
    """The values of the items, in the units of the model where it has any (see Predictor.channel_units)."""
    if units is None:
        return [one.values for one in frame]
    loc, scale = units[:, :, None]
    return [((one.values - loc) / scale).astype(np.float32) for one in frame]


def in_frame(frame: Frame) -> Int[np.ndarray, " rows"]:
    """For each row of the frame as given, its place among the steps of all items, end to end."""
    rows = np.concatenate([one.rows for one in frame])
    there = np.flatnonzero(rows >= 0)
    where = np.empty(len(there), np.int64)
    where[rows[there]] = there
    return where


def laid_out(df: pd.DataFrame, frame: Frame, columns: Mapping[str, Any]) -> tuple[pd.DataFrame, np.ndarray]:
    """The frame with a row for every step of every item, in the order of items and time, and the place of each."""
    found = settle(df, **columns, label="df", notes=[])
    rows = np.concatenate([one.rows for one in frame])
    given = found.frame.reset_index(drop=True)
    times = pd.Series(read_stamps(found.column(found.timestamp), label="df", notes=[]))
    out = given.reindex(rows).reset_index(drop=True)
    zone, unit = frame.series[0].stamps.tz, frame.series[0].stamps.unit
    grid = [
        restore_timezone(make_timestamps(one.start, one.freq, len(one.rows)), zone, absolute=one.utc, unit=unit)
        for one in frame
    ]
    whole = pd.DatetimeIndex(np.concatenate([np.asarray(naive_utc(one), "datetime64[us]") for one in grid]))
    whole = whole if zone is None else whole.tz_localize("UTC").tz_convert(zone)
    told = times.reindex(rows).reset_index(drop=True)
    out[found.timestamp] = told.where(rows >= 0, pd.Series(whole))
    if found.item is not None:
        out[found.item] = frame.ids.repeat([len(one.rows) for one in frame]).to_numpy()
    return out, np.arange(len(rows))


def check_free(df: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse to overwrite a column of the user."""
    taken = [name for name in names if name in df.columns]
    if taken:
        raise ValueError(
            f"df has a column {taken[0]!r} already, and the result needs that name; rename or drop the column"
        )
