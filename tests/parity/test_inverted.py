"""The inverted transformer agrees with a float64 transcription of its paper (arXiv:2310.06625).

B batch, C variates, T lookback, H horizon, D width, h heads. The transcription uses the weights by name, and
only sums, products and exponentials. Two details are not in the paper's equations and are as in its code: the standard
deviation is biased, and the activation is the exact GELU. The code adds 1e-5 to the variance where tsfm has a smallest
scale, which no series here reaches.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS
from tsfm.types import Problem

BATCH, CONTEXT, HORIZON, WIDTH, NUM_HEADS, DEPTH = 3, 24, 10, 16, 4, 2
Weights = dict[str, Tensor]


def inverted_model(*, channels: int | None = None, seed: int = 7) -> Model:
    torch.manual_seed(seed)
    settings = {
        "name": "inverted",
        "depth": DEPTH,
        "heads": NUM_HEADS,
        "hidden": 20,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    }
    model = Model(
        ModelConfig(
            context=CONTEXT,
            horizon=HORIZON,
            channels=channels,
            width=WIDTH,
            patch=CONTEXT,
            stride=CONTEXT,
            embed="linear",
        ),
        scaler=SCALERS.config({"name": "standard"}),
        backbone=BACKBONES.config(settings),
        head=HEADS.config({"name": "flatten"}),
    )
    with torch.no_grad():  # weights of norms that are not 0 and 1
        for key, tensor in model.named_parameters():
            if "norm" in key:
                tensor.uniform_(0.5, 1.5)
    return model


def affine(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    """Over the features of each variate token (eq. 2)."""
    mean = x.sum(dim=-1, keepdim=True) / x.shape[-1]
    variance = (x - mean).square().sum(dim=-1, keepdim=True) / x.shape[-1]
    return (x - mean) / (variance + 1e-5).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attend(weights: Weights, name: str, tokens: Tensor) -> Tensor:
    """Self-attention with variates as tokens: A_ij of q_i' k_j / sqrt(d_k), then the weighted sum of values."""
    q, k, v = affine(weights, f"{name}.qkv", tokens).chunk(3, dim=-1)
    size, outputs = WIDTH // NUM_HEADS, []
    for head in range(NUM_HEADS):
        own = slice(head * size, (head + 1) * size)
        score = torch.exp(torch.einsum("bid,bjd->bij", q[..., own], k[..., own]) / math.sqrt(size))
        outputs.append(torch.einsum("bij,bjd->bid", score / score.sum(dim=-1, keepdim=True), v[..., own]))
    return affine(weights, f"{name}.out", torch.cat(outputs, dim=-1))


def paper(weights: Weights, lookback: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens [B, C, D] after the last norm and the forecast [B, C, H] (algorithm 1 and eq. 1)."""
    mean = lookback.sum(dim=-1, keepdim=True) / lookback.shape[-1]
    scale = ((lookback - mean).square().sum(dim=-1, keepdim=True) / lookback.shape[-1]).sqrt()
    tokens = affine(weights, "patching.project", (lookback - mean) / scale)  # the whole series of a variate
    for block in (f"backbone.blocks.{number}" for number in range(DEPTH)):
        tokens = layer_norm(weights, f"{block}.norm_attention", tokens + attend(weights, f"{block}.attention", tokens))
        inner = affine(weights, f"{block}.feed.up", tokens)
        inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
        tokens = layer_norm(weights, f"{block}.norm_feed", tokens + affine(weights, f"{block}.feed.down", inner))
    tokens = layer_norm(weights, "backbone.norm", tokens)
    return tokens, affine(weights, "head.linear", tokens) * scale + mean


def windows(channels: int) -> Tensor:
    level = torch.arange(channels)[:, None]
    noise = torch.randn(BATCH, channels, CONTEXT, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return 5.0 * level + (1.0 + level) * noise


def posed(context: Tensor) -> Problem:
    values = torch.cat([context, torch.zeros(*context.shape[:2], HORIZON, dtype=context.dtype)], dim=-1)
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[..., CONTEXT:] = False
    return Problem(values=values, visible=visible, wanted=~visible)


def exact(model: Model) -> Weights:
    return {key: tensor.double() for key, tensor in model.state_dict().items()}


@pytest.mark.parametrize("channels", [1, 4, 13])
def test_the_model_is_the_paper_in_float32(channels: int) -> None:
    """The same weights work for any number of variates."""
    model = inverted_model().eval()
    context = windows(channels)
    answer = model(posed(context.float()))
    tokens, forecast = paper(exact(model), context)
    assert forecast.std() > 0.5
    scale = context.std(dim=-1, keepdim=True)  # the tolerance is in units of each series' own scale
    torch.testing.assert_close(answer.hidden[:, :, 0].double(), tokens, rtol=0, atol=1e-5)
    output = answer.prediction[..., -HORIZON:, 0].double()
    torch.testing.assert_close(output / scale, forecast / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 4, 13])
def test_tokens_are_the_paper_in_float64(channels: int) -> None:
    model = inverted_model().double().eval()
    answer = model(posed(windows(channels)))
    tokens, forecast = paper(exact(model), windows(channels))
    torch.testing.assert_close(answer.hidden[:, :, 0], tokens, rtol=0, atol=1e-10)
    valid = torch.ones(answer.hidden.shape[:3], dtype=torch.bool)
    forecast_in_float64 = (
        model.head(answer.hidden, valid)[..., 0] * answer.scale + answer.loc
    )  # Model converts predictions to float32
    torch.testing.assert_close(forecast_in_float64, forecast, rtol=0, atol=1e-10)


def test_gradients_are_those_of_the_paper() -> None:
    """Of a loss by the window and by every weight; the statistics of the window are part of the graph in both."""
    model = inverted_model().double().train()
    x, reference_x = windows(4).requires_grad_(), windows(4).requires_grad_()
    weights = {key: tensor.detach().clone().requires_grad_() for key, tensor in model.state_dict().items()}
    target = torch.randn(BATCH, 4, HORIZON, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    answer = model(posed(x))
    valid = torch.ones(answer.hidden.shape[:3], dtype=torch.bool)
    (model.head(answer.hidden, valid)[..., 0] * answer.scale + answer.loc - target).square().mean().backward()
    (paper(weights, reference_x)[1] - target).square().mean().backward()
    assert x.grad is not None
    assert reference_x.grad is not None
    torch.testing.assert_close(x.grad, reference_x.grad, rtol=0, atol=1e-10)
    for key, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[key].grad, rtol=0, atol=1e-10)


def test_a_model_trained_on_some_variates_works_for_other_numbers_of_them() -> None:
    """One optimiser step on 4 variates, then 2 and 9: the model agrees with the paper with its new weights."""
    model = inverted_model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    before = exact(model)
    model(posed(windows(4).float())).prediction[..., -HORIZON:, :].square().mean().backward()
    optimizer.step()
    after = exact(model)
    assert any(not torch.equal(before[key], after[key]) for key in before)
    for channels in (2, 9):
        output = model.eval()(posed(windows(channels).float())).hidden[:, :, 0].double()
        torch.testing.assert_close(output, paper(after, windows(channels))[0], rtol=0, atol=1e-5)
