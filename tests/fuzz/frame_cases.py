"""DataFrames of pandas: dtypes, indexes, layouts, and content that cannot be read."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timezone
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz.cases import EITHER, READ, REFUSE, Case
from tests.fuzz.content import Content, Item, LongTable, Row, random_ids, random_table
from tests.fuzz.frame_columns import id_column, number_column, time_column

TIMES = ("timestamp", "timestamp", "ds", "date", "Date", "when")
EXTRA: dict[str, Callable[[int], Any]] = {
    "note": lambda count: ["x"] * count,
    "empty": lambda count: [None] * count,
    "wait": lambda count: pd.to_timedelta(range(count), unit="h"),
    "tags": lambda count: [["a", i] for i in range(count)],
    "signal": lambda count: [complex(i, 1) for i in range(count)],
}


def frame_case(rng: np.random.Generator) -> Case:
    """Return a long or wide DataFrame, or a Parquet file that pandas wrote of it."""
    case = _wide_case(rng) if rng.random() < 0.25 else _long_case(rng)
    if case.must != REFUSE and rng.random() < 0.15 and (data := _parquet(case.source)) is not None:
        case.kind, case.name, case.source = "frame parquet", "data.parquet", data
        case.must = EITHER if case.must == READ and not case.has_ids else case.must
    return case


def _long_case(rng: np.random.Generator) -> Case:
    has_ids = rng.random() < 0.75
    table = random_table(rng, max_items=3 if has_ids else 1)
    rows, done = list(table.rows), []
    if rng.random() < 0.2:
        rows, done = [rows[i] for i in rng.permutation(len(rows))], ["rows shuffled"]
    ids, names, kind = id_column(rng, [row.item for row in rows])
    times, stated, time_kind = time_column(rng, [row.time for row in rows], table.freq)
    done += [f"ids {kind}" if has_ids else "no ids", f"time {time_kind}", table.freq]
    columns: dict[str, Any] = {"item_id": ids} if has_ids else {}
    time_name = str(rng.choice(TIMES))
    columns[time_name if time_name != "when" or time_kind not in ("epoch", "epoch ms", "compact") else "ds"] = times
    time_name = list(columns)[-1]
    values = np.array([row.values for row in rows])
    for c, channel in enumerate(table.channels):
        column, values[:, c], number_kind = number_column(rng, values[:, c])
        while channel != "target" and number_kind == "text":  # no covariate
            column, values[:, c], number_kind = number_column(rng, values[:, c])
        columns[channel] = column
        done.append(f"{channel} {number_kind}")
    for name in EXTRA:
        if rng.random() < 0.05:
            columns[name] = pd.Series(EXTRA[name](len(rows)))
            done.append(name)
    if rng.random() < 0.3:
        columns = {name: columns[name] for name in map(str, rng.permutation(list(columns)))}
    frame = pd.DataFrame(columns)
    rows = [
        Row(name if has_ids else "0", time, list(map(float, v)))
        for name, time, v in zip(names, stated, values, strict=True)
    ]
    content = LongTable(rows, table.channels, table.freq).content()
    must = READ if content.is_certain and time_kind != "compact" else EITHER
    if rng.random() < 0.25:
        fault = list(FAULTS)[int(rng.integers(0, len(FAULTS)))]
        changed = FAULTS[fault](rng, frame, time_name)
        if changed is not None:
            frame, must, done = changed, REFUSE, [*done, fault]
    if must != REFUSE:
        frame = _indexed(rng, frame, time_name, done)
    return Case("frame", "", frame, content, must, table.channels, has_ids, done)


def _indexed(rng: np.random.Generator, frame: pd.DataFrame, time: str, done: list[str]) -> pd.DataFrame:
    """Return the DataFrame with another index."""
    kinds = ["range", "range", "equal labels", "letters", "time", "time without a name"]
    kinds += ["item and time", "time and item", "item"] if "item_id" in frame else []
    kind = str(rng.choice(kinds))
    if kind == "range" or ("time" in kind and frame[time].dtype == object):
        return frame
    if " and " in kind and isinstance(frame["item_id"].dtype, pd.ArrowDtype):
        return frame  # pandas makes no MultiIndex of categories of Arrow
    done.append(f"index {kind}")
    if kind == "equal labels":
        return frame.set_axis(np.zeros(len(frame), int), axis=0)
    if kind == "letters":
        return frame.set_axis([f"r{i}" for i in range(len(frame))], axis=0)
    if kind == "time":
        return frame.set_index(time)
    if kind == "time without a name":
        is_dated = pd.api.types.is_datetime64_any_dtype(frame[time].dtype) and time in ("timestamp", "ds", "date")
        return frame.set_index(time).rename_axis(None) if is_dated else frame
    return frame.set_index({"item": ["item_id"], "item and time": ["item_id", time]}.get(kind, [time, "item_id"]))


def _wide_case(rng: np.random.Generator) -> Case:
    """Return a DataFrame with a column for each series; names may be numbers, dates or tuples."""
    count = int(rng.integers(1, 5))
    table = random_table(rng, max_items=1, channels=1)
    times, stated, time_kind = time_column(rng, [row.time for row in table.rows], table.freq)
    kind = str(rng.choice(["text", "whole numbers", "numbers as text", "levels", "dates", "tuples"]))
    names: list[Any] = {
        "text": lambda: random_ids(rng, count), "whole numbers": lambda: list(range(1, count + 1)),
        "numbers as text": lambda: [str(i) for i in range(count)], "levels": lambda: [0.1, 0.5, 0.9, 0.95][:count],
        "dates": lambda: list(pd.date_range("2020-01-01", periods=count)),
        "tuples": lambda: [("Close", f"s{i}") for i in range(count)],
    }[kind]()  # fmt: skip
    values = np.empty((len(stated), count))
    columns: dict[Any, Any] = {}
    done = ["wide", f"names {kind}", f"time {time_kind}", table.freq]
    for c, name in enumerate(names):
        own = np.array([row.values[0] for row in table.rows]) + c
        column, values[:, c], number_kind = number_column(rng, own)
        while number_kind == "text":
            column, values[:, c], number_kind = number_column(rng, own)
        columns[name] = column
        done.append(number_kind)
    frame = pd.DataFrame(columns)
    at_index = kind == "tuples" or bool(rng.random() < 0.6)
    if at_index:
        is_named = time_kind in ("text", "category", "epoch", "epoch ms", "compact") or bool(rng.random() < 0.5)
        frame.index = pd.Index(times.array, name="timestamp" if is_named else None)
        done.append("time in the index")
    else:
        frame.insert(0, "date", times)
    item = Item(np.array([_utc(time) for time in stated], "M8[us]"), values)
    content = Content({"0": item}, table.freq)
    must = READ if content.is_certain and time_kind != "compact" else EITHER
    return Case("frame wide", "", frame, content, must, [str(name) for name in names], False, done)


def _utc(time: pd.Timestamp) -> np.datetime64:
    return (time if time.tzinfo is None else time.tz_convert("UTC").tz_localize(None)).to_datetime64()


def _parquet(frame: pd.DataFrame) -> bytes | None:
    """Return the DataFrame as Parquet; None where it cannot be written."""
    out = io.BytesIO()
    try:
        frame.to_parquet(out)
    except Exception:  # noqa: BLE001  periods of some lengths, mixed objects, names that are no text
        return None
    return out.getvalue()


def _set(frame: pd.DataFrame, name: str, row: int, value: Any) -> pd.DataFrame:
    cells = frame[name].astype(object)
    cells = pd.Series(list(cells), dtype=object)
    cells.iloc[row] = value
    return frame.assign(**{name: cells})


def _some_row(rng: np.random.Generator, frame: pd.DataFrame) -> int:
    return int(rng.integers(0, len(frame)))


Fault = Callable[[np.random.Generator, pd.DataFrame, str], "pd.DataFrame | None"]


def _cell(name: str, *values: Any) -> Fault:
    """Return the fault that a cell of a column has one of some values; `name` "time" is the column of timestamps."""

    def fault(rng: np.random.Generator, frame: pd.DataFrame, time: str) -> pd.DataFrame | None:
        column = time if name == "time" else name
        if column not in frame:
            return None
        row = _some_row(rng, frame)
        if name != "target" and frame.drop(columns=column).iloc[row].isna().all():  # a row that says nothing
            return None
        return _set(frame, column, row, values[int(rng.integers(0, len(values)))])

    return fault


def _mixed_zones(rng: np.random.Generator, frame: pd.DataFrame, time: str) -> pd.DataFrame | None:
    if not pd.api.types.is_datetime64_any_dtype(frame[time].dtype):
        return None
    row = _some_row(rng, frame)
    cell = pd.Timestamp(frame[time].iloc[row])
    return _set(frame, time, row, cell.tz_localize(timezone.utc) if cell.tzinfo is None else cell.tz_localize(None))


def _name_twice(rng: np.random.Generator, frame: pd.DataFrame, time: str) -> pd.DataFrame:
    del time
    names = list(frame.columns)
    return pd.concat([frame, frame[[names[int(rng.integers(0, len(names)))]]]], axis=1)


def _row_twice(rng: np.random.Generator, frame: pd.DataFrame, time: str) -> pd.DataFrame:
    del time
    return pd.concat([frame, frame.iloc[[_some_row(rng, frame)]]], ignore_index=True)


def _lists(rng: np.random.Generator, frame: pd.DataFrame, time: str) -> pd.DataFrame:
    del rng, time
    return frame.assign(target=[[1.0, 2.0]] * len(frame))


FAULTS: dict[str, Fault] = {
    "missing timestamp": _cell("time", pd.NaT, None, pd.NA, float("nan")),
    "no timestamp": _cell("time", "yesterday", "2024-02-30", "", [1], {"a": 1}, b"2024-01-01", True, 1 + 2j),
    "missing id": _cell("item_id", None, float("nan"), pd.NA, pd.NaT),
    "no id": _cell("item_id", ["a"], {"a": 1}, "a\0b"),
    "infinite": _cell("target", np.inf, -np.inf, 1e39, -(10**400)),
    "text among numbers": _cell("target", "abc", "1.2.3", "--", "٣", "1_000", b"1", "0x10"),
    "objects among numbers": _cell("target", [1.0], {"a": 1}, 1 + 2j, pd.Timestamp("2024-01-01"), pd.Timedelta("1h")),
    "mixed zones": _mixed_zones,
    "a name twice": _name_twice,
    "a row twice": _row_twice,
    "lists": _lists,
    "complex target": lambda rng, frame, time: frame.assign(target=np.arange(len(frame)) + 1j),
    "dates as target": lambda rng, frame, time: frame.assign(target=pd.Timestamp("2024-01-01")),
    "no rows": lambda rng, frame, time: frame.iloc[:0],
    "nothing observed": lambda rng, frame, time: frame.assign(target=float("nan")),
    "no target": lambda rng, frame, time: frame[[name for name in frame if name in ("item_id", time)]],
}
