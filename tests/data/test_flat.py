"""Laws of flat series: the same values in memory and mapped, written once and whole or not at all."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import tsfm.data.flat as module
from tsfm.data.flat import FILE, FlatSeries, flatten
from tsfm.store.series_store import SeriesStore, StoreWriter


def make(path: Path, *, lengths=(700, 1, 0x3FF), channels=3, missing=True) -> SeriesStore:
    rng = np.random.default_rng(0)
    with StoreWriter(path, channels=[f"c{c}" for c in range(channels)]) as writer:
        for i, length in enumerate(lengths):
            values = rng.normal(size=(channels, length)).astype(np.float32)
            if missing and i == 0:
                values[1, 5:9] = np.nan
            writer.add(f"item{i}", values, np.datetime64("2020-01-01"), "h")
    return SeriesStore.open(path)


def leftovers(cache: Path) -> list[str]:
    return [str(path) for path in cache.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("limit", [0, 2**30])
def test_a_flat_series_is_what_the_store_reads(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(module, "BLOCK_VALUES", 100)  # pieces end within series
    store = make(tmp_path / "store")
    flat = flatten(store, tmp_path / "cache", limit_bytes=limit)
    assert (flat.values.flags.writeable, (tmp_path / "cache").exists()) == (limit > 0, limit == 0)
    for i in range(len(store)):
        assert np.array_equal(flat.series(i), store.read(i), equal_nan=True)
    assert flat.has_missing.tolist() == [True, False, False]
    assert (flat.channels, list(flat.ids)) == (("c0", "c1", "c2"), ["item0", "item1", "item2"])
    assert np.array_equal(flat.tensor().numpy(), flat.values, equal_nan=True)


def test_the_file_is_written_once_and_named_by_its_content(tmp_path):
    store = make(tmp_path / "store")
    flatten(store, tmp_path / "cache", limit_bytes=0)
    file = tmp_path / "cache" / "flat" / store.fingerprint / FILE
    before = file.stat().st_mtime_ns
    flatten(store, tmp_path / "cache", limit_bytes=0)
    assert file.stat().st_mtime_ns == before
    assert leftovers(tmp_path) == []


def test_a_damaged_file_is_written_again(tmp_path):
    store = make(tmp_path / "store")
    flatten(store, tmp_path / "cache", limit_bytes=0)
    file = tmp_path / "cache" / "flat" / store.fingerprint / FILE
    os.truncate(file, 100)
    flat = flatten(store, tmp_path / "cache", limit_bytes=0)
    assert np.array_equal(flat.series(2), store.read(2))
    assert leftovers(tmp_path) == []


def test_the_cache_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "elsewhere"))
    store = make(tmp_path / "store")
    flatten(store, limit_bytes=0)
    assert (tmp_path / "elsewhere" / "flat" / store.fingerprint / FILE).is_file()


def _flatten_elsewhere(path: str, cache: str, queue) -> None:
    flat = flatten(SeriesStore.open(path), cache, limit_bytes=0)
    queue.put(float(flat.series(2).sum()))


def test_several_processes_may_ask_at_once(tmp_path):
    store = make(tmp_path / "store")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    args = (str(tmp_path / "store"), str(tmp_path / "cache"), queue)
    processes = [context.Process(target=_flatten_elsewhere, args=args) for _ in range(2)]
    for process in processes:
        process.start()
    sums = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sums == [float(store.read(2).sum())] * 2
    assert leftovers(tmp_path) == []


def test_a_disk_without_room_is_named_before_anything_is_written(tmp_path, monkeypatch):
    store = make(tmp_path / "store")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(OSError, match=r"cannot write a flat copy of .*the disk is full.* set TSFM_CACHE") as caught:
        flatten(store, tmp_path / "cache", limit_bytes=0)
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "cache" / "flat").iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_half_written(tmp_path, monkeypatch):
    store = make(tmp_path / "store")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="cannot write a flat copy"):
        flatten(store, tmp_path / "cache", limit_bytes=0)
    assert list((tmp_path / "cache" / "flat").iterdir()) == []


def test_a_cache_that_cannot_be_a_folder_is_named(tmp_path, monkeypatch):
    store = make(tmp_path / "store")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"cannot write a flat copy of .*file.* set TSFM_CACHE"):
        flatten(store, tmp_path / "file", limit_bytes=0)

    def forbid(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbid)
    with pytest.raises(PermissionError, match=r"Permission denied.* set TSFM_CACHE"):
        flatten(store, tmp_path / "cache", limit_bytes=0)


def test_arrays_that_do_not_fit_together_are_named():
    with pytest.raises(ValueError, match="2 series with"):
        FlatSeries.from_arrays([np.zeros((1, 3)), np.zeros((2, 3))])
    with pytest.raises(ValueError, match="item 'b', channel 'c0', step 2 is infinite"):
        FlatSeries.from_arrays([np.zeros(3), np.array([0, 1, np.inf])], ids=["a", "b"])
    with pytest.raises(ValueError, match="2 channel names"):
        FlatSeries.from_arrays([np.zeros(3)], channels=["a", "b"])
