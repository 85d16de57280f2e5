"""The same series through ten doors: the same store and the same forecast, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tsfm
from tsfm.store.series_store import SeriesStore

HOURS = pd.date_range("2024-01-01", periods=120, freq="h")
VALUES = np.round(np.sin(np.arange(120) * np.pi / 12) * 10 + np.arange(120) % 7, 3)


def long(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"item_id": "a", "timestamp": HOURS, "target": VALUES} | columns)


def as_csv(folder: Path) -> Any:
    long().to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def as_parquet(folder: Path) -> Any:
    long().to_parquet(folder / "a.parquet")
    return folder / "a.parquet"


def as_polars(folder: Path) -> Any:
    return pytest.importorskip("polars").from_pandas(long())


def as_duckdb(folder: Path) -> Any:
    return pytest.importorskip("duckdb").from_arrow(pa.Table.from_pandas(long()))


DOORS: dict[str, Callable[[Path], Any]] = {
    "CSV": as_csv,
    "Parquet": as_parquet,
    "pandas": lambda folder: long(),
    "polars": as_polars,
    "Arrow": lambda folder: pa.Table.from_pandas(long()),
    "DuckDB": as_duckdb,
    "wide": lambda folder: long().drop(columns="item_id"),
    "index": lambda folder: long().drop(columns="item_id").set_index("timestamp"),
    "zoned": lambda folder: long(timestamp=HOURS.tz_localize("UTC")),
    "period": lambda folder: long(timestamp=HOURS.to_period("h")),
    "rows in another order": lambda folder: long().sample(frac=1.0, random_state=0),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_gives_the_same_store_and_forecast(tmp_path: Path, door: str) -> None:
    model = tsfm.load("tsfm-mini")
    expected = model.predict_df(long(), 12).drop(columns=["item_id", "timestamp"])
    source = DOORS[door](tmp_path)
    tsfm.ingest(source, tmp_path / "store", progress=False)
    store = SeriesStore.open(tmp_path / "store")
    assert store.read(0).tobytes() == VALUES.astype(np.float32).tobytes()
    assert (store.starts[0], store.freqs, store.channels) == (HOURS[0].to_datetime64(), ["h"], ["target"])
    forecast = model.predict_df(tsfm.read_table(source) if isinstance(source, Path) else source, 12)
    frame: Any = forecast if isinstance(forecast, pd.DataFrame) else None
    if frame is None:
        frame = forecast.df() if hasattr(forecast, "df") else forecast.to_pandas()
    times = frame["timestamp"]
    times = times.dt.to_timestamp() if isinstance(times.dtype, pd.PeriodDtype) else pd.to_datetime(times, utc=True)
    steps = pd.date_range(HOURS[-1] + pd.Timedelta("1h"), periods=12, freq="h", tz=times.dt.tz)
    assert times.tolist() == steps.tolist()
    values = frame.drop(columns=["item_id", "timestamp"])
    assert values.columns.tolist() == expected.columns.tolist()
    for name in values.columns[1:]:
        assert values[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes()
