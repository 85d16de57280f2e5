"""What an input says, and whether a result says the same. L rows, C channels, T steps.

The oracle uses pandas and the standard library only: nothing of tsfm that reads timestamps, numbers or files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

MIN_KEPT = 0.75  # rows of an item that are there for its frequency to be certain
TSF_FREQS = {
    "hourly": "h",
    "daily": "D",
    "monthly": "MS",
    "yearly": "YS",
    "half_hourly": "30min",
    "10_minutes": "10min",
}


@dataclass
class Item:
    """The rows of one item: timestamps (with their zone, if any) and values, NaN where missing."""

    times: np.ndarray | None  # [L] datetime64[us] in any order, in UTC where there is a zone; None: steps are numbered
    values: np.ndarray  # [L, C] float64


@dataclass
class Content:
    """What an input says: its items in the order of their first rows."""

    items: dict[str, Item]
    freq: str | None = None  # None: not certain
    labels: list[str] | None = None  # of labelled cases
    zoned: bool | None = None  # whether the timestamps have a time zone; None: not compared
    notes: tuple[str, ...] = ()  # patterns: each has to be found in a note of the reading

    @property
    def is_certain(self) -> bool:
        """Whether every item has rows enough to tell its frequency, and every channel of it a value."""
        return self.freq is not None and all(
            len(item.values) >= 4 and not np.isnan(item.values).all(axis=0).any() for item in self.items.values()
        )


@dataclass
class Reading:
    """What tsfm read."""

    items: dict[str, tuple[Any, np.ndarray]] = field(default_factory=dict)  # timestamps [T], values [C, T]
    freqs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    labels: list[str] | None = None
    zoned: bool | None = None


def step_times(start: Any, freq: str, length: int, *, zone: Any = None, utc: bool = True) -> Any:
    """Return the timestamps of a grid as pandas counts them."""
    if freq.isdigit():
        return pd.DatetimeIndex(np.datetime64(start, "us") + np.arange(length) * int(freq))
    times = pd.date_range(pd.Timestamp(start), periods=length, freq=freq, unit="us")
    if zone is None:
        return times
    return times.tz_localize("UTC") if utc else times.tz_localize(zone)


def difference(content: Content, reading: Reading) -> str | None:
    """Return how a reading differs from the content, None where it says the same."""
    if content.labels is not None and reading.labels != content.labels:
        return f"labels {reading.labels}, expected {content.labels}"
    if content.zoned is not None and reading.zoned != content.zoned:
        return f"timestamps {'with' if reading.zoned else 'without'} a time zone, expected the contrary"
    if list(reading.items) != list(content.items):
        return f"items {list(reading.items)[:5]}, expected {list(content.items)[:5]}"
    for name, item in content.items.items():
        times, values = reading.items[name]
        if (problem := _item_difference(item, times, values)) is not None:
            return f"item {name!r}: {problem}"
        if content.freq is not None and (freq := reading.freqs[name].split("-")[0]) != content.freq.split("-")[0]:
            return f"item {name!r}: frequency {freq}, expected {content.freq}"
    return None


def _item_difference(item: Item, times: Any, values: np.ndarray) -> str | None:
    if values.shape[0] != item.values.shape[1]:
        return f"{values.shape[0]} channels, expected {item.values.shape[1]}"
    with np.errstate(over="ignore"):
        expected_values = item.values.astype(np.float32)
    if item.times is None:
        same = values.shape[1] == len(expected_values) and np.array_equal(values.T, expected_values, equal_nan=True)
        return None if same else f"values {values.T[:3].tolist()}, expected {expected_values[:3].tolist()}"
    utc, expected_utc = naive_times(times), item.times
    order = np.argsort(expected_utc, kind="stable")
    expected_utc, expected_values = expected_utc[order], expected_values[order]
    if (np.diff(expected_utc) == np.timedelta64(0)).any():
        return "two rows have the same timestamp"
    if (utc[0], utc[-1]) != (expected_utc[0], expected_utc[-1]):
        return f"from {utc[0]} to {utc[-1]}, expected from {expected_utc[0]} to {expected_utc[-1]}"
    at = np.searchsorted(utc, expected_utc)
    if not np.array_equal(utc[at], expected_utc):
        return f"no step at {expected_utc[utc[at] != expected_utc][0]}"
    actual = values[:, at].T
    if not np.array_equal(actual, expected_values, equal_nan=True):
        row, channel = np.argwhere((actual != expected_values) & ~(np.isnan(actual) & np.isnan(expected_values)))[0]
        return f"{actual[row, channel]} at {expected_utc[row]}, expected {expected_values[row, channel]}"
    others = np.ones(values.shape[1], dtype=bool)
    others[at] = False
    return None if np.isnan(values[:, others]).all() else "a value where the input has no row"


def naive_times(times: Any) -> np.ndarray:
    """Return timestamps in UTC, or as they are without a zone."""
    index = pd.DatetimeIndex(times)
    return np.asarray(index if index.tz is None else index.tz_convert("UTC").tz_localize(None)).astype("M8[us]")


def _instant(time: Any) -> np.datetime64:
    """Return a Timestamp in UTC, or as it is without a zone."""
    time = time if time.tzinfo is None else time.tz_convert("UTC").tz_localize(None)
    return time.as_unit("us").to_datetime64()


@dataclass
class Row:
    """One row of a long table."""

    item: str
    time: Any  # Timestamp
    values: list[float]


@dataclass
class LongTable:
    """A table with one row for each item and timestamp."""

    rows: list[Row]
    channels: list[str]
    freq: str

    def content(self, *, changed: bool = False) -> Content:
        """Return what the table says; `changed`: rows are absent, so that the frequency may not be certain."""
        items: dict[str, list[Row]] = {}
        for row in self.rows:
            items.setdefault(row.item, []).append(row)
        items_by_name = {
            name: Item(
                np.array([_instant(row.time) for row in rows], "M8[us]"),
                np.array([row.values for row in rows], np.float64).reshape(len(rows), -1),
            )
            for name, rows in items.items()
        }
        freq = None if changed or min(map(len, items.values())) < 4 else self.freq
        zoned = {getattr(row.time, "tzinfo", None) is not None for row in self.rows}
        return Content(items_by_name, freq, zoned=zoned.pop() if len(zoned) == 1 else None)


FREQS = ("h", "D", "15min", "MS", "W-SUN", "s", "QS", "YS", "B", "ME", "30min", "2h", "W-WED", "5min", "10s")


def random_table(rng: np.random.Generator, *, max_items: int = 3, channels: int | None = None) -> LongTable:
    """Return a table of random items, lengths, frequency and values."""
    freq = str(rng.choice(FREQS))
    channels = channels or int(rng.choice([1, 1, 1, 2, 3]))
    names = ["target", "price", "promo"][:channels]
    start = pd.Timestamp("2019-01-01") + pd.Timedelta(days=int(rng.integers(0, 1500)))
    rows: list[Row] = []
    for name in random_ids(rng, int(rng.integers(1, max_items + 1))):
        times = pd.date_range(start, periods=int(rng.integers(12, 40)), freq=freq)
        values = random_values(rng, (len(times), channels))
        rows += [Row(name, time, list(map(float, value))) for time, value in zip(times, values, strict=True)]
    return LongTable(rows, names, freq)


def random_values(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return numbers of one of several kinds; some are missing, the first rows never."""
    kind = rng.integers(0, 7)
    values = rng.normal(0, 10, shape)
    if kind == 0:
        values = np.round(values * 10)
    elif kind == 1:
        values = np.round(values * 1000, 2)
    elif kind == 2:
        values = np.round(values * 1e6, 1)
    elif kind == 3:
        values = values * 1e-7
    elif kind == 4:
        values = (values > 0).astype(float)
    elif kind == 5:
        values = np.abs(np.round(values, 3))
    if rng.random() < 0.4:
        values[2:][rng.random((shape[0] - 2, shape[1])) < rng.choice([0.05, 0.3])] = np.nan
    return values + 0.0  # no -0.0


IDS = ("a", "b", "store 1", "007", "8", "NA", "null", "Zürich", "x_y", "A", "T-1", "1.50", "true", "日本", "o'neill")


def random_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Return different ids."""
    return [str(name) for name in rng.permutation(IDS)[:count]]
