"""Read one column of a DataFrame: timestamps or numbers. Errors name the row, counted from 0 in the DataFrame.

L steps.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jaxtyping import Float

FLOAT32_MAX = float(np.finfo(np.float32).max)
MAX_LOST_CHANGES = 0.1  # share of the changes from step to step that float32 may lose without a warning


def _time_zones(column: pd.Series) -> set[str]:
    """Return the time zones of a column that could not be read as timestamps of one zone."""
    zones = set()
    for value in column:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            zones.add(str(pd.Timestamp(value).tz))
    return zones


def _parse_timestamps(column: pd.Series, *, label: str, notes: list[str]) -> Any:
    """Timestamps from text or objects, all of one zone or none; the error names the first row that does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pandas warns about is an error here
        for date_format in (None, "ISO8601"):
            try:
                timestamps = pd.to_datetime(column, format=date_format)
            except (ValueError, TypeError, OverflowError):
                continue
            if pd.api.types.is_datetime64_any_dtype(timestamps.dtype):
                notes.append(f"{label}: {column.name!r} is text, read as timestamps such as {timestamps.iloc[0]}")
                return timestamps
        zones = _time_zones(column)
        if len(zones) > 1:
            raise ValueError(
                f"{label}: {column.name!r} mixes time zones ({', '.join(sorted(zones))}); "
                "convert it to one with pd.to_datetime(column, utc=True)"
            )
        parsed = pd.to_datetime(column, errors="coerce", utc=True)
    invalid = np.flatnonzero((parsed.isna() & column.notna()).to_numpy())
    row = int(invalid[0]) if len(invalid) else 0
    raise ValueError(
        f"{label}: {column.name!r} in row {row} is {column.iloc[row]!r}, not a timestamp; "
        "expected dates such as 2024-01-31 or 2024-01-31 12:00"
    )


def read_timestamps(column: pd.Series, *, label: str, notes: list[str]) -> pd.DatetimeIndex:
    """Return a column as timestamps, in its time zone where it has one; text is parsed.

    Parameters
    ----------
    label
        The DataFrame, for messages: "df", "future_df".
    notes
        Assumptions are appended to it.

    Raises
    ------
    ValueError
        When the column holds numbers, more than one time zone, a missing value, or text that is not a date.
    """
    if isinstance(column.dtype, pd.PeriodDtype):
        notes.append(f"{label}: the periods of {column.name!r} are read as their first moment")
        column = column.dt.to_timestamp()
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        raise ValueError(
            f"{label}: {column.name!r} holds numbers ({column.dtype}), not timestamps; "
            "convert it, e.g. pd.to_datetime(column, unit='s')"
        )
    timestamps = column
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        timestamps = _parse_timestamps(column.astype(object), label=label, notes=notes)
    missing = np.flatnonzero(timestamps.isna().to_numpy())
    if len(missing):
        raise ValueError(
            f"{label}: {column.name!r} is missing in {len(missing)} rows, the first is row {missing[0]}; "
            "drop these rows or fill in their timestamps"
        )
    return pd.DatetimeIndex(timestamps)


def is_numeric(column: pd.Series) -> bool:
    """Return whether a column holds real numbers."""
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype)


def read_numbers(
    column: pd.Series, *, kind: str, label: str, notes: list[str] | None = None
) -> Float[np.ndarray, " rows"]:
    """Return a column as float32, with NaN where it is missing.

    Parameters
    ----------
    kind
        What the column is, for messages: "target" or "covariate".
    label
        The DataFrame, for messages: "df", "future_df".
    notes
        Where given, a loss of precision in float32 is appended to it.

    Raises
    ------
    ValueError
        When the column holds text, infinities or numbers beyond float32; the message names the row.
    """
    if column.dtype == object and not any(isinstance(value, str) for value in column):
        with contextlib.suppress(ValueError, TypeError):  # refused below, with the row
            column = pd.Series(pd.to_numeric(column), name=column.name)
    if not is_numeric(column):
        not_numeric = pd.isna(pd.to_numeric(column.astype(object), errors="coerce")) & pd.notna(column)
        row = int(np.argmax(not_numeric))  # the first cell that is not a number, else the first
        raise ValueError(
            f"{label}: {kind} column {column.name!r} is {column.dtype}, row {row} holds {column.iloc[row]!r}; "
            "expected numbers, convert it with pd.to_numeric(column, errors='coerce')"
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    invalid = np.flatnonzero(np.abs(values) > FLOAT32_MAX)
    if len(invalid):
        raise ValueError(
            f"{label}: {kind} column {column.name!r} holds {values[invalid[0]]} in row {invalid[0]} ({len(invalid)} "
            "such rows); infinite or beyond float32: set such steps to NaN or rescale the column"
        )
    if notes is not None and (loss := describe_precision_loss(values)):
        notes.append(f"{label}: {kind} column {column.name!r}: {loss}")
    return values.astype(np.float32)


def describe_precision_loss(values: Float[np.ndarray, "... L"]) -> str:
    """Return which share of the changes from step to step float32 loses; empty where it is small.

    Examples
    --------
    >>> describe_precision_loss(1e9 + np.arange(5.0))
    '4 of 4 changes between steps are too small for float32 next to the level; subtract a constant from the values'
    >>> describe_precision_loss(np.arange(5.0))
    ''
    """
    exact, rounded = np.diff(values), np.diff(values.astype(np.float32))
    num_lost = int(((exact != 0) & (rounded == 0)).sum())
    num_changes = int((exact != 0).sum() - np.isnan(exact).sum())
    if num_lost <= MAX_LOST_CHANGES * num_changes:
        return ""
    return (
        f"{num_lost} of {num_changes} changes between steps are too small for float32 next to the level; "
        "subtract a constant from the values"
    )
