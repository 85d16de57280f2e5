"""Laws of the forecasting task: which steps are hidden and wanted; losses and metrics agree with numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from torch import Tensor

from tests.tiny import forecast_problem, tiny
from tsfm.registry import TASKS
from tsfm.tasks.forecast import Forecast
from tsfm.tasks.losses import LOSSES, POINT_LOSSES, masked_mean
from tsfm.types import KNOWN, PAST, TARGET, TIME_FEATURE, Answer, Batch, Problem

NINE = tuple(round(0.1 * i, 1) for i in range(1, 10))
HORIZON = 6


def task(**config: Any) -> Forecast:
    return TASKS.build(TASKS.config({"name": "forecast", **config}), horizon=HORIZON)


def batches(size: int = 5, *, steps: int = 20, rate: float = 0.8, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    values = 3 * torch.randn(size, 2, steps, generator=generator) + 10
    observed = torch.rand(values.shape, generator=generator) < rate
    return Batch(torch.where(observed, values, 0.0), observed)


def answers(problem: Problem, quantile_levels: tuple[float, ...], *, seed: int = 1) -> Answer:
    """Random quantiles in the horizon, NaN elsewhere, as heads of the horizon return."""
    generator = torch.Generator().manual_seed(seed)
    y_pred = 3 * torch.randn(*problem.values.shape, len(quantile_levels), generator=generator) + 10
    y_pred[..., :-HORIZON, :] = torch.nan
    loc, scale = torch.randn(2, *problem.values.shape[:2], 1, generator=generator).exp()
    return Answer(
        hidden=y_pred[..., :1],
        prediction=y_pred.sort(dim=-1).values,
        loc=loc,
        scale=scale,
        quantile_levels=quantile_levels,
    )


@settings(max_examples=40, deadline=None)
@given(steps=st.integers(1, 30), rate=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 1000))
def test_exactly_the_horizon_is_hidden_and_its_observed_steps_are_wanted(steps: int, rate: float, seed: int) -> None:
    batch = batches(steps=steps, rate=rate, seed=seed)
    problem = task().pose(batch)
    tail = torch.arange(steps) >= steps - HORIZON
    assert torch.equal(problem.visible, batch.observed & ~tail)
    has_visible = problem.visible.any(dim=-1, keepdim=True)  # without visible context nothing is wanted
    assert torch.equal(problem.wanted, batch.observed & tail & has_visible)
    assert torch.equal(problem.values, batch.values)
    assert torch.equal(problem.visible | problem.wanted, batch.observed & has_visible)
    assert not (problem.visible & problem.wanted).any()
    assert torch.equal(problem.visible_values(), torch.where(problem.visible, batch.values, 0.0))


def roled(batch: Batch) -> Batch:
    """A channel of each role next to the two targets, in two different orders."""
    role = torch.tensor(
        [[TARGET, KNOWN, PAST, TIME_FEATURE, TARGET], [PAST, TARGET, TARGET, KNOWN, TIME_FEATURE]], dtype=torch.int8
    )
    values, observed = (torch.cat([x, x, x[:, :1]], dim=1) for x in (batch.values, batch.observed))
    return Batch(values, observed, role=role[torch.arange(len(values)) % 2])


@settings(max_examples=30, deadline=None)
@given(steps=st.integers(1, 30), rate=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 1000))
def test_covariates_are_visible_as_long_as_they_are_known_and_never_wanted(steps: int, rate: float, seed: int) -> None:
    batch = roled(batches(steps=steps, rate=rate, seed=seed))
    assert batch.role is not None
    problem, plain = task().pose(batch), task().pose(replace(batch, role=None))
    for role in (TARGET, KNOWN, PAST, TIME_FEATURE):
        mine = batch.role == role
        known = role in (KNOWN, TIME_FEATURE)
        assert torch.equal(problem.visible[mine], (batch.observed if known else plain.visible)[mine])
        assert torch.equal(problem.wanted[mine], plain.wanted[mine] & (role == TARGET))
    assert problem.unscaled is not None
    assert torch.equal(problem.unscaled, batch.role == TIME_FEATURE)
    assert not (problem.visible & problem.wanted).any()


@pytest.mark.parametrize("poison", [1e6, float("nan")])
def test_the_hidden_steps_of_a_past_covariate_change_no_bit(poison: float) -> None:
    batch = roled(batches(4, steps=64))
    model = tiny("patch_transformer", "group").eval()
    forecast = TASKS.build(TASKS.config({"name": "forecast"}), horizon=16)
    past = (batch.role == PAST)[..., None]
    tail = (torch.arange(64) >= 48) & past
    known = (torch.arange(64) >= 48) & (batch.role == KNOWN)[..., None]
    is_target = (batch.role == TARGET)[..., None, None].expand(-1, -1, 16, 9)
    with torch.no_grad():
        base, poked, moved = (
            model(forecast.pose(replace(batch, values=torch.where(where, poison, batch.values)))).prediction[
                ..., -16:, :
            ]
            for where in (tail & ~tail, tail, known if poison == 1e6 else tail)
        )
    assert torch.equal(base, poked)
    assert torch.equal(base[is_target], moved[is_target]) == (
        poison != 1e6
    )  # the last steps of a known covariate have an effect


def test_time_features_are_not_scaled() -> None:
    problem = task().pose(roled(batches(4, steps=64, rate=1.0)))
    assert problem.unscaled is not None
    answer = tiny("patch_transformer", "group")(
        TASKS.build(TASKS.config({"name": "forecast"}), horizon=16).pose(roled(batches(4, steps=64, rate=1.0)))
    )
    assert (answer.loc[problem.unscaled] == 0).all()
    assert (answer.scale[problem.unscaled] == 1).all()
    assert (answer.loc[~problem.unscaled] != 0).all()


def by_hand(loss: str, y_pred: np.ndarray, target: np.ndarray, quantile_levels: tuple[float, ...]) -> np.ndarray:
    error = y_pred[..., len(quantile_levels) // 2] - target
    if loss == "pinball":
        above = target[..., None] - y_pred
        return np.where(above > 0, np.array(quantile_levels) * above, (np.array(quantile_levels) - 1) * above).mean(-1)
    if loss == "huber":
        return np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5)
    return {"mse": error**2, "mae": np.abs(error)}[loss]


@pytest.mark.parametrize("units", ["data", "scaled"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_the_mean_over_wanted_steps(loss: str, units: str) -> None:
    quantile_levels = (0.5,) if loss in POINT_LOSSES else NINE
    problem = task().pose(batches())
    answer = answers(problem, quantile_levels)
    y_pred, target, wanted = (x.double().numpy() for x in (answer.prediction, problem.values, problem.wanted))
    if units == "scaled":
        loc, scale = answer.loc.double().numpy(), answer.scale.double().numpy()
        y_pred, target = (y_pred - loc[..., None]) / scale[..., None], (target - loc) / scale
    expected = by_hand(loss, y_pred, target, quantile_levels)[wanted > 0].mean()
    assert task(loss=loss, units=units).loss(answer, problem).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("quantile_levels", [(0.5,), (0.1, 0.5, 0.9), NINE])
def test_pinball_is_that_of_sklearn(quantile_levels: tuple[float, ...]) -> None:
    problem = task().pose(batches())
    answer, wanted = answers(problem, quantile_levels), problem.wanted
    y_true = problem.values[wanted].numpy()
    expected = [
        mean_pinball_loss(y_true, answer.prediction[wanted][:, q].numpy(), alpha=a)
        for q, a in enumerate(quantile_levels)
    ]
    assert task(loss="pinball").loss(answer, problem).item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("units", ["data", "scaled"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_steps_that_are_not_wanted_affect_neither_loss_nor_gradient(loss: str, units: str, poison: float) -> None:
    """A missing target may be anything, even NaN: 0 * NaN must not enter the gradient."""
    problem = task().pose(batches())
    results = []
    for values in (problem.values, torch.where(problem.wanted | problem.visible, problem.values, poison)):
        answer = answers(problem, (0.5,) if loss in POINT_LOSSES else NINE)
        y_pred = answer.prediction.requires_grad_()
        result = task(loss=loss, units=units).loss(answer, replace(problem, values=values))
        result.backward()
        assert y_pred.grad is not None
        results.append((result.detach(), y_pred.grad))
    assert torch.isfinite(results[0][1]).all()
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert (results[0][1][~problem.wanted] == 0).all()
    assert (results[0][1][problem.wanted] != 0).any()


def test_nan_targets_do_not_change_the_gradients_of_a_model() -> None:
    batch = batches(steps=64)
    problem = forecast_problem(batch)
    poisoned = replace(problem, values=torch.where(batch.observed, batch.values, torch.nan))
    grads: list[list[Tensor]] = []
    for either in (problem, poisoned):
        model = tiny("patch_transformer", dropout=0.0).train()
        task().loss(model(either), either).backward()
        grads.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) and torch.isfinite(a).all() for a, b in zip(*grads, strict=True))


def test_without_wanted_steps_loss_and_count_are_0() -> None:
    problem = task().pose(batches(rate=0.0))
    answer = answers(problem, (0.5,))
    y_pred = answer.prediction.requires_grad_()
    result = task().loss(answer, problem)
    result.backward()
    assert result.item() == 0.0
    assert (y_pred.grad == 0).all()  # type: ignore[union-attr]
    assert all(ratio.total == 0 and ratio.count == 0 for ratio in task().report(answer, problem).values())
    assert masked_mean(torch.full((1, 1, 3), torch.nan), torch.zeros(1, 1, 3, dtype=torch.bool)) == 0


@pytest.mark.parametrize(("loss", "quantile_levels"), [("mse", (0.5,)), ("mae", (0.5,)), ("pinball", NINE)])
@pytest.mark.parametrize("units", ["data", "scaled"])
def test_report_sums_to_the_same_over_any_split_into_batches(
    loss: str, quantile_levels: tuple[float, ...], units: str
) -> None:
    forecast, problem = task(loss=loss, units=units), task().pose(batches(13))
    answer = answers(problem, quantile_levels)

    def metrics(size: int) -> dict[str, float]:
        sums: dict[str, list[float]] = {}
        for first in range(0, 13, size):
            rows = slice(first, first + size)
            part_problem = Problem(problem.values[rows], problem.visible[rows], problem.wanted[rows])
            part_answer = Answer(
                answer.hidden[rows], answer.prediction[rows], answer.loc[rows], answer.scale[rows], quantile_levels
            )
            for name, (total, count) in forecast.report(part_answer, part_problem).items():
                old = sums.setdefault(name, [0.0, 0.0])
                old[0], old[1] = old[0] + total.item(), old[1] + count.item()
        return {name: total / count for name, (total, count) in sums.items()}

    whole = metrics(13)
    for size in (1, 2, 5, 12):
        assert metrics(size) == pytest.approx(whole, rel=1e-12)
    assert whole["loss"] == pytest.approx(forecast.loss(answer, problem).item(), rel=1e-5)


def test_report_against_numpy_and_sklearn() -> None:
    problem = task().pose(batches(13))
    answer = answers(problem, NINE)
    wanted = problem.wanted
    y_true, y_pred = problem.values[wanted].double().numpy(), answer.prediction[wanted].double().numpy()
    results = {
        name: (total / count).item() for name, (total, count) in task(loss="pinball").report(answer, problem).items()
    }
    quantile = [len(y_true) * mean_pinball_loss(y_true, y_pred[:, q], alpha=a) for q, a in enumerate(NINE)]
    expected = {
        "loss": np.mean(quantile) / len(y_true),
        "mse": np.square(y_pred[:, 4] - y_true).mean(),
        "mae": np.abs(y_pred[:, 4] - y_true).mean(),
        "wql": 2 * np.mean(quantile) / np.abs(y_true).sum(),
    }
    assert results == pytest.approx(expected, rel=1e-5)
    assert "wql" not in task().report(answers(problem, (0.5,)), problem)


def test_report_metrics_are_in_data_units_whatever_the_loss_is_in() -> None:
    problem = task().pose(batches())
    answer = answers(problem, (0.5,))
    data, scaled = (task(units=units).report(answer, problem) for units in ("data", "scaled"))
    assert data["mse"] == scaled["mse"]
    assert data["mae"] == scaled["mae"]
    assert data["loss"] != scaled["loss"]


@pytest.mark.parametrize("loss", POINT_LOSSES)
def test_a_point_loss_refuses_a_quantile_head_before_training(loss: str) -> None:
    with pytest.raises(
        ValueError, match=rf"task\.loss={loss} .* 9 quantiles; use task\.loss=pinball or head\.quantile_levels"
    ):
        task(loss=loss).check(quantile_levels=NINE)
    task(loss=loss).check(quantile_levels=(0.5,))
    task(loss="pinball").check(quantile_levels=NINE)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"loss": "hubber"}, r"task\.loss is 'hubber'; did you mean 'huber'\? known: huber, mae, mse, pinball"),
        ({"units": "scale"}, r"task\.units is 'scale'; did you mean 'scaled'\? known: data, scaled"),
        ({"los": "mse"}, r"task\.los is not a setting of 'forecast'; did you mean 'loss'"),
    ],
)
def test_a_wrong_setting_is_named_with_the_most_similar_one(config: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task(**config)


def test_the_monitored_metric_is_reported() -> None:
    for entry in TASKS:
        if entry.component.predicts != "steps":  # tests/contract/test_tasks.py has those
            continue
        problem = forecast_problem(batches(steps=64))
        forecast = TASKS.build(entry.config(), horizon=16)
        assert forecast.monitor in forecast.report(tiny("nlinear")(problem), problem)
