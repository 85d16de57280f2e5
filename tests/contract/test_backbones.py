"""The contract of backbones, for all that are registered: a new one is tested without a new test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.tiny import CHANNELS, CONTEXT, HORIZON, cases, forecast_problem, steps_to_learn, tiny, waves
from tsfm.model.checkpoint import About, load, save
from tsfm.registry import TASKS
from tsfm.types import Batch, Problem

CASES = pytest.mark.parametrize(("name", "kind"), cases(), ids=lambda value: value)
TAIL = slice(-HORIZON, None)


def predict(model: torch.nn.Module, problem: Problem) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(problem).prediction[..., TAIL, :]


@CASES
def test_shapes_are_kept_and_predictions_are_finite(name: str, kind: str) -> None:
    model, problem = tiny(name, kind), forecast_problem(waves())
    answer = model.eval()(problem)
    assert answer.hidden.ndim == 4
    assert answer.hidden.shape[:2] == problem.values.shape[:2]
    assert answer.hidden.shape[2:] == (model.grid.patches, model.grid.width)
    assert answer.prediction.shape == (4, CHANNELS, CONTEXT + HORIZON, len(model.quantile_levels))
    assert torch.isfinite(answer.prediction[..., TAIL, :]).all()


@CASES
def test_every_parameter_has_a_gradient(name: str, kind: str) -> None:
    model, problem = tiny(name, kind).train(), forecast_problem(waves(16))
    model(problem).prediction[..., TAIL, :].square().mean().backward()
    without_gradient = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without_gradient


@CASES
def test_batch_order_and_size_do_not_matter(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves(6)
    whole = predict(model, forecast_problem(batch))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    mixed = predict(model, forecast_problem(Batch(batch.values[order], batch.observed[order])))
    alone = predict(model, forecast_problem(Batch(batch.values[:1], batch.observed[:1])))
    torch.testing.assert_close(mixed, whole[order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(alone, whole[:1], rtol=1e-5, atol=1e-5)


@CASES
@pytest.mark.parametrize("poison", [1e6, float("nan"), float("inf")])
def test_hidden_values_cannot_change_any_bit(name: str, kind: str, poison: float) -> None:
    model, batch = tiny(name, kind), waves()
    observed = batch.observed.clone()
    observed[:, 0, 5:9] = False
    problem = forecast_problem(replace(batch, observed=observed))
    poked = replace(problem, values=torch.where(problem.visible, problem.values, poison))
    assert torch.equal(predict(model, problem), predict(model, poked))


@CASES
@pytest.mark.parametrize("scaler", ["standard", "robust"])
def test_affine_equivariance(name: str, kind: str, scaler: str) -> None:
    model, batch = tiny(name, kind, scaler=scaler), waves()
    plain = predict(model, forecast_problem(batch))
    moved = predict(model, forecast_problem(replace(batch, values=3.5 * batch.values - 40.0)))
    torch.testing.assert_close(moved, 3.5 * plain - 40.0, rtol=1e-3, atol=2e-3)


@CASES
def test_an_unobserved_prefix_equals_a_shorter_series(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    prefix = 3 * 8
    observed = batch.observed.clone()
    observed[..., :prefix] = False
    long = predict(model, forecast_problem(replace(batch, observed=observed)))
    if model.fixed_length:  # shorter series are padded, and values in the padding must have no effect
        zeroed = torch.where(observed, batch.values, 0.0)
        short = predict(model, forecast_problem(Batch(zeroed, observed)))
    else:
        short = predict(model, forecast_problem(Batch(batch.values[..., prefix:], batch.observed[..., prefix:])))
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-4)


@CASES
def test_causal_where_declared(name: str, kind: str) -> None:
    known = "causal" in tiny(name, kind).parts["backbone"].__dataclass_fields__
    model = tiny(name, kind, **({"causal": True} if known else {})).eval()
    if not model.backbone.causal:
        pytest.skip(f"{name} does not declare causal")
    tokens = torch.randn(2, CHANNELS, model.grid.patches, model.grid.width)
    valid = torch.ones(tokens.shape[:3], dtype=torch.bool)
    later = tokens.clone()
    later[:, :, 3:] += 1.0
    assert torch.equal(model.backbone(tokens, valid)[:, :, :3], model.backbone(later, valid)[:, :, :3])


@CASES
def test_channels_are_independent_exactly_unless_declared(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    whole = predict(model, forecast_problem(batch))
    moved = batch.values.clone()
    moved[:, 0] = moved[:, 0].flip(-1)
    other = predict(model, forecast_problem(replace(batch, values=moved)))[:, 1]
    if model.mixes_channels:
        assert not torch.equal(other, whole[:, 1])
    else:
        single = predict(model, forecast_problem(Batch(batch.values[:, 1:2], batch.observed[:, 1:2])))
        torch.testing.assert_close(single, whole[:, 1:2], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(other, whole[:, 1], rtol=1e-5, atol=1e-5)


@CASES
def test_channel_permutation_equivariance(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    order = torch.tensor([2, 0, 1])
    whole = predict(model, forecast_problem(batch))
    mixed = predict(model, forecast_problem(Batch(batch.values[:, order], batch.observed[:, order])))
    if model.backbone.ordered_channels:
        assert not torch.allclose(mixed, whole[:, order], rtol=1e-4, atol=1e-4)
    else:
        torch.testing.assert_close(mixed, whole[:, order], rtol=1e-4, atol=1e-4)


@CASES
def test_any_number_of_channels_unless_declared(name: str, kind: str) -> None:
    model = tiny(name, kind)
    if model.config.channels is None:
        problem = forecast_problem(waves(channels=CHANNELS + 2))
        assert torch.isfinite(predict(model, problem)).all()
    else:
        with pytest.raises(ValueError, match=f"built for {CHANNELS} channels; found {CHANNELS + 2}"):
            model(forecast_problem(waves(channels=CHANNELS + 2)))


@CASES
def test_a_channel_without_visible_steps_has_no_effect(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    if model.config.channels is not None:
        pytest.skip("the number of channels is fixed")
    absent = torch.zeros(len(batch.values), 2, batch.values.shape[-1])
    wide = Batch(torch.cat([batch.values, absent], 1), torch.cat([batch.observed, absent.bool()], 1))
    result = predict(model, forecast_problem(wide))
    torch.testing.assert_close(result[:, :CHANNELS], predict(model, forecast_problem(batch)), rtol=1e-5, atol=1e-5)
    assert torch.isfinite(result).all()


@CASES
def test_streams_where_declared(name: str, kind: str) -> None:
    """Token by token with constant memory equals the full pass."""
    model = tiny(name, kind).eval()
    backbone, (patches, width) = model.backbone, (model.grid.patches, model.grid.width)
    tokens = torch.randn(2, CHANNELS, patches, width)
    if not backbone.streaming:
        with pytest.raises(NotImplementedError, match="does not stream"):
            backbone.start(batch=2, channels=CHANNELS)
        return
    assert backbone.causal
    with torch.no_grad():
        whole = backbone(tokens, torch.ones(tokens.shape[:3], dtype=torch.bool))
        state, result = backbone.start(batch=2, channels=CHANNELS), []
        for index in range(patches):
            token, state = backbone.step(tokens[:, :, index], state)
            result.append(token)
    torch.testing.assert_close(torch.stack(result, dim=2), whole, rtol=1e-5, atol=1e-5)


@CASES
def test_save_and_load_are_bit_equal(name: str, kind: str, tmp_path) -> None:
    model, problem = tiny(name, kind), forecast_problem(waves())
    save(model, tmp_path / "model", about=About())
    again, _ = load(tmp_path / "model")
    assert again.spec() == model.spec()
    assert torch.equal(predict(model, problem), predict(again, problem))


@CASES
def test_bf16_is_close_to_float32(name: str, kind: str) -> None:
    model, problem = tiny(name, kind), forecast_problem(waves())
    exact = predict(model, problem)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = predict(model, problem)
    assert rough.dtype == torch.float32
    spread = problem.values.std()
    assert (exact - rough).abs().max() < 0.1 * spread


@CASES
@pytest.mark.slow
def test_compiles(name: str, kind: str) -> None:
    torch._dynamo.reset()  # one process compiles a forward only so many times
    model, problem = tiny(name, kind).eval(), forecast_problem(waves())
    # the season search is a break of the graph
    compiled = torch.compile(model, fullgraph=not model.config.seasonal_lags)
    torch.testing.assert_close(predict(model, problem), predict(compiled, problem), rtol=1e-4, atol=1e-4)


def exported() -> list[Any]:
    """All cases; one arrangement of each backbone and the arrangement of the bundled models are fast."""
    fast = dict(reversed(cases())) | {"patch_transformer": "lags"}
    return [pytest.param(name, kind, marks=() if fast[name] == kind else pytest.mark.slow) for name, kind in cases()]


class Flat(torch.nn.Module):
    """The model with tensors instead of a Problem."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, values: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return self.model(Problem(values=values, visible=visible, wanted=~visible)).prediction


@pytest.mark.parametrize(("name", "kind"), exported(), ids=lambda value: value)
def test_exports_for_any_batch_size(name: str, kind: str) -> None:
    """One graph of torch.export works for every batch size, and for series that start late."""
    model, problem = tiny(name, kind).eval(), forecast_problem(waves(3))
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    graph = torch.export.export(Flat(model), (problem.values, problem.visible), dynamic_shapes=(batch, batch)).module()
    large = waves(7)
    observed = large.observed.clone()
    observed[2:, :, :11] = False
    other = forecast_problem(replace(large, observed=observed))
    result = graph(other.values, other.visible)[..., TAIL, :]
    torch.testing.assert_close(result, predict(model, other), rtol=1e-4, atol=1e-4)


@CASES
def test_overfits_one_batch(name: str, kind: str) -> None:
    """Every backbone can learn: within 150 steps, the loss on one batch falls to less than a quarter."""
    model = tiny(name, kind).train()
    loss = "pinball" if len(model.quantile_levels) > 1 else "mse"
    task = TASKS.build(TASKS.config({"name": "forecast", "loss": loss, "units": "scaled"}), horizon=HORIZON)
    problem = task.pose(waves(8))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    assert steps_to_learn(lambda: task.loss(model(problem), problem), optimizer, to=0.25, limit=150)
