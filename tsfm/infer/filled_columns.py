"""Put filled values into a column of a DataFrame without changing what was observed."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from tsfm.infer.column_values import read_numbers
from tsfm.messages import announce
from tsfm.store.numbers import is_numeric
from tsfm.store.read_options import ReadSettings


def announce_dtype(column: Any) -> list[str]:
    """Log and return that a column becomes float64 as values are filled; a float column keeps its dtype.

    Raises
    ------
    ValueError
        When the column holds an integer that float64 does not represent exactly; the message names the row.
    """
    if pd.api.types.is_float_dtype(column.dtype):
        return []
    for row, value in enumerate(column.to_numpy(dtype=object)):
        if isinstance(value, Integral) and int(float(value)) != int(value):
            raise ValueError(
                f"df: target column {column.name!r} holds {value} in row {row}, an integer beyond 2**53 that float64 "
                "does not hold exactly, and filled values are floats; subtract a constant, or convert the column with "
                "astype('float64') if rounding does no harm"
            )
    note = f"df: {str(column.name)!r} is {column.dtype}, and becomes float64 as values are filled"
    announce([note])
    return [note]


def fill_column(column: Any, missing: np.ndarray, filled: np.ndarray, settings: ReadSettings) -> pd.Series:
    """Return a column with its missing values filled; the others stay as they are, but text becomes float64."""
    if not is_numeric(column):
        values = read_numbers(column, "target", "df", settings=settings)
        return pd.Series(np.where(missing, filled, values), index=column.index, name=column.name)
    if not missing.any():
        return column
    floats = pd.api.types.is_float_dtype(column.dtype)
    dtype = column.dtype if floats and isinstance(column.dtype, np.dtype) else np.float64
    values = column.to_numpy(dtype=dtype, na_value=np.nan).copy()
    values[missing] = filled[missing]
    return pd.Series(values, index=column.index, name=column.name, dtype=column.dtype if floats else None)
