"""Laws of the norms: they agree with torch and with their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tsfm.nn.norms import NORMS, RMSNorm, make_norm


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_those_of_torch(name: str) -> None:
    x = tokens(4, 3, 10, 6) * 5 + 2
    output = make_norm(name, 6).double().train()(x)
    if name == "batch":
        expected = nn.BatchNorm1d(6).double().train()(x.flatten(0, 2)).view_as(x)
    elif name == "layer":
        expected = nn.functional.layer_norm(x, (6,))
    else:
        expected = rms(x)
    torch.testing.assert_close(output, expected, rtol=1e-6, atol=1e-6)


def test_batch_norm_keeps_the_mean_of_all_tokens() -> None:
    norm, x = make_norm("batch", 6).double(), tokens(4, 10, 6) + 3
    assert isinstance(norm, nn.BatchNorm1d)
    norm.momentum = 1.0
    norm.train()(x)
    torch.testing.assert_close(norm.running_mean, x.mean(dim=(0, 1)), rtol=1e-6, atol=1e-6)


def test_an_unknown_norm_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown norm 'rsm'; known: batch, layer, rms"):
        make_norm("rsm", 4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 5, 16), (2, 7, 3, 16)])
def test_rms_norm_is_the_same_with_and_without_gradients(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    norm = RMSNorm(16, eps=1e-6).to(torch.float64 if dtype == torch.float64 else torch.float32)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, 16))
    x = torch.randn(shape, dtype=dtype)
    x[0, 0] = 0.0
    slow = norm(x)
    with torch.no_grad():
        fast = norm(x)
    assert fast.dtype == slow.dtype == dtype
    torch.testing.assert_close(fast, slow, rtol=2**-7 if dtype == torch.bfloat16 else 1e-6, atol=1e-6)
