"""DataFrame in, arrays out, and back: what a user holds becomes series on a regular grid, and forecasts become rows.

C target channels, L past steps, H horizon, W = L + H, J past and K known covariates, N items, Q quantile levels. Rows
are counted from 0.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.columns import Columns, check_horizon, is_number, read_numbers, read_stamps, settle
from tsfm.timestamps.frequency import grid_index, make_timestamps, regular_grid
from tsfm.timestamps.timezones import (
    format_id,
    item_frequencies,
    naive_utc,
    regular_timestamps,
    restore_timezone,
    without_advice,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

logger = logging.getLogger("tsfm")


@dataclass(frozen=True)
class FrameSeries:
    """One item on its grid. NaN is a step nobody observed; a gap in the stamps is such a step."""

    item_id: Any
    values: Float[np.ndarray, "C L"]
    start: np.datetime64  # [us] first step; local time, or UTC for steps under a day of a frame with a zone
    freq: str
    past: Float[np.ndarray, "J L"]  # covariates known only so far
    known: Float[np.ndarray, "K W"]  # covariates known through the horizon
    stamps: pd.DatetimeIndex  # the H future steps, in the zone of the frame
    rows: Int[np.ndarray, " L"]  # the row of the frame at each step; -1 in a gap
    utc: bool  # whether the grid is regular in UTC rather than in local time


@dataclass(frozen=True)
class Frame:
    """All items of a DataFrame in the order they first appear, and what was assumed when reading it."""

    series: list[FrameSeries]
    ids: pd.Series  # [N], of the dtype the frame had
    targets: list[str]
    past_names: list[str]
    known_names: list[str]
    horizon: int
    announcements: list[str]

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[FrameSeries]:
        return iter(self.series)


@dataclass(frozen=True)
class _Table:
    """The rows of a frame sorted by item and time."""

    code: np.ndarray  # [rows] which item, -1 where none that is wanted
    row: np.ndarray  # [rows] where the row stood in the frame as given
    stamps: pd.DatetimeIndex  # sorted like code
    values: np.ndarray  # [rows, columns] float32

    def times(self, place: slice) -> pd.DatetimeIndex:
        return self.stamps[place]  # type: ignore[return-value]


def _codes(frame: pd.DataFrame, item: str | None, *, label: str) -> tuple[np.ndarray, pd.Series]:
    """The item number of each row, and the ids in the order of their first rows."""
    if item is None:
        return np.zeros(len(frame), np.int64), pd.Series(["0"])
    codes, _ = pd.factorize(frame[item])
    if (codes < 0).any():
        raise ValueError(
            f"{label}: the id column {item!r} is missing in row {int(np.argmax(codes < 0))}; name the item"
        )
    first = np.unique(codes, return_index=True)[1]
    return codes, frame[item].iloc[first].reset_index(drop=True)


def _table(columns: Columns, codes: np.ndarray, ids: pd.Series, values: np.ndarray, *, label: str, notes: list[str]):
    times = read_stamps(columns.column(columns.timestamp), label=label, notes=notes)
    moment = np.asarray(naive_utc(times), dtype="datetime64[us]")
    order = np.lexsort((moment, codes))
    shuffled = np.unique(codes[order[order != np.argsort(codes, kind="stable")]])
    shuffled = shuffled[shuffled >= 0]
    if len(shuffled):
        notes.append(
            f"{label}: rows of {len(shuffled)} items (first {format_id(ids[shuffled[0]])}) are not in time order; "
            "sorted"
        )
    twice = (np.diff(codes[order]) == 0) & (np.diff(moment[order]) == np.timedelta64(0))
    same = np.flatnonzero(twice & (codes[order][1:] >= 0))
    if len(same):
        row = int(order[same[0] + 1])
        hint = "" if columns.item else " (no id column was found, so the frame counts as one series: pass id_column=)"
        raise ValueError(
            f"{label}: item {format_id(ids[codes[row]])} has {times[row]} twice, again in row {row}; "
            f"{len(same)} such rows, drop or average them{hint}"
        )
    return _Table(codes[order], order, pd.DatetimeIndex(times[order]), values[order])


def _future(table: _Table, place: slice, expected: pd.DatetimeIndex, item: Any) -> np.ndarray:
    """The rows [H, K] of future_df for the expected stamps of one item; each must be there, with a number."""
    times = table.times(place)
    where = times.get_indexer(expected)
    if not len(times):
        raise ValueError(
            f"future_df has no rows for item {format_id(item)}; give it {len(expected)} rows from {expected[0]} on"
        )
    if (where < 0).any():
        lost = expected[where < 0]
        raise ValueError(
            f"future_df does not continue item {format_id(item)}: it lacks {len(lost)} of {len(expected)} steps, the "
            "first "
            f"is {lost[0]}. It goes from {times[0]} to {times[-1]}; give it the steps {expected[0]} to {expected[-1]}"
        )
    values = table.values[place][where]
    if np.isnan(values).any():
        row = table.row[place][where[int(np.isnan(values).any(1).argmax())]]
        raise ValueError(
            f"future_df: a covariate of item {format_id(item)} is missing in row {row}; known means known, fill it"
        )
    return values


def _covariates(df: Columns, future: Columns | None, *, notes: list[str]) -> tuple[list[str], list[str]]:
    """Names of past-only and of known-future covariates; columns that are neither are announced."""
    own = {df.item, df.timestamp, *df.targets}
    rest = [name for name in df.frame.columns if name not in own]
    numeric = [name for name in rest if is_number(df.column(name))]
    left = [str(name) for name in rest if name not in numeric]
    if left:
        notes.append(f"df: not used, because not numeric: {', '.join(left)}")
    if future is None:
        return numeric, []
    given = [name for name in future.frame.columns if name not in {future.item, future.timestamp, *df.targets}]
    extra = [str(name) for name in given if name not in numeric]
    if extra:
        notes.append(f"future_df: not used, because df has no such numeric column: {', '.join(extra)}")
    return [name for name in numeric if name not in given], [name for name in numeric if name in given]


def _read_future(
    future: Columns, df: Columns, ids: pd.Series, names: list[str], zone: tzinfo | None, *, notes: list[str]
):
    """future_df sorted by the items of df, and the bounds of each item in it."""
    if (future.item is None) != (df.item is None):
        raise ValueError("one of df and future_df has an id column and the other has not; give both the same id column")
    codes = np.zeros(len(future.frame), np.int64)
    if future.item is not None:
        codes = pd.Index(ids).get_indexer(pd.Index(future.frame[future.item]))
        if (codes < 0).all():
            one = future.frame[future.item].iloc[0]
            raise ValueError(
                f"no id of future_df (such as {format_id(one)}) is in df (such as {format_id(ids[0])}); use the same "
                "ids"
            )
        if (codes < 0).any():
            notes.append(f"future_df: {int((codes < 0).sum())} rows of items that df does not hold are not used")
    read = [read_numbers(future.column(name), what="covariate", label="future_df") for name in names]
    values = np.column_stack(read) if read else np.empty((len(codes), 0), np.float32)
    table = _table(future, codes, ids, values, label="future_df", notes=notes)
    if str(table.stamps.tz) != str(zone):
        raise ValueError(
            f"the stamps of df have zone {zone}, those of future_df {table.stamps.tz}; use the same in both"
        )
    return table, np.searchsorted(table.code, np.arange(len(ids) + 1))


def read_frame(
    df: pd.DataFrame,
    *,
    prediction_length: int,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    future_df: pd.DataFrame | None = None,
    covariates: bool = True,
) -> Frame:
    """A long DataFrame as series on regular grids, with the stamps to forecast; what was assumed is announced.

    Numeric columns beside the target are covariates: known-future if future_df holds them too, else past-only. Without
    `covariates` no column beside the target is looked at.
    """
    horizon, notes = check_horizon(prediction_length), []
    names = {"id_column": id_column, "timestamp_column": timestamp_column}
    columns = settle(df, **names, target=target, label="df", notes=notes)
    future = None if future_df is None else settle(future_df, **names, target=None, label="future_df", notes=notes)
    codes, ids = _codes(columns.frame, columns.item, label="df")
    if columns.item is None:
        notes.append("df: no column 'item_id', so all rows are one series, '0'")
    past, known = _covariates(columns, future, notes=notes) if covariates else ([], [])
    wide = [read_numbers(columns.column(name), what="target", label="df", notes=notes) for name in columns.targets]
    wide += [read_numbers(columns.column(name), what="covariate", label="df") for name in past + known]
    table = _table(columns, codes, ids, np.column_stack(wide), label="df", notes=notes)
    bounds = np.searchsorted(table.code, np.arange(len(ids) + 1))
    zone, unit = table.stamps.tz, table.stamps.unit
    ahead = None
    if future is not None:
        ahead, ahead_bounds = _read_future(future, columns, ids, known, zone, notes=notes)
    count, inserted, series = len(columns.targets), 0, []
    for i, name in enumerate(item_frequencies(table.stamps, bounds, ids, freq, notes=notes)):
        place = slice(bounds[i], bounds[i + 1])
        times, absolute = regular_timestamps(table.times(place), name)
        try:
            grid = regular_grid(times, table.values[place], freq=name, item=str(ids[i]), rows=table.row[place])
        except ValueError as error:
            raise ValueError(f"df: {without_advice(error)}; correct the stamp or give another freq=") from error
        silent = np.isnan(grid.values[:count]).all(1)
        if silent.any():
            lost = columns.targets[int(silent.argmax())]
            raise ValueError(
                f"df: item {format_id(ids[i])} has no observed value in {lost!r}; drop the item or fill it"
            )
        steps = grid.values.shape[1]
        shown = restore_timezone(
            make_timestamps(grid.start, name, steps + horizon)[steps:], zone, absolute=absolute, unit=unit
        )
        beside = np.full((len(known), steps + horizon), np.nan, np.float32)
        beside[:, :steps] = grid.values[count + len(past) :]
        if ahead is not None:
            beside[:, steps:] = _future(ahead, slice(ahead_bounds[i], ahead_bounds[i + 1]), shown, ids[i]).T
        only = grid.values[count : count + len(past)]
        rows = np.full(steps, -1)
        rows[grid_index(times, freq=name) if grid.inserted else slice(None)] = table.row[place]
        series.append(FrameSeries(ids[i], grid.values[:count], grid.start, name, only, beside, shown, rows, absolute))
        inserted += grid.inserted
    if ahead is not None and (beyond := int((ahead.code >= 0).sum()) - horizon * len(series)):
        notes.append(f"future_df: {beyond} rows beyond the {horizon} steps asked for are not used")
    if inserted:
        notes.append(f"df: {inserted} steps without a row are taken as missing")
    for note in notes:
        logger.info(note)
    targets = [str(name) for name in columns.targets]
    return Frame(series, ids, targets, [*map(str, past)], [*map(str, known)], horizon, notes)


def write_frame(
    frame: Frame,
    predictions: Float[np.ndarray, "N C H"],
    quantiles: Float[np.ndarray, "N C H Q"] | None = None,
    quantile_levels: Sequence[float] = (),
) -> pd.DataFrame:
    """Forecasts as rows: item_id, timestamp, target_name, predictions, then one column per level ("0.1", ...).

    Rows run over items in the order of the input, then targets, then steps. Ids keep their dtype, stamps their zone.
    """
    count = len(frame.targets)
    zone, unit = frame.series[0].stamps.tz, frame.series[0].stamps.unit
    blocks = [np.tile(np.asarray(naive_utc(one.stamps), "datetime64[us]"), count) for one in frame]
    times = pd.DatetimeIndex(np.concatenate(blocks))
    times = times if zone is None else times.tz_localize("UTC").tz_convert(zone)
    out = pd.DataFrame({"item_id": frame.ids.repeat(count * frame.horizon).reset_index(drop=True)})
    try:
        out["timestamp"] = times.as_unit(unit)
    except (ValueError, OverflowError):
        out["timestamp"] = times
    out["target_name"] = np.tile(np.repeat(frame.targets, frame.horizon), len(frame))
    out["predictions"] = np.asarray(predictions).reshape(-1)
    for place, level in enumerate(quantile_levels):
        out[f"{level:g}"] = np.asarray(quantiles)[..., place].reshape(-1)
    return out
