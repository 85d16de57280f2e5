"""The patch transformer agrees with PatchTST of transformers, with the same random weights.

Differences, and how the comparison handles them: the reference adds 1e-5 to the variance where tsfm has a smallest
scale, so that is set to 0; of a context that is not a multiple of the stride the reference drops the oldest steps where
tsfm pads with hidden ones, so the contexts are multiples; the reference never pads the end, so the repeated step is
part of its context; a pre-norm stack of the reference has no norm at the end, so that of tsfm is put before its head;
its head pools by default; a missing step is 0 before scaling in the reference and 0 after scaling in tsfm, so the
reference gets the mean there. Neither has the residual attention scores of the paper's code. Both use the exact GELU,
and biases in all layers.
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


def tsfm_model(
    *, norm: str = "batch", pre_norm: bool = False, pad_end: bool = False, scaler: str = "standard"
) -> Model:
    torch.manual_seed(7)
    settings = {"depth": DEPTH, "heads": 4, "hidden": 24, "dropout": 0.0, "norm": norm, "pre_norm": pre_norm}
    model = Model(
        ModelConfig(context=CONTEXT, horizon=HORIZON, width=WIDTH, patch=PATCH, stride=STRIDE, pad_end=pad_end),
        scaler=SCALERS.config({"name": scaler}),
        backbone=BACKBONES.config({"name": "patch_transformer"} | settings),
        head=HEADS.config({"name": "flatten"}),
    )
    with torch.no_grad():  # not the initial values, so that a wrong mapping would fail
        for key, tensor in model.backbone.state_dict().items():
            if "norm" in key and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
            elif key == "positions":
                tensor.normal_()
    return model


def reference_model(model: Model, **changes: Any) -> Any:
    """transformers' PatchTSTForPrediction of the same shape, with the same weights."""
    config = model.parts["backbone"]
    settings: dict[str, Any] = {
        "num_input_channels": CHANNELS,
        "context_length": CONTEXT,
        "prediction_length": HORIZON,
        "patch_length": PATCH,
        "patch_stride": STRIDE,
        "d_model": WIDTH,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": config.heads,
        "ffn_dim": config.hidden,
        "norm_type": {"batch": "batchnorm", "layer": "layernorm"}[config.norm],
        "pre_norm": config.pre_norm,
        "positional_encoding_type": "random",
        "pooling_type": None,
        "scaling": "std",
        "minimum_scale": 0.0,
    }
    reference = transformers.PatchTSTForPrediction(transformers.PatchTSTConfig(**(settings | changes)))
    if config.pre_norm:
        reference.head = nn.Sequential(copy.deepcopy(model.backbone.norm), reference.head)
    reference.load_state_dict(mapped(model), strict=True)
    return reference


def mapped(model: Model) -> dict[str, Tensor]:
    """Return the weights under the names of the reference; strict loading shows that none is left over."""
    config = model.parts["backbone"]
    inside = ".batchnorm" if config.norm == "batch" else ""
    named = {}
    for key, tensor in model.state_dict().items():
        path, _, leaf = key.rpartition(".")
        if path == "backbone":  # positions
            named["model.encoder.positional_encoder.position_enc"] = tensor
        elif path == "backbone.norm":
            named[f"head.0.{leaf}"] = tensor
        elif path == "head.linear":
            named[f"head.{'1.' if config.pre_norm else ''}projection.{leaf}"] = tensor
        elif path == "patching.project":
            named[f"model.encoder.embedder.input_embedding.{leaf}"] = tensor
        else:
            block, layer = path.removeprefix("backbone.blocks.").split(".", 1)
            chunks = tensor.chunk(len(NAMES[layer])) if tensor.ndim else (tensor,)
            for name, chunk in zip(NAMES[layer], chunks, strict=True):
                named[f"model.encoder.layers.{block}.{name}{inside * ('norm' in name)}.{leaf}"] = chunk
    return named


def windows() -> Tensor:
    return 3.0 + 2.0 * torch.randn(BATCH, CHANNELS, CONTEXT, generator=torch.Generator().manual_seed(1))


def posed(context: Tensor, observed: Tensor | None = None) -> Problem:
    values = torch.cat([context, torch.zeros(*context.shape[:2], HORIZON)], dim=-1)
    visible = torch.zeros_like(values, dtype=torch.bool)
    visible[..., :CONTEXT] = True if observed is None else observed
    return Problem(values=values, visible=visible, wanted=~visible)


def tsfm_outputs(model: Model, problem: Problem) -> tuple[Tensor, Tensor]:
    answer = model(problem)
    return answer.hidden, answer.prediction[..., -HORIZON:, 0]


def reference_outputs(reference: Any, context: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the input of the reference's head, and its forecast as [batch, channels, horizon]."""
    head_inputs: list[Tensor] = []
    head = reference.head[1] if isinstance(reference.head, nn.Sequential) else reference.head
    hook = head.register_forward_pre_hook(lambda module, inputs: head_inputs.append(inputs[0]))
    mask = None if observed is None else observed.transpose(1, 2)
    output = reference(past_values=context.transpose(1, 2), past_observed_mask=mask)
    hook.remove()
    return head_inputs[0], output.prediction_outputs.transpose(1, 2)


@SETTINGS
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_hidden_states_and_forecasts_agree(norm: str, pre_norm: bool, training: bool, attention: str) -> None:
    model = tsfm_model(norm=norm, pre_norm=pre_norm)
    reference = reference_model(model, attn_implementation=attention).train(training)
    model.train(training)
    hidden, forecast = tsfm_outputs(model, posed(windows()))
    their_hidden, their_forecast = reference_outputs(reference, windows())
    assert hidden.std() > 0.1
    torch.testing.assert_close(hidden, their_hidden, rtol=0, atol=1e-5)
    torch.testing.assert_close(forecast, their_forecast, rtol=0, atol=1e-5)
    for key, tensor in mapped(model).items():  # of BatchNorm the running statistics too
        torch.testing.assert_close(tensor, reference.state_dict()[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_hidden_states_agree_with_the_model_without_a_head(norm: str) -> None:
    model = tsfm_model(norm=norm).eval()
    whole = reference_model(model)
    bare = transformers.PatchTSTModel(whole.config).eval()
    bare.load_state_dict(whole.model.state_dict())
    result = bare(past_values=windows().transpose(1, 2)).last_hidden_state
    torch.testing.assert_close(tsfm_outputs(model, posed(windows()))[0], result, rtol=0, atol=1e-5)


@SETTINGS
def test_gradients_agree(norm: str, pre_norm: bool) -> None:
    """Of a loss by the window, and by every weight."""
    model = tsfm_model(norm=norm, pre_norm=pre_norm).train()
    reference = reference_model(model).train()
    x, reference_x = windows().requires_grad_(), windows().requires_grad_()
    _, forecast = tsfm_outputs(model, posed(x))
    _, their_forecast = reference_outputs(reference, reference_x)
    target = torch.randn(forecast.shape, generator=torch.Generator().manual_seed(2))
    (forecast - target).square().mean().backward()
    (their_forecast - target).square().mean().backward()
    assert x.grad is not None
    assert reference_x.grad is not None
    assert x.grad.abs().max() > 1e-3
    torch.testing.assert_close(x.grad, reference_x.grad, rtol=0, atol=1e-4)
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        parameter.data = parameter.grad  # the gradients get the names of the reference by the same mapping
    result = mapped(model)
    for key, parameter in reference.named_parameters():
        torch.testing.assert_close(result[key], parameter.grad, rtol=1e-4, atol=1e-4)


def test_the_repeated_last_step_is_a_longer_context_of_the_reference() -> None:
    """Without scaling: the reference would scale by the repeated steps too."""
    model = tsfm_model(pad_end=True, scaler="none").eval()
    reference = reference_model(model, scaling=None, context_length=CONTEXT + STRIDE).eval()
    longer = torch.cat([windows(), windows()[..., -1:].expand(-1, -1, STRIDE)], dim=-1)
    torch.testing.assert_close(
        tsfm_outputs(model, posed(windows())), reference_outputs(reference, longer), rtol=0, atol=1e-5
    )


def test_the_reference_drops_the_oldest_steps_of_a_context_that_is_not_a_multiple_of_the_stride() -> None:
    """Given a context without them, tsfm agrees; without scaling, since the reference scales by those steps too."""
    model = tsfm_model(scaler="none").eval()
    reference = reference_model(model, scaling=None, context_length=CONTEXT + 2).eval()
    longer = torch.cat([torch.randn(BATCH, CHANNELS, 2), windows()], dim=-1)
    torch.testing.assert_close(
        tsfm_outputs(model, posed(windows())), reference_outputs(reference, longer), rtol=0, atol=1e-5
    )


def test_missing_steps_agree_if_the_reference_gets_the_mean_there() -> None:
    model = tsfm_model().eval()
    observed = torch.rand(BATCH, CHANNELS, CONTEXT, generator=torch.Generator().manual_seed(3)) < 0.8
    observed[..., 0] = True  # a first patch without observed steps would be padding
    context = torch.where(observed, windows(), 0.0)
    mean = context.sum(dim=-1, keepdim=True) / observed.sum(dim=-1, keepdim=True)
    result = tsfm_outputs(model, posed(context, observed))
    expected = reference_outputs(reference_model(model).eval(), torch.where(observed, context, mean), observed)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
