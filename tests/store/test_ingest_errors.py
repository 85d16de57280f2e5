"""errors="warn" and "skip" of `ingest`: the store is that of the other items, and the failed ones are named."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsfm
from tsfm.store import table_kinds
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore

ITEMS = "abcdef"


def table() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=8, freq="D").strftime("%Y-%m-%d")
    frames = [
        pd.DataFrame({"item_id": item, "timestamp": days, "target": np.arange(8.0).astype(str)}) for item in ITEMS
    ]
    return pd.concat(frames, ignore_index=True)


def broken(kind: str) -> tuple[pd.DataFrame, str]:
    """Return the table with two bad items, c and e, and the beginning of the reason."""
    frame = table()
    for item in "ce":
        rows = frame.index[frame["item_id"] == item]
        if kind == "text":
            frame.loc[rows[5], "target"] = "many"
        elif kind == "no time":
            frame.loc[rows[2], "timestamp"] = None
        elif kind == "no date":
            frame.loc[rows[2], "timestamp"] = "2024-02-31"
        elif kind == "twice":
            frame.loc[rows[3], "timestamp"] = frame.loc[rows[2], "timestamp"]
        elif kind == "empty":
            frame.loc[rows, "target"] = None
        else:
            frame.loc[rows, "timestamp"] = pd.date_range("2024-01-01", periods=8, freq="h").strftime("%Y-%m-%d %H:%M")
    return frame, {
        "text": "column 'target' holds 'many'",
        "no time": "is missing",
        "no date": "2024-02-31",
        "twice": "occurs twice",
        "empty": "all 8 values are missing",
        "hourly": "has a step every h",
    }[kind]


def contents(folder: Path) -> tuple:
    store = SeriesStore.open(folder)
    return store.ids, store.starts.tolist(), store.freqs, store.fingerprints


@pytest.mark.parametrize("order", ["item", "time"])
@pytest.mark.parametrize("rows", [1000, 3])
@pytest.mark.parametrize("kind", ["text", "no time", "no date", "twice", "empty", "hourly"])
def test_the_store_is_that_of_the_other_items(kind: str, rows: int, order: str, tmp_path, monkeypatch) -> None:
    """Also where the bad row is in another block than the first rows of its item, and items lie scattered."""
    monkeypatch.setattr(table_kinds, "BLOCK_CELLS", 3 * rows)
    monkeypatch.setattr(table_kinds, "MIN_ROWS", 1)
    frame, reason = broken(kind)
    good = frame[~frame["item_id"].isin(["c", "e"])]
    if order == "time":
        frame = frame.sort_index(key=lambda index: index % 8, kind="stable")
        good = good.sort_index(key=lambda index: index % 8, kind="stable")
    frame.to_csv(tmp_path / "t.csv", index=False)
    good.to_csv(tmp_path / "good.csv", index=False)
    with pytest.raises(ValueError, match=reason):
        ingest(tmp_path / "t.csv", tmp_path / "s", progress=False, warn=False)
    with pytest.warns(tsfm.FailedItemWarning, match=f"2 items cannot be used and are left out. 'c': .*{reason}"):
        report = ingest(tmp_path / "t.csv", tmp_path / "s", errors="warn", progress=False)
    assert list(report.failed_items) == ["c", "e"]
    assert "2 items cannot be used" in str(report)
    ingest(tmp_path / "good.csv", tmp_path / "g", progress=False, warn=False)
    assert contents(tmp_path / "s") == contents(tmp_path / "g")
    manifest = SeriesStore.open(tmp_path / "s").manifest
    assert manifest.num_series == report.series == 4
    assert "2 items could not be used and were left out" in manifest.notes


def test_skip_does_not_warn_and_a_table_without_any_good_item_is_an_error(tmp_path) -> None:
    frame, _ = broken("text")
    with warnings.catch_warnings():
        warnings.simplefilter("error", tsfm.FailedItemWarning)
        report = ingest(frame, tmp_path / "s", errors="skip", progress=False)
    assert report.series == 4
    with pytest.raises(ValueError, match="holds no series; nothing is written: 2 items cannot be used"):
        ingest(frame[frame["item_id"].isin(["c", "e"])], tmp_path / "n", target="target", errors="skip", progress=False)
    assert not (tmp_path / "n").exists()


def test_rows_that_are_kept_are_sorted(tmp_path) -> None:
    """As in all methods that take a DataFrame."""
    frame = table().iloc[:8].assign(target=np.arange(8.0))
    shuffled = frame.iloc[[3, 1, 0, 2, 7, 6, 4, 5]]
    for name, source in (("a", frame), ("b", shuffled)):
        report = ingest(source, tmp_path / name, grid="keep", progress=False, warn=False)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert any("were sorted by time" in note for note in report.notes)
