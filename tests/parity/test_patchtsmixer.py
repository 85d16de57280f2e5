"""Our mixer beside transformers' PatchTSMixer, our random weights mapped onto theirs one for one.

What differs and how it is met: their scaler adds 1e-5 to the variance where ours has a floor for the scale, so it is
set to 0; of a context that the stride does not fill they drop the oldest steps where we pad them with hidden ones, so
the contexts compared are filled; they drop values before the flattened forecast head unless told otherwise, as we do.
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


def ours(*, mode: str, norm: str, gated: bool, max_patches: int = 0, scaler: str = "standard") -> Model:
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
    with torch.no_grad():  # norms away from their start at ones and zeros, so that a swapped pair would show
        for key, tensor in model.backbone.state_dict().items():
            if "norm" in key and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return model


def theirs(model: Model, *, mode: str, norm: str, gated: bool, **changes: Any) -> Any:
    """transformers' PatchTSMixerForPrediction of the same shape, with our weights."""
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
    """Our state under their names. Strict loading shows that nothing is left over on either side."""
    parts = {"channels": "channel_feature_mixer", "patches": "patch_mixer", "features": "feature_mixer"}
    layers = {"up": "mlp.fc1", "down": "mlp.fc2", "gate": "gating_block.attn_layer"}
    named = {}
    for key, tensor in model.state_dict().items():
        room, _, rest = key.partition(".")
        if room == "patching":
            named[f"model.encoder.patcher.{rest.removeprefix('project.')}"] = tensor
        elif room == "head":
            named[f"head.base_forecast_block.{rest.removeprefix('linear.')}"] = tensor
        else:
            _, block, part, *tail = rest.split(".")
            kind, _, axis = part.partition("_")
            inner = ["norm.norm", *(["batchnorm"] if norm == "batch" else [])]
            inner = inner if kind == "norm" else [layers[tail.pop(0)]]
            named[".".join(["model.encoder.mlp_mixer_encoder.mixers", block, parts[axis], *inner, *tail])] = tensor
    return named


def windows() -> Tensor:
    return 3.0 + 2.0 * torch.randn(BATCH, CHANNELS, CONTEXT, generator=torch.Generator().manual_seed(1))


def posed(context: Tensor) -> Problem:
    values = torch.cat([context, torch.zeros(*context.shape[:2], HORIZON)], dim=-1)
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[..., CONTEXT:] = False
    return Problem(values=values, visible=visible, wanted=~visible)


def both(model: Model, reference: nn.Module, context: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(hidden, forecast) of ours and theirs, the forecast as [batch, channels, horizon]."""
    answer, said = model(posed(context)), reference(past_values=context.transpose(1, 2))
    mine = (answer.hidden, answer.prediction[..., -HORIZON:, 0])
    return mine, (said.last_hidden_state, said.prediction_outputs.transpose(1, 2))


@SETTINGS
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_hidden_states_and_forecasts_agree(mode: str, norm: str, gated: bool, training: bool) -> None:
    model = ours(mode=mode, norm=norm, gated=gated)
    reference = theirs(model, mode=mode, norm=norm, gated=gated)
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
    model = ours(mode=mode, norm=norm, gated=gated).train()
    reference = theirs(model, mode=mode, norm=norm, gated=gated).train()
    mine, other = windows().requires_grad_(), windows().requires_grad_()
    (_, forecast), _ = both(model, reference, mine)
    _, (_, their_forecast) = both(model, reference, other)
    target = torch.randn(forecast.shape, generator=torch.Generator().manual_seed(2))
    (forecast - target).square().mean().backward()
    (their_forecast - target).square().mean().backward()
    assert mine.grad is not None
    assert other.grad is not None
    assert mine.grad.abs().max() > 1e-3
    torch.testing.assert_close(mine.grad, other.grad, rtol=0, atol=1e-4)
    for key, parameter in model.named_parameters():
        parameter.data = parameter.grad  # read the gradients under their names by the same map as the weights
        assert parameter.data is not None, key
    found = mapped(model, norm=norm)
    for key, parameter in reference.named_parameters():
        torch.testing.assert_close(found[key], parameter.grad, rtol=1e-4, atol=1e-4)


def test_the_free_length_arrangement_of_a_full_window_is_the_fixed_one() -> None:
    """So parity holds for it as well, where the window has as many patches as it may have at most."""
    settings = {"mode": "mix_channel", "norm": "layer", "gated": True}
    fixed = ours(**settings).eval()
    free = ours(**settings, max_patches=fixed.backbone.max_patches).eval()
    assert not free.backbone.fixed_length
    assert torch.equal(fixed(posed(windows())).hidden, free(posed(windows())).hidden)


def test_of_a_context_that_the_stride_does_not_fill_they_drop_the_oldest_steps() -> None:
    """So given a context without them, ours says the same; unscaled, as their scaler still counts those steps."""
    settings = {"mode": "common_channel", "norm": "layer", "gated": True}
    model = ours(**settings, scaler="none").eval()
    reference = theirs(model, **settings, scaling=None, context_length=CONTEXT + 2).eval()
    oldest = torch.randn(BATCH, CHANNELS, 2)
    mine, _ = both(model, theirs(model, **settings), windows())
    said = reference(past_values=torch.cat([oldest, windows()], dim=-1).transpose(1, 2))
    torch.testing.assert_close(mine[1], said.prediction_outputs.transpose(1, 2), rtol=0, atol=1e-5)
