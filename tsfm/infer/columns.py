"""Which column of a user's DataFrame is what, and how one column is read: ids, stamps, numbers.

Everything a user can get wrong in a column is said here, with the row (counted from 0 in the frame as given).
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsfm.messages import did_you_mean

ALSO_KNOWN_AS = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}  # exact names, used when ours are absent
BLUR = 0.1  # share of the steps that float32 may lose
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """A frame with its index turned to columns where needed, and the names found. `item` is None for one series."""

    frame: pd.DataFrame
    item: str | None
    timestamp: str
    targets: list[str]

    def column(self, name: str) -> pd.Series:
        return self.frame[name]  # type: ignore[return-value]  # names are unique, so this is no DataFrame


def check_horizon(prediction_length: Any) -> int:
    return check_count("prediction_length", prediction_length)


def check_count(name: str, value: Any, *, one: str = "step", many: str = "steps") -> int:
    """A whole number of at least 1, NumPy's too."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} is {value!r} ({type(value).__name__}); expected a whole number of {many}")
    if value < 1:
        raise ValueError(f"{name} is {value}; expected at least 1 {one}")
    return int(value)


def _missing(what: str, wanted: str, frame: pd.DataFrame, *, label: str) -> ValueError:
    return ValueError(
        f"{label} has no {what} column {wanted!r}; {did_you_mean(wanted, [str(name) for name in frame.columns])}. "
        f"Name it with {what if what == 'target' else what + '_column'}="
    )


def _find(frame: pd.DataFrame, wanted: str, *, what: str, default: str, label: str, notes: list[str]) -> str | None:
    """The wanted column, or, where it was left at its default and is absent, its other known name."""
    if wanted in frame.columns:
        return wanted
    other = ALSO_KNOWN_AS[default]
    if wanted == default and other in frame.columns:
        notes.append(f"{label}: column {other!r} is read as the {what}")
        return other
    return None


def _index_to_columns(df: pd.DataFrame, names: Sequence[str], *, label: str, notes: list[str]) -> pd.DataFrame:
    """Index levels that carry a wanted name become columns; an unnamed DatetimeIndex becomes the timestamp."""
    levels = [name for name in df.index.names if name is not None and name in names and name not in df.columns]
    if levels:
        notes.append(f"{label}: index {', '.join(map(repr, levels))} is read as a column")
        df = df.reset_index(level=levels)
    stamp = names[1]
    absent = stamp not in df.columns and not (stamp == "timestamp" and ALSO_KNOWN_AS["timestamp"] in df.columns)
    if absent and isinstance(df.index, (pd.DatetimeIndex, pd.PeriodIndex)):
        notes.append(f"{label}: the {type(df.index).__name__} is read as the timestamp")
        df = df.assign(**{stamp: df.index}).reset_index(drop=True)
    return df


def settle(
    df: pd.DataFrame,
    *,
    id_column: str,
    timestamp_column: str,
    target: str | Sequence[str] | None,
    label: str,
    notes: list[str],
) -> Columns:
    """Find the columns by name; `target` None asks for none (a future frame). What was guessed is added to `notes`."""
    if not isinstance(df, pd.DataFrame):
        raise ValueError(f"{label} is a {type(df).__name__}; expected a pandas DataFrame")
    if df.empty:
        raise ValueError(f"{label} is empty ({df.shape[0]} rows, {df.shape[1]} columns); give at least one row")
    known = [id_column, timestamp_column]
    aliases = [ALSO_KNOWN_AS[name] for name in known if name in ALSO_KNOWN_AS]
    frame = _index_to_columns(df, known + aliases, label=label, notes=notes)
    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise ValueError(f"{label} has columns that share a name: {', '.join(twice)}; rename or drop them")
    stamp = _find(frame, timestamp_column, what="timestamp", default="timestamp", label=label, notes=notes)
    if stamp is None:
        raise _missing("timestamp", timestamp_column, frame, label=label)
    item = _find(frame, id_column, what="item id", default="item_id", label=label, notes=notes)
    if item is None and id_column != "item_id":
        raise _missing("id", id_column, frame, label=label)
    if not (target is None or isinstance(target, str) or np.iterable(target)):
        raise ValueError(f"target is {target!r}; expected the name of a column or a list of names")
    targets = []
    for name in [target] if isinstance(target, str) else [] if target is None else list(target):
        found = _find(frame, name, what="target", default="target", label=label, notes=notes)
        if found is None:
            raise _missing("target", name, frame, label=label)
        targets.append(found)
    if target is not None and (not targets or len(set(targets)) < len(targets) or {item, stamp} & set(targets)):
        raise ValueError(f"target is {target!r}; expected one or more different columns, none of them the id or stamp")
    return Columns(frame, item, stamp, targets)


def _zones(column: pd.Series) -> set[str]:
    """Offsets found in a column that could not be read as one kind of stamp."""
    found = set()
    for value in column:
        try:
            found.add(str(pd.Timestamp(value).tz))
        except (ValueError, TypeError, OverflowError):
            continue
    return found


def _from_text(column: pd.Series, *, label: str, notes: list[str]) -> Any:
    """Stamps from text or objects, all of one zone or none; the error names the first row that does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas says in warnings what is an error here
        for form in (None, "ISO8601"):
            try:
                stamps = pd.to_datetime(column, format=form)
            except (ValueError, TypeError, OverflowError):
                continue
            if pd.api.types.is_datetime64_any_dtype(stamps.dtype):
                notes.append(f"{label}: {column.name!r} is text, read as stamps such as {stamps.iloc[0]}")
                return stamps
        zones = _zones(column)
        if len(zones) > 1:
            raise ValueError(
                f"{label}: {column.name!r} mixes time zones ({', '.join(sorted(zones))}); "
                "bring it to one with pd.to_datetime(column, utc=True)"
            )
        parsed = pd.to_datetime(column, errors="coerce", utc=True)
    lost = np.flatnonzero((parsed.isna() & column.notna()).to_numpy())
    row = int(lost[0]) if len(lost) else 0
    raise ValueError(
        f"{label}: {column.name!r} in row {row} is {column.iloc[row]!r}, not a stamp; "
        "expected dates such as 2024-01-31 or 2024-01-31 12:00"
    )


def read_stamps(column: pd.Series, *, label: str, notes: list[str]) -> pd.DatetimeIndex:
    """A column of stamps, in its zone where it has one; text is parsed, anything unclear is an error with its row."""
    if isinstance(column.dtype, pd.PeriodDtype):
        notes.append(f"{label}: the periods of {column.name!r} are read by their start")
        column = column.dt.to_timestamp()
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        raise ValueError(
            f"{label}: {column.name!r} holds numbers ({column.dtype}), not stamps; "
            "convert it, e.g. pd.to_datetime(column, unit='s')"
        )
    stamps = column
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        stamps = _from_text(column.astype(object), label=label, notes=notes)
    absent = np.flatnonzero(stamps.isna().to_numpy())
    if len(absent):
        raise ValueError(f"{label}: {column.name!r} is missing in {len(absent)} rows, the first is row {absent[0]}")
    return pd.DatetimeIndex(stamps)


def is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype)


def read_numbers(column: pd.Series, *, what: str, label: str, notes: list[str] | None = None) -> np.ndarray:
    """A column as float32, missing as NaN; text, infinities and numbers beyond float32 are errors with their row. That
    float32 cannot tell its steps apart goes into `notes`."""
    if column.dtype == object and not any(isinstance(value, str) for value in column):
        with contextlib.suppress(ValueError, TypeError):  # said below, with the row
            column = pd.Series(pd.to_numeric(column), name=column.name)
    if not is_number(column):
        strange = pd.isna(pd.to_numeric(column.astype(object), errors="coerce")) & pd.notna(column)
        other = int(np.argmax(strange))  # the first cell that is no number, else the first
        raise ValueError(
            f"{label}: {what} column {column.name!r} is {column.dtype}, row {other} holds {column.iloc[other]!r}; "
            "expected numbers, convert it with pd.to_numeric(column, errors='coerce')"
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.abs(values) > FLOAT32_MAX)
    if len(bad):
        raise ValueError(
            f"{label}: {what} column {column.name!r} holds {values[bad[0]]} in row {bad[0]} ({len(bad)} such rows); "
            "infinite or beyond float32: set such steps to NaN or rescale the column"
        )
    if notes is not None and (blurred := blur(values)):
        notes.append(f"{label}: {what} column {column.name!r}: {blurred}")
    return values.astype(np.float32)


def blur(values: np.ndarray) -> str:
    """What float32 loses of the steps of float64 values [..., L]; empty where that is nothing to speak of."""
    step, told = np.diff(values), np.diff(values.astype(np.float32))
    lost = int(((step != 0) & (told == 0)).sum())
    moves = int((step != 0).sum() - np.isnan(step).sum())
    if lost <= BLUR * moves:
        return ""
    return f"{lost} of {moves} steps are too small for float32 beside their level; subtract a constant from the values"
