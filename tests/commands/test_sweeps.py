"""Sweeps: finished jobs are reused, failures are kept and listed, and nothing is computed twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training.test_crash_points import SETTINGS, store
from tsfm.commands.cli import main
from tsfm.commands.jobs import Job, model_name, scoring_protocol, setting_text
from tsfm.commands.sweep_state import DONE, FAILED, RUNNING, JobState, read_states, summary, write_state
from tsfm.commands.sweep_table import table_of
from tsfm.commands.sweeps import objective_of, run_directory
from tsfm.config import compose, count_jobs, typed
from tsfm.results import read_results

assert store  # a fixture
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, store: Path) -> Run:
    """Return a function that runs a sweep of evaluations in an empty folder, and returns its RESULT lines."""
    monkeypatch.chdir(tmp_path)

    def run(*settings: str, code: int = 0) -> list[dict[str, Any]]:
        fixed = ["eval", "-m", "data=store", f"data.dataset={store}", "context=16"]
        assert main([*fixed, *settings]) == code
        lines = capsys.readouterr().out.splitlines()
        return [json.loads(line.removeprefix("RESULT ")) for line in lines if line.startswith("RESULT ")]

    return run


def test_finished_jobs_are_reused(sweep: Run, caplog: pytest.LogCaptureFixture) -> None:
    first = sweep("predictor=seasonal_naive,drift", "horizon=4")
    assert [result["predictor"] for result in first] == ["seasonal_naive", "drift"]
    rows = read_results("results")
    assert rows["job"].nunique() == 2
    assert set(rows["context"]) == {16}
    assert set(rows["protocol"]) == {"windows"}
    (folder,) = Path("results/.sweeps").iterdir()
    assert set(rows["sweep"]) == {folder.name}
    assert sorted(path.name for path in folder.iterdir()) == ["0.json", "1.json", "multirun.yaml"]
    assert yaml.safe_load((folder / "multirun.yaml").read_text())
    assert not Path("multirun").exists()
    with caplog.at_level(logging.INFO, "tsfm"):
        second = sweep("predictor=seasonal_naive,drift,last_value", "horizon=4")
    assert [result.get("reused", False) for result in second] == [True, True, False]
    assert [result["mse"] for result in second[:2]] == [result["mse"] for result in first]
    assert "3 jobs: 1 done, 2 reused" in caplog.text
    assert len(read_results("results")) == len(rows) * 3 // 2


def test_every_failure_is_kept_and_has_a_line_at_the_end(sweep: Run) -> None:
    assert len(sweep("predictor=seasonal_naive,wrong", "horizon=4,200", code=2)) == 1
    kept = read_results("results", status="failed")
    assert kept["error"].str.contains("no predictor 'wrong'").sum() == 2
    assert len(kept) == 3
    assert set(kept["horizon"]) == {4, 200}


def test_the_end_of_a_sweep_lists_all_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "-m", "data=store", "data.dataset=none", "predictor=drift", "context=16", "horizon=4,8"]) == 2
    end = capsys.readouterr().err.rpartition("error: 2 of 2 jobs failed:")[2].strip().splitlines()
    assert [line.split(":")[0].strip() for line in end] == ["horizon=4", "horizon=8"]
    assert all("unknown data set 'none'" in line for line in end)


@pytest.mark.slow
def test_failed_jobs_are_run_again_on_request(
    sweep: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from tsfm.bench.baselines.simple import Drift

    broken = pytest.MonkeyPatch()
    broken.setattr(Drift, "forecast", lambda *_, **__: 1 / 0)
    sweep("predictor=drift,last_value", "horizon=4", code=2)
    broken.undo()
    assert read_results("results", status="failed")["error"].tolist() == ["ZeroDivisionError: division by zero"]
    assert [r["predictor"] for r in sweep("predictor=drift,last_value", "horizon=4", code=2)] == ["last_value"]
    again = sweep("predictor=drift,last_value", "horizon=4", "--retry-failed")
    assert [(r["predictor"], r.get("reused", False)) for r in again] == [("drift", False), ("last_value", True)]
    assert all(r.get("reused") for r in sweep("predictor=drift,last_value", "horizon=4"))


def test_results_null_records_nothing(sweep: Run) -> None:
    assert len(sweep("predictor=drift", "horizon=4,8", "results=null")) == 2
    assert not Path("results").exists()


def test_a_single_job_is_recorded_where_results_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["eval", "data=store", f"data.dataset={store}", "context=16", "horizon=4", "predictor=drift"]
    assert main(command) == 0
    assert list(tmp_path.iterdir()) == []
    assert main([*command, "results=mine"]) == 0
    assert main([*command, "results=mine"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1].removeprefix("RESULT "))["reused"] is True
    assert set(read_results("mine")["command"]) == {f"tsfm {' '.join([*command, 'results=mine'])}"}


@pytest.mark.slow
def test_a_training_sweep_names_its_runs_by_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [text for text in SETTINGS if not text.startswith(("trainer.max_epochs", "optim.lr", "data.batches"))]
    settings += ["trainer.max_epochs=1", "data.batches_per_epoch=2", f"data.dataset={store}"]
    assert main(["train", "-m", *settings, "optim.lr=0.05,0.02", "name=rates"]) == 0
    folders = sorted(path.name for path in Path("runs/rates").iterdir())
    assert [name.rpartition("-")[0] for name in folders] == ["optim.lr=0.02", "optim.lr=0.05"]
    rows = read_results("results")
    assert {"val_loss", "mse"} <= set(rows["metric"])
    assert sorted(rows["setting"].str.extract(r"(optim\.lr=\S+)")[0].unique()) == ["optim.lr=0.02", "optim.lr=0.05"]
    assert rows["parameters"].notna().all()
    capsys.readouterr()
    (Path("runs/rates") / folders[0] / "result.json").unlink()  # the store is what counts
    assert main(["train", "-m", *settings, "optim.lr=0.05,0.02", "name=rates"]) == 0
    assert capsys.readouterr().out.count('"reused": true') == 2


def test_the_objective_is_the_validation_score() -> None:
    result = {"mse": 0.5, "seed": 1, "val_loss": 0.25, "windows": 7, "expect": []}
    assert objective_of(result, None) == 0.25
    assert objective_of({"mse": 0.5}, None) is None
    assert objective_of(result, "mse") == 0.5
    with pytest.raises(ValueError, match="--objective mae is not in the result; expected one of mse, seed, val_loss"):
        objective_of(result, "mae")


def test_names_of_run_directories_are_names_of_files() -> None:
    config = typed(compose("train", ["name=ltsf/x", "data=etth1"]))
    assert run_directory(config, ["experiment=ltsf/a b", "optim.lr=0.1"], "0123456789ab") == (
        "runs/ltsf/x/ltsf-a-b_optim.lr=0.1-01234567"
    )
    assert (
        run_directory(config, ["data.dataset='../../x'"], "0123456789ab")
        == "runs/ltsf/x/data.dataset=-..-..-x-01234567"
    )
    assert len(Path(run_directory(config, ["a=" + "x" * 500], "0123456789ab")).name) < 100


def test_jobs_are_counted_before_they_are_run() -> None:
    assert count_jobs(["seed=0,1,2", "data=etth1,etth2", "optim.lr=1"]) == 6
    assert count_jobs(["seed=range(0,4)"]) == 4
    assert count_jobs(["experiment=glob(ltsf/*)"]) is None
    assert count_jobs(["hydra/sweeper=optuna", "seed=0,1"]) is None
    assert count_jobs(["seed=[0"]) is None


def test_states_of_jobs(tmp_path: Path) -> None:
    running = JobState(1, "seed=1", started=1.0)
    write_state(tmp_path, running)
    write_state(tmp_path, JobState(0, "seed=0").ended(FAILED, "no memory"))
    write_state(tmp_path, running)
    (tmp_path / "multirun.yaml").write_text("x: 1")
    states = read_states(tmp_path)
    assert [(state.number, state.status) for state in states] == [(0, FAILED), (1, RUNNING)]
    assert summary(states, 5) == "5 jobs: 1 failed, 1 running"


def test_the_table_shows_every_job() -> None:
    rich = pytest.importorskip("rich.console")
    states = [JobState(0, "seed=0", DONE, "mse 0.5", seconds=3.0), JobState(1, "seed=[1]", FAILED, "[red]no")]
    text = StringIO()
    rich.Console(file=text, width=100).print(table_of(states, total=4))
    assert "4 jobs: 1 done, 1 failed" in text.getvalue()
    for expected in ("seed=[1]", "mse 0.5", "[red]no"):  # square brackets are no markup
        assert expected in text.getvalue()


def test_settings_and_names_in_rows() -> None:
    assert setting_text(["data.dataset=x", "+trainer.max_steps=5", "bench=gift", "a=1"]) == "+trainer.max_steps=5 a=1"
    assert model_name("tsfm-small") == "tsfm-small"


def test_the_protocol_of_a_run_is_that_of_its_task() -> None:
    assert scoring_protocol(typed(compose("train", ["data=etth1"]))).config.name == "windows"
    config = typed(
        compose("train", ["data=cases", "data.dataset=x", "task=classify", "head=pooled", "bench.split=val"])
    )
    assert scoring_protocol(config).config.name == "cases"
    assert scoring_protocol(config).config.split == "val"


def test_where_files_go_does_not_change_the_identity(store: Path) -> None:
    def identity(*settings: str) -> str:
        fixed = ["data=store", f"data.dataset={store}", "predictor=drift", "context=16", "horizon=4"]
        return Job(typed(compose("eval", [*fixed, *settings]))).identity

    assert identity() == identity("out=x", "results=y", "device=cpu")
    assert len({identity(), identity("horizon=8"), identity("bench.stride=2"), identity("seed=1")}) == 4


def test_a_model_is_its_weights_and_not_its_folder(store: Path, tmp_path: Path) -> None:
    from tests.tiny import tiny
    from tsfm.model.checkpoint import About, save

    model = tiny("mixer", "quantiles")
    for name in ("a/one", "b/one"):
        save(model, tmp_path / name, about=About())

    def identity(name: str) -> str:
        settings = ["data=store", f"data.dataset={store}", f"predictor={tmp_path / name}", "context=16", "horizon=4"]
        return Job(typed(compose("eval", settings))).identity

    assert identity("a/one") != identity("b/one")  # tables show them under other names
    before = identity("a/one")
    save(tiny("mixer", "lags"), tmp_path / "c", about=About())
    (tmp_path / "a/one/model.safetensors").write_bytes((tmp_path / "c/model.safetensors").read_bytes())
    assert identity("a/one") != before
