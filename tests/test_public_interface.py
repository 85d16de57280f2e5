"""The names of `tsfm` itself: complete, imported at the first use; and `tsfm.train` and `tsfm.evaluate`."""

from __future__ import annotations

import inspect
import json
import logging
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import tsfm
from tsfm.commands.cli import main

SMALL: dict[str, Any] = {
    "model": {"context": 32, "horizon": 8, "width": 16, "patch": 8, "stride": 8},
    "backbone": {"heads": 2, "depth": 1, "hidden": 16},
    "trainer": {"max_epochs": 1, "progress": False, "accelerator": "cpu"},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set `sales` in ./data."""
    monkeypatch.chdir(tmp_path)
    hours = pd.date_range("2024-01-01", periods=240, freq="h")
    y = np.sin(np.arange(240) / 4) + 0.1 * np.random.default_rng(0).normal(size=240)
    tsfm.ingest(pd.DataFrame({"item_id": "a", "timestamp": hours, "target": y}), "data/sales")
    return tmp_path / "data" / "sales"


def process_state() -> list[Any]:
    """Everything that a run changes for a while."""
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    log_levels = [logging.getLogger(name).level for name in ("", "tsfm", "pytorch_lightning", "lightning")]
    return [torch.get_rng_state().tolist(), numpy_state, random.getstate(), list(warnings.filters), log_levels]


def test_every_public_name_is_listed_imported_and_documented() -> None:
    assert dir(tsfm) == sorted(tsfm.__all__)
    namespace: dict[str, Any] = {}
    exec("from tsfm import *", namespace)
    for name in tsfm.__all__:
        assert namespace[name] is getattr(tsfm, name)
        assert name == "__version__" or inspect.getdoc(namespace[name]), name
    assert callable(tsfm.train)


def test_an_unknown_name_lists_the_public_ones() -> None:
    with pytest.raises(AttributeError, match=r"module 'tsfm' has no attribute 'laod'; it offers .*load"):
        _ = tsfm.laod


def test_train_and_evaluate_do_what_the_commands_do(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tsfm.train(data="sales", seed=3, run_dir="runs/mine", overrides=["optim.lr=0.01"], **SMALL)
    stored = json.loads(Path("runs/mine/result.json").read_text())
    assert len(stored.pop("digest")) == 64
    assert result.metrics == stored
    assert (result.metrics["seed"], result.run_dir, result.model_dir) == (3, Path("runs/mine"), Path("runs/mine/model"))
    command = Path("runs/mine/command.txt").read_text()
    assert command.startswith("tsfm train data=store ")
    assert result.load().predict(np.arange(40.0), prediction_length=8).predictions.shape == (1, 1, 8)

    scores = tsfm.evaluate("runs/mine", data="sales")
    assert scores["mse"] == pytest.approx(result.metrics["mse"], rel=1e-6)
    assert main(["eval", "predictor=runs/mine", "data=store", "data.dataset=sales"]) == 0
    printed = json.loads(capsys.readouterr().out.strip().splitlines()[-1].removeprefix("RESULT "))
    assert printed | {"seconds": 0} == scores | {"seconds": 0}


def test_evaluate_takes_settings_as_keywords_and_as_overrides(store: Path) -> None:
    by_keyword = tsfm.evaluate("seasonal_naive", data="sales", context=48, horizon=4, bench={"split": "val"})
    overrides = ["context=48", "horizon=4", "bench.split=val"]
    by_override = tsfm.evaluate(predictor="seasonal_naive", data=str(store), overrides=overrides)
    assert by_keyword["split"] == "val"
    assert by_keyword["mse"] == by_override["mse"]


def test_they_leave_the_process_as_it_was(store: Path) -> None:
    before = process_state()
    tsfm.train(data="sales", **SMALL)
    assert process_state() == before
    tsfm.evaluate("seasonal_naive", data="sales", context=48, horizon=4)
    assert process_state() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modle": {"width": 3}}, r"modle.* is not a setting; did you mean 'model'"),
        ({"model": {"widht": 3}}, r"model\.widht is not a setting; did you mean 'width'"),
        ({"overrides": "seed=1"}, r"overrides are 'seed=1'; expected a list"),
        ({"experiment": "dmo"}, r"unknown experiment 'dmo'; did you mean 'demo'"),
        ({"model": {"width": np.eye(2)}}, r"model\.width has type ndarray; expected a number"),
        ({"data": "etth11"}, r"unknown data set .etth11.; did you mean .etth1."),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(
    arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        tsfm.train(**arguments)
    assert not list(tmp_path.iterdir())
