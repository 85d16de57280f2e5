"""The contract of a backbone, over everything that is registered: adding a file adds its tests."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.tiny import CHANNELS, CONTEXT, HORIZON, cases, forecast_problem, tiny, waves
from tsfm.model.checkpoint import About, load, save
from tsfm.registry import TASKS
from tsfm.types import Batch, Problem

CASES = pytest.mark.parametrize(("name", "kind"), cases(), ids=lambda value: value)
TAIL = slice(-HORIZON, None)


def read(model: torch.nn.Module, problem: Problem) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(problem).prediction[..., TAIL, :]


@CASES
def test_shape_is_kept_and_answers_are_finite(name: str, kind: str) -> None:
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
    dead = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


@CASES
def test_batch_order_and_size_do_not_matter(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves(6)
    whole = read(model, forecast_problem(batch))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    mixed = read(model, forecast_problem(Batch(batch.values[order], batch.observed[order])))
    alone = read(model, forecast_problem(Batch(batch.values[:1], batch.observed[:1])))
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
    assert torch.equal(read(model, problem), read(model, poked))


@CASES
@pytest.mark.parametrize("scaler", ["standard", "robust"])
def test_affine_equivariance(name: str, kind: str, scaler: str) -> None:
    model, batch = tiny(name, kind, scaler=scaler), waves()
    plain = read(model, forecast_problem(batch))
    moved = read(model, forecast_problem(replace(batch, values=3.5 * batch.values - 40.0)))
    torch.testing.assert_close(moved, 3.5 * plain - 40.0, rtol=1e-3, atol=2e-3)


@CASES
def test_an_unobserved_prefix_equals_a_shorter_series(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    prefix = 3 * 8
    observed = batch.observed.clone()
    observed[..., :prefix] = False
    long = read(model, forecast_problem(replace(batch, observed=observed)))
    if model.fixed_length:  # then shorter series reach it padded, and what stands in the padding must not matter
        zeroed = torch.where(observed, batch.values, 0.0)
        short = read(model, forecast_problem(Batch(zeroed, observed)))
    else:
        short = read(model, forecast_problem(Batch(batch.values[..., prefix:], batch.observed[..., prefix:])))
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-4)


@CASES
def test_causal_where_declared(name: str, kind: str) -> None:
    known = "causal" in tiny(name, kind).parts["backbone"].__dataclass_fields__
    model = tiny(name, kind, **({"causal": True} if known else {})).eval()
    if not model.backbone.causal:
        pytest.skip(f"{name} does not declare causal")
    tokens = torch.randn(2, CHANNELS, model.grid.patches, model.grid.width)
    seen = torch.ones(tokens.shape[:3], dtype=torch.bool)
    later = tokens.clone()
    later[:, :, 3:] += 1.0
    assert torch.equal(model.backbone(tokens, seen)[:, :, :3], model.backbone(later, seen)[:, :, :3])


@CASES
def test_channels_are_independent_exactly_unless_declared(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    whole = read(model, forecast_problem(batch))
    moved = batch.values.clone()
    moved[:, 0] = moved[:, 0].flip(-1)
    other = read(model, forecast_problem(replace(batch, values=moved)))[:, 1]
    if model.mixes_channels:
        assert not torch.equal(other, whole[:, 1])
    else:
        single = read(model, forecast_problem(Batch(batch.values[:, 1:2], batch.observed[:, 1:2])))
        torch.testing.assert_close(single, whole[:, 1:2], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(other, whole[:, 1], rtol=1e-5, atol=1e-5)


@CASES
def test_channel_permutation_equivariance(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    order = torch.tensor([2, 0, 1])
    whole = read(model, forecast_problem(batch))
    mixed = read(model, forecast_problem(Batch(batch.values[:, order], batch.observed[:, order])))
    if model.backbone.ordered_channels:
        assert not torch.allclose(mixed, whole[:, order], rtol=1e-4, atol=1e-4)
    else:
        torch.testing.assert_close(mixed, whole[:, order], rtol=1e-4, atol=1e-4)


@CASES
def test_any_number_of_channels_unless_declared(name: str, kind: str) -> None:
    model = tiny(name, kind)
    if model.config.channels is None:
        problem = forecast_problem(waves(channels=CHANNELS + 2))
        assert torch.isfinite(read(model, problem)).all()
    else:
        with pytest.raises(ValueError, match=f"built for {CHANNELS} channels; found {CHANNELS + 2}"):
            model(forecast_problem(waves(channels=CHANNELS + 2)))


@CASES
def test_a_channel_that_shows_nothing_is_as_if_it_were_not_there(name: str, kind: str) -> None:
    model, batch = tiny(name, kind), waves()
    if model.config.channels is not None:
        pytest.skip("the number of channels is fixed")
    absent = torch.zeros(len(batch.values), 2, batch.values.shape[-1])
    wide = Batch(torch.cat([batch.values, absent], 1), torch.cat([batch.observed, absent.bool()], 1))
    found = read(model, forecast_problem(wide))
    torch.testing.assert_close(found[:, :CHANNELS], read(model, forecast_problem(batch)), rtol=1e-5, atol=1e-5)
    assert torch.isfinite(found).all()


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
        state, found = backbone.start(batch=2, channels=CHANNELS), []
        for place in range(patches):
            token, state = backbone.step(tokens[:, :, place], state)
            found.append(token)
    torch.testing.assert_close(torch.stack(found, dim=2), whole, rtol=1e-5, atol=1e-5)


@CASES
def test_save_and_load_are_bit_equal(name: str, kind: str, tmp_path) -> None:
    model, problem = tiny(name, kind), forecast_problem(waves())
    save(model, tmp_path / "model", about=About())
    again, _ = load(tmp_path / "model")
    assert again.spec() == model.spec()
    assert torch.equal(read(model, problem), read(again, problem))


@CASES
def test_bf16_stays_near(name: str, kind: str) -> None:
    model, problem = tiny(name, kind), forecast_problem(waves())
    exact = read(model, problem)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = read(model, problem)
    assert rough.dtype == torch.float32
    spread = problem.values.std()
    assert (exact - rough).abs().max() < 0.1 * spread


@CASES
@pytest.mark.slow
def test_compiles(name: str, kind: str) -> None:
    torch._dynamo.reset()  # one process compiles a forward only so many times
    model, problem = tiny(name, kind).eval(), forecast_problem(waves())
    # the search for seasons is one break of the graph
    compiled = torch.compile(model, fullgraph=not model.config.seasonal_lags)
    torch.testing.assert_close(read(model, problem), read(compiled, problem), rtol=1e-4, atol=1e-4)


class Flat(torch.nn.Module):
    """The model with tensors in place of a Problem."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, values: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return self.model(Problem(values=values, visible=visible, wanted=~visible)).prediction


@CASES
def test_exports_for_any_batch_size(name: str, kind: str) -> None:
    """One graph of torch.export serves every batch size, and series that begin late."""
    model, problem = tiny(name, kind).eval(), forecast_problem(waves(3))
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    graph = torch.export.export(Flat(model), (problem.values, problem.visible), dynamic_shapes=(batch, batch)).module()
    large = waves(7)
    observed = large.observed.clone()
    observed[2:, :, :11] = False
    other = forecast_problem(replace(large, observed=observed))
    found = graph(other.values, other.visible)[..., TAIL, :]
    torch.testing.assert_close(found, read(model, other), rtol=1e-4, atol=1e-4)


@CASES
def test_overfits_one_batch(name: str, kind: str) -> None:
    """Every task can be learnt through every backbone: the loss on one batch falls far below that of the mean."""
    model = tiny(name, kind).train()
    loss = "pinball" if len(model.quantile_levels) > 1 else "mse"
    task = TASKS.build(TASKS.config({"name": "forecast", "loss": loss, "units": "scaled"}), horizon=HORIZON)
    problem = task.pose(waves(8))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        found = task.loss(model(problem), problem)
        found.backward()
        optimizer.step()
        losses.append(found.item())
    assert losses[-1] < 0.25 * losses[0]
