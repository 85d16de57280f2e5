"""Laws of choosing a protocol: each run is scored by what fits its task, refused early where nothing does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.commands.claims import make_record
from tsfm.commands.cli import main
from tsfm.config import Expect
from tsfm.data.case_data import CaseData, CasesConfig

SMALL = [
    "model.width=8", "backbone.depth=1", "trainer.max_steps=4", "trainer.progress=false", "trainer.loggers=[]",
    "trainer.accelerator=cpu",
]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "value", "found", "met"),
    [
        ("mse", 0.4, 0.2, True), ("mse", 0.4, 0.41, True), ("mse", 0.4, 0.42, False),
        ("accuracy", 0.9, 0.1, False), ("accuracy", 0.9, 0.88, True), ("accuracy", 0.9, 0.99, True),
        ("vus_pr", 0.5, 0.4, False), ("r2", 0.5, 0.6, True), ("false_alarms", 0.1, 0.01, True),
        ("coverage", 0.8, 0.7, False), ("coverage", 0.8, 0.9, False), ("coverage", 0.8, 0.81, True),
    ],
)  # fmt: skip
def test_a_claim_is_met_by_what_is_better_or_near(metric: str, value: float, found: float, met: bool) -> None:
    (claim,) = make_record("x", "y", {metric: found}, [Expect(metric=metric, value=value)])["expect"]
    assert claim["met"] == met


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of waves of 32 steps, 20 training and 12 test cases."""
    rng, rows = np.random.default_rng(0), []
    for split, number in (("train", 20), ("test", 12)):
        for i in range(number):
            wave = np.sin(np.arange(32) / (2 + 2 * (i % 2)) + rng.uniform(0, 6)) + rng.normal(0, 0.1, 32)
            rows.append(
                {"split": split, "case_id": i, "label": "ab"[i % 2], "series": [wave.astype("float32").tolist()]}
            )
    file = tmp_path_factory.mktemp("cases") / "waves.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


@pytest.fixture(scope="module")
def trained(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose seed and validation part are not the defaults."""
    run = tmp_path_factory.mktemp("run") / "one"
    words = ["experiment=classify/default", f"data.dataset={cases}", "seed=3", "data.val=0.3", f"run_dir={run}"]
    assert main(["train", *words, *SMALL]) == 0
    return run


def result(capsys: pytest.CaptureFixture[str]) -> dict:
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def test_a_trained_classifier_is_scored_again_alike(
    cases: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=cases", f"data.dataset={cases}", "bench=cases"]
    assert main(["eval", f"predictor={trained}", *words]) == 0
    again, before = result(capsys), json.loads((trained / "result.json").read_text())
    assert again["accuracy"] == before["accuracy"]
    assert again["log_loss"] == pytest.approx(before["log_loss"], rel=1e-6)
    assert again["cases"] == 12


def test_validation_cases_are_those_of_the_training(
    cases: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=cases", f"data.dataset={cases}", "bench=cases", "bench.split=val"]
    assert main(["eval", f"predictor={trained}", *words]) == 0
    found = result(capsys)
    held = CaseData(CasesConfig(str(cases), val=0.3), seed=3)
    assert found["seed"] == 3
    assert found["cases"] == len(held.windows("val")) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bench=imputation"], "use bench=cases"),
        (["bench=anomaly"], "use bench=cases"),
        (["bench.split=val"], "set data.val"),
        (["head=patch_quantiles"], "use head=pooled"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_written(
    cases: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    asked = ["experiment=classify/default", f"data.dataset={cases}", f"run_dir={run}", *words]
    assert main(["train", *asked, *SMALL]) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predictor={model}", "data=store", "data.dataset=x"], "can't forecast"),
        (["predictor=nonsense", "data=cases", "data.dataset={cases}", "bench=cases"], "known: catch22"),
        (["predictor=linear_interpolation", "bench=anomaly"], "scores a series for anomalies"),
        (["predictor=minirocket", "data=cases", "data.dataset={cases}", "bench=cases", "horizon=3"], "has no horizon"),
        (["predictor={model}", "data=cases", "data.dataset={cases}", "bench=cases", "device=nowhere"], "device=cpu"),
        (["predictor={model}", "bench=imputation", "data=cases", "data.dataset={cases}"], "use bench=cases|by bench"),
    ],
)
def test_what_an_evaluation_cannot_do_is_said(
    cases: Path, trained: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *(word.format(model=trained, cases=cases) for word in words)]) == 2
    said = capsys.readouterr().err
    assert any(part in said for part in message.split("|"))
