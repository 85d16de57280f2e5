"""Read one column of a DataFrame: timestamps or numbers. Errors name the row, counted from 0 in the DataFrame.

L steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.infer.item_errors import ItemProblems
from tsfm.store.number_text import DecimalRule
from tsfm.store.numbers import FLOAT32_MAX, column_numbers, is_numeric
from tsfm.store.read_options import ReadSettings
from tsfm.timestamps.parsing import ParsedTimestamps, TimestampOptions, parse_timestamps

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DEFAULT_SETTINGS = ReadSettings()
MAX_LOST_CHANGES = 0.1  # share of the changes from step to step that float32 may lose without a warning


def read_timestamps(
    column: pd.Series,
    *,
    label: str,
    notes: list[str],
    items: Int[np.ndarray, " L"] | None = None,
    options: TimestampOptions | None = None,
    rows: Int[np.ndarray, " L"] | None = None,
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
    rows
        The row numbers for messages; None: 0, 1, 2, ...
    like
        The timestamps that these continue: read in the same way, and shown in the same zone.

    Raises
    ------
    ValueError
        When a row is missing or not a timestamp; the message names the first such row.
    """

    def location(row: int) -> str:
        return f"{label}: {column.name!r} in row {row if rows is None else rows[row]}"

    arguments = asdict(options or TimestampOptions())
    parsed = parse_timestamps(column, items=items, like=like, location=location, **arguments)
    if parsed.kind == "text" and like is None:
        notes.append(f"{label}: {column.name!r} is text, read as timestamps such as {parsed.index[0]}")
    notes += [f"{label}: {column.name!r}: {note}" for note in parsed.notes]
    return parsed


def read_numbers(
    column: pd.Series,
    kind: str,
    label: str,
    *,
    settings: ReadSettings = DEFAULT_SETTINGS,
    notes: list[str] | None = None,
    problems: ItemProblems | None = None,
    codes: Int[np.ndarray, " rows"] | None = None,
) -> Float[np.ndarray, " rows"]:
    """Return a column as float64, with NaN where it is missing.

    Parameters
    ----------
    kind
        What the column is, for messages: "target" or "covariate".
    label
        The DataFrame, for messages: "df", "future_df".
    settings
        The decimal sign of text, and the numbers that mean missing.
    notes
        Where given, how text was read as numbers is appended to it.
    problems
        Where given, takes the items of rows that cannot be read, whose values are then missing, in place of an error.
    codes
        [rows] item number of each row, where they are not those of `problems`.

    Raises
    ------
    ValueError
        When the column holds text that is not a number, infinities or numbers beyond float32; the row is named.
    """
    rule = DecimalRule(settings.decimal)
    values, bad = column_numbers(column, rule, label=label)

    def without(rows: np.ndarray, reason: Callable[[int], str]) -> np.ndarray:
        if not len(rows):
            return values
        if problems is None:
            raise ValueError(reason(int(rows[0])))
        problems.add_rows(rows, reason, codes)
        kept = values.copy()  # the values may be those of the user's DataFrame
        kept[rows] = np.nan
        return kept

    values = without(
        np.flatnonzero(bad),
        lambda row: (
            f"{label}: {kind} column {column.name!r} is {column.dtype}, row {row} holds {column.iloc[row]!r}; "
            "expected numbers, convert it with pd.to_numeric(column, errors='coerce')"
        ),
    )
    if settings.sentinels:
        values = np.where(np.isin(values, settings.sentinels), np.nan, values)
    invalid = np.flatnonzero(np.abs(values) > FLOAT32_MAX)
    values = without(
        invalid,
        lambda row: (
            f"{label}: {kind} column {column.name!r} holds {values[row]} in row {row} ({len(invalid)} such rows); "
            "infinite or beyond float32: set such steps to NaN or rescale the column"
        ),
    )
    if notes is not None and not is_numeric(column) and not np.isnan(values).all():
        notes.append(f"{label}: {kind} column {column.name!r} is text, read as numbers")
        notes += [f"{label}: {note}" for note in rule.notes]
    return values


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
