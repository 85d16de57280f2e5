"""A name becomes a store: from ./data, from raw files through the cache, from a download that is checked."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import data_root
from tsfm.store import catalog
from tsfm.store.catalog import KNOWN, names, resolve
from tsfm.store.ingest import ingest
from tsfm.store.series_store import SeriesStore

REAL = data_root()  # before the tests' own folder takes its place
FRAME = pd.DataFrame({"timestamp": pd.date_range("2024", periods=30, freq="h"), "x": np.arange(30, dtype=np.float32)})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty working folder, a raw data folder and a cache of the test's own."""
    (tmp_path / "raw" / "forecasting").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TSFM_DATA", str(tmp_path / "raw"))
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def stores(home):
    folder = home / "cache" / "stores"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_path_and_a_store_in_data_are_opened(home):
    ingest(FRAME, "data/mine", progress=False)
    assert resolve("mine").ids == resolve("data/mine").ids == resolve(home / "work" / "data" / "mine").ids
    assert "mine" in names()
    assert stores(home) == []


def test_a_raw_file_is_ingested_once_and_again_when_it_changes(home):
    raw = home / "raw" / "forecasting" / "My_Set.parquet"
    FRAME.to_parquet(raw)
    about = {"file": raw.name, "role": "benchmark", "domain": "energy", "licence": "MIT", "what": "a set"}
    raw.with_name("manifest.json").write_text(json.dumps({"datasets": [about]}))
    store = resolve("my_set")
    assert (store.manifest.name, store.manifest.role, store.manifest.domain) == ("my_set", "benchmark", "energy")
    assert (store.manifest.licence, store.manifest.source) == ("MIT", "a set")
    assert resolve("MY_SET").path == store.path
    assert "my_set" in names()
    FRAME.assign(x=FRAME["x"] + 1).head(20).to_parquet(raw)
    changed = resolve("my_set")
    assert changed.path != store.path
    assert changed.lengths.tolist() == [20]
    assert len(stores(home)) == 2


def test_long_horizon_sets_keep_their_rows(home):
    gappy = FRAME.drop(index=[10, 11])
    gappy.loc[5, "timestamp"] = gappy.loc[4, "timestamp"]
    gappy.to_parquet(home / "raw" / "forecasting" / "weather.parquet")
    assert resolve("weather").lengths.tolist() == [28]


def test_other_names_of_the_same_file(home):
    FRAME.to_parquet(home / "raw" / "forecasting" / "exchange_rate.parquet")
    assert resolve("exchange").path == resolve("exchange_rate").path


@pytest.fixture
def published(home, monkeypatch):
    """A catalog entry whose original is a file:// URL."""
    FRAME.rename(columns={"timestamp": "date"}).to_csv(home / "ETTx.csv", index=False)
    ingest(FRAME, home / "expected", progress=False)
    mark = SeriesStore.open(home / "expected").fingerprint
    known = replace(KNOWN[0], name="ettx", file="ETTx", url=(home / "ETTx.csv").as_uri(), fingerprint=mark)

    def publish(**changes):
        monkeypatch.setattr(catalog, "KNOWN", (replace(known, **changes),))

    publish()
    return publish


def test_a_download_is_checked_and_kept(home, published):
    store = resolve("ettx")
    assert store.ids == ["ETTx"]
    assert store.manifest.source.startswith("file://")
    assert store.manifest.licence.startswith("CC BY-ND")
    (home / "ETTx.csv").unlink()
    assert resolve("ettx").path == store.path
    assert stores(home) == [store.path.name]


def test_a_download_with_other_values_is_refused(home, published):
    published(fingerprint="0" * 32)
    with pytest.raises(ValueError, match=r"has other values than expected: fingerprint .* not 0{32}.*nothing was kept"):
        resolve("ettx")
    assert stores(home) == []


@pytest.mark.parametrize("url", ["file:///nowhere/ETTx.csv", "http://127.0.0.1:9/ETTx.csv"])
def test_offline_says_what_to_do(home, published, url):
    published(url=url)
    with pytest.raises(ConnectionError, match=r"could not be downloaded from .*set TSFM_DATA .*tsfm ingest"):
        resolve("ettx")
    assert stores(home) == []


def test_a_set_without_a_public_file_says_what_to_do():
    with pytest.raises(FileNotFoundError, match=r"'ili' is not on this machine.*forecasting/national_illness.parquet"):
        resolve("ili")
    with pytest.raises(FileNotFoundError, match="downloads are off"):
        resolve("etth1", download=False)


def test_unknown_names_and_paths(home):
    with pytest.raises(ValueError, match="unknown data set 'eth1'; did you mean 'etth1'"):
        resolve("eth1")
    with pytest.raises(ValueError, match="unknown data set 'zzzz'; known: etth1"):
        resolve("zzzz")
    with pytest.raises(FileNotFoundError, match="nowhere/store does not exist; make a store with"):
        resolve("nowhere/store")
    FRAME.to_csv(home / "work" / "t.csv")
    with pytest.raises(ValueError, match=r"t.csv is a file, not a store; run `tsfm ingest t.csv --out data/t`"):
        resolve("t.csv")


def test_a_cache_without_permission_names_the_variable(home, monkeypatch):
    FRAME.to_parquet(home / "raw" / "forecasting" / "a.parquet")

    def forbidden(*args, **rules):
        raise PermissionError("no permission to write store")

    monkeypatch.setattr(catalog, "ingest", forbidden)
    with pytest.raises(PermissionError, match=r"the cache is .*cache, and TSFM_CACHE can name another"):
        resolve("a")


@pytest.mark.realdata
def test_the_sets_of_the_field_have_their_sizes_and_values(monkeypatch):
    monkeypatch.setenv("TSFM_DATA", str(REAL))
    sizes = {
        "etth1": 17420,
        "etth2": 17420,
        "ettm1": 69680,
        "ettm2": 69680,
        "exchange": 7588,
        "weather": 52696,
        "ili": 966,
    }
    for name, length in sizes.items():
        store = resolve(name)
        assert store.lengths.tolist() == [length]
        assert store.manifest.role == "benchmark"
        known = next(entry for entry in KNOWN if entry.name == name)
        assert known.fingerprint in (None, store.fingerprint)
    assert resolve("m4_hourly").lengths.sum() == 373372
