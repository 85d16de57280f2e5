"""Read one column of a DataFrame: timestamps or numbers. Errors name the row, counted from 0 in the DataFrame.

L steps.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.timestamps.parsing import ParsedTimestamps, TimestampOptions, parse_timestamps

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FLOAT32_MAX = float(np.finfo(np.float32).max)
MAX_LOST_CHANGES = 0.1  # share of the changes from step to step that float32 may lose without a warning


def read_timestamps(
    column: pd.Series,
    *,
    label: str,
    notes: list[str],
    items: Int[np.ndarray, " L"] | None = None,
    options: TimestampOptions | None = None,
    like: ParsedTimestamps | None = None,
) -> ParsedTimestamps:
    """Return a column as timestamps, in its time zone where it has one.

    Parameters
    ----------
    label
        The DataFrame, for messages: "df", "future_df".
    notes
        Assumptions are appended to it.
    items
        Number of the item of each row.
    like
        The timestamps that these continue: read in the same way, and shown in the same zone.

    Raises
    ------
    ValueError
        When a row is missing or not a timestamp; the message names the first such row.
    """

    def location(row: int) -> str:
        return f"{label}: {column.name!r} in row {row}"

    arguments = asdict(options or TimestampOptions())
    parsed = parse_timestamps(column, items=items, like=like, location=location, **arguments)
    if parsed.kind == "text" and like is None:
        notes.append(f"{label}: {column.name!r} is text, read as timestamps such as {parsed.index[0]}")
    notes += [f"{label}: {column.name!r}: {note}" for note in parsed.notes]
    return parsed


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
