"""Our patch transformer beside transformers' PatchTST, our random weights mapped onto theirs one for one.

What differs and how it is met: their scaler adds 1e-5 to the variance where ours has a floor for the scale, so it is
set to 0; of a context that the stride does not fill they drop the oldest steps where we pad them with hidden ones, so
the contexts compared are filled; they never pad the end, so theirs is given the repeated step as context; a stack with
norms before its sub-layers ends in theirs without a norm, so ours is set before their head; their head pools unless
told otherwise; a step nobody observed reaches their network as 0 scaled, ours as 0, so theirs is given the mean there.
Neither has the residual attention scores of the paper's code. Both use the exact GELU and biases throughout.
"""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Problem

transformers = pytest.importorskip("transformers", reason="parity needs transformers, which the dev extra brings")

BATCH, CHANNELS, CONTEXT, HORIZON, PATCH, STRIDE, WIDTH, DEPTH = 4, 3, 64, 12, 8, 4, 16, 3
NAMES = {
    "attention.qkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "attention.out": ["self_attn.out_proj"],
    "feed.up": ["ff.0"],
    "feed.down": ["ff.3"],
    "norm_attention": ["norm_sublayer1"],
    "norm_feed": ["norm_sublayer3"],
}
SETTINGS = pytest.mark.parametrize(("norm", "pre_norm"), list(product(("batch", "layer"), (False, True))))


def ours(*, norm: str = "batch", pre_norm: bool = False, pad_end: bool = False, scaler: str = "standard") -> Model:
    torch.manual_seed(7)
    settings = {"depth": DEPTH, "heads": 4, "hidden": 24, "dropout": 0.0, "norm": norm, "pre_norm": pre_norm}
    model = Model(
        ModelConfig(context=CONTEXT, horizon=HORIZON, width=WIDTH, patch=PATCH, stride=STRIDE, pad_end=pad_end),
        scaler=SCALERS.config({"name": scaler}),
        backbone=BACKBONES.config({"name": "patch_transformer"} | settings),
        head=HEADS.config({"name": "flatten"}),
    )
    with torch.no_grad():  # away from where they start, so that a swapped pair would show
        for key, tensor in model.backbone.state_dict().items():
            if "norm" in key and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
            elif key == "positions":
                tensor.normal_()
    return model


def theirs(model: Model, **changes: Any) -> Any:
    """transformers' PatchTSTForPrediction of the same shape, with our weights."""
    plan = model.parts["backbone"]
    settings: dict[str, Any] = {
        "num_input_channels": CHANNELS,
        "context_length": CONTEXT,
        "prediction_length": HORIZON,
        "patch_length": PATCH,
        "patch_stride": STRIDE,
        "d_model": WIDTH,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": plan.heads,
        "ffn_dim": plan.hidden,
        "norm_type": {"batch": "batchnorm", "layer": "layernorm"}[plan.norm],
        "pre_norm": plan.pre_norm,
        "positional_encoding_type": "random",
        "pooling_type": None,
        "scaling": "std",
        "minimum_scale": 0.0,
    }
    reference = transformers.PatchTSTForPrediction(transformers.PatchTSTConfig(**(settings | changes)))
    if plan.pre_norm:
        reference.head = nn.Sequential(copy.deepcopy(model.backbone.norm), reference.head)
    reference.load_state_dict(mapped(model), strict=True)
    return reference


def mapped(model: Model) -> dict[str, Tensor]:
    """Our state under their names. Strict loading shows that nothing is left over on either side."""
    plan = model.parts["backbone"]
    inside = ".batchnorm" if plan.norm == "batch" else ""
    named = {}
    for key, tensor in model.state_dict().items():
        path, _, leaf = key.rpartition(".")
        if path == "backbone":  # positions
            named["model.encoder.positional_encoder.position_enc"] = tensor
        elif path == "backbone.norm":
            named[f"head.0.{leaf}"] = tensor
        elif path == "head.linear":
            named[f"head.{'1.' if plan.pre_norm else ''}projection.{leaf}"] = tensor
        elif path == "patching.project":
            named[f"model.encoder.embedder.input_embedding.{leaf}"] = tensor
        else:
            block, part = path.removeprefix("backbone.blocks.").split(".", 1)
            pieces = tensor.chunk(len(NAMES[part])) if tensor.ndim else (tensor,)
            for name, piece in zip(NAMES[part], pieces, strict=True):
                named[f"model.encoder.layers.{block}.{name}{inside * ('norm' in name)}.{leaf}"] = piece
    return named


def windows() -> Tensor:
    return 3.0 + 2.0 * torch.randn(BATCH, CHANNELS, CONTEXT, generator=torch.Generator().manual_seed(1))


def posed(context: Tensor, observed: Tensor | None = None) -> Problem:
    values = torch.cat([context, torch.zeros(*context.shape[:2], HORIZON)], dim=-1)
    visible = torch.zeros_like(values, dtype=torch.bool)
    visible[..., :CONTEXT] = True if observed is None else observed
    return Problem(values=values, visible=visible, wanted=~visible)


def mine(model: Model, problem: Problem) -> tuple[Tensor, Tensor]:
    answer = model(problem)
    return answer.hidden, answer.prediction[..., -HORIZON:, 0]


def their(reference: Any, context: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What reaches their head, and the forecast as [batch, channels, horizon]."""
    heard: list[Tensor] = []
    head = reference.head[1] if isinstance(reference.head, nn.Sequential) else reference.head
    hook = head.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    mask = None if observed is None else observed.transpose(1, 2)
    said = reference(past_values=context.transpose(1, 2), past_observed_mask=mask)
    hook.remove()
    return heard[0], said.prediction_outputs.transpose(1, 2)


@SETTINGS
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_hidden_states_and_forecasts_agree(norm: str, pre_norm: bool, training: bool, attention: str) -> None:
    model = ours(norm=norm, pre_norm=pre_norm)
    reference = theirs(model, attn_implementation=attention).train(training)
    model.train(training)
    hidden, forecast = mine(model, posed(windows()))
    their_hidden, their_forecast = their(reference, windows())
    assert hidden.std() > 0.1
    torch.testing.assert_close(hidden, their_hidden, rtol=0, atol=1e-5)
    torch.testing.assert_close(forecast, their_forecast, rtol=0, atol=1e-5)
    for key, tensor in mapped(model).items():  # of BatchNorm the running statistics too
        torch.testing.assert_close(tensor, reference.state_dict()[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_hidden_states_agree_with_the_model_without_a_head(norm: str) -> None:
    model = ours(norm=norm).eval()
    whole = theirs(model)
    bare = transformers.PatchTSTModel(whole.config).eval()
    bare.load_state_dict(whole.model.state_dict())
    found = bare(past_values=windows().transpose(1, 2)).last_hidden_state
    torch.testing.assert_close(mine(model, posed(windows()))[0], found, rtol=0, atol=1e-5)


@SETTINGS
def test_gradients_agree(norm: str, pre_norm: bool) -> None:
    """Of a loss by the window, and by every weight."""
    model = ours(norm=norm, pre_norm=pre_norm).train()
    reference = theirs(model).train()
    here, there = windows().requires_grad_(), windows().requires_grad_()
    _, forecast = mine(model, posed(here))
    _, their_forecast = their(reference, there)
    target = torch.randn(forecast.shape, generator=torch.Generator().manual_seed(2))
    (forecast - target).square().mean().backward()
    (their_forecast - target).square().mean().backward()
    assert here.grad is not None
    assert there.grad is not None
    assert here.grad.abs().max() > 1e-3
    torch.testing.assert_close(here.grad, there.grad, rtol=0, atol=1e-4)
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        parameter.data = parameter.grad  # read the gradients under their names by the same map as the weights
    found = mapped(model)
    for key, parameter in reference.named_parameters():
        torch.testing.assert_close(found[key], parameter.grad, rtol=1e-4, atol=1e-4)


def test_the_end_that_ours_repeats_is_a_longer_context_of_theirs() -> None:
    """Unscaled: their scaler would count the repeated steps."""
    model = ours(pad_end=True, scaler="none").eval()
    reference = theirs(model, scaling=None, context_length=CONTEXT + STRIDE).eval()
    longer = torch.cat([windows(), windows()[..., -1:].expand(-1, -1, STRIDE)], dim=-1)
    torch.testing.assert_close(mine(model, posed(windows())), their(reference, longer), rtol=0, atol=1e-5)


def test_of_a_context_that_the_stride_does_not_fill_they_drop_the_oldest_steps() -> None:
    """So given a context without them, ours says the same; unscaled, as their scaler still counts those steps."""
    model = ours(scaler="none").eval()
    reference = theirs(model, scaling=None, context_length=CONTEXT + 2).eval()
    longer = torch.cat([torch.randn(BATCH, CHANNELS, 2), windows()], dim=-1)
    torch.testing.assert_close(mine(model, posed(windows())), their(reference, longer), rtol=0, atol=1e-5)


def test_missing_steps_agree_where_theirs_are_filled_with_the_mean() -> None:
    model = ours().eval()
    observed = torch.rand(BATCH, CHANNELS, CONTEXT, generator=torch.Generator().manual_seed(3)) < 0.8
    observed[..., 0] = True  # a patch nobody observed before the first would be padding to ours
    context = torch.where(observed, windows(), 0.0)
    mean = context.sum(dim=-1, keepdim=True) / observed.sum(dim=-1, keepdim=True)
    found = mine(model, posed(context, observed))
    expected = their(theirs(model).eval(), torch.where(observed, context, mean), observed)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
