"""Faults that a stricter oracle of the fuzzer found, each as a law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.store.test_fuzz_faults import stored
from tsfm.infer.frames import read_frame
from tsfm.store.ingest import ingest
from tsfm.store.read_table import read_table


@pytest.mark.parametrize("price", ["-1,60000000e+02", "4,8e-07", "-1,234e5"])
def test_decimal_commas_with_exponents_are_numbers_beside_the_target(tmp_path: Path, price: str) -> None:
    rows = "".join(f"{day};2024-01-{day:02d};{price}\n" for day in range(1, 9))
    (tmp_path / "x.csv").write_text(f"target;timestamp;price\n{rows}")
    expected = float(price.replace(",", "."))
    assert read_table(tmp_path / "x.csv").price.tolist() == [expected] * 8
    store, _ = stored(tmp_path / "x.csv", tmp_path)
    assert store.channels == ["target", "price"]
    assert (store.read(0)[1] == np.float32(expected)).all()


def test_text_of_parquet_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    text = pa.array([f"2024-01-{day:02d}" for day in range(1, 9)])
    table = pa.table({"timestamp": text, "target": np.arange(8.0)})
    pq.write_table(table, tmp_path / "x.parquet", compression="none", use_dictionary=False, write_statistics=False)
    data = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data.replace(b"2024-01-05", b"2024-\xff1-05"))
    for read in (read_table, lambda path: stored(path, tmp_path)):
        with pytest.raises(ValueError, match=r"x\.parquet cannot be read: .*damaged or cut short"):
            read(tmp_path / "x.parquet")


def test_an_unknown_header_line_of_ts_is_announced(tmp_path: Path) -> None:
    text = "@problemName X\n@univariate true\n@cl-ssLabel true 1 2\n@data\n1,2,3\n4,5,6\n"
    (tmp_path / "X.ts").write_text(text)
    notes = ingest(tmp_path / "X.ts", tmp_path / "s", progress=False).notes
    assert "X.ts: the header line @cl-sslabel is not known and was passed over" in notes


@pytest.mark.parametrize("move", [-3, -1, 1, 3])
def test_the_day_of_a_week_is_the_commonest(tmp_path: Path, move: int) -> None:
    times = pd.date_range("2024-01-07", periods=40, freq="W-SUN").to_series(index=range(40))
    times[0] += pd.Timedelta(days=move)
    frame = pd.DataFrame({"timestamp": times, "target": np.arange(40.0)})
    store, _ = stored(frame, tmp_path)
    assert (store.freqs[0], store.starts[0]) == ("W-SUN", np.datetime64("2024-01-07"))
    assert read_frame(frame, prediction_length=1).series[0].freq == "W-SUN"


@pytest.mark.parametrize("zone", ["UTC+02:00", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("freq", ["2h", "6h", "12h"])
def test_a_moved_row_does_not_put_an_item_on_local_times(tmp_path: Path, freq: str, zone: str) -> None:
    times = pd.date_range("2020-05-02", periods=60, freq=freq, tz="UTC").tz_convert(zone)
    late = times[:1] + pd.Timedelta(minutes=18)
    rows = pd.DataFrame({"item_id": "a", "timestamp": times, "target": np.arange(60.0)})
    moved = rows.assign(item_id="b", timestamp=late.append(times[1:]))
    store, notes = stored(pd.concat([rows, moved]), tmp_path)
    assert store.starts.tolist() == [times[0].tz_convert("UTC").tz_localize(None).to_pydatetime()] * 2
    assert any("1 timestamps were moved" in note for note in notes)
