"""Laws of what a score says about itself: series seen in training, and test cases that are training cases."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.contamination.test_sketch import noisy
from tests.contamination.test_verdict import model
from tsfm.bench.protocols.cases import describe
from tsfm.commands.forecast import forecast_file
from tsfm.data.case_data import CaseData

RNG = np.random.default_rng(5)
SEEN, NEW = noisy(600, RNG), noisy(400, RNG)


def write(path: Path, values: np.ndarray) -> Path:
    times = pd.date_range("2024-01-01", periods=len(values), freq="h")
    pd.DataFrame({"item_id": "a", "timestamp": times, "target": values}).to_csv(path, index=False)
    return path


def test_a_holdout_score_says_whether_the_model_has_seen_the_series(tmp_path: Path) -> None:
    known = str(model(tmp_path / "m", corpus=[SEEN]))
    seen = forecast_file(write(tmp_path / "seen.csv", 3 * SEEN[100:500] + 2), predictor=known, horizon=16, holdout=True)
    new = forecast_file(write(tmp_path / "new.csv", NEW), predictor=known, horizon=16, holdout=True)
    assert "not zero-shot: of 1 series it has seen 1: 'a': steps " in seen
    assert "zero-shot: its training data hold none of the series" in new
    assert "zero-shot" not in forecast_file(tmp_path / "new.csv", predictor=known, horizon=16)
    assert "zero-shot" not in forecast_file(tmp_path / "new.csv", predictor="seasonal_naive", horizon=16, holdout=True)


@pytest.mark.parametrize("num", [0, 3])
def test_test_cases_that_are_training_cases_are_counted(num: int, caplog: pytest.LogCaptureFixture) -> None:
    train, test = RNG.normal(size=(10, 1, 20)), RNG.normal(size=(8, 1, 20))
    test[:num] = train[:num]
    labels = ["x", "y"] * 5
    with caplog.at_level(logging.WARNING, logger="tsfm"):
        data = CaseData.from_arrays(train, labels, test=(test, labels[:8]))
        row = describe(data, "test")
    assert row.get("repeated_cases", 0) == num
    assert ("3 of 8 test cases are also training cases" in caplog.text) == (num == 3)
