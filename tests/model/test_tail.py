"""Asking for the newest steps alone gives the same numbers as asking for all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, cases, forecast_problem, tiny, waves
from tsfm.infer import rollout
from tsfm.types import Problem

CASES = pytest.mark.parametrize(("name", "kind"), cases(), ids=lambda value: value)


def gappy(problem: Problem) -> Problem:
    """One row that begins late and one with gaps."""
    visible = problem.visible.clone()
    visible[0, 0, :19] = False
    visible[1, :, 7:30:3] = False
    return replace(problem, visible=visible, wanted=problem.wanted & ~visible)


@CASES
@torch.no_grad()
def test_the_tail_is_that_of_the_whole(name: str, kind: str) -> None:
    model, problem = tiny(name, kind).eval(), gappy(forecast_problem(waves()))
    whole = model(problem).prediction
    for steps in (1, 5, 8, HORIZON, CONTEXT + HORIZON):
        found = model(problem, last=steps).prediction
        assert found.shape == (*whole.shape[:2], steps, whole.shape[-1])
        torch.testing.assert_close(found, whole[..., -steps:, :], rtol=1e-5, atol=1e-5, equal_nan=True)


def test_only_the_tail_is_read() -> None:
    model, problem = tiny("patch_transformer", "lags").eval(), forecast_problem(waves())
    shapes = []
    model.head.register_forward_hook(lambda _, given, __: shapes.append(given[0].shape[-2]))
    model.backbone.blocks[-1].feed.register_forward_hook(lambda _, given, __: shapes.append(given[0].shape[-2]))
    model(problem, last=HORIZON)
    assert shapes == [HORIZON // 8] * 2


@pytest.mark.parametrize("cells", [1, 3 * (CONTEXT + HORIZON), 10**9])
@torch.no_grad()
def test_a_pass_in_parts_is_the_pass(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = tiny("patch_transformer", "lags").eval(), waves(5)
    past = batch.values[..., :CONTEXT], batch.observed[..., :CONTEXT]
    whole = rollout.rollout(model, *past, horizon=HORIZON)
    asked: list[int] = []
    monkeypatch.setattr(rollout, "CHUNK_VALUES", cells)
    model.register_forward_pre_hook(lambda _, given: asked.append(len(given[0].values)))
    found = rollout.rollout(model, *past, horizon=HORIZON)
    torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-6)
    assert sum(asked) == 5
    assert len(asked) == (1 if cells == 10**9 else 5)


def test_what_is_asked_for_must_be_there() -> None:
    model, problem = tiny("patch_transformer", "lags"), forecast_problem(waves())
    for steps in (0, CONTEXT + HORIZON + 1):
        with pytest.raises(ValueError, match=rf"last is {steps}; expected 1 to {CONTEXT + HORIZON} steps"):
            model(problem, last=steps)
