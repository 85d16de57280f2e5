"""Covariates of a DataFrame, and their values in the future DataFrame. H horizon, K covariates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.column_values import read_numbers
from tsfm.infer.columns import Columns
from tsfm.infer.item_errors import ItemProblems
from tsfm.infer.item_rows import ItemRows, sort_rows
from tsfm.messages import format_id
from tsfm.store.column_names import is_unnamed
from tsfm.store.numbers import is_numeric
from tsfm.store.read_options import ReadSettings
from tsfm.timestamps.grid import largest_move

if TYPE_CHECKING:
    from jaxtyping import Float


def covariate_names(df: Columns, future: Columns | None, *, notes: list[str]) -> tuple[list[str], list[str]]:
    """Return the names of past-only covariates and of covariates known in the future.

    Numeric columns of `df` next to id, timestamp and targets are covariates; those that `future` has too are known in
    the future. Other columns are appended to `notes` as not used.
    """
    own_columns = {df.item, df.timestamp, *df.targets}
    others = [name for name in df.frame.columns if name not in own_columns]
    numeric = [name for name in others if is_numeric(df.column(name)) and not is_unnamed(name)]
    not_numeric = [str(name) for name in others if name not in numeric]
    if not_numeric:
        notes.append(f"df: not used, because not numeric: {', '.join(not_numeric)}")
    if future is None:
        return numeric, []
    in_future = [name for name in future.frame.columns if name not in {future.item, future.timestamp, *df.targets}]
    unknown = [str(name) for name in in_future if name not in numeric]
    if unknown:
        notes.append(f"future_df: not used, because df has no such numeric column: {', '.join(unknown)}")
    return [name for name in numeric if name not in in_future], [name for name in numeric if name in in_future]


def read_future(
    future: Columns,
    df: Columns,
    ids: pd.Series,
    names: list[str],
    past: ItemRows,
    *,
    notes: list[str],
    settings: ReadSettings,
    problems: ItemProblems | None = None,
) -> ItemRows:
    """Return the covariates `names` of future_df, sorted by the items of `df` and by time.

    Parameters
    ----------
    ids
        Of the items of `df`, in their order.
    past
        The rows of `df`: timestamps of future_df are read in the same way, and converted to the same time zone.
    notes
        Assumptions are appended to it.
    settings
        How future_df is read.
    problems
        Where given, takes the items with rows that cannot be read, in place of an error.
    """
    if (future.item is None) != (df.item is None):
        raise ValueError("only one of df and future_df has an id column; give both the same id column")
    if (future.timestamp is None) != (df.timestamp is None):
        raise ValueError("only one of df and future_df has a timestamp column; give it in both, or in none")
    codes = np.zeros(len(future.frame), np.int64)
    if future.item is not None:
        codes = pd.Index(ids).get_indexer(pd.Index(future.frame[future.item]))
        if (codes < 0).all():
            raise ValueError(
                f"no id of future_df (such as {format_id(future.frame[future.item].iloc[0])}) is in df (such as "
                f"{format_id(ids[0])}); use the same ids"
            )
        if (codes < 0).any():
            notes.append(f"future_df: {int((codes < 0).sum())} rows of items that are not in df are not used")
    reading: Any = {"settings": settings, "problems": problems}
    columns = [read_numbers(future.column(name), "covariate", "future_df", codes=codes, **reading) for name in names]
    first = np.diff(past.bounds)  # rows without a timestamp continue those of their item
    values = np.column_stack(columns) if columns else np.empty((len(codes), 0))
    return sort_rows(
        future, codes, ids, values, label="future_df", notes=notes, like=past.parsed, first=first, **reading
    )


def future_values(
    rows: ItemRows, item: int, expected: pd.DatetimeIndex, item_id: Any, *, freq: str, notes: list[str]
) -> Float[np.ndarray, "H K"]:
    """Return the covariates of one item at the expected timestamps, or near them where the grid allows that.

    Parameters
    ----------
    freq
        The frequency of the item.
    notes
        Rows that are beside the grid are appended to it.

    Raises
    ------
    ValueError
        When a timestamp is missing, or a value at one of them; the message names the item and the first one.
    """
    span = rows.span(item)
    timestamps = rows.timestamps[span]
    positions = timestamps.get_indexer(expected)  # type: ignore[union-attr]
    tolerance = pd.Timedelta(largest_move(freq), "us")
    if (positions < 0).any() and len(timestamps) and tolerance:
        near = timestamps.get_indexer(expected, method="nearest", tolerance=tolerance)  # type: ignore[union-attr]
        if len(np.unique(near[near >= 0])) == (near >= 0).sum():
            moved = int(((near >= 0) & (near != positions)).sum())
            notes += [
                f"future_df: {moved} rows of item {format_id(item_id)} are beside its grid; taken for the nearest step"
            ]
            positions = near
    if not len(timestamps):
        raise ValueError(
            f"future_df has no rows for item {format_id(item_id)}; give it {len(expected)} rows from {expected[0]} on"
        )
    if (positions < 0).any():
        absent = expected[positions < 0]
        raise ValueError(
            f"future_df does not continue item {format_id(item_id)}: it lacks {len(absent)} of {len(expected)} steps, "
            f"the first is {absent[0]}. It goes from {timestamps[0]} to {timestamps[-1]}; give it the steps "
            f"{expected[0]} to {expected[-1]}"
        )
    values = rows.values[span][positions]
    if np.isnan(values).any():
        row = rows.row[span][positions[int(np.isnan(values).any(1).argmax())]]
        raise ValueError(
            f"future_df: a covariate of item {format_id(item_id)} is missing in row {row}; fill it, or leave the "
            "column out of future_df if it is not known in the future"
        )
    return values
