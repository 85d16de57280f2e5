"""A DataFrame as series on a regular grid, and forecasts as a DataFrame.

C target channels, L past steps, H horizon, W = L + H, J past-only and K known covariates, N items, Q quantile levels.
Rows are counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.arguments import check_prediction_length
from tsfm.infer.categories import encode_categories
from tsfm.infer.column_values import read_numbers
from tsfm.infer.columns import Columns, find_columns
from tsfm.infer.future import covariate_names, read_future
from tsfm.infer.item_errors import ItemProblems, SeriesErrors, raise_items
from tsfm.infer.item_rows import number_items, sort_rows
from tsfm.infer.item_series import ItemSeries, ItemTable
from tsfm.infer.timestamp_kinds import like_numbers, like_timestamps, timestamp_dtype
from tsfm.messages import announce, format_id
from tsfm.store.read_options import ReadOptions, ReadSettings, read_settings
from tsfm.timestamps.frequency import make_timestamps, parse_freq
from tsfm.timestamps.grid import as_times
from tsfm.timestamps.number_forms import restore_steps
from tsfm.timestamps.parsing import ParsedTimestamps
from tsfm.timestamps.timezones import (
    as_unit,
    restore_timezone,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from typing_extensions import Unpack

DEFAULT_SETTINGS = ReadSettings()
Select = Callable[[list[str], list[str]], tuple[list[str], list[str]]]  # past-only and known covariates -> used, notes


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
    timestamp_dtype: Any = None  # of the column in the DataFrame, see `timestamp_kinds`
    settings: ReadSettings = DEFAULT_SETTINGS  # with which the DataFrame was read

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[ItemSeries]:
        return iter(self.series)

    def like_column(self, times: pd.DatetimeIndex) -> Any:
        """Return timestamps as the column of the DataFrame has them: numbers, periods, dates, an Arrow dtype."""
        if self.timestamps.numbered:
            return like_numbers(restore_steps(times, numbered=True), self.timestamp_dtype)
        return like_timestamps(times, self.timestamp_dtype)

    def season_freq(self, item: ItemSeries) -> str:
        """Return the frequency that has the season of an item: its own, or the one given for numbered steps."""
        freq = self.settings.freq
        return str(parse_freq(freq)) if freq is not None and self.timestamps.numbered else item.freq

    def item_names(self) -> list[str]:
        """Return a name of each item for messages."""
        return [f"item {format_id(item_id)}" for item_id in self.ids]

    @contextmanager
    def naming_items(self) -> Iterator[None]:
        """Turn the `SeriesErrors` of the series of these items into `ItemErrors`."""
        try:
            yield
        except SeriesErrors as error:
            numbered = self.timestamps.numbered
            raise_items(error.reasons, self.ids, [restore_steps(item.timestamps, numbered=numbered) for item in self])


def read_frame(
    df: pd.DataFrame,
    *,
    prediction_length: int,
    future_df: pd.DataFrame | None = None,
    covariates: bool = True,
    select: Select | None = None,
    centre: bool = False,
    label: str = "df",
    **options: Unpack[ReadOptions],
) -> Frame:
    """Return a long DataFrame as series on regular grids, with the timestamps to forecast.

    Parameters
    ----------
    prediction_length
        Steps to forecast.
    future_df
        Rows of the steps to forecast; its columns are the covariates that are known in the future.
    covariates
        Whether to read numeric columns next to the target as covariates.
    select
        Given the names of past-only and of known covariates, returns those that are used, and notes; other columns, and
        a future DataFrame without a covariate that is used, are not read. None reads all.
    centre
        Whether to subtract a constant from a target that varies little around a high level, see `level_offset`.
    label
        What `df` is called in messages.
    **options
        How `df` and `future_df` are read.

    Raises
    ------
    ValueError
        When an option, column, timestamp or value cannot be used; the message names the item, the column and the row.
    ItemErrors
        When items cannot be used; with errors="raise" it is raised for the first.
    """
    notes: list[str] = []
    settings = read_settings(options)
    if settings.target is None:
        raise ValueError("target is None; name the target column or columns")
    horizon = check_prediction_length(prediction_length)
    columns = find_columns(df, **settings.columns, label=label, notes=notes)
    columns, future = (columns, None) if future_df is None else _with_future(columns, future_df, settings, notes=notes)
    codes, ids = number_items(columns, label=label)
    if columns.item is None:
        notes.append(f"{label}: no column 'item_id', so all rows are one series, '0'")
    past, known = covariate_names(columns, future, notes=notes) if covariates else ([], [])
    if select is not None:
        past, known, more = _selected(past, known, select)
        future, notes = future if known else None, notes + more
    problems = ItemProblems(codes, ids, at_once=settings.errors == "raise")
    reading: Any = {"settings": settings, "problems": problems}
    values = [
        *(read_numbers(columns.column(name), "target", label, notes=notes, **reading) for name in columns.targets),
        *(read_numbers(columns.column(name), "covariate", label, **reading) for name in past + known),
    ]
    rows = sort_rows(columns, codes, ids, np.column_stack(values), label=label, notes=notes, **reading)
    future_rows = None
    if future is not None:
        future_rows = read_future(future, columns, ids, known, rows, notes=notes, **reading)
    num_past, num_known = len(past), len(known)
    targets = [*map(str, columns.targets)]
    table = ItemTable(rows, ids, targets, num_past, num_known, future_rows, settings, problems, label)
    series = table.series(horizon, centre=centre, notes=notes)
    announce(notes)
    return Frame(
        series,
        ids,
        targets,
        [*map(str, past)],
        [*map(str, known)],
        horizon,
        notes,
        rows.parsed,
        id_name="item_id" if columns.item is None else columns.item,
        timestamp_name=(settings.timestamp_column or "timestamp") if columns.timestamp is None else columns.timestamp,
        timestamp_dtype=None if columns.timestamp is None else timestamp_dtype(columns.column(columns.timestamp)),
        settings=settings,
    )


def _with_future(
    columns: Columns, future_df: pd.DataFrame, settings: ReadSettings, *, notes: list[str]
) -> tuple[Columns, Columns]:
    """Return the columns of both frames, those of categories encoded."""
    future = find_columns(future_df, **settings.updated(target=None).columns, label="future_df", notes=notes)
    return encode_categories(columns, future, notes=notes)


def _selected(past: list[Any], known: list[Any], select: Select) -> tuple[list[Any], list[Any], list[str]]:
    """Return the covariates that are used, and notes."""
    used, notes = select([*map(str, past)], [*map(str, known)])
    past, known = ([name for name in names if str(name) in used] for names in (past, known))
    return past, known, notes


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
    utc = as_times(np.concatenate([item.future.utc for item in frame])).reshape(len(frame), 1, frame.horizon)
    times = pd.DatetimeIndex(np.tile(utc, (1, num_targets, 1)).ravel())
    times = times if zone is None else times.tz_localize("UTC").tz_convert(zone)
    out = pd.DataFrame({frame.id_name: frame.ids.repeat(num_targets * frame.horizon).reset_index(drop=True)})
    times = as_unit(times, unit)
    out[frame.timestamp_name] = frame.like_column(times)
    out["target_name"] = np.tile(np.repeat(frame.targets, frame.horizon), len(frame))
    out["predictions"] = np.asarray(predictions).reshape(-1)
    if mean is not None:
        out["mean"] = np.asarray(mean).reshape(-1)
    for i, level in enumerate(quantile_levels):
        out[f"{level:g}"] = np.asarray(quantiles)[..., i].reshape(-1)
    return out
