"""Columns of DataFrames to numbers: every numeric dtype, Decimal, truth values, objects, text. L cells."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tsfm.store.number_text import DecimalRule, text_numbers

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FLOAT32_MAX = float(np.finfo(np.float32).max)
_types: Any = pd.api.types


@dataclass(frozen=True, eq=False)  # equal cells of a block are the same object: pandas compares them fast
class UnreadText:
    """A cell of a text file that was found to be no number, and is not read in another way again."""

    text: str

    def __str__(self) -> str:
        return self.text


def is_numeric(column: Any) -> bool:
    """Return whether a column holds real numbers or truth values: by its dtype, or as objects such as Decimal.

    Examples
    --------
    >>> is_numeric(pd.Series([Decimal(1), None])), is_numeric(pd.Series(["1"])), is_numeric(pd.Series([None, True]))
    (True, False, True)
    """
    if _types.is_complex_dtype(column.dtype) or holds_dates(column):
        return False
    if _types.is_numeric_dtype(column.dtype) or _types.is_bool_dtype(column.dtype) or _is_decimal(column.dtype):
        return True
    if column.dtype != object and not isinstance(column.dtype, pd.CategoricalDtype):
        return False
    values = column.dropna() if column.dtype == object else pd.Series(column.cat.categories)
    return len(values) > 0 and all(isinstance(value, (Real, Decimal, np.bool_)) for value in values)


def holds_dates(column: Any) -> bool:
    """Return whether the dtype of a column is one of dates, periods or durations."""
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype) and pa.types.is_temporal(dtype.pyarrow_dtype):
        return True
    return (
        _types.is_datetime64_any_dtype(dtype) or _types.is_timedelta64_dtype(dtype) or isinstance(dtype, pd.PeriodDtype)
    )


def _is_decimal(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_decimal(dtype.pyarrow_dtype)


def column_numbers(
    column: Any, rule: DecimalRule, *, label: str
) -> tuple[Float[np.ndarray, " L"], Bool[np.ndarray, " L"]]:
    """Return a column as float64, NaN where missing, and which cells are no numbers (NaN too).

    Parameters
    ----------
    rule
        How numbers in text are written.
    label
        Begins the message about text that can be read in two ways.
    """
    nothing = np.zeros(len(column), dtype=bool)
    if holds_dates(column) or _types.is_complex_dtype(column.dtype):
        return np.full(len(column), np.nan), ~nothing
    if column.dtype != object and (_types.is_numeric_dtype(column.dtype) or _types.is_bool_dtype(column.dtype)):
        return column.to_numpy(np.float64, na_value=np.nan), nothing
    cells = column.astype(object).to_numpy()
    values, bad = np.full(len(cells), np.nan), nothing
    texts = np.array([isinstance(cell, str) for cell in cells], dtype=bool)
    for row in np.flatnonzero(~texts):
        values[row], bad[row] = _number(cells[row])
    if texts.any():
        rows = np.flatnonzero(texts)
        values[rows], bad[rows] = text_numbers(
            pa.array(cells[rows], pa.string()),
            name=str(column.name),
            rule=rule,
            location=lambda at: f"{label}, row {rows[at]}",
        )
    return values, bad


def _number(cell: Any) -> tuple[float, bool]:
    """Return one object as a number, and whether it is none."""
    if isinstance(cell, (Real, Decimal, np.bool_)):
        try:
            return float(cell), False
        except OverflowError:  # an integer beyond float64
            return np.inf, False
    missing = cell is None or (not isinstance(cell, (list, dict, tuple, np.ndarray)) and pd.isna(cell) is True)
    return np.nan, not missing
