"""Plain attention, used for few tokens on a CPU, agrees with the fused kernel, and so do its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tsfm.nn import attention
from tsfm.nn.attention import MAX_PLAIN_TOKENS, Attention, key_mask, plain_attention


def triple(tokens: int, *, dtype: torch.dtype = torch.float32, size: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    tensors = [size * torch.randn(3, 2, tokens, 8, generator=generator) for _ in range(3)]
    return [tensor.to(dtype).requires_grad_() for tensor in tensors]


def valid(tokens: int) -> Tensor:
    """A row of valid tokens, one that starts late, and one with gaps."""
    rows = torch.ones(3, tokens, dtype=torch.bool)
    rows[1, : tokens // 2] = False
    rows[2, ::3] = False
    return rows


@pytest.mark.parametrize("tokens", [1, 2, 7, 64, MAX_PLAIN_TOKENS])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [1.0, 4.0])
def test_output_and_gradients_are_those_of_the_fused_kernel(
    tokens: int, causal: bool, masked: bool, size: float
) -> None:
    mask = key_mask(valid(tokens), causal=causal) if masked else None
    plain, fused = triple(tokens, size=size), triple(tokens, size=size)
    output = plain_attention(*plain, mask, causal=causal)
    expected = F.scaled_dot_product_attention(*fused, attn_mask=mask, is_causal=causal and mask is None)
    torch.testing.assert_close(output, expected, atol=1e-5 * size, rtol=1e-5)
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
    (output * direction).sum().backward()
    (expected * direction).sum().backward()
    for a, b in zip(plain, fused, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=2e-5 * size**2, rtol=1e-4)


def test_masked_tokens_cannot_change_any_bit() -> None:
    q, k, v = triple(16)
    mask = key_mask(valid(16), causal=True)
    out = plain_attention(q, k, v, mask, causal=True)
    hidden = ~valid(16)[:, None, :, None]
    poked = [torch.where(hidden, 1e30, tensor) for tensor in (k, v)]
    other = plain_attention(q, *poked, mask, causal=True)
    visible = (~hidden).expand_as(out)
    assert torch.equal(other[visible], out[visible])


@pytest.mark.parametrize("causal", [False, True])
def test_in_bf16_the_softmax_stays_exact(causal: bool) -> None:
    rough = triple(64, dtype=torch.bfloat16)
    exact = [tensor.float() for tensor in rough]
    output = plain_attention(*rough, None, causal=causal)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), plain_attention(*exact, None, causal=causal), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_layer_gives_the_same_output_on_both_paths(
    causal: bool, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = Attention(16, heads=2, rotary=True, qk_norm=True, causal=causal, dropout=0.0)
    x = torch.randn(3, 40, 16)
    mask = key_mask(valid(40), causal=causal) if masked else None
    plain = layer(x, mask)
    monkeypatch.setattr(attention, "MAX_PLAIN_TOKENS", 0)
    torch.testing.assert_close(layer(x, mask), plain, atol=1e-5, rtol=1e-5)


def test_many_tokens_and_dropout_take_the_fused_path(monkeypatch: pytest.MonkeyPatch) -> None:
    num_queries: list[int] = []

    def record(q: Tensor, *_: object, **__: object) -> Tensor:
        num_queries.append(q.shape[-2])
        return torch.zeros_like(q)

    monkeypatch.setattr(attention, "plain_attention", record)
    layer = Attention(16, heads=2, rotary=False, qk_norm=False, causal=False, dropout=0.1).train()
    layer(torch.randn(1, 8, 16), None)  # the kernel applies dropout
    layer.eval()
    layer(torch.randn(1, MAX_PLAIN_TOKENS + 1, 16), None)
    assert num_queries == []
    layer(torch.randn(1, MAX_PLAIN_TOKENS, 16), None)
    assert num_queries == [MAX_PLAIN_TOKENS]
