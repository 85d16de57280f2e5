"""Attention in float64 agrees with the formulas of its papers, forward and backward.

N rows, P tokens, D width, h heads, K head width. The references use no mask, no fused product and no view; they are
written from arXiv:1706.03762, eq. 1 and section 3.2.2, and arXiv:2104.09864, section 3.2.
"""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from tsfm.model.mixing import GroupAttention
from tsfm.nn.attention import Attention, key_mask

ROWS, TOKENS, WIDTH, HEADS = 3, 9, 16, 2
EXACT, ANGLES = 1e-12, 1e-6  # rotary angles are float32 in every dtype
CASES = list(product((False, True), repeat=4))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotated_pairs(x: Tensor) -> Tensor:
    """Token m as complex numbers, pair i rotated by m theta_i with theta_i = 10000^(-2i/K) (eq. 34; the pair is
    (x[i], x[i + K/2]), a permutation of the paper's neighbours, which does not change scores)."""
    half = x.shape[-1] // 2
    theta = 10_000.0 ** (-2.0 * torch.arange(half, dtype=torch.float64) / x.shape[-1])
    turn = torch.exp(1j * torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * theta)
    pairs = torch.complex(x[..., :half], x[..., half:]) * turn
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def unit(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


def reference(layer: Attention, x: Tensor, allowed: Tensor) -> Tensor:
    """Concat(head_1 .. head_h) W_O with head_i = softmax(Q K' / sqrt(K)) V, over the tokens that a query may see."""
    size = x.shape[-1] // layer.heads
    maps, shifts = layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)
    heads = []
    for head in range(layer.heads):
        own = slice(head * size, (head + 1) * size)
        q, k, v = (x @ weight[own].T + shift[own] for weight, shift in zip(maps, shifts, strict=True))
        if isinstance(layer.norm_q, nn.RMSNorm):
            q, k = unit(q, layer.norm_q.weight), unit(k, layer.norm_k.weight)
        if layer.rotary:
            q, k = rotated_pairs(q), rotated_pairs(k)
        score = torch.exp(q @ k.transpose(-1, -2) / math.sqrt(size)) * allowed
        heads.append(score / score.sum(dim=-1, keepdim=True) @ v)
    return torch.cat(heads, dim=-1) @ layer.out.weight.T + layer.out.bias


def gradients(y: Tensor, layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Of one loss by the input and by every weight."""
    loss = (y * draw(*y.shape, seed=5)).sum()
    return list(torch.autograd.grad(loss, [x, *layer.parameters()]))


def varied(layer: nn.Module) -> nn.Module:
    """Return the layer with weights of norms that are not one."""
    with torch.no_grad():
        for key, tensor in layer.named_parameters():
            if "norm" in key:
                tensor.uniform_(0.5, 1.5)
    return layer.double()


@pytest.mark.parametrize(("padded", "causal", "rotary", "qk_norm"), CASES)
def test_attention_and_its_gradients_are_those_of_the_formula(
    padded: bool, causal: bool, rotary: bool, qk_norm: bool
) -> None:
    torch.manual_seed(0)
    layer = varied(Attention(WIDTH, heads=HEADS, rotary=rotary, qk_norm=qk_norm, causal=causal, dropout=0.0))
    assert isinstance(layer, Attention)
    valid = torch.ones(ROWS, TOKENS, dtype=torch.bool)
    if padded:
        valid[0, :4] = False
        valid[1] = False  # each token attends to itself only
    allowed = valid[:, None, :] | torch.eye(TOKENS, dtype=torch.bool)
    allowed = allowed.tril() if causal else allowed
    x = draw(ROWS, TOKENS, WIDTH).requires_grad_()
    output, expected = layer(x, key_mask(valid, causal=causal)), reference(layer, x, allowed)
    tolerance = ANGLES if rotary else EXACT
    torch.testing.assert_close(output, expected, rtol=tolerance, atol=tolerance)
    for gradient, expected_gradient in zip(gradients(output, layer, x), gradients(expected, layer, x), strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("padded", [False, True])
def test_group_attention_is_attention_over_the_channels_of_one_item_and_patch(padded: bool) -> None:
    """Item by item and patch by patch, computed from the tokens of that item and patch alone."""
    batch, channels, patches = 2, 5, 3
    torch.manual_seed(0)
    group = GroupAttention(WIDTH, heads=HEADS).double()
    valid = torch.ones(batch, channels, patches, dtype=torch.bool)
    if padded:
        valid[0, 1, :2] = False
        valid[1, 3:, 0] = False
    x = draw(batch, channels, patches, WIDTH).requires_grad_()
    output = group(x, valid)
    rows = []
    for item in range(batch):
        allowed = [
            valid[item, :, p].expand(channels, -1) | torch.eye(channels, dtype=torch.bool) for p in range(patches)
        ]
        tokens = [reference(group.attention, x[item, :, p], allowed[p]) for p in range(patches)]
        rows.append(torch.stack(tokens, dim=1))
    expected = torch.stack(rows)
    torch.testing.assert_close(output, expected, rtol=EXACT, atol=EXACT)
    for gradient, expected_gradient in zip(gradients(output, group, x), gradients(expected, group, x), strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=EXACT, atol=EXACT)


def test_the_rotary_code_of_the_reference_is_the_matrix_of_the_paper() -> None:
    """Eq. 15 as blocks of cos and sin over neighbours, permuted, which agrees with the complex form above."""
    x, size = draw(TOKENS, 8), 8
    order = torch.arange(size).view(2, size // 2).T.flatten()  # halves to neighbours
    for position in range(TOKENS):
        blocks = []
        for pair in range(size // 2):
            angle = position * 10_000.0 ** (-2 * pair / size)
            cos, sin = math.cos(angle), math.sin(angle)
            blocks.append(torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64))
        rotated = torch.block_diag(*blocks) @ x[position, order]
        torch.testing.assert_close(rotated_pairs(x)[position, order], rotated, rtol=EXACT, atol=EXACT)
