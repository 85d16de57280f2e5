"""Suites, the tables of their results, and the commands that list runs, results and data sets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.training.test_crash_points import store
from tsfm.commands.cli import main
from tsfm.commands.suite_file import Suite, SuiteJobs, take_suite
from tsfm.commands.suites import command_lines, list_suites
from tsfm.commands.tables import table_text
from tsfm.config import compose, conf_dir, options, typed
from tsfm.metrics.metric import better_direction
from tsfm.results import ResultStore, read_results
from tsfm.results.tables import comparison, newest, tables_of

assert store  # a fixture


@pytest.mark.parametrize("name", options("suite"))
def test_every_suite_composes(name: str) -> None:
    suite = Suite.read(name)
    assert suite.title
    assert len(suite.needs) > 40
    assert better_direction(suite.metric) in ("lower", "higher")
    for entry in suite.jobs:
        settings = {key: value[0] if isinstance(value, list) else value for key, value in entry.settings.items()}
        typed(compose(entry.verb, SuiteJobs(entry.verb, settings).overrides()))


def test_the_archives_are_complete() -> None:
    counts = {name: len(Suite.read(name).jobs[0].settings["data.dataset"]) for name in ("ucr", "uea", "tser")}
    assert counts == {"ucr": 128, "uea": 30, "tser": 21}


def test_jobs_are_every_combination() -> None:
    jobs = SuiteJobs("eval", {"predictor": ["a", "b"], "horizon": [1, 2], "data": "etth1"})
    assert len(jobs.combinations()) == 4
    assert jobs.overrides() == ["predictor=a,b", "horizon=1,2", "data=etth1"]
    assert jobs.without(["horizon=3"]).overrides() == ["predictor=a,b", "data=etth1"]
    assert SuiteJobs("eval", {"a": [True, None], "b": "x y"}).overrides() == ["a=true,null", "b='x y'"]
    with pytest.raises(ValueError, match="verb is 'test'; expected one of train, eval"):
        SuiteJobs("test", {})


def test_command_lines_are_those_of_single_jobs() -> None:
    overrides = ["predictor=drift", "seed=3"]
    lines = list(command_lines(Suite.read("quick").without(overrides), overrides))
    assert "tsfm eval data=etth1 context=512 horizon=96 bench.stride=16 predictor=drift seed=3" in lines
    assert take_suite(["a=1", "suite=ucr"]) == ("ucr", ["a=1"])


def write_suite(folder: Path, jobs: list[dict[str, object]]) -> None:
    content = {"title": "Mine", "needs": "Put mine.parquet into forecasting/.", "metric": "mse", "jobs": jobs}
    (folder / "suite").mkdir()
    (folder / "suite" / "mine.yaml").write_text(yaml.safe_dump(content))


def test_a_suite_of_ones_own_leaves_missing_data_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path, capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    settings = {"data": "store", "data.dataset": [str(store), "missing_set"], "context": 16, "horizon": 4}
    write_suite(tmp_path, [{"verb": "eval", "settings": {"predictor": ["drift", "mean"], **settings}}])
    assert main(["suite", "mine", "--config-dir", str(tmp_path)]) == 0
    assert "suite mine: 1 data sets are not on this machine: missing_set; they are left out. Put mine" in caplog.text
    assert "mine: windows, mse" in capsys.readouterr().out
    assert set(read_results("results")["suite"]) == {"mine"}
    assert main(["eval", "-m", "suite=mine", "predictor=drift", "--config-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count('"reused": true') == 1
    assert main(["train", "-m", "suite=mine", "--config-dir", str(tmp_path)]) == 2
    assert "suite mine has no job of tsfm train" in capsys.readouterr().err
    assert main(["eval", "suite=mine", "--config-dir", str(tmp_path)]) == 2
    assert "suite=mine is a sweep; add -m" in capsys.readouterr().err
    assert main(["suite", "mine", "data.dataset=none", "--config-dir", str(tmp_path), "--dry-run"]) == 0


def test_a_suite_without_any_data_says_what_to_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, [{"verb": "eval", "settings": {"data": "store", "data.dataset": "missing_set"}}])
    assert main(["suite", "mine", "--config-dir", str(tmp_path)]) == 2
    assert "not on this machine: missing_set. Put mine.parquet into forecasting/." in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: [", "does not describe a suite"),
        ("title: x\nmetric: mse\nneeds: y\njobs: [{verb: eval}]", "missing 1 required positional argument: 'settings'"),
        ("title: x", "'jobs'"),
        ("7", "does not describe a suite"),
    ],
)
def test_a_damaged_suite_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        Suite.read("mine", config_dir=str(tmp_path))
    with pytest.raises(ValueError, match="no suite 'quik'; did you mean 'quick'"):
        Suite.read("quik")


def test_the_list_has_every_suite() -> None:
    lines = list_suites().splitlines()
    assert [line.split()[0] for line in lines] == options("suite")
    assert sorted(path.stem for path in (conf_dir() / "suite").glob("*.yaml")) == options("suite")


def rows(*cells: tuple[str, str, int, float]) -> list[dict[str, object]]:
    shared = {"status": "done", "protocol": "windows", "subset": "", "metric": "mse", "horizon": 24}
    return [{**shared, "job": f"{m}{d}{s}", "model": m, "data": d, "seed": s, "value": v} for m, d, s, v in cells]


def test_tables_have_a_column_per_model_and_means_over_seeds(tmp_path: Path) -> None:
    folder = ResultStore(tmp_path)
    folder.append(rows(("a", "x", 0, 1.0)))
    folder.append(rows(("a", "x", 0, 2.0), ("a", "x", 1, 4.0), ("b", "x", 0, 5.0), ("a", "y", 0, 6.0)))
    frame = read_results(tmp_path)
    assert len(newest(frame)) == 4  # of the same job the newest
    table = comparison(frame, metric="mse")
    assert table.loc["x"].to_dict() == {"a": 3.0, "b": 5.0}
    assert pd.isna(table.loc["y", "b"])
    assert table_text(table).splitlines()[2:] == ["| x | 3.0000 | 5.0000 |", "| y | 6.0000 |  |"]
    assert comparison(frame, metric="mse", by=["model", "seed"]).loc["x"].tolist() == [2.0, 4.0, 5.0]
    with pytest.raises(ValueError, match="no result has the metric 'mae'"):
        comparison(frame, metric="mae")


def test_each_protocol_has_a_table_by_its_metric(tmp_path: Path) -> None:
    folder = ResultStore(tmp_path)
    cases = {"protocol": "cases", "horizon": None}
    folder.append([row | cases | {"metric": "accuracy", "job": "c1"} for row in rows(("a", "gun", 0, 0.9))])
    folder.append([row | cases | {"metric": "rmse", "job": "c2"} for row in rows(("a", "tecator", 0, 3.0))])
    folder.append(rows(("a", "x", 0, 1.0)))
    folder.append([row | {"subset": "k", "metric": "accuracy"} for row in rows(("a", "x", 0, 1.0))])
    assert list(tables_of(read_results(tmp_path))) == ["cases, accuracy", "cases, rmse", "windows, mse"]


def test_the_command_prints_tables_and_failures(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = ResultStore(tmp_path)
    folder.append(rows(("a", "x", 0, 1.0), ("b", "x", 0, 2.0)))
    folder.append([{"job": "f", "status": "failed", "metric": "", "error": "no memory", "command": "tsfm train"}])
    assert main(["results", str(tmp_path), "--where", "model=a", "--where", "seed=0"]) == 0
    assert capsys.readouterr().out == "windows, mse\n\n| data | a |\n|---|---:|\n| x | 1.0000 |\n\n"
    assert main(["results", str(tmp_path), "--failed"]) == 0
    assert capsys.readouterr().out == "tsfm train: no memory\n1 jobs failed\n"
    assert main(["results", str(tmp_path), "--suite", "none"]) == 0
    assert "has no finished job that matches" in capsys.readouterr().out
    assert main(["results", str(tmp_path), "--where", "colour=red"]) == 2
    assert "expected COLUMN=VALUE" in capsys.readouterr().err
    assert main(["results", str(tmp_path), "--out", str(tmp_path / "rows.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 3


def test_data_sets_are_listed_and_described(capsys: pytest.CaptureFixture, store: Path) -> None:
    assert main(["data", str(store)]) == 0
    assert capsys.readouterr().out == f"{store}: 1 series, 120 steps, frequency h\n"
    assert main(["data"]) == 0
    assert "labelled cases (data=cases data.dataset=...):" in capsys.readouterr().out
    assert main(["data", "nothing_of_this_name"]) == 2
    assert "no data set 'nothing_of_this_name'" in capsys.readouterr().err
