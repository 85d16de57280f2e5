"""Sets of series that a training corpus does not hold: files, synthetic series, calendars and counters.

C channels, L steps of a series.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from tsfm.registry import GENERATORS

PIECES = 2  # of a file, each a set
MAX_CHANNELS, MAX_STEPS = 20, 30_000  # of a piece
KINDS = ("forecasting", "anomaly", "classification", "regression")  # folders of TSFM_DATA
NUM_DRAWS = 2  # sets of each generator
# a file -> what it holds under another name: stated in its manifest, or known from its source
SAME_SOURCE = {
    "city_weather_hourly": {"nyc_airport_weather_hourly"},  # NewYork/temperature_F
    "dow_stocks_daily": {"gafa_stock_daily", "stocks_masked_daily"},
    "exchange_rate": {"tsdl_mixed"},
    "fred_md": {"tsdl_mixed", "us_employment_monthly"},
    "m1_monthly": {"tsdl_mixed", "classics_monthly_quarterly"},
    "m1_quarterly": {"tsdl_mixed"},
    "m3_monthly": {"tsdl_mixed"},
    "m3_other": {"tsdl_mixed", "indices_crypto_daily"},
    "m3_yearly": {"tsdl_mixed"},
    "m4_yearly": {"global_economy_yearly", "country_population_yearly", "australia_livestock_monthly", "tsdl_mixed"},
}


class CleanSet(NamedTuple):
    """A set of series, its kind, and the file that it comes from ("" for none)."""

    name: str
    kind: str
    file: str
    series: list[np.ndarray]  # [C, L] each
    role: str = ""  # of the file in its manifest

    @property
    def num_values(self) -> int:
        """Return the number of values of all series."""
        return sum(array.size for array in self.series)


def data_folder() -> Path:
    """Return the folder of the data files."""
    if "TSFM_DATA" not in os.environ:
        raise ValueError("TSFM_DATA is not set; set it to the folder with forecasting/, anomaly/ and classification/")
    return Path(os.environ["TSFM_DATA"])


def file_sets(
    kinds: Sequence[str] = KINDS, *, max_values: int = 150_000, names: Sequence[str] | None = None
) -> Iterator[CleanSet]:
    """Yield pieces of all files, or of those of the given names: different items, or steps of the only one."""
    for kind in kinds:
        folder = data_folder() / kind
        manifest = json.loads((folder / "manifest.json").read_text())
        for entry in manifest["datasets"] if isinstance(manifest, dict) else manifest:
            path = folder / entry["file"]
            if path.suffix == ".parquet" and (names is None or path.stem in names):
                series = read_series(path)
                for i, piece in enumerate(cut_into_pieces(series, max_values=max_values)):
                    yield CleanSet(f"{kind}/{path.stem}/{i}", kind, path.stem, piece, entry.get("role", ""))


def read_series(path: Path) -> list[np.ndarray]:
    """Return the series of a file as they are in its rows, [C, L] each."""
    table = pd.read_parquet(path)
    if "series" in table:  # labelled cases
        return [np.asarray(row, np.float32)[None] for case in table["series"] for row in case]
    columns = table.drop(columns=["label", "changepoint"], errors="ignore").select_dtypes("number")
    if "item_id" not in table:
        return [columns.to_numpy(np.float32).T]
    groups = table.groupby("item_id", sort=False, observed=True).indices
    if "values" in table:  # all channels of a step
        return [np.stack(list(table["values"].to_numpy()[rows])).astype(np.float32).T for rows in groups.values()]
    values = columns.to_numpy(np.float32).T
    return [values[:, rows] for rows in groups.values()]


def cut_into_pieces(series: list[np.ndarray], *, max_values: int) -> list[list[np.ndarray]]:
    """Return PIECES sets, each of at most MAX_CHANNELS channels and about `max_values` values."""
    if len(series) == 1:
        whole = series[0]
        if whole.shape[1] >= 400 * PIECES:
            series = np.array_split(whole, PIECES, axis=1)
        elif len(whole) >= PIECES:
            series = np.array_split(whole, PIECES, axis=0)
    bounds = np.linspace(0, len(series), min(PIECES, len(series)) + 1).astype(int)
    return [limited(series[first:stop], max_values=max_values) for first, stop in itertools.pairwise(bounds)]


def limited(series: list[np.ndarray], *, max_values: int) -> list[np.ndarray]:
    """Return as many of the series as fit, each of them cut to what fits."""
    kept, room = [], max_values
    for array in series:
        rows = array[:MAX_CHANNELS]
        steps = min(rows.shape[1], MAX_STEPS, max(room // len(rows), 1))
        kept.append(rows[:, :steps])
        room -= kept[-1].size
        if room < 16:
            break
    return kept


def synthetic_sets(*, num: int = 20, length: int = 3000) -> Iterator[CleanSet]:
    """Yield NUM_DRAWS sets of each generator of `tsfm.synthetic`."""
    for name in GENERATORS.names():
        if name == "synforecast" and importlib.util.find_spec(name) is None:
            continue  # an optional package
        source = GENERATORS.build(GENERATORS.config({"name": name}))
        for i in range(NUM_DRAWS):
            rows = source.draw(num, length, torch.Generator().manual_seed(1000 + i)).numpy()
            yield CleanSet(f"synthetic/{name}/{i}", "synthetic", "", [rows[:10], *rows[10:, None]])


def calendar_sets() -> Iterator[CleanSet]:
    """Yield features of calendars and counters, as people put them next to their series."""
    rng = np.random.default_rng(7)
    for freq in ("5min", "10min", "15min", "30min", "h", "D", "W", "MS"):
        times: Any = pd.date_range("2015-01-01", periods={"W": 900, "MS": 500}.get(freq, 8000), freq=freq)
        hour, day = times.hour + times.minute / 60, times.dayofweek
        year = times.dayofyear / 365.25
        features = [
            hour, day, times.day, times.month, times.isocalendar().week, year, times.days_in_month, times.quarter,
            np.sin(2 * np.pi * hour / 24), np.cos(2 * np.pi * (day + hour / 24) / 7), np.sin(2 * np.pi * year),
            (day >= 5).astype(float), (times.day == 1).astype(float), (day < 5) * np.isin(np.floor(hour), range(8, 18)),
        ]  # fmt: skip
        yield CleanSet(f"calendar/{freq}", "calendar", "", [np.stack([np.asarray(f, np.float32) for f in features])])
        open_hours = 1.0 + ((day < 5) & (hour > 7) & (hour < 18))
        counts = rng.poisson(open_hours[None] * rng.choice([0.1, 0.5, 2, 8], 10)[:, None])
        counters = [
            np.cumsum(counts[:4], axis=1), np.cumsum(counts[4:8], axis=1) % 1000, counts[8:],
            np.stack([np.arange(len(times)) % m for m in (7, 24, 60, 96, 100, 128)]),
        ]  # fmt: skip
        yield CleanSet(f"counters/{freq}", "counters", "", [np.asarray(c, np.float32) for c in counters])
        on = np.minimum(np.cumsum(rng.random((6, len(times))) < 0.03, axis=1) % 2, 1) * rng.choice(
            [1, 60, 2000], (6, 1)
        )
        jumps = np.repeat(rng.integers(0, 5, (4, -(-len(times) // 12))), 12, axis=1)[:, : len(times)]
        yield CleanSet(f"states/{freq}", "counters", "", [on.astype(np.float32), jumps.astype(np.float32)])


def clean_sets(*, max_values: int = 150_000) -> Iterator[CleanSet]:
    """Yield all of them; `file` says which source is not evidence against a set."""
    yield from calendar_sets()
    yield from synthetic_sets()
    yield from file_sets(max_values=max_values)
