"""The mixer agrees with PatchTSMixer of transformers, with the same random weights.

Differences, and how the comparison handles them: the reference adds 1e-5 to the variance where tsfm has a smallest
scale, so that is set to 0; of a context that is not a multiple of the stride the reference drops the oldest steps where
tsfm pads with hidden ones, so the contexts are multiples; the reference applies dropout before the flatten head unless
configured otherwise, as tsfm does.
"""

from __future__ import annotations

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
SETTINGS = pytest.mark.parametrize(
    ("mode", "norm", "gated"),
    list(product(("common_channel", "mix_channel"), ("layer", "batch"), (True, False))),
)


def tsfm_model(*, mode: str, norm: str, gated: bool, max_patches: int = 0, scaler: str = "standard") -> Model:
    torch.manual_seed(7)
    settings = {"depth": DEPTH, "norm": norm, "gated": gated, "dropout": 0.0, "max_patches": max_patches}
    model = Model(
        ModelConfig(
            context=CONTEXT, horizon=HORIZON, channels=CHANNELS, width=WIDTH, patch=PATCH, stride=STRIDE, embed="linear"
        ),
        scaler=SCALERS.config({"name": scaler}),
        backbone=BACKBONES.config({"name": "mixer", "channel_mlp": mode == "mix_channel"} | settings),
        head=HEADS.config({"name": "flatten"}),
    )
    with torch.no_grad():  # weights of norms that are not 0 and 1, so that a wrong mapping would fail
        for key, tensor in model.backbone.state_dict().items():
            if "norm" in key and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return model


def reference_model(model: Model, *, mode: str, norm: str, gated: bool, **changes: Any) -> Any:
    """transformers' PatchTSMixerForPrediction of the same shape, with the same weights."""
    settings: dict[str, Any] = {
        "context_length": CONTEXT,
        "prediction_length": HORIZON,
        "num_input_channels": CHANNELS,
        "patch_length": PATCH,
        "patch_stride": STRIDE,
        "d_model": WIDTH,
        "num_layers": DEPTH,
        "expansion_factor": 2,
        "dropout": 0.0,
        "head_dropout": 0.0,
        "mode": mode,
        "gated_attn": gated,
        "norm_mlp": {"layer": "LayerNorm", "batch": "BatchNorm"}[norm],
        "self_attn": False,
        "use_positional_encoding": False,
        "scaling": "std",
        "minimum_scale": 0.0,
    }
    reference = transformers.PatchTSMixerForPrediction(transformers.PatchTSMixerConfig(**(settings | changes)))
    reference.load_state_dict(mapped(model, norm=norm), strict=True)
    return reference


def mapped(model: Model, *, norm: str) -> dict[str, Tensor]:
    """Return the weights under the names of the reference; strict loading shows that none is left over."""
    mixers = {"channels": "channel_feature_mixer", "patches": "patch_mixer", "features": "feature_mixer"}
    layers = {"up": "mlp.fc1", "down": "mlp.fc2", "gate": "gating_block.attn_layer"}
    named = {}
    for key, tensor in model.state_dict().items():
        module, _, rest = key.partition(".")
        if module == "patching":
            named[f"model.encoder.patcher.{rest.removeprefix('project.')}"] = tensor
        elif module == "head":
            named[f"head.base_forecast_block.{rest.removeprefix('linear.')}"] = tensor
        else:
            _, block, layer, *tail = rest.split(".")
            kind, _, axis = layer.partition("_")
            inner = ["norm.norm", *(["batchnorm"] if norm == "batch" else [])]
            inner = inner if kind == "norm" else [layers[tail.pop(0)]]
            named[".".join(["model.encoder.mlp_mixer_encoder.mixers", block, mixers[axis], *inner, *tail])] = tensor
    return named


def windows() -> Tensor:
    return 3.0 + 2.0 * torch.randn(BATCH, CHANNELS, CONTEXT, generator=torch.Generator().manual_seed(1))


def posed(context: Tensor) -> Problem:
    values = torch.cat([context, torch.zeros(*context.shape[:2], HORIZON)], dim=-1)
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[..., CONTEXT:] = False
    return Problem(values=values, visible=visible, wanted=~visible)


def both(model: Model, reference: nn.Module, context: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(hidden, forecast) of the model and of the reference, the forecast as [batch, channels, horizon]."""
    answer, output = model(posed(context)), reference(past_values=context.transpose(1, 2))
    x = (answer.hidden, answer.prediction[..., -HORIZON:, 0])
    return x, (output.last_hidden_state, output.prediction_outputs.transpose(1, 2))


@SETTINGS
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_hidden_states_and_forecasts_agree(mode: str, norm: str, gated: bool, training: bool) -> None:
    model = tsfm_model(mode=mode, norm=norm, gated=gated)
    reference = reference_model(model, mode=mode, norm=norm, gated=gated)
    model.train(training)
    reference.train(training)
    (hidden, forecast), (their_hidden, their_forecast) = both(model, reference, windows())
    assert hidden.std() > 0.1
    torch.testing.assert_close(hidden, their_hidden, rtol=0, atol=1e-5)
    torch.testing.assert_close(forecast, their_forecast, rtol=0, atol=1e-5)
    for key, tensor in mapped(model, norm=norm).items():  # of BatchNorm the running statistics too
        torch.testing.assert_close(tensor, reference.state_dict()[key], rtol=0, atol=1e-6)


@SETTINGS
def test_gradients_agree(mode: str, norm: str, gated: bool) -> None:
    """Of a loss by the window, and by every weight."""
    model = tsfm_model(mode=mode, norm=norm, gated=gated).train()
    reference = reference_model(model, mode=mode, norm=norm, gated=gated).train()
    x, other = windows().requires_grad_(), windows().requires_grad_()
    (_, forecast), _ = both(model, reference, x)
    _, (_, their_forecast) = both(model, reference, other)
    target = torch.randn(forecast.shape, generator=torch.Generator().manual_seed(2))
    (forecast - target).square().mean().backward()
    (their_forecast - target).square().mean().backward()
    assert x.grad is not None
    assert other.grad is not None
    assert x.grad.abs().max() > 1e-3
    torch.testing.assert_close(x.grad, other.grad, rtol=0, atol=1e-4)
    for key, parameter in model.named_parameters():
        parameter.data = parameter.grad  # the gradients get the names of the reference by the same mapping
        assert parameter.data is not None, key
    gradients = mapped(model, norm=norm)
    for key, parameter in reference.named_parameters():
        torch.testing.assert_close(gradients[key], parameter.grad, rtol=1e-4, atol=1e-4)


def test_the_free_length_arrangement_of_a_full_window_is_the_fixed_one() -> None:
    """So parity holds for it too, if the window has the largest number of patches."""
    settings = {"mode": "mix_channel", "norm": "layer", "gated": True}
    fixed = tsfm_model(**settings).eval()
    free = tsfm_model(**settings, max_patches=fixed.backbone.max_patches).eval()
    assert not free.backbone.fixed_length
    assert torch.equal(fixed(posed(windows())).hidden, free(posed(windows())).hidden)


def test_the_reference_drops_the_oldest_steps_of_a_context_that_is_not_a_multiple_of_the_stride() -> None:
    """Given a context without them, tsfm agrees; without scaling, since the reference scales by those steps too."""
    settings = {"mode": "common_channel", "norm": "layer", "gated": True}
    model = tsfm_model(**settings, scaler="none").eval()
    reference = reference_model(model, **settings, scaling=None, context_length=CONTEXT + 2).eval()
    oldest = torch.randn(BATCH, CHANNELS, 2)
    x, _ = both(model, reference_model(model, **settings), windows())
    output = reference(past_values=torch.cat([oldest, windows()], dim=-1).transpose(1, 2))
    torch.testing.assert_close(x[1], output.prediction_outputs.transpose(1, 2), rtol=0, atol=1e-5)
