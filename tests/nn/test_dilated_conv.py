"""The dilated convolution equals that of torch, with gradients and token by token."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tsfm.nn import dilated_conv
from tsfm.nn.dilated_conv import DilatedConv

WIDTH, TOKENS = 5, 11
SHAPES = pytest.mark.parametrize(
    ("kernel", "dilation", "causal"),
    [
        (3, 1, True),
        (3, 4, True),
        (3, 8, True),
        (2, 3, True),
        (3, 16, True),
        (3, 1, False),
        (5, 3, False),
        (3, 16, False),
    ],
)


def convolution(kernel: int, dilation: int, causal: bool) -> DilatedConv:
    torch.manual_seed(0)
    built = DilatedConv(WIDTH, kernel=kernel, dilation=dilation, causal=causal).double()
    torch.nn.init.normal_(built.bias)
    return built


def tokens(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, TOKENS, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@SHAPES
def test_it_is_the_grouped_convolution_of_torch(kernel: int, dilation: int, causal: bool) -> None:
    conv, x = convolution(kernel, dilation, causal), tokens()
    total = dilation * (kernel - 1)
    padded = F.pad(x.transpose(1, 2), (total, 0) if causal else (total // 2, total // 2))
    expected = F.conv1d(padded, conv.weight[:, None], conv.bias, dilation=dilation, groups=WIDTH).transpose(1, 2)
    torch.testing.assert_close(conv(x), expected)


@SHAPES
def test_its_gradients_are_those_of_the_plain_sum(kernel: int, dilation: int, causal: bool) -> None:
    conv, x = convolution(kernel, dilation, causal), tokens().requires_grad_()
    inputs = (x, conv.weight, conv.bias)
    plain = dilated_conv._padded_sum(*inputs, conv.offsets)
    weights = torch.randn(plain.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = torch.autograd.grad((plain * weights).sum(), inputs)
    gradients = torch.autograd.grad((conv(x) * weights).sum(), inputs)
    torch.testing.assert_close(gradients, expected)


@torch.no_grad()
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 4), (2, 3), (3, 16)])
def test_a_stream_is_the_full_pass(kernel: int, dilation: int) -> None:
    conv, x = convolution(kernel, dilation, True), tokens()
    past, outputs = conv.start(len(x)), []
    for token in x.unbind(1):
        y, past = conv.step(token, past)
        outputs.append(y)
    assert past.shape == (len(x), dilation * (kernel - 1), WIDTH)
    torch.testing.assert_close(torch.stack(outputs, dim=1), conv(x))


def test_gradients_of_bf16_tokens_reach_float32_weights() -> None:
    conv = convolution(3, 2, True).float()
    x = tokens().to(torch.bfloat16).requires_grad_()
    y = conv(x)
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    exact = convolution(3, 2, True)
    exact(x.detach().double()).square().sum().backward()
    for name, parameter in conv.named_parameters():
        gradient, expected = parameter.grad, exact.get_parameter(name).grad
        assert gradient is not None
        assert expected is not None
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient.double(), expected, rtol=0.05, atol=0.5)
