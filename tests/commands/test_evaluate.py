"""`tsfm eval` and the scores of runs: a protocol that does not fit is refused early; model and data are loaded once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tiny import tiny
from tsfm.commands.cli import main
from tsfm.data.case_data import CaseData, CasesConfig
from tsfm.model.checkpoint import About, save
from tsfm.store.ingest import ingest

SMALL = [
    "model.width=8", "backbone.depth=1", "trainer.max_steps=4", "trainer.progress=false", "trainer.loggers=[]",
    "trainer.accelerator=cpu",
]  # fmt: skip


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
    settings = ["experiment=classify/default", f"data.dataset={cases}", "seed=3", "data.val=0.3", f"run_dir={run}"]
    assert main(["train", *settings, *SMALL]) == 0
    return run


def result(capsys: pytest.CaptureFixture[str]) -> dict:
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def test_a_trained_classifier_is_scored_again_alike(
    cases: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["data=cases", f"data.dataset={cases}", "bench=cases"]
    assert main(["eval", f"predictor={trained}", *settings]) == 0
    again, before = result(capsys), json.loads((trained / "result.json").read_text())
    assert again["accuracy"] == before["accuracy"]
    assert again["log_loss"] == pytest.approx(before["log_loss"], rel=1e-6)
    assert again["cases"] == 12


def test_validation_cases_are_those_of_the_training(
    cases: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["data=cases", f"data.dataset={cases}", "bench=cases", "bench.split=val"]
    assert main(["eval", f"predictor={trained}", *settings]) == 0
    scores = result(capsys)
    held = CaseData(CasesConfig(str(cases), val=0.3), seed=3)
    assert scores["seed"] == 3
    assert scores["cases"] == len(held.windows("val")) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["bench=imputation"], "use bench=cases"),
        (["bench=anomaly"], "use bench=cases"),
        (["bench.split=val"], "set data.val"),
        (["head=patch_quantiles"], "use head=pooled"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_written(
    cases: Path, tmp_path: Path, settings: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    settings = ["experiment=classify/default", f"data.dataset={cases}", f"run_dir={run}", *settings]
    assert main(["train", *settings, *SMALL]) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["predictor={model}", "data=store", "data.dataset=x"], "cannot forecast"),
        (["predictor=nonsense", "data=cases", "data.dataset={cases}", "bench=cases"], "known: catch22"),
        (["predictor=linear_interpolation", "bench=anomaly"], "scores a series for anomalies"),
        (["predictor=minirocket", "data=cases", "data.dataset={cases}", "bench=cases", "horizon=3"], "has no horizon"),
        (["predictor={model}", "data=cases", "data.dataset={cases}", "bench=cases", "device=nowhere"], "device=cpu"),
        (["predictor={model}", "bench=imputation", "data=cases", "data.dataset={cases}"], "use bench=cases|by bench"),
    ],
)
def test_an_impossible_evaluation_is_refused_with_the_reason(
    cases: Path, trained: Path, settings: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *(setting.format(model=trained, cases=cases) for setting in settings)]) == 2
    printed = capsys.readouterr().err
    assert any(alternative in printed for alternative in message.split("|"))


SERIES = pd.DataFrame(
    {
        "item_id": np.repeat(["a", "b"], 600),
        "timestamp": np.tile(pd.date_range("2024", periods=600, freq="h"), 2),
        "target": np.sin(np.arange(1200) / 4) + np.random.default_rng(0).normal(0, 0.1, 1200),
    }
)
LOADERS = {  # what builds a model or reads a data set -> how it is counted
    "tsfm.model.model.Model.__init__": "model",
    "tsfm.store.series_store.SeriesStore.__init__": "data",
    "tsfm.data.case_data.read_cases": "data",
    "tsfm.bench.protocols.anomaly.read_anomalies": "data",
    "tsfm.bench.gift_configs.GiftConfig.read": "data",
}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a model and a data set are loaded."""
    counts: Counter[str] = Counter()

    def counted(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            counts[kind] += 1
            return function(*arguments, **keywords)

        return call

    for path, kind in LOADERS.items():
        monkeypatch.setattr(path, counted(resolve_name(path), kind))
    return counts


@pytest.mark.parametrize(
    "settings",
    [
        ["bench=windows", "data=store", "data.dataset=store", "context=64", "horizon=16", "bench.stride=50"],
        [
            "bench=imputation",
            "data=store",
            "data.dataset=store",
            "context=64",
            "bench.stride=50",
            "bench.masks=[points]",
        ],
        ["bench=gift", "bench.configs=[us_births/M/short]"],
        ["bench=anomaly", "bench.data=labelled", "bench.every=false"],
    ],
    ids=lambda settings: settings[0],
)
def test_model_and_data_are_loaded_once(
    settings: list[str], loads: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(SERIES, out=tmp_path / "store")
    (tmp_path / "anomaly").mkdir()
    labels = (SERIES.index % 600 >= 500).astype(np.int8)
    split = np.where(SERIES.index % 600 < 200, "train", "test")
    table = SERIES.rename(columns={"target": "value"}).assign(label=labels, split=split)
    table.to_parquet(tmp_path / "anomaly" / "labelled.parquet")
    (tmp_path / "forecasting").mkdir()
    births = pd.DataFrame({"timestamp": pd.date_range("1969", periods=7305), "target": np.arange(7305.0) % 365})
    births.to_parquet(tmp_path / "forecasting" / "us_births.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    settings = [text.replace("dataset=store", f"dataset={tmp_path / 'store'}") for text in settings]
    loads.clear()
    assert main(["eval", "predictor=tsfm-mini", "device=cpu", *settings]) == 0
    assert loads == {"model": 1, "data": 1}


def test_a_model_with_covariates_and_its_data_are_loaded_once(
    loads: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its targets and covariates are those of the training, which are looked up in the data."""
    ingest(SERIES.assign(price=1.0 + SERIES.index % 7), out=tmp_path / "store")
    about = About(task={"name": "forecast"}, trained_on={"data": {"channels": ["target"], "past": ["price"]}})
    save(tiny("patch_transformer", "group"), tmp_path / "model", about=about)
    monkeypatch.chdir(tmp_path)
    loads.clear()
    assert main(["eval", "predictor=model", "data=store", "data.dataset=store", "bench.stride=50"]) == 0
    assert loads == {"model": 1, "data": 1}


def test_a_classifier_and_its_cases_are_loaded_once(cases: Path, trained: Path, loads: Counter[str]) -> None:
    settings = ["data=cases", f"data.dataset={cases}", "bench=cases"]
    assert main(["eval", f"predictor={trained}", *settings]) == 0
    assert loads == {"model": 1, "data": 1}
