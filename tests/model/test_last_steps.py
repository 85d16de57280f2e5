"""Predicting the last steps only gives the same numbers as predicting all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, cases, forecast_problem, tiny, waves
from tsfm.infer import rollout
from tsfm.types import Problem

CASES = pytest.mark.parametrize(("name", "kind"), cases(), ids=lambda value: value)


def gappy(problem: Problem) -> Problem:
    """One row that starts late and one with gaps."""
    visible = problem.visible.clone()
    visible[0, 0, :19] = False
    visible[1, :, 7:30:3] = False
    return replace(problem, visible=visible, wanted=problem.wanted & ~visible)


@CASES
@torch.no_grad()
def test_the_last_steps_are_those_of_the_whole_prediction(name: str, kind: str) -> None:
    model, problem = tiny(name, kind).eval(), gappy(forecast_problem(waves()))
    whole = model(problem).prediction
    for steps in (1, 5, 8, HORIZON, CONTEXT + HORIZON):
        prediction = model(problem, last=steps).prediction
        assert prediction.shape == (*whole.shape[:2], steps, whole.shape[-1])
        torch.testing.assert_close(prediction, whole[..., -steps:, :], rtol=1e-5, atol=1e-5, equal_nan=True)


def test_only_the_last_tokens_are_computed() -> None:
    model, problem = tiny("patch_transformer", "lags").eval(), forecast_problem(waves())
    shapes = []
    model.head.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape[-2]))
    model.backbone.blocks[-1].feed.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape[-2]))
    model(problem, last=HORIZON)
    assert shapes == [HORIZON // 8] * 2


@pytest.mark.parametrize("chunk_values", [1, 3 * (CONTEXT + HORIZON), 10**9])
@torch.no_grad()
def test_a_pass_in_batches_is_the_whole_pass(chunk_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = tiny("patch_transformer", "lags").eval(), waves(5)
    past = batch.values[..., :CONTEXT], batch.observed[..., :CONTEXT]
    whole = rollout.rollout(model, *past, horizon=HORIZON)
    batch_sizes: list[int] = []
    monkeypatch.setattr(rollout, "CHUNK_VALUES", chunk_values)
    model.register_forward_pre_hook(lambda _, inputs: batch_sizes.append(len(inputs[0].values)))
    forecast = rollout.rollout(model, *past, horizon=HORIZON)
    torch.testing.assert_close(forecast, whole, rtol=1e-5, atol=1e-6)
    assert sum(batch_sizes) == 5
    assert len(batch_sizes) == (1 if chunk_values == 10**9 else 5)


def test_the_number_of_steps_must_fit_the_window() -> None:
    model, problem = tiny("patch_transformer", "lags"), forecast_problem(waves())
    for steps in (0, CONTEXT + HORIZON + 1):
        with pytest.raises(ValueError, match=rf"last is {steps}; expected 1 to {CONTEXT + HORIZON} steps"):
            model(problem, last=steps)
