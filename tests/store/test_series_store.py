"""Laws of the store: what goes in comes out, however it is cut; all is written or nothing; damage is named."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.store import shards
from tsfm.store.series_store import SeriesStore, StoreWriter, fingerprint
from tsfm.timestamps.offsets import timestamp_at


def series(rng, lengths, channels):
    out = [rng.standard_normal((channels, length)).astype(np.float32) for length in lengths]
    for values in out:
        values[rng.random(values.shape) < 0.1] = np.nan
    return out


def write(path, values, *, piece=10**9, **settings):
    names = [f"c{c}" for c in range(len(values[0]))]
    with StoreWriter(path, channels=names, **settings) as writer:
        for i, x in enumerate(values):
            writer.add(f"i{i}", x[:, :piece], "2024-01-01", "h", static={"label": f"k{i % 2}", "size": float(i)})
            for first in range(piece, x.shape[1], piece):
                writer.append(x[:, first : first + piece])
    return SeriesStore.open(path)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    channels=st.integers(1, 3),
    chunk=st.integers(1, 100),
    shard=st.integers(4, 400),
    piece=st.integers(1, 70),
    seed=st.integers(0, 99),
)
def test_what_goes_in_comes_out_however_it_is_cut(tmp_path_factory, lengths, channels, chunk, shard, piece, seed):
    rng = np.random.default_rng(seed)
    values = series(rng, lengths, channels)
    folder = tmp_path_factory.mktemp("store")
    store = write(folder / "cut", values, piece=piece, chunk_values=chunk, shard_bytes=shard)
    whole = write(folder / "whole", values)
    assert store.fingerprint == whole.fingerprint
    assert store.fingerprints == [fingerprint(x) for x in values]
    assert store.lengths.tolist() == lengths
    assert store.has_missing.tolist() == [bool(np.isnan(x).any()) for x in values]
    for i, x in enumerate(values):
        start, stop = sorted(rng.integers(0, x.shape[1] + 1, 2))
        assert np.array_equal(store.read(i), x, equal_nan=True)
        assert np.array_equal(store.read(i, int(start), int(stop)), x[:, start:stop], equal_nan=True)
    store.verify()


def test_fingerprint_has_one_nan_one_zero_and_a_shape():
    other_nan = np.array([[0x7FC00001, 0xFFC00000]], dtype=np.uint32).view(np.float32)
    assert fingerprint(other_nan) == fingerprint(np.full((1, 2), np.nan, np.float32))
    assert fingerprint(np.array([[-0.0]], np.float32)) == fingerprint(np.zeros((1, 1), np.float32))
    assert fingerprint(np.zeros((2, 3), np.float32)) != fingerprint(np.zeros((3, 2), np.float32))
    assert (
        fingerprint(np.array([[1.5, 2.5]], np.float32)) == "04eed85c1ba3ce83884e1f1f5006d188"
    )  # published: must never change


def test_pandas_reads_a_store_as_it_is(tmp_path):
    values = series(np.random.default_rng(0), [100, 7], 2)
    write(tmp_path / "s", values, chunk_values=64, shard_bytes=300)
    shards = sorted((tmp_path / "s").glob("part-*.parquet"))
    assert len(shards) > 1
    table = pd.concat([pd.read_parquet(shard) for shard in shards])
    assert list(table.columns) == ["item_id", "offset", "start", "freq", "values", "static_label", "static_size"]
    first = table[table["item_id"] == "i0"]
    values_of_first = np.concatenate([np.stack(list(cell)) for cell in first["values"]], axis=1)
    assert np.array_equal(values_of_first, values[0], equal_nan=True)
    expected = timestamp_at(np.datetime64("2024-01-01"), "h", first["offset"].to_numpy())
    assert (first["start"].to_numpy("datetime64[us]") == expected).all()


def test_duckdb_reads_a_store_as_it_is(tmp_path):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    values = series(np.random.default_rng(0), [100, 7], 2)
    write(tmp_path / "s", values, chunk_values=64, shard_bytes=300)
    query = f"""select item_id, static_label, count(*), sum(x) filter (not isnan(x))
        from (select *, unnest(values[2]) as x from '{tmp_path}/s/part-*.parquet') group by all order by item_id"""
    rows = duckdb.sql(query).fetchall()
    assert [row[:3] for row in rows] == [("i0", "k0", 100), ("i1", "k1", 7)]
    assert rows[0][3] == pytest.approx(np.nansum(values[0][1]), abs=1e-3)


def test_a_store_describes_itself(tmp_path):
    store = write(tmp_path / "s", series(np.random.default_rng(0), [30, 20], 2), role="benchmark", licence="CC0")
    assert (store.ids, store.freqs, store.channels, len(store)) == (["i0", "i1"], ["h", "h"], ["c0", "c1"], 2)
    assert store.starts.dtype == "datetime64[us]"
    assert store.static.loc["i1"].tolist() == ["k1", 1.0]
    assert store.static.index.name == "item_id"
    for text in (
        "2 series, 50 steps, 2 channel(s), every h",
        "20 to 30",
        "role benchmark",
        "licence CC0",
        "label, size",
    ):
        assert text in str(store)
    again = pickle.loads(pickle.dumps(store))
    assert np.array_equal(again.read(1), store.read(1), equal_nan=True)
    assert store.index("i1") == 1


def test_many_series_open_fast(tmp_path):
    import time

    values = np.arange(5, dtype=np.float32)[None]
    with StoreWriter(tmp_path / "s", channels=["x"]) as writer:
        for i in range(10_000):
            writer.add(str(i), values, "2000-01-01", "YS")
    seconds = []
    for _ in range(3):  # the best of three: other work on the machine is not meant
        began = time.perf_counter()
        store = SeriesStore.open(tmp_path / "s")
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.5
    assert store.read(9_999).shape == (1, 5)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        ({"values": np.array([[1, np.inf]])}, "channel 'x', step 1 is infinite"),
        ({"values": np.array([[1e39]])}, "too large for float32"),
        ({"values": np.zeros((2, 3))}, r"shape \(2, 3\); expected \[1 channels, steps\]"),
        ({"values": np.zeros((1, 0))}, "at least one step"),
        ({"item_id": "first"}, "item 'first' is already in store"),
        ({"static": {"other": 1}}, r"static columns \['other'\], those before \['k'\]"),
        ({"static": {"k": "text"}}, "static 'k' is 'text', and in the series before it was of type double"),
        ({"freq": "eon"}, "frequency 'eon' is not known"),
        ({"start": np.datetime64("NaT")}, "no start stamp"),
    ],
)
def test_a_bad_series_is_named_and_leaves_nothing(tmp_path, add, message):
    good = {"item_id": "a", "values": np.zeros((1, 3)), "start": "2024-01-01", "freq": "D", "static": {"k": 1}}

    def attempt():
        with StoreWriter(tmp_path / "s", channels=["x"]) as writer:
            writer.add(**{**good, "item_id": "first"})
            writer.add(**{**good, **add})

    with pytest.raises(ValueError, match=message):
        attempt()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no series were added"), StoreWriter(tmp_path / "s", channels=["x"]):
        pass
    with pytest.raises(ValueError, match="each with its own name"):
        StoreWriter(tmp_path / "s", channels=["x", "x"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["write_table", "close"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, call):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards.pq.ParquetWriter, call, full)
    with pytest.raises(OSError, match=r"cannot write store .*disk is full.* no part of the store") as caught:
        write(tmp_path / "s", series(np.random.default_rng(0), [50], 1), chunk_values=8)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_failed_overwrite_keeps_the_old_store(tmp_path):
    old = write(tmp_path / "s", series(np.random.default_rng(0), [50], 1))

    def interrupted():
        with StoreWriter(tmp_path / "s", channels=["x"], overwrite=True) as writer:
            writer.add("a", np.zeros((1, 3)), "2024-01-01", "D")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert SeriesStore.open(tmp_path / "s").fingerprint == old.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_no_permission_to_write(tmp_path, monkeypatch):
    def forbidden(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(PermissionError, match=r"cannot write store .*Permission denied.*choose another folder"):
        StoreWriter(tmp_path / "s", channels=["x"])


def test_what_exists_is_not_replaced_unasked(tmp_path):
    values = series(np.random.default_rng(0), [50], 1)
    write(tmp_path / "s", values)
    with pytest.raises(FileExistsError, match="use overwrite=True"):
        write(tmp_path / "s", values)
    assert write(tmp_path / "s", [values[0] + 1], overwrite=True).fingerprint != fingerprint(values[0])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="is not a store"):
        write(tmp_path / "notes", values, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_store_that_another_process_finishes_in_the_same_moment(tmp_path, monkeypatch, overwrite):
    values = series(np.random.default_rng(0), [50], 1)
    other, mine, rename = write(tmp_path / "theirs", values), values[0] + 1, os.rename

    def late(source, target):
        monkeypatch.setattr(os, "rename", rename)  # once
        shutil.copytree(tmp_path / "theirs", target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    if overwrite:
        assert write(tmp_path / "s", [mine], overwrite=True).fingerprint == write(tmp_path / "own", [mine]).fingerprint
    else:
        with pytest.raises(FileExistsError, match="use overwrite=True"):
            write(tmp_path / "s", [mine])
        assert SeriesStore.open(tmp_path / "s").fingerprint == other.fingerprint
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("damage", "kind", "message"),
    [
        (lambda p: (p / "part-00001.parquet").unlink(), FileNotFoundError, "lacks part-00001.parquet"),
        (lambda p: (p / "_series.parquet").unlink(), FileNotFoundError, "lacks _series.parquet"),
        (lambda p: (p / "manifest.json").unlink(), FileNotFoundError, "is not a store: it has no manifest.json"),
        (lambda p: (p / "manifest.json").write_text('{"na'), ValueError, "manifest.json is not a store's manifest"),
        (lambda p: (p / "_series.parquet").write_bytes(b"PAR1"), ValueError, "_series.parquet cannot be read"),
        (lambda p: change(p, schema_version=99), ValueError, "schema version 99, and this tsfm reads up to 1; upgrade"),
        (lambda p: change(p, name=None, drop="channels"), ValueError, "not a complete manifest"),
    ],
)
def test_damage_is_named_when_a_store_is_opened(tmp_path, damage, kind, message):
    write(tmp_path / "s", series(np.random.default_rng(0), [50], 1), chunk_values=16, shard_bytes=64)
    damage(tmp_path / "s")
    with pytest.raises(kind, match=message):
        SeriesStore.open(tmp_path / "s")


def change(path, drop=None, **fields):
    about = json.loads((path / "manifest.json").read_text())
    about.update(fields)
    about.pop(drop, None)
    (path / "manifest.json").write_text(json.dumps(about))


def test_a_truncated_shard_is_named_when_it_is_read(tmp_path):
    write(tmp_path / "s", series(np.random.default_rng(0), [50], 1), chunk_values=16, shard_bytes=64)
    shard = tmp_path / "s" / "part-00002.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    store = SeriesStore.open(tmp_path / "s")
    assert store.read(0, 0, 10).shape == (1, 10)
    with pytest.raises(ValueError, match=r"part-00002.parquet is damaged"):
        store.read(0)


def test_steps_that_are_not_there(tmp_path):
    store = write(tmp_path / "s", series(np.random.default_rng(0), [50], 1))
    with pytest.raises(ValueError, match="'i0' has 50 steps; steps 10 to 51 were asked for"):
        store.read(0, 10, 51)
    with pytest.raises(ValueError, match="series 1 was asked for"):
        store.read(1)
    with pytest.raises(ValueError, match="has no item 'x'"):
        store.index("x")
    with pytest.raises(FileNotFoundError, match="does not exist; make a store with `tsfm ingest"):
        SeriesStore.open(tmp_path / "nowhere")
