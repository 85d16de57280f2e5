"""Parquet: every way to store the same table, and damage. A damaged file says what DuckDB reads in it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.cases import EITHER, READ, REFUSE, Case
from tests.fuzz.content import Content, LongTable, Row, random_table
from tests.fuzz.damage import damaged

CODECS = ("none", "snappy", "gzip", "zstd", "brotli", "lz4")


def parquet_case(rng: np.random.Generator) -> Case:
    """Return a long table as Parquet."""
    table = random_table(rng)
    done: list[str] = []
    must = READ
    rows = list(table.rows)
    if rng.random() < 0.15:
        rows, done = [rows[i] for i in rng.permutation(len(rows))], ["rows shuffled"]
    elif rng.random() < 0.1:
        rows = [*rows, rows[int(rng.integers(0, len(rows)))]]
        must, done = REFUSE, ["a row twice"]
    table = LongTable(rows, table.channels, table.freq)
    arrow, content = _arrow(rng, table, done)
    if rng.random() < 0.12 and must == READ:
        arrow, must = _fault(rng, arrow, done)
    out = io.BytesIO()
    codec = str(rng.choice(CODECS))
    options: dict[str, Any] = {
        "compression": codec, "row_group_size": int(rng.integers(3, 200)), "use_dictionary": bool(rng.random() < 0.5),
        "data_page_version": str(rng.choice(["1.0", "2.0"])), "write_page_checksum": bool(rng.random() < 0.5),
        "version": "2.6", "coerce_timestamps": None,
    }  # fmt: skip
    pq.write_table(arrow, out, **options)
    data = out.getvalue()
    if must == READ and not content.is_certain:
        must = EITHER
    done += [f"{key}={value}" for key, value in options.items() if value]
    name = "data.pq" if rng.random() < 0.3 else "data.parquet"
    if rng.random() < 0.4:
        data, more = damaged(rng, data)
        return Case(
            "parquet damaged", name, data, damaged_content(data, table), EITHER, table.channels, True, [*done, *more]
        )
    return Case("parquet", name, data, content, must, table.channels, True, done)


def _arrow(rng: np.random.Generator, table: LongTable, done: list[str]) -> tuple[pa.Table, Content]:
    """Return the table in random types, and what it says."""
    ids = [row.item for row in table.rows]
    kind = str(rng.choice(["string", "large_string", "string_view", "dictionary"]))
    columns: dict[str, Any] = {"item_id": _ids(ids, kind)}
    zone = str(rng.choice(["", "", "UTC", "+02:00"]))
    unit = str(rng.choice(["s", "ms", "us", "ns"]))
    if zone:
        table = LongTable(
            [Row(r.item, r.time.tz_localize("UTC"), r.values) for r in table.rows], table.channels, table.freq
        )
    stamps = np.array([row.time.tz_localize(None).to_datetime64() for row in table.rows], "M8[us]")
    daily = bool((stamps.astype("M8[D]") == stamps).all())
    kind_of_time = str(rng.choice(["timestamp", "timestamp", "date32", "text", "epoch"]))
    if kind_of_time == "date32" and daily and not zone:
        columns["timestamp"] = pa.array(stamps.astype("M8[D]").tolist(), pa.date32())
    elif kind_of_time == "text" and not zone:
        columns["timestamp"] = pa.array([str(stamp).replace("T", " ") for stamp in stamps])
    elif kind_of_time == "epoch" and not zone:
        columns["timestamp"] = pa.array(stamps.astype("M8[s]").astype(np.int64), pa.int64())
    else:
        columns["timestamp"] = (
            pa.array(stamps).cast(pa.timestamp("us", zone or None)).cast(pa.timestamp(unit, zone or None))
        )
    values = np.array([row.values for row in table.rows])
    for c, name in enumerate(table.channels):
        columns[name], values[:, c] = _numbers(rng, values[:, c], done)
    if rng.random() < 0.15:
        columns["note"] = pa.array(["x"] * len(ids))
    names = [str(name) for name in rng.permutation(list(columns))] if rng.random() < 0.4 else list(columns)
    done += [f"ids {kind}", str(columns["timestamp"].type)]
    rows = [Row(row.item, row.time, list(map(float, value))) for row, value in zip(table.rows, values, strict=True)]
    return pa.table({name: columns[name] for name in names}), LongTable(rows, table.channels, table.freq).content()


def _ids(ids: list[str], kind: str) -> pa.Array:
    if kind == "dictionary":
        return pa.array(ids).dictionary_encode()
    return pa.array(
        ids, {"string": pa.string(), "large_string": pa.large_string(), "string_view": pa.string_view()}[kind]
    )


def _numbers(rng: np.random.Generator, values: np.ndarray, done: list[str]) -> tuple[pa.Array, np.ndarray]:
    """Return numbers in a random type, and what it holds."""
    kind = str(rng.choice(["double", "double", "float", "int64", "int16", "decimal", "bool", "half"]))
    missing = np.isnan(values)
    null = pa.array(missing)
    filled = np.where(missing, 0, values)
    if kind in ("int64", "int16") and (np.abs(filled) < 30000).all():
        array: Any = pa.array(np.rint(filled).astype(np.int64)).cast(pa.int64() if kind == "int64" else pa.int16())
    elif kind == "decimal" and (np.abs(filled) < 1e9).all():
        array = pa.array([Decimal(f"{value:.4f}") for value in filled], pa.decimal128(20, 4))
    elif kind == "bool":
        array = pa.array(filled > 0)
    elif kind == "half" and (np.abs(filled) < 6e4).all():
        array = pa.array(filled.astype(np.float16))
    elif kind == "float":
        array = pa.array(filled.astype(np.float32))
    else:
        array = pa.array(filled)
    done.append(str(array.type))
    held = np.array([float(value.as_py()) for value in array])
    if rng.random() < 0.5 or kind not in ("double", "float"):  # nulls; else NaN
        import pyarrow.compute as pc

        compute: Any = pc
        array = compute.if_else(null, pa.scalar(None, array.type), array)
    elif missing.any():
        array = pa.array(np.where(missing, np.nan, filled).astype(np.float32 if kind == "float" else np.float64))
    return array, np.where(missing, np.nan, held)


def _fault(rng: np.random.Generator, table: pa.Table, done: list[str]) -> tuple[pa.Table, str]:
    """Return the table with something in it that cannot be read."""
    kind = str(rng.choice(["null stamp", "null id", "inf", "text target", "list target", "no rows", "struct id"]))
    done.append(kind)
    at = int(rng.integers(0, len(table)))

    def changed(name: str, value: Any, cast: Any = None) -> pa.Table:
        values = table.column(name).to_pylist()
        values[at] = value
        array = pa.array(values, cast or table.column(name).type)
        return table.set_column(table.schema.get_field_index(name), name, array)

    if kind == "null stamp":
        return changed("timestamp", None), REFUSE
    if kind == "null id":
        return changed("item_id", None, pa.string()), REFUSE
    if kind == "inf":
        values = [float("inf") if i == at else 1.0 for i in range(len(table))]
        return table.set_column(table.schema.get_field_index("target"), "target", pa.array(values)), REFUSE
    if kind == "no rows":
        return table.slice(0, 0), REFUSE
    column: Any = {
        "text target": ["abc"] * len(table),
        "list target": [{"a": 1}] * len(table),
        "struct id": [{"a": 1}] * len(table),
    }[kind]  # fmt: skip
    name = "item_id" if kind == "struct id" else "target"
    return table.set_column(table.schema.get_field_index(name), name, pa.array(column)), REFUSE


def damaged_content(data: bytes, table: LongTable) -> Content | None:
    """Return what pyarrow reads in a damaged file as a whole; None where it refuses it."""
    try:
        stored = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True).read()
        known = ["item_id", "timestamp", *table.channels]
        odd = [name for name in stored.column_names if name not in (*known, "note")]
        absent = [name for name in known if name not in stored.column_names]
        frame = stored.to_pandas().rename(columns=dict(zip(odd, absent, strict=False)))  # the name was damaged
        times = pd.DatetimeIndex(pd.to_datetime(frame["timestamp"], **_unit(frame["timestamp"])))
        zoned = times.tz is not None
        times = (times if times.tz is None else times.tz_convert("UTC").tz_localize(None)).as_unit("us")
        binary = [name for name in table.channels[1:] if frame[name].map(type).eq(bytes).any()]
        channels = [name for name in table.channels if name not in binary]  # of a damaged type
        values = frame[channels].astype(np.float64).to_numpy()
        rows = [
            Row(str(name), pd.Timestamp(time), list(map(float, value)))
            for name, time, value in zip(frame["item_id"], times, values, strict=True)
        ]
    except Exception:  # noqa: BLE001  a damaged file has no content
        return None
    if not rows or any(pd.isna(row.time) or row.item == "None" for row in rows) or (np.abs(values) > 3.4e38).any():
        return None
    if len({(row.item, row.time) for row in rows}) < len(rows):
        return None
    content = LongTable(rows, channels, table.freq).content(changed=True)
    renamed = dict(zip(absent, odd, strict=False))
    announcement = {"item_id": "is read as the item id", "timestamp": "is read as the timestamp"}
    notes = tuple(f"'{re.escape(renamed[name])}'.*{announcement[name]}" for name in announcement if name in renamed)
    notes += tuple(f"not used, because not numeric: (.*, )?{renamed.get(name, name)}(,|$)" for name in binary)
    return replace(content, notes=notes, zoned=zoned)


def _unit(column: Any) -> dict[str, str]:
    return {"unit": "s"} if pd.api.types.is_integer_dtype(column) else {}
