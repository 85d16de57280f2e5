"""Timestamps of the kind that a DataFrame has."""

from __future__ import annotations

import contextlib
from typing import Any

import pandas as pd
import pyarrow as pa

DATES = "date"  # objects of datetime.date, which have no dtype of their own


def timestamp_dtype(column: pd.Series) -> Any:
    """Return the dtype of a column of timestamps; `DATES` for objects that are dates."""
    is_date = pd.api.types.is_object_dtype(column.dtype) and pd.api.types.infer_dtype(column, skipna=True) == "date"
    return DATES if is_date else column.dtype


def like_timestamps(times: pd.DatetimeIndex, dtype: Any) -> Any:
    """Return timestamps as periods, dates, or of a dtype of Arrow, where those of the DataFrame are."""
    if isinstance(dtype, pd.PeriodDtype):
        return times.to_period(dtype.freq)
    if isinstance(dtype, str) and dtype == DATES and times.tz is None:
        cells = pd.Series(times).dt
        return cells.date if cells.normalize().eq(times).all() else times
    if isinstance(dtype, pd.ArrowDtype) and pa.types.is_temporal(dtype.pyarrow_dtype):
        with contextlib.suppress(ValueError, NotImplementedError, TypeError):
            return pd.Series(times).astype(dtype)
    return times


def like_numbers(steps: pd.Index, dtype: Any) -> Any:
    """Return numbers of steps in the dtype of integers that those of the DataFrame have, where they fit into it."""
    if not pd.api.types.is_integer_dtype(dtype):
        return steps
    cast = pd.Series(steps).astype(dtype)
    return cast if (cast.astype("int64").to_numpy() == steps.to_numpy()).all() else steps
