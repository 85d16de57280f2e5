"""The results store: rows that many processes append, none of them lost, damaged or half-written."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from tsfm.files import atomic_file
from tsfm.results import SCHEMA, Provenance, ResultStore, failed_row, job_identity, measured_rows, read_results
from tsfm.results.rows import Measure

PROVENANCE = Provenance(
    job="a1", kind="eval", model="seasonal_naive", protocol="windows", data="etth1", horizon=24,
    setting="bench.stride=8", config={"seed": None},
    environment={"versions": {"tsfm": "0.1.0"}, "gpus": ["H200", "H200"], "cores": 2},
)  # fmt: skip


@pytest.mark.parametrize(("verdict", "stored"), [("true", True), ("false", False), ("unknown", None), (None, None)])
def test_the_verdict_of_the_leak_check_is_recorded(tmp_path: Path, verdict: str | None, stored: bool | None) -> None:
    result = {} if verdict is None else {"zero_shot": verdict, "seen": "none"}
    ResultStore(tmp_path).append(measured_rows(PROVENANCE, [Measure("mse", 0.25)], result, sources={}))
    value = ResultStore(tmp_path).read()["zero_shot"].iloc[0]
    assert pd.isna(value) if stored is None else bool(value) is stored


def row(job: str = "a1", metric: str = "mse", value: float = 0.5, **columns: object) -> dict[str, object]:
    """A row with what every row needs."""
    return {"job": job, "status": "done", "metric": metric, "value": value, "subset": "", **columns}


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    measures = [Measure("mse", 0.25, windows=7), Measure("mase", float("nan"), subset="a")]
    result = {"seconds": 1.5, "fingerprint": "ff", "zero_shot": True, "expect": [{"metric": "mse", "expected": 0.2}]}
    store = ResultStore(tmp_path / "deep" / "results")
    store.append(measured_rows(PROVENANCE, measures, result, sources={"mse": "arXiv:1"}))
    read = store.read()
    assert list(read.columns) == SCHEMA.names
    first, second = read.iloc[0], read.iloc[1]
    assert (first["metric"], first["value"], first["windows"], first["published"]) == ("mse", 0.25, 7, 0.2)
    assert (first["source"], first["gpus"], first["horizon"], first["data_fingerprint"]) == (
        "arXiv:1",
        "H200, H200",
        24,
        "ff",
    )
    assert second["subset"] == "a"
    assert np.isnan(second["value"])
    assert pd.isna(second["published"])
    assert first["zero_shot"]
    assert first["setting"] == "bench.stride=8"
    assert isinstance(first["time"], datetime)


def test_pandas_and_duckdb_read_the_folder_as_it_is(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for number in range(3):
        store.append([row(f"j{number}", value=float(number))])
    with store.claimed("j9"), atomic_file(tmp_path / ".drafts" / "x.parquet") as draft:
        draft.write_bytes(b"half of a file")  # a draft and a lock are not rows
        assert pd.read_parquet(tmp_path)["value"].sum() == 3
        total = duckdb.sql(f"SELECT sum(value) FROM '{tmp_path}/*.parquet'").fetchall()
    assert total == [(3.0,)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows to append"),
        ([row(metrik="mse")], "no column 'metrik'; did you mean 'metric'"),
        ([row(seed="one")], "column 'seed' of results holds int64"),
        ([row(value="low")], "column 'value' of results holds double"),
    ],
)
def test_bad_rows_are_refused_and_nothing_is_written(tmp_path: Path, rows: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResultStore(tmp_path).append(rows)
    assert list(tmp_path.iterdir()) == []


def test_a_metric_is_measured_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'mse' of etth1 was measured twice"):
        measured_rows(PROVENANCE, [Measure("mse", 1.0), Measure("mse", 2.0)], {}, sources={})
    with pytest.raises(ValueError, match="has no metric to record"):
        measured_rows(PROVENANCE, [], {}, sources={})


def test_a_job_that_was_repeated_counts_as_done(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    assert store.job_rows("a1").empty
    store.append([failed_row(PROVENANCE, "no memory", seconds=2.0)])
    assert store.job_rows("a1")["error"].tolist() == ["no memory"]
    store.append(measured_rows(PROVENANCE, [Measure("mse", 1.0)], {}, sources={}))
    store.append([failed_row(PROVENANCE, "later", seconds=2.0)])
    assert store.job_rows("a1")["status"].tolist() == ["done"]
    assert store.job_rows("a").empty  # the beginning of an identity is another one


def test_rows_are_selected_by_columns(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.append([row(model="a", seed=0), row(model="a", seed=1, metric="mae"), row(model="b")])
    assert len(store.read(model="a")) == 2
    assert store.read(model=["a", "b"], metric="mse")["model"].tolist() == ["a", "b"]
    assert store.read(seed=1)["metric"].tolist() == ["mae"]
    with pytest.raises(ValueError, match="no column 'modell'; did you mean 'model'"):
        store.read(modell="a")
    with pytest.raises(FileNotFoundError, match="is not a folder; a results store is written by"):
        read_results(tmp_path / "none")


def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ResultStore(tmp_path)
    kept, damaged = store.append([row("a")]), store.append([row("b")])
    damaged.write_bytes(kept.read_bytes()[:200])
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "foreign.parquet")
    with caplog.at_level(logging.WARNING, "tsfm"):
        assert store.read()["job"].tolist() == ["a"]
    assert damaged.name in caplog.text
    assert "foreign.parquet is not used: it does not hold results (it has no column job)" in caplog.text


def test_a_file_of_an_older_version_lacks_columns(tmp_path: Path) -> None:
    old = pd.DataFrame({"job": ["a"], "status": ["done"], "metric": ["mse"], "value": [1.0], "forgotten": [2]})
    old.to_parquet(tmp_path / "a-1.parquet")
    read = ResultStore(tmp_path).read()
    assert list(read.columns) == SCHEMA.names
    assert pd.isna(read["model"].iloc[0])


def test_identities_differ_where_anything_differs() -> None:
    settings = {"a": 1, "b": {"c": [1, 2]}}
    variants = [
        job_identity("eval", settings, data="d"),
        job_identity("train", settings, data="d"),
        job_identity("eval", {"a": 1, "b": {"c": [2, 1]}}, data="d"),
        job_identity("eval", settings, data="e"),
        job_identity("eval", settings, data="d", weights="w"),
        job_identity("eval", settings, data="d", version="0"),
    ]
    assert len(set(variants)) == len(variants)


def append_many(folder: str, writer: int, count: int) -> None:
    """Append `count` files of one row each."""
    store = ResultStore(folder)
    for number in range(count):
        store.append([row(f"w{writer}n{number}", value=float(number), model=f"writer{writer}")])


@pytest.mark.parametrize("count", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_eight_writers_lose_no_row(tmp_path: Path, count: int) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(str(tmp_path), writer, count)) for writer in range(8)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * 8
    read = ResultStore(tmp_path).read()
    assert len(read) == 8 * count
    assert read["job"].nunique() == 8 * count
    assert read.groupby("model")["value"].sum().tolist() == [count * (count - 1) / 2] * 8


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_files(tmp_path: Path) -> None:
    code = f"from tests.results.test_store import append_many; append_many({str(tmp_path)!r}, 0, 100000)"
    process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    store = ResultStore(tmp_path)
    while len(store.files()) < 50:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    read = store.read()
    assert len(read) == len(store.files())  # each file was read
    numbers = sorted(read["value"].tolist())
    assert numbers == list(range(len(numbers)))


def test_the_lock_of_a_job_is_held_by_one_block(tmp_path: Path) -> None:
    store, order = ResultStore(tmp_path), []
    context = multiprocessing.get_context("fork")

    def other() -> None:
        with store.claimed("job"):
            store.append([row("other")])

    with store.claimed("job"):
        process = context.Process(target=other)
        process.start()
        process.join(0.3)
        order.append(len(store.files()))  # it waits
    process.join()
    order.append(len(store.files()))
    assert order == [0, 1]
    assert not (tmp_path / ".jobs").exists()
