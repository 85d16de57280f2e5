"""Laws of dropout: its rate, its mean, its independence and its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tsfm.nn.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_dropout_drops_its_rate_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    y = Dropout(rate).train()(torch.ones(400_000))
    sigma = math.sqrt(rate * (1 - rate) / y.numel())
    assert abs((y == 0).double().mean() - rate) < 5 * sigma
    assert y.unique().numel() == 2
    assert y.max().item() == pytest.approx(1 / (1 - rate), rel=1e-3)  # the rate is rounded to 2^-16
    assert abs(y.double().mean() - 1) < 5 * sigma / (1 - rate)


def test_dropout_draws_independently() -> None:
    """Four draws share a random 64-bit number: neighbours must be independent."""
    torch.manual_seed(0)
    dropped = (Dropout(0.5).train()(torch.ones(400_000)) == 0).double() - 0.5
    for lag in range(1, 9):
        assert abs((dropped[:-lag] * dropped[lag:]).mean()) < 5 * 0.25 / math.sqrt(len(dropped))


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (2, 3, 1, 9), (0,), ()])
def test_dropout_keeps_shape_and_its_gradient_is_its_mask(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.full(shape, 2.0, requires_grad=True)
    y = Dropout(0.4).train()(x)
    y.sum().backward()
    assert y.shape == x.shape
    assert x.grad is not None
    torch.testing.assert_close(x.grad * 2.0, y.detach())


def test_dropout_in_eval_and_at_rate_0_is_the_identity() -> None:
    x = torch.randn(100)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0).train()(x), x)


@pytest.mark.parametrize("rate", [0.999999, 1.0])
def test_dropout_of_everything_gives_0(rate: float) -> None:
    assert torch.equal(Dropout(rate).train()(torch.ones(50)), torch.zeros(50))


def test_dropout_depends_on_the_seed_only() -> None:
    x, layer = torch.ones(1001), Dropout(0.5).train()
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_dropout_agrees_with_torch_in_distribution_and_dtype() -> None:
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        y, expected = (layer(0.25).train()(torch.ones(100_000, dtype=dtype)) for layer in (Dropout, nn.Dropout))
        assert y.dtype == expected.dtype == dtype
        assert y.max().item() == pytest.approx(expected.max().item(), rel=1e-3)
        assert (y == 0).double().mean().item() == pytest.approx((expected == 0).double().mean().item(), abs=0.01)
