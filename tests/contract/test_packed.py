"""A packed training step, without padding and without patches that are not wanted, equals the plain one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.tiny import CONTEXT, HORIZON, cases, tiny, waves
from tsfm.model.model import Model
from tsfm.registry import BACKBONES, TASKS
from tsfm.tasks.base import Task
from tsfm.types import Batch, Problem

STEPS = CONTEXT + HORIZON


def supports(model: Model) -> bool:
    try:
        model.check_packed()
    except ValueError:
        return False
    return True


def without_dropout(name: str, kind: str) -> Model:
    fields = BACKBONES.entry(name).config.__dataclass_fields__
    return tiny(name, kind, **{key: 0.0 for key in ("dropout", "attention_dropout") if key in fields})


def task(name: str = "pretrain", **settings: float) -> Task:
    if name == "pretrain":
        settings = {"patch": 8, "max_tail_patches": 3, "min_context_length": 4} | settings
    loss = {} if name == "pretrain" else {"loss": "pinball"}
    return TASKS.build(TASKS.config({"name": name} | loss | settings), horizon=HORIZON)


def problem(posing: Task, *, steps: int = STEPS, seed: int = 0) -> Problem:
    """Windows that begin late, have gaps and hidden steps of all kinds."""
    batch = waves(6, steps=steps)
    observed = batch.observed.clone()
    observed[1, 0, :20], observed[2, 1, 11:17], observed[3] = False, False, False
    return posing.pose(replace(batch, observed=observed), torch.Generator().manual_seed(seed))


def loss_and_gradients(
    model: Model, posing: Task, posed: Problem, *, packed: bool
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = posing.loss(model(posed, packed=packed), posed)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_equal(model: Model, posing: Task, posed: Problem) -> None:
    plain, expected = loss_and_gradients(model, posing, posed, packed=False)
    loss, gradients = loss_and_gradients(model, posing, posed, packed=True)
    assert float(plain) > 0
    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=1e-6)
    assert gradients.keys() == expected.keys()
    size = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-5 * size, msg=name)


SUPPORTED = pytest.mark.parametrize(
    ("name", "kind"), [case for case in cases() if supports(tiny(*case))], ids=lambda value: value
)


@SUPPORTED
def test_loss_and_gradients_are_those_of_the_plain_step(name: str, kind: str) -> None:
    model, posing = without_dropout(name, kind).train(), task()
    for seed in range(2):
        assert_equal(model, posing, problem(posing, seed=seed))


@pytest.mark.parametrize("settings", [{"name": "impute"}, {"name": "forecast"}, {"name": "detect"}], ids=str)
def test_every_task_that_predicts_steps_is_supported(settings: dict[str, str]) -> None:
    posing = task(**settings)
    assert_equal(without_dropout("patch_transformer", "lags").train(), posing, problem(posing))


def test_windows_that_are_not_whole_patches_are_cut_from_their_end() -> None:
    posing = task("impute")
    assert_equal(without_dropout("patch_transformer", "lags").train(), posing, problem(posing, steps=STEPS - 3))


@pytest.mark.parametrize("settings", [{"norm": "layer", "pre_norm": False}, {"causal": True}, {"positions": "none"}])
def test_every_arrangement_of_the_transformer_is_supported(settings: dict) -> None:
    model, posing = tiny("patch_transformer", "lags", dropout=0.0, **settings).train(), task()
    assert_equal(model, posing, problem(posing))


def test_bf16_differs_from_float32_no_more_than_the_plain_step_does() -> None:
    model, posing = without_dropout("patch_transformer", "lags").train(), task()
    posed = problem(posing)
    _, exact = loss_and_gradients(model, posing, posed, packed=False)
    errors = []
    for packed in (False, True):
        with torch.autocast("cpu", torch.bfloat16):
            _, gradients = loss_and_gradients(model, posing, posed, packed=packed)
        errors.append(sum(float((gradients[name] - exact[name]).square().sum()) for name in exact) ** 0.5)
    assert errors[0] > 0
    assert errors[1] < 2 * errors[0]


def test_only_patches_with_wanted_steps_are_predicted_each_with_the_numbers_of_the_plain_step() -> None:
    model, posed = without_dropout("patch_transformer", "lags").eval(), problem(task())
    with torch.no_grad():
        answer, whole = model(posed, packed=True), model(posed)
    assert answer.patches is not None
    assert 0 < len(answer.prediction) < posed.wanted.numel() // 8
    assert int(answer.patches.cut(posed.wanted).sum()) == int(posed.wanted.sum())
    torch.testing.assert_close(answer.prediction, answer.patches.cut(whole.prediction), rtol=1e-4, atol=1e-4)


def test_a_batch_in_which_nothing_is_wanted_has_the_loss_0() -> None:
    model, batch = without_dropout("patch_transformer", "lags").train(), waves(2)
    nothing = Problem(batch.values, batch.observed, torch.zeros_like(batch.observed))
    loss, gradients = loss_and_gradients(model, task(), nothing, packed=True)
    assert float(loss) == 0
    assert not any(gradient.any() for gradient in gradients.values())


def test_hidden_values_and_padding_cannot_change_any_bit() -> None:
    model, posing = without_dropout("patch_transformer", "lags").train(), task()
    posed = problem(posing)
    hidden = ~posed.visible & ~posed.wanted
    poked = replace(posed, values=torch.where(hidden, 1e6, posed.values))
    first, second = (loss_and_gradients(model, posing, p, packed=True)[0] for p in (posed, poked))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: tiny("patch_transformer", "flatten"), "use head=patch_quantiles, or trainer.packed=false"),
        (lambda: tiny("patch_transformer", "lags", norm="batch"), "use backbone.norm=rms"),
    ],
)
def test_models_that_cannot_leave_out_tokens_are_refused(model, message: str) -> None:
    batch: Batch = waves(2)
    with pytest.raises(ValueError, match=message):
        model()(task("forecast").pose(batch), packed=True)
