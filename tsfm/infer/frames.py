"""A DataFrame as series on a regular grid, and forecasts as a DataFrame.

C target channels, L past steps, H horizon, W = L + H, J past-only and K known covariates, N items, Q quantile levels.
Rows are counted from 0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.arguments import check_prediction_length
from tsfm.infer.categories import encode_categories
from tsfm.infer.column_values import read_numbers
from tsfm.infer.columns import Columns, find_columns
from tsfm.infer.future import covariate_names, future_values, read_future
from tsfm.infer.item_rows import ItemRows, number_items, sort_rows
from tsfm.infer.level import subtract_levels
from tsfm.infer.timestamp_kinds import like_timestamps
from tsfm.messages import format_id
from tsfm.timestamps.frequency import (
    GriddedSeries,
    describe_moves,
    grid_index,
    make_timestamps,
    parse_freq,
    regular_grid,
)
from tsfm.timestamps.grid import as_times
from tsfm.timestamps.number_forms import restore_steps
from tsfm.timestamps.parsing import ParsedTimestamps, TimestampOptions
from tsfm.timestamps.timezones import (
    as_unit,
    item_frequencies,
    naive_utc,
    regular_timestamps,
    restore_timezone,
    without_advice,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

logger = logging.getLogger("tsfm")
Select = Callable[[list[str], list[str]], tuple[list[str], list[str]]]  # past-only and known covariates -> used, notes


@dataclass(frozen=True)
class ItemSeries:
    """One item on its regular grid. NaN is missing; a gap in the timestamps is missing too."""

    item_id: Any
    values: Float[np.ndarray, "C L"]
    start: np.datetime64  # [us] first step; local time, or UTC where `utc`
    freq: str
    past: Float[np.ndarray, "J L"]  # covariates known only in the past
    known: Float[np.ndarray, "K W"]  # covariates known through the horizon
    timestamps: pd.DatetimeIndex  # of the H future steps, in the time zone of the DataFrame
    rows: Int[np.ndarray, " L"]  # the row of the DataFrame at each step; -1 in a gap
    utc: bool  # whether the grid is regular in UTC rather than in local time
    offset: Float[np.ndarray, " C"]  # that was subtracted from the values, in float64; 0 at ordinary levels

    @property
    def original(self) -> Float[np.ndarray, "C L"]:
        """The values with their offset, in float64."""
        return self.values + self.offset[:, None]


@dataclass(frozen=True)
class Frame:
    """All items of a DataFrame in the order of their first rows, and what was assumed when reading it."""

    series: list[ItemSeries]
    ids: pd.Series  # [N], of the dtype in the DataFrame
    targets: list[str]
    past_names: list[str]
    known_names: list[str]
    horizon: int
    announcements: list[str]
    timestamps: ParsedTimestamps  # of all rows of the DataFrame, in their order
    id_name: str = "item_id"  # names of these columns in the DataFrame
    timestamp_name: str = "timestamp"
    timestamp_dtype: Any = None  # in the DataFrame

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[ItemSeries]:
        return iter(self.series)

    def item_names(self) -> list[str]:
        """Return a name of each item for messages."""
        return [f"item {format_id(item_id)}" for item_id in self.ids]


def read_frame(
    df: pd.DataFrame,
    *,
    prediction_length: int,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: Any = None,
    future_df: pd.DataFrame | None = None,
    covariates: bool = True,
    dayfirst: bool | None = None,
    date_format: str | None = None,
    timezone: str | None = None,
    select: Select | None = None,
    centre: bool = False,
) -> Frame:
    """Return a long DataFrame as series on regular grids, with the timestamps to forecast.

    Parameters
    ----------
    prediction_length
        Steps to forecast.
    freq
        The frequency of all items: an alias, a pandas offset, a Timedelta, or a whole number of numbered steps. None
        infers that of each item.
    future_df
        Rows of the steps to forecast; its columns are the covariates that are known in the future.
    covariates
        Whether to read numeric columns next to the target as covariates.
    dayfirst, date_format, timezone
        How to read timestamps; see `tsfm.timestamps.parsing.parse_timestamps`.
    select
        Given the names of past-only and of known covariates, returns those that are used, and notes; other columns, and
        a future DataFrame without a covariate that is used, are not read. None reads all.
    centre
        Whether to subtract a constant from a target that varies little around a high level, see `level_offset`.

    Raises
    ------
    ValueError
        When a column, timestamp or value cannot be used; the message names the item, the column and the row.
    """
    notes: list[str] = []
    if target is None:
        raise ValueError("target is None; name the target column or columns")
    horizon = check_prediction_length(prediction_length)
    names = {"id_column": id_column, "timestamp_column": timestamp_column}
    columns = find_columns(df, **names, target=target, label="df", notes=notes)
    columns, future = (columns, None) if future_df is None else _with_future(columns, future_df, names, notes=notes)
    codes, ids = number_items(columns, label="df")
    if columns.item is None:
        notes.append("df: no column 'item_id', so all rows are one series, '0'")
    past, known = covariate_names(columns, future, notes=notes) if covariates else ([], [])
    if select is not None:
        past, known, more = _selected(past, known, select)
        future, notes = future if known else None, notes + more
    values = [read_numbers(columns.column(name), kind="target", label="df", notes=notes) for name in columns.targets]
    values += [read_numbers(columns.column(name), kind="covariate", label="df") for name in past + known]
    options = TimestampOptions(dayfirst, date_format, timezone, freq is not None and parse_freq(freq).unit == "step")
    rows = sort_rows(columns, codes, ids, np.column_stack(values), label="df", notes=notes, options=options)
    future_rows = None
    if future is not None:
        future_rows = read_future(future, columns, ids, known, rows, notes=notes, options=options)
    freqs = item_frequencies(rows.timestamps, rows.bounds, ids, freq, notes=notes, steps=rows.parsed.numbered)
    num_targets, num_inserted, series, moves = len(columns.targets), 0, [], []
    centred, offsets = (
        subtract_levels(rows, num_targets, notes=notes) if centre else (rows, np.zeros((len(ids), num_targets)))
    )
    for i, name in enumerate(freqs):
        timestamps, utc = regular_timestamps(rows.timestamps[rows.span(i)], name)  # type: ignore[arg-type]
        grid = _item_grid(
            centred, i, timestamps, freq=name, targets=columns.targets, ids=ids, is_given=freq is not None
        )
        moves.append((grid.moved, grid.largest_move))
        num_steps = grid.values.shape[1]
        grid_times = make_timestamps(grid.start, name, num_steps + horizon)[num_steps:]
        future_times = restore_timezone(grid_times, rows.timestamps.tz, absolute=utc, unit=rows.parsed.unit)
        known_values = np.full((len(known), num_steps + horizon), np.nan, np.float32)
        known_values[:, :num_steps] = grid.values[num_targets + len(past) :]
        if future_rows is not None:
            known_values[:, num_steps:] = future_values(future_rows, i, future_times, ids[i], freq=name, notes=notes).T
        past_values = grid.values[num_targets : num_targets + len(past)]
        step_rows = np.full(num_steps, -1)
        step_rows[grid_index(timestamps, freq=name, is_given=freq is not None) if grid.inserted else slice(None)] = (
            rows.row[rows.span(i)]
        )
        targets = grid.values[:num_targets]
        series.append(
            ItemSeries(
                ids[i], targets, grid.start, name, past_values, known_values, future_times, step_rows, utc, offsets[i]
            )
        )
        num_inserted += grid.inserted
    if future_rows is not None and (num_beyond := int((future_rows.code >= 0).sum()) - horizon * len(series)):
        notes.append(f"future_df: {num_beyond} rows beyond the {horizon} requested steps are not used")
    if num_inserted:
        notes.append(f"df: {num_inserted} steps without a row are taken as missing")
    if num_moved := sum(moved for moved, _ in moves):
        notes.append("df: " + describe_moves(num_moved, max(largest for _, largest in moves), freqs[0]))
    for note in notes:
        logger.info(note)
    return Frame(
        series,
        ids,
        [*map(str, columns.targets)],
        [*map(str, past)],
        [*map(str, known)],
        horizon,
        notes,
        rows.parsed,
        id_name=columns.item or "item_id",
        timestamp_name=columns.timestamp,
        timestamp_dtype=columns.column(columns.timestamp).dtype,
    )


def _with_future(
    columns: Columns, future_df: pd.DataFrame, names: dict[str, str], *, notes: list[str]
) -> tuple[Columns, Columns]:
    """Return the columns of both frames, those of categories encoded."""
    future = find_columns(future_df, **names, target=None, label="future_df", notes=notes)
    return encode_categories(columns, future, notes=notes)


def _selected(past: list[Any], known: list[Any], select: Select) -> tuple[list[Any], list[Any], list[str]]:
    """Return the covariates that are used, and notes."""
    used, notes = select([*map(str, past)], [*map(str, known)])
    past, known = ([name for name in names if str(name) in used] for names in (past, known))
    return past, known, notes


def _item_grid(
    rows: ItemRows,
    item: int,
    timestamps: np.ndarray,
    *,
    freq: str,
    targets: Sequence[str],
    ids: pd.Series,
    is_given: bool,
) -> GriddedSeries:
    """Return the values of one item on its regular grid; each target needs an observed value."""
    span, item_id = rows.span(item), ids[item]
    location: Any = {"item": str(item_id), "rows": rows.row[span]}
    try:
        grid = regular_grid(timestamps, rows.values[span], freq=freq, is_given=is_given, **location)
    except ValueError as error:
        raise ValueError(f"df: {without_advice(error)}; correct the timestamp or give another freq=") from error
    missing = np.isnan(grid.values[: len(targets)]).all(1)
    if missing.any():
        raise ValueError(
            f"df: item {format_id(item_id)} has no observed value in {targets[int(missing.argmax())]!r}; drop the item "
            "or fill it"
        )
    return grid


def step_timestamps(frame: Frame, item: ItemSeries, count: int) -> pd.DatetimeIndex | pd.Index:
    """Return the timestamps of the first steps of an item in the time zone of the DataFrame, or their numbers."""
    times, stamps = make_timestamps(item.start, item.freq, count), frame.timestamps
    index = restore_timezone(times, stamps.zone, absolute=item.utc, unit=stamps.unit)
    return restore_steps(index, numbered=stamps.numbered)


def write_frame(
    frame: Frame,
    predictions: Float[np.ndarray, "N C H"],
    quantiles: Float[np.ndarray, "N C H Q"] | None = None,
    quantile_levels: Sequence[float] = (),
    *,
    mean: Float[np.ndarray, "N C H"] | None = None,
) -> pd.DataFrame:
    """Return forecasts as rows: id, timestamp, target_name, predictions, then one column per level ("0.1", ...).

    A column `mean` follows `predictions` where one is given. Rows run over items in the order of the input, then
    targets, then steps. Ids and timestamps keep their names; ids keep their dtype, timestamps their time zone, and
    periods come back as periods.
    """
    num_targets = len(frame.targets)
    zone, unit = frame.series[0].timestamps.tz, frame.series[0].timestamps.unit
    blocks = [np.tile(as_times(naive_utc(item.timestamps)), num_targets) for item in frame]
    times = pd.DatetimeIndex(np.concatenate(blocks))
    times = times if zone is None else times.tz_localize("UTC").tz_convert(zone)
    out = pd.DataFrame({frame.id_name: frame.ids.repeat(num_targets * frame.horizon).reset_index(drop=True)})
    times = as_unit(times, unit)
    numbered = frame.timestamps.numbered
    out[frame.timestamp_name] = (
        restore_steps(times, numbered=True) if numbered else like_timestamps(times, frame.timestamp_dtype)
    )
    out["target_name"] = np.tile(np.repeat(frame.targets, frame.horizon), len(frame))
    out["predictions"] = np.asarray(predictions).reshape(-1)
    if mean is not None:
        out["mean"] = np.asarray(mean).reshape(-1)
    for i, level in enumerate(quantile_levels):
        out[f"{level:g}"] = np.asarray(quantiles)[..., i].reshape(-1)
    return out
