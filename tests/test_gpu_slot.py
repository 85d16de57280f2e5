"""scripts/gpu.sh runs all of its sections on a CPU, and the corpus survives the trip in one file."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tsfm.model.checkpoint import load
from tsfm.store.series_store import SeriesStore
from tsfm.store.writer import StoreWriter


@pytest.mark.slow
def test_a_dry_run_has_results_of_every_section_and_weights(tmp_path: Path) -> None:
    run = subprocess.run(
        ["bash", str(ROOT / "scripts" / "gpu.sh"), "--dry-run"],
        capture_output=True,
        text=True,
        env={**os.environ, "OUT": str(tmp_path), "PYTHON": sys.executable},
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    results = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in SECTIONS}
    assert all(result["complete"] for result in results.values())
    modes = {(row["backbone"], row["mode"]) for row in results["parity"]["rows"] if row.get("fits")}
    assert {mode for _, mode in modes} == {"float32", "bf16"}
    assert [row["path"] for row in results["scans"]["rows"] if "skipped" in row] == ["mamba_ssm", "fla"]
    assert all(row["values_per_second"] > 0 for row in results["speed"]["rows"])
    assert [row["step"] for row in results["pretrain"]["rows"] if row["event"] == "export"] == [4]
    assert load(tmp_path / "weights")[0].config.context == 48


SECTIONS = ("parity", "scans", "speed", "pretrain")


@pytest.fixture
def corpus_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("gpu.corpus_file")


def write_store(path: Path, *, steps: int) -> None:
    rng = np.random.default_rng(0)
    with StoreWriter(path, channels=["a", "b"]) as writer:
        for item in ("x", "y"):
            values = (50 + 7 * rng.standard_normal((2, steps))).astype(np.float32)
            values[0, 3] = np.nan
            writer.add(item, values, "2024-01-01", "h")


def test_restored_series_are_the_standardized_ones(corpus_file, tmp_path: Path) -> None:
    write_store(tmp_path / "original", steps=300)
    num_values = corpus_file.pack(tmp_path / "corpus.parquet", names=[str(tmp_path / "original")])
    assert num_values == 2 * 2 * 300
    table = corpus_file.pq.read_table(tmp_path / "corpus.parquet")
    names = corpus_file.restore(tmp_path / "corpus.parquet", tmp_path / "data")
    original, restored = SeriesStore.open(tmp_path / "original"), SeriesStore.open(tmp_path / "data" / names[0])
    assert restored.ids == table["item_id"].to_pylist() == ["x/a", "x/b", "y/a", "y/b"]
    assert restored.freqs == ["h"] * 4
    for index, values in enumerate(np.concatenate([original.read(0), original.read(1)])):
        expected = (values - np.nanmean(values)) / np.nanstd(values)
        np.testing.assert_allclose(restored.read(index)[0], expected, atol=2e-3)
    manifest = json.loads((tmp_path / "data" / "forecasting" / "manifest.json").read_text())
    assert [entry["role"] for entry in manifest["datasets"]] == ["corpus"]


def test_a_file_that_would_be_too_large_keeps_the_ends(corpus_file, tmp_path: Path, monkeypatch) -> None:
    write_store(tmp_path / "original", steps=2000)
    monkeypatch.setattr(corpus_file, "MIN_VALUES", 100)
    corpus_file.pack(tmp_path / "whole.parquet", names=[str(tmp_path / "original")])
    limit = (tmp_path / "whole.parquet").stat().st_size // 2
    kept = corpus_file.pack(tmp_path / "short.parquet", names=[str(tmp_path / "original")], max_bytes=limit)
    assert (tmp_path / "short.parquet").stat().st_size <= limit
    assert 64 * 4 <= kept < 2000 * 4
    names = corpus_file.restore(tmp_path / "short.parquet", tmp_path / "data")
    store = SeriesStore.open(tmp_path / "data" / names[0])
    ends = store.starts + store.lengths.astype("timedelta64[h]")
    assert (ends == np.datetime64("2024-01-01") + np.timedelta64(2000, "h")).all()
