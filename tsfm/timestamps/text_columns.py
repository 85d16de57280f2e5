"""Columns of text as Arrow arrays: parsed in C++ where every cell is ISO 8601, else reduced to their distinct cells.

L rows, U distinct cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from jaxtyping import Int

_compute: Any = pc  # the stubs of pyarrow lack most functions


def text_array(series: pd.Series) -> Any:
    """Return a column without missing cells as an Arrow array where it holds nothing but text, else None."""
    dtype: Any = series.dtype
    are_objects = pd.api.types.is_object_dtype(dtype)
    if are_objects:
        is_text = pd.api.types.infer_dtype(series, skipna=False) == "string"
    elif isinstance(dtype, pd.ArrowDtype):
        is_text = pa.types.is_string(dtype.pyarrow_dtype) or pa.types.is_large_string(dtype.pyarrow_dtype)
    else:
        is_text = isinstance(dtype, pd.StringDtype)
    if not is_text:
        return None
    try:
        return pa.array(series.to_numpy(), pa.string()) if are_objects else pa.array(series.array)
    except (pa.ArrowException, UnicodeError):  # half of a surrogate pair
        return None


def iso_times(text: Any) -> np.ndarray | None:
    """Return ISO 8601 without a zone as datetime64[us], [L], by a fast parser; None if a cell is something else.

    `text` is an Arrow array or a list of cells.
    """
    try:
        cells = pa.array(text, pa.string()) if isinstance(text, list) else text
        times = _compute.cast(cells, pa.timestamp("us"))
    except (pa.ArrowException, UnicodeError):
        return None
    return np.asarray(times.to_numpy() if isinstance(times, pa.ChunkedArray) else times.to_numpy(zero_copy_only=False))


def distinct_text(text: Any) -> tuple[Int[np.ndarray, " L"], list[str]]:
    """Return the number of the cell of each row, and the distinct cells [U] with single spaces between their words."""
    codes, distinct = pd.arrays.ArrowExtensionArray(text).factorize()
    cells = [" ".join(str(cell).split()) for cell in distinct]
    merged, unique = pd.factorize(np.array(cells, dtype=object))
    return (codes, cells) if len(unique) == len(cells) else (merged[codes], list(unique))
