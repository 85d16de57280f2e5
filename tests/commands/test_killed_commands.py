"""A sweep, benchmarks and fit_df that are killed at file-system events and repeated end as if never killed."""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import tsfm
from tests import crash_points
from tests.bench.test_suite import long
from tests.tiny import tiny
from tests.training.test_crash_points import SETTINGS, outcome, store
from tsfm.commands.cli import main
from tsfm.model.checkpoint import About, save

assert store  # a fixture
At = Callable[[list[str]], Iterable[int]]
POINTS = [crash_points.some(2), pytest.param(crash_points.every, marks=pytest.mark.slow)]
EACH = pytest.mark.parametrize("at", POINTS, ids=["some", "every"])


def run(*arguments: str) -> None:
    assert main(list(arguments)) == 0


@pytest.mark.slow  # half a minute even at two events
@EACH
def test_a_killed_sweep_ends_as_an_uninterrupted_one(
    at: At, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.chdir(tmp_path)
    settings = [text for text in SETTINGS if not text.startswith(("data.batches_per_epoch", "trainer.max_epochs"))]
    settings += ["data.batches_per_epoch=2", "trainer.max_epochs=1"]
    arguments = ["train", "-m", *settings, f"data.dataset={store}", "resume=auto", f"run_root={root / 'runs'}"]
    arguments += [f"hydra.sweep.dir={root / 'multirun'}", "optim.lr=0.05,0.02"]

    def outcomes() -> dict[float, Any]:
        folders = [path.parent for path in root.rglob("config.yaml")]
        return {yaml.safe_load((path / "config.yaml").read_text())["optim"]["lr"]: outcome(path) for path in folders}

    def count_folders() -> dict[str, Any]:
        results = outcomes()
        assert sorted(results) == [0.02, 0.05]
        assert len(list(root.rglob("result.json"))) == len(list(root.rglob("config.yaml"))) == 2
        return {str(rate): result for rate, result in results.items()}

    run(*arguments)  # forked processes have what it imports
    crash_points.survive("sweep of two runs", lambda: run(*arguments), root, count_folders, at=at)


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a benchmark set and a labelled set of anomalies."""
    folder = tmp_path / "data"
    (folder / "forecasting").mkdir(parents=True)
    (folder / "anomaly").mkdir()
    long({"d": 300}, "D").to_parquet(folder / "forecasting" / "days.parquet")
    (folder / "forecasting" / "manifest.json").write_text(
        '{"datasets": [{"file": "days.parquet", "role": "benchmark"}]}'
    )
    values = np.round(np.sin(np.arange(300) / 4) + 0.1 * np.random.default_rng(0).normal(size=300), 3)
    label = (np.arange(300) // 10 == 20).astype(np.int8)
    rows = {"timestamp": pd.date_range("2024", periods=300, freq="h"), "value": values.astype(np.float32)}
    rows |= {"label": label, "split": np.where(np.arange(300) < 100, "train", "test")}
    items = [pd.DataFrame({"item_id": f"item {i}", **rows}) for i in range(2)]
    pd.concat(items).to_parquet(folder / "anomaly" / "skab.parquet")
    monkeypatch.setenv("TSFM_DATA", str(folder))
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "root" / "cache"))  # its files are written by the command too
    return folder


@EACH
def test_a_killed_bench_suite_ends_as_an_uninterrupted_one(at: At, sets: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    arguments = ["bench", "suite", "last_value", "--out", str(root / "out")]

    def tables() -> dict[str, str]:
        return {name: (root / "out" / name).read_text() for name in ("suite.md", "suite.csv")}

    def killed() -> None:
        """A table that can be read is whole."""
        file = root / "out" / "suite.csv"
        assert not file.exists() or [row["set"] for row in csv.DictReader(file.open())] == ["days"]

    crash_points.survive("bench suite", lambda: run(*arguments), root, tables, at=at, killed=killed)


@EACH
def test_a_killed_bench_anomaly_goes_on_with_the_scores_that_it_has(at: At, sets: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    arguments = ["bench", "anomaly", "--methods", "spectral_residual", "--data", "skab", "--out", str(root / "out")]

    def scores() -> dict[str, Any]:
        rows = json.loads((root / "out" / "anomaly.json").read_text())
        return {name: {key: row[key] for key in row if key != "seconds"} for name, row in rows.items()}

    def killed() -> None:
        if (root / "out" / "anomaly.json").exists():
            assert 1 <= len(scores()) <= 2

    crash_points.survive("bench anomaly", lambda: run(*arguments), root, scores, at=at, killed=killed)


@EACH
def test_a_killed_fit_df_gives_the_same_model_when_it_is_repeated(
    at: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works in a temporary folder; the model it starts from stays as it was."""
    root, source = tmp_path / "root", tmp_path / "source"
    save(tiny("patch_transformer", "quantiles"), source, about=About())
    before = digest(source / "model.safetensors")
    df = pd.DataFrame({"timestamp": pd.date_range("2024", periods=160, freq="h"), "target": np.sin(np.arange(160) / 3)})
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    overrides = ["data.batches_per_epoch=2", "trainer.max_epochs=1"]

    def fit() -> None:
        root.mkdir(exist_ok=True)
        model = tsfm.load(source).fit_df(df, device="cpu", keep_better=False, overrides=overrides)
        weights = b"".join(tensor.numpy().tobytes() for tensor in model.model.state_dict().values())
        (tmp_path / "weights").write_bytes(weights)

    def result() -> str:
        assert digest(source / "model.safetensors") == before
        return digest(tmp_path / "weights")

    fit()
    crash_points.survive("fit_df", fit, root, result, at=at, killed=lambda: (tmp_path / "weights").unlink())


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
