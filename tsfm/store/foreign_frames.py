"""DataFrames of other libraries: polars, pyarrow, DuckDB and Ibis in, and the same kind back.

They are read through Arrow into a pandas DataFrame whose columns keep their types, so whole numbers, missing values,
dates and time zones stay as they are. pandas DataFrames pass unchanged, and none of the libraries is imported for them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from tsfm.store.arrow_zones import check_zones

FUNCTION = TypeVar("FUNCTION", bound=Callable[..., Any])
READ = "pandas, polars (also lazy), pyarrow, DuckDB or Ibis"
CLUSTERS = {
    "dask": "map_partitions", "dask_expr": "map_partitions", "pyspark": "applyInPandas", "ray": "map_batches",
}  # fmt: skip
NOTES_KEY = b"announcements"  # in the metadata of an Arrow table
NO_FRAMES = frozenset({"builtins", "collections", "narwhals", "numpy", "pandas", "pathlib", "tsfm", "torch"})


@dataclass(frozen=True)
class ForeignFrame:
    """A DataFrame of another library, as pandas, and how to go back.

    Attributes
    ----------
    pandas
        Its rows and columns; strings, numbers and dates have Arrow dtypes, dictionaries are categories.
    schema
        Its columns as Arrow has them.
    native
        The DataFrame itself.
    library
        polars, pyarrow, duckdb, ibis, ...
    """

    pandas: pd.DataFrame
    schema: pa.Schema
    native: Any
    library: str

    def restore(self, result: pd.DataFrame) -> Any:
        """Return a result in the library of this frame: eager for polars, a relation for DuckDB, a table for Ibis.

        Columns that this frame has, too, get its types of text, timestamps and whole numbers back.
        """
        table = pa.Table.from_pandas(result, preserve_index=False).replace_schema_metadata(None)
        for index, field in enumerate(table.schema):
            if field.name in self.schema.names and table.schema.names.count(field.name) == 1:
                original = self.schema.field(field.name)
                if field.type != original.type and _kind(field.type) == _kind(original.type) != "other":
                    column = _cast(table.column(index), original.type)
                    table = table.set_column(index, field.with_type(column.type), column)
        return _RESTORED.get(self.library, _restore_other)(table, self, result.attrs.get("announcements", []))


def _kind(dtype: Any) -> str:
    """Return which types are converted to each other: those of text, of timestamps or of whole numbers."""
    if pa.types.is_dictionary(dtype):
        return _kind(dtype.value_type)
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return "text"
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        return "time"
    return "integer" if pa.types.is_integer(dtype) else "other"


def _cast(column: pa.ChunkedArray, dtype: Any) -> pa.ChunkedArray:
    """Return a column of another type, unchanged where Arrow has no such conversion."""
    try:
        if pa.types.is_dictionary(dtype):
            return column.cast(dtype.value_type).dictionary_encode().cast(dtype)
        return column.cast(dtype)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def _restore_polars(table: pa.Table, frame: ForeignFrame, notes: Sequence[str]) -> Any:
    del notes
    import polars as pl

    schema = frame.native.collect_schema()
    texts = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    for name in texts:  # polars makes their categories itself
        table = table.set_column(table.schema.names.index(name), name, table.column(name).cast(pa.large_string()))
    out: Any = pl.from_arrow(table)
    return out.cast({name: schema.get(name, pl.Categorical) for name in texts})


def _restore_arrow(table: pa.Table, frame: ForeignFrame, notes: Sequence[str]) -> Any:
    del frame
    return table.replace_schema_metadata({NOTES_KEY: json.dumps([*notes]).encode()})


def _restore_duckdb(table: pa.Table, frame: ForeignFrame, notes: Sequence[str]) -> Any:
    """Return a relation on the connection of the caller's, which can be joined with the tables there."""
    del notes
    tsfm_result_rows = table  # noqa: F841 - DuckDB finds the variable by its name
    return frame.native.query("tsfm_result", "SELECT * FROM tsfm_result_rows")


def _restore_ibis(table: pa.Table, frame: ForeignFrame, notes: Sequence[str]) -> Any:
    del frame, notes
    import ibis

    return ibis.memtable(table)


def _restore_other(table: pa.Table, frame: ForeignFrame, notes: Sequence[str]) -> Any:
    del notes
    import narwhals.stable.v2 as nw

    return nw.from_arrow(table, backend=nw.from_native(frame.native).implementation).to_native()


_RESTORED = {
    "polars": _restore_polars, "pyarrow": _restore_arrow, "duckdb": _restore_duckdb, "ibis": _restore_ibis,
}  # fmt: skip


def read_foreign(value: Any, *, label: str) -> ForeignFrame | None:
    """Return a DataFrame of another library as pandas; None for pandas and for any other object.

    Parameters
    ----------
    label
        The argument, for messages: "df", "future_df".

    Raises
    ------
    ValueError
        When the rows cannot be read, or may be spread over a cluster.
    """
    if value is None or isinstance(value, (pd.DataFrame, np.ndarray)):
        return None
    library = type(value).__module__.partition(".")[0].lstrip("_")
    if library in NO_FRAMES:
        return None
    if library in CLUSTERS:
        raise ValueError(
            f"{label} is a {library} {type(value).__name__}, whose rows may be spread over machines; forecast them "
            f"where they are with {CLUSTERS[library]}, see docs/howto/clusters.md, or collect it to pandas first"
        )
    try:
        table = _arrow_table(value)
    except Exception as error:  # whatever the query of a lazy frame raises
        message = " ".join(str(error).split())[:300]
        raise ValueError(f"{label} is a {library} {type(value).__name__} that cannot be read: {message}") from error
    if table is None:
        return None
    check_zones(table.schema, label=label)
    frame = _without_views(table).to_pandas(types_mapper=_pandas_dtype)
    return ForeignFrame(frame, table.schema, value, library)


def _arrow_table(value: Any) -> pa.Table | None:
    """Return the rows of a frame; None where it is not a frame."""
    import narwhals.stable.v2 as nw

    if isinstance(value, pa.Table):
        return value
    if isinstance(value, (pa.RecordBatch, pa.RecordBatchReader)):
        return pa.table(value)
    frame = nw.from_native(value, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        return frame.collect("pyarrow").to_native()
    return frame.to_arrow() if isinstance(frame, nw.DataFrame) else None


def _without_views(table: pa.Table) -> pa.Table:
    """Return a table without views of text, which most functions of Arrow do not know."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.large_string()))
    return table


def _pandas_dtype(dtype: pa.DataType) -> pd.ArrowDtype | None:
    """Return the dtype of a column of pandas: that of Arrow, but categories for dictionaries."""
    return None if pa.types.is_dictionary(dtype) else pd.ArrowDtype(dtype)


def own_copy(value: Any, *, label: str) -> Any:
    """Return a DataFrame that later changes of the caller's do not reach, of the same library."""
    frame = read_foreign(value, label=label)
    if frame is not None:
        return frame.restore(frame.pandas)
    check_frame(value, label=label)
    return value.copy()


def check_frame(value: Any, *, label: str) -> None:
    """Raise a ValueError where a value is not a pandas DataFrame."""
    if not isinstance(value, pd.DataFrame):
        kind = type(value)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]} {kind.__name__}"
        raise ValueError(f"{label} is a {name}; expected a DataFrame of {READ}")


def accepts_frames(*names: str) -> Callable[[FUNCTION], FUNCTION]:
    """Let a function of pandas DataFrames take those of other libraries.

    The function gets them as pandas. A DataFrame that it returns is of the library of the first argument in `names`.

    Parameters
    ----------
    names
        The arguments that are DataFrames; values of another kind pass unchanged.
    """

    def decorate(function: FUNCTION) -> FUNCTION:
        positions = {name: list(inspect.signature(function).parameters).index(name) for name in names}

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            values, frames = list(args), {}
            for name, position in positions.items():
                value = values[position] if position < len(values) else kwargs.get(name)
                if (frame := read_foreign(value, label=name)) is None:
                    continue
                frames[name] = frame
                if position < len(values):
                    values[position] = frame.pandas
                else:
                    kwargs[name] = frame.pandas
            result = function(*values, **kwargs)
            first = frames.get(names[0])
            return result if first is None or not isinstance(result, pd.DataFrame) else first.restore(result)

        return wrapper  # type: ignore[return-value]

    return decorate
