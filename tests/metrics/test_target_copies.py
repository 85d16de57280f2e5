"""Known covariates that are the target, rescaled or shifted, are announced; others are not."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsfm
from tests.infer.small_models import step_model
from tests.tiny import tiny
from tsfm.commands.cli import main
from tsfm.metrics.target_copies import MIN_STEPS, SHIFTS, describe_copies
from tsfm.model.checkpoint import About, save

RNG = np.random.default_rng(0)


def sentences(y: np.ndarray, x: np.ndarray) -> list[str]:
    return describe_copies([(y[None], x[None])], targets=["y"], known=["x"])


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("slope", [2.0, -1e-3])
def test_a_rescaled_and_shifted_target_is_described(shift: int, slope: float) -> None:
    y = RNG.normal(size=200)
    y[::7] = np.nan
    (sentence,) = sentences(y, np.roll(slope * y + 1, shift))
    assert "known covariate 'x' follows the target 'y'" in sentence
    assert (f"{abs(shift)} step" in sentence) == (shift != 0)
    assert ("later" in sentence, "earlier" in sentence) == (shift > 0, shift < 0)


def test_a_covariate_with_noise_a_longer_shift_a_constant_or_few_steps_is_not_described() -> None:
    y = RNG.normal(size=200)
    assert not sentences(y, y + 0.1 * RNG.normal(size=200))
    assert not sentences(y, np.roll(y, 4))
    assert not sentences(y, np.zeros(200))
    assert not sentences(y[: MIN_STEPS - 1], 2 * y[: MIN_STEPS - 1])
    assert not describe_copies([], targets=["y"], known=["x"])


def test_levels_of_series_are_no_correlation() -> None:
    level = [RNG.uniform(0, 1e4) for _ in range(30)]
    series = [(value + RNG.normal(size=(1, 40)), value + RNG.normal(size=(1, 40))) for value in level]
    assert not describe_copies(series, targets=["y"], known=["x"])
    rescaled = [(value + (y := RNG.normal(size=(1, 40))), 3 * y - value) for value in level]
    assert len(describe_copies(rescaled, targets=["y"], known=["x"])) == 1


def frame(steps: int) -> pd.DataFrame:
    """A target, a copy of it times 2 plus 1, and another covariate."""
    rng = np.random.default_rng(1)
    y, promotion = rng.normal(size=(2, steps)) + 5
    stamps = pd.date_range("2024-01-01", periods=steps, freq="h")
    return pd.DataFrame({"timestamp": stamps, "target": y, "copy": 2 * y + 1, "promotion": promotion})


def test_a_forecast_announces_it_in_python_and_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    df, model = frame(72), step_model()
    past, future = df[:60], df[60:].drop(columns="target")
    with pytest.warns(tsfm.AssumptionWarning, match="'copy' follows the target 'target' with a correlation of 1.00000"):
        result = model.predict_df(past, 12, future_df=future)
    assert sum("follows the target" in note for note in result.attrs["announcements"]) == 1
    ignored = model.predict_df(past, 12, future_df=future, covariates="ignore")
    assert not any("follows the target" in note for note in ignored.attrs["announcements"])
    monkeypatch.chdir(tmp_path)
    past.to_csv("past.csv", index=False)
    future.to_csv("future.csv", index=False)
    caplog.set_level(logging.INFO, logger="tsfm")
    save(model.model, tmp_path / "model", about=model.about)
    caplog.clear()  # an earlier test may have set the level of the logger
    command = ["forecast", "past.csv", "--horizon", "12", "--model", "model", "--out", "out.csv"]
    assert main([*command, "--future", "future.csv", "--holdout"]) == 0
    assert caplog.text.count("'copy' follows the target") == 1


def test_training_announces_it(tmp_path: Path) -> None:
    model = tsfm.load(save(tiny("patch_transformer", "group"), tmp_path / "m", about=About()))
    with pytest.warns(tsfm.AssumptionWarning, match="'copy' follows the target 'target' with a correlation of 1.00000"):
        model.fit_df(frame(120), known=["copy", "promotion"], epochs=1, overrides=["data.batches_per_epoch=1"])
