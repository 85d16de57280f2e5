"""fit_df follows the data: windows and steps grow with it, the better weights are kept, and both are announced."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import tsfm
import tsfm.estimators.fine_tune as fine_tune_module
from tests.estimators.small import trained
from tests.tiny import tiny
from tsfm.data.sampling import InOrder
from tsfm.estimators.fine_tune import format_seconds
from tsfm.estimators.fit_plan import BATCH_SIZES, MAX_CONTEXT, STEPS, plan_fit

FEW = ["data.batches_per_epoch=2", "trainer.max_epochs=1"]


def frame(length: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = 10 + 3 * np.sin(np.arange(length) / 4) + 0.1 * rng.normal(size=length)
    return pd.DataFrame({"timestamp": pd.date_range("2024-01-01", periods=length, freq="h"), "target": y})


def plan(lengths: list[int], *, context: int = 4096, horizon: int = 16, kind: str = "quantiles"):
    model = tiny("patch_transformer", kind)
    return plan_fit(
        model, np.array(lengths), share=0.1, num_targets=1, context=context, horizon=horizon, method="full"
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 50])
def test_more_data_never_means_fewer_steps_or_shorter_windows(count: int) -> None:
    plans = [plan([length] * count) for length in (30, 100, 400, 2_000, 20_000)]
    for smaller, larger in itertools.pairwise(plans):
        assert smaller.num_steps <= larger.num_steps
        assert smaller.context <= larger.context
        assert smaller.min_gain >= larger.min_gain
    for each in plans:
        assert STEPS[0] <= each.num_steps <= STEPS[1]
        assert BATCH_SIZES[0] <= each.batch_size <= BATCH_SIZES[1]
        assert each.context <= MAX_CONTEXT
        assert each.context % 8 == 0


def test_a_model_of_one_window_length_keeps_it() -> None:
    assert plan([30], context=48, kind="flatten").context == 48


def announced(caught: list[warnings.WarningMessage]) -> str:
    return " | ".join(str(w.message) for w in caught if issubclass(w.category, tsfm.AssumptionWarning))


@pytest.mark.parametrize(("rate", "is_kept"), [("1.0", True), ("3e-3", False)])
def test_the_weights_that_validate_better_are_returned(rate: str, is_kept: bool, capsys: pytest.CaptureFixture) -> None:
    """And a progress bar is shown on request."""
    base = trained()
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        overrides = [f"optim.lr={rate}", "data.batches_per_epoch=8", "trainer.max_epochs=2"]
        new = base.fit_df(frame(), device="cpu", overrides=overrides, progress=is_kept)
    assert ("8/8" in capsys.readouterr().out) == is_kept
    same = all(torch.equal(tensor, before[name]) for name, tensor in new.model.state_dict().items())
    text = announced(caught)
    assert "at most 16 steps of 32 windows of 48 + 16 steps" in text
    assert same == is_kept
    assert ("its weights are kept" in text) == is_kept
    if not is_kept:
        metrics = new.about.metrics
        assert metrics["val_loss"] < metrics["val_loss_before"]


def test_the_expected_time_is_announced_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    measure = fine_tune_module.measure_first

    def slow(*args, **options):
        measured.append(replace(measure(*args, **options), step_seconds=100.0, validation_seconds=7.0))
        return measured[0]

    def no_training(*args, **options):
        raise RuntimeError("the training began")

    monkeypatch.setattr(fine_tune_module, "measure_first", slow)
    monkeypatch.setattr(fine_tune_module, "train_predictor", no_training)
    with pytest.warns(tsfm.AssumptionWarning, match=r"about 3 min"), pytest.raises(RuntimeError, match="began"):
        trained().fit_df(frame(), device="cpu", overrides=FEW)  # 2 steps and a validation: 207 s
    assert measured


def test_a_duration_is_text() -> None:
    assert [format_seconds(seconds) for seconds in (0.2, 90, 119.4, 121, 3600)] == [
        "1 s",
        "90 s",
        "119 s",
        "2 min",
        "60 min",
    ]


def test_validation_windows_are_limited_and_spread_evenly() -> None:
    windows = [InOrder(100, 8, limit=10, rank=rank, world_size=2) for rank in range(2)]
    drawn = np.concatenate([plan.draw(0, 0, len(plan))[0] for plan in windows])
    assert drawn.tolist() == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    whole = InOrder(10, 8, limit=10)
    assert whole.draw(0, 0, len(whole))[0].tolist() == list(range(10))
