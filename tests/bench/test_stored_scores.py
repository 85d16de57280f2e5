"""Finished scores of `tsfm bench` are used again only where settings and data are the same; damaged files are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsfm.commands.bench import cases
from tsfm.commands.bench.stored_scores import ScoreCache
from tsfm.commands.cli import main

DAMAGED = ["", "5", "[]", "{", '{"accuracy": true}', '{"accuracy": NaN}', "[" * 100_000]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sets that a learner was scored on; the score is an eighth of the number of calls. One set exists, `waves`."""
    folder = tmp_path / "root" / "classification"
    folder.mkdir(parents=True)
    write_cases(folder / "waves.parquet", seed=0)
    monkeypatch.setenv("TSFM_DATA", str(folder.parent))
    monkeypatch.chdir(tmp_path)
    scored: list[str] = []

    def score(learner: str, data: str, **_: Any) -> dict[str, Any]:
        scored.append(data)
        return {"accuracy": len(scored) / 8, "fingerprint": cases.data_fingerprint(data)}

    monkeypatch.setattr(cases, "score_learner", score)
    return scored


def write_cases(file: Path, *, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(8, 30)).astype(np.float32)
    rows = {"split": ["train", "test"] * 4, "label": ["a", "a", "b", "b"] * 2, "series": list(map(list, values))}
    pd.DataFrame(rows).to_parquet(file)


def bench(*options: str, learner: str = "classify/default") -> int:
    return main(["bench", "cases", learner, "--sets", "waves", "--out", "out", *options])


def test_scores_of_the_same_settings_are_used_again(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--set", "optim.lr=1e-3") == 0
    assert "classify/default  waves  0.1250" in capsys.readouterr().out
    assert bench("--set", "optim.lr=1e-3") == 0
    again = capsys.readouterr().out
    assert "0.1250" in again
    assert "classify/default  waves" not in again
    assert calls == ["waves"]


def test_scores_of_other_settings_or_other_data_are_refused(
    calls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--set", "optim.lr=1e-3") == 0
    before = (tmp_path / "out" / "classify_default-0" / "waves.json").read_bytes()
    assert bench("--set", "optim.lr=1e-2") == 2
    assert "waves.json has scores of other settings (overrides is ['optim.lr=1e-3'], now" in capsys.readouterr().err
    assert bench("--set", "optim.lr=1e-3", learner="classify_default") == 2  # its file has the same name
    assert "learner is classify/default, now classify_default" in capsys.readouterr().err
    write_cases(tmp_path / "root" / "classification" / "waves.parquet", seed=1)
    assert bench("--set", "optim.lr=1e-3") == 2
    assert "has scores of other data under the same name; choose another --out" in capsys.readouterr().err
    assert (tmp_path / "out" / "classify_default-0" / "waves.json").read_bytes() == before
    assert calls == ["waves"]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_named_and_replaced(
    content: str, calls: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "out" / "classify_default-0" / "waves.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert bench() == 0
    assert "waves.json is damaged and will be replaced" in caplog.text
    assert json.loads(file.read_text())["accuracy"] == 0.125
    assert calls == ["waves"]


def test_a_file_without_settings_is_refused(
    calls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out" / "classify_default-0" / "waves.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"accuracy": 0.5}')
    assert bench() == 2
    assert "does not say by which settings it was scored" in capsys.readouterr().err
    assert not calls


@pytest.mark.parametrize("content", ["", "5", '{"a": 1}', '{"a": {"vus_pr": "1"}}', "[" * 100_000], ids=range(5))
def test_a_damaged_file_of_anomaly_scores_is_named_and_replaced(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "anomaly.json"
    file.write_text(content)
    cache = ScoreCache(file)
    assert "anomaly.json is damaged and will be replaced" in caplog.text
    cache.row("b", lambda: {"vus_pr": float("nan")})  # undefined on a series without anomalies
    assert list(ScoreCache(file).rows) == ["b"]
