"""Columns of pandas in every dtype that can hold what they say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

PERIODS = {"D": "D", "h": "h", "s": "s", "15min": "15min", "30min": "30min", "MS": "M", "QS": "Q", "YS": "Y", "B": "B"}
ID_DTYPES = ("object", "string", "category", "string[pyarrow]", "arrow text", "arrow large text", "arrow categories")
NUMBERS = (
    "float64", "float64", "float64", "float32", "float16", "Float64", "Float32", "int64", "Int64", "Int16", "uint8",
    "boolean", "bool", "objects", "objects, mixed", "Decimal", "text", "category", "Sparse[float64]", "arrow double",
    "arrow float", "arrow int", "arrow decimal", "arrow bool",
)  # fmt: skip


def _arrow(dtype: pa.DataType) -> Any:
    return pd.ArrowDtype(dtype)


def id_column(rng: np.random.Generator, ids: list[str]) -> tuple[pd.Series, list[str], str]:
    """Return the names of items as a column, the names as text, and the dtype."""
    if rng.random() < 0.2:
        kind = str(rng.choice(["int64", "Int64", "int8", "uint16", "arrow int"]))
        numbers = {name: number for number, name in enumerate(dict.fromkeys(ids), start=3)}
        dtype = _arrow(pa.int32()) if kind == "arrow int" else kind
        return pd.Series([numbers[name] for name in ids], dtype=dtype), [str(numbers[name]) for name in ids], kind
    kind = str(rng.choice(ID_DTYPES))
    dtype = {
        "arrow text": _arrow(pa.string()), "arrow large text": _arrow(pa.large_string()),
        "arrow categories": _arrow(pa.dictionary(pa.int32(), pa.string())),
    }.get(kind, kind)  # fmt: skip
    return pd.Series(ids, dtype=dtype), ids, kind


def time_column(rng: np.random.Generator, times: list[pd.Timestamp], freq: str) -> tuple[pd.Series, list[Any], str]:
    """Return timestamps as a column, what it says (with a zone, if any), and the kind."""
    index = pd.DatetimeIndex(times)
    kinds = ["ns", "us", "ms", "s", "UTC", "offset", "arrow", "arrow zone", "objects", "datetimes", "text", "category"]
    kinds += ["period"] if freq in PERIODS else []
    kinds += ["dates", "arrow dates", "compact"] if (index == index.normalize()).all() else []
    kinds += ["epoch", "epoch ms"]
    kind = str(rng.choice(kinds))
    if kind in ("ns", "us", "ms", "s"):
        return pd.Series(index.as_unit(kind)), times, kind
    if kind in ("UTC", "offset", "arrow zone"):
        zone = "UTC" if kind != "offset" else "UTC+05:30"
        zoned = index.tz_localize("UTC").tz_convert(zone)
        column = pd.Series(zoned)
        return column.astype(_arrow(pa.timestamp("us", "UTC"))) if kind == "arrow zone" else column, list(zoned), kind
    columns = {
        "arrow": lambda: pd.Series(index).astype(_arrow(pa.timestamp("us"))),
        "objects": lambda: pd.Series(list(index), dtype=object),
        "datetimes": lambda: pd.Series([time.to_pydatetime() for time in index], dtype=object),
        "text": lambda: pd.Series(index.strftime("%Y-%m-%d %H:%M:%S")),
        "category": lambda: pd.Series(index).astype("category"),
        "period": lambda: pd.Series(index.to_period(PERIODS[freq])),
        "dates": lambda: pd.Series(list(index.date), dtype=object),
        "arrow dates": lambda: pd.Series(list(index.date), dtype=object).astype(_arrow(pa.date32())),
        "compact": lambda: pd.Series(index.strftime("%Y%m%d").astype(int)),
        "epoch": lambda: pd.Series(np.asarray(index.as_unit("s")).astype(np.int64)),
        "epoch ms": lambda: pd.Series(np.asarray(index.as_unit("ms")).astype(np.int64)),
    }
    return columns[kind](), times, kind


def number_column(rng: np.random.Generator, values: np.ndarray) -> tuple[pd.Series, np.ndarray, str]:
    """Return numbers as a column, what it holds [L], and the kind."""
    kind = str(rng.choice(NUMBERS))
    missing = np.isnan(values)
    filled = np.where(missing, 0.0, values)
    if (np.abs(filled) > LIMITS.get(kind, np.inf)).any() or (kind in UNSIGNED and (filled < -0.5).any()):
        kind = "float64"
    column, held = _maker(kind)(kind, filled, missing)
    return column, held, kind


def _maker(kind: str) -> Any:
    if kind in WHOLE:
        return _whole
    if kind in BOOLEANS:
        return _booleans
    if kind in SINGLE:
        return _single
    return OTHERS.get(kind, _double)


def _whole(kind: str, filled: np.ndarray, missing: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    numbers = np.rint(filled).astype(np.int64)
    if kind in ("int64", "uint8"):  # cannot be missing
        return pd.Series(numbers.astype(kind)), numbers.astype(float)
    return _nullable(numbers, missing, _arrow(pa.int64()) if kind == "arrow int" else kind)


def _booleans(kind: str, filled: np.ndarray, missing: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    flags = filled > 0
    if kind == "bool":
        return pd.Series(flags), flags.astype(float)
    return _nullable(flags, missing, _arrow(pa.bool_()) if kind == "arrow bool" else kind)


def _nullable(values: np.ndarray, missing: np.ndarray, dtype: Any) -> tuple[pd.Series, np.ndarray]:
    cells = [None if missing_cell else value for value, missing_cell in zip(values.tolist(), missing, strict=True)]
    return pd.Series(cells, dtype=dtype), np.where(missing, np.nan, values.astype(float))


def _single(kind: str, filled: np.ndarray, missing: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    width = np.float16 if kind == "float16" else np.float32
    held = np.where(missing, np.nan, filled).astype(width)
    dtype = {"arrow float": _arrow(pa.float32())}.get(kind, kind)
    return pd.Series(held).astype(dtype), held.astype(float)


def _double(kind: str, filled: np.ndarray, missing: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    held = np.where(missing, np.nan, filled)
    dtype = {"arrow double": _arrow(pa.float64())}.get(kind, kind)
    return pd.Series(held).astype(dtype), held


def _decimals(kind: str, filled: np.ndarray, missing: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    cells = [
        None if missing_cell else Decimal(f"{value:.4f}") for value, missing_cell in zip(filled, missing, strict=True)
    ]
    column = pd.Series(cells, dtype=object)
    held = np.array([np.nan if cell is None else float(cell) for cell in cells])
    return column.astype(_arrow(pa.decimal128(20, 4))) if kind == "arrow decimal" else column, held


def _objects(kind: str, filled: np.ndarray, missing: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    """Return numbers as objects: floats, numbers of several types, or text."""
    forms = {
        "objects": [float],
        "objects, mixed": [float, np.float64, lambda x: Decimal(repr(x)), lambda x: int(x) if x.is_integer() else x],
        "text": [repr],
    }[kind]
    absent = [None, np.nan, pd.NA, pd.NaT] if kind == "objects, mixed" else [None]
    cells = [
        absent[i % len(absent)] if missing_cell else forms[i % len(forms)](float(value))
        for i, (value, missing_cell) in enumerate(zip(filled, missing, strict=True))
    ]
    return pd.Series(cells, dtype=object), np.where(missing, np.nan, filled)


WHOLE = ("int64", "Int64", "Int16", "uint8", "arrow int")
BOOLEANS = ("boolean", "bool", "arrow bool")
SINGLE = ("float16", "float32", "Float32", "arrow float")
UNSIGNED = ("uint8",)
LIMITS = {"Int16": 30000, "int64": 1e15, "Int64": 1e15, "arrow int": 1e15, "uint8": 255, "float16": 60000}
LIMITS |= {"Decimal": 1e9, "arrow decimal": 1e9}
OTHERS = {
    "Decimal": _decimals,
    "arrow decimal": _decimals,
    "objects": _objects,
    "objects, mixed": _objects,
    "text": _objects,
}
