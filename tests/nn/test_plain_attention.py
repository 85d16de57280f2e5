"""The plain matrix products that replace the fused kernel for few tokens say what it says, as do their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tsfm.nn import attention
from tsfm.nn.attention import MAX_PLAIN_TOKENS, Attention, key_mask, plain_attention


def triple(tokens: int, *, dtype: torch.dtype = torch.float32, size: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    parts = [size * torch.randn(3, 2, tokens, 8, generator=generator) for _ in range(3)]
    return [part.to(dtype).requires_grad_() for part in parts]


def seen(tokens: int) -> Tensor:
    """A row of which all is seen, one that begins late, one with holes."""
    rows = torch.ones(3, tokens, dtype=torch.bool)
    rows[1, : tokens // 2] = False
    rows[2, ::3] = False
    return rows


@pytest.mark.parametrize("tokens", [1, 2, 7, 64, MAX_PLAIN_TOKENS])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [1.0, 4.0])
def test_it_is_the_fused_kernel_and_so_are_its_gradients(tokens: int, causal: bool, masked: bool, size: float) -> None:
    mask = key_mask(seen(tokens), causal=causal) if masked else None
    plain, fused = triple(tokens, size=size), triple(tokens, size=size)
    one = plain_attention(*plain, mask, causal=causal)
    two = F.scaled_dot_product_attention(*fused, attn_mask=mask, is_causal=causal and mask is None)
    torch.testing.assert_close(one, two, atol=1e-5 * size, rtol=1e-5)
    direction = torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    (one * direction).sum().backward()
    (two * direction).sum().backward()
    for a, b in zip(plain, fused, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=2e-5 * size**2, rtol=1e-4)


def test_what_the_mask_leaves_out_cannot_change_any_bit() -> None:
    q, k, v = triple(16)
    mask = key_mask(seen(16), causal=True)
    out = plain_attention(q, k, v, mask, causal=True)
    hidden = ~seen(16)[:, None, :, None]
    poked = [torch.where(hidden, 1e30, part) for part in (k, v)]
    other = plain_attention(q, *poked, mask, causal=True)
    visible = (~hidden).expand_as(out)
    assert torch.equal(other[visible], out[visible])


@pytest.mark.parametrize("causal", [False, True])
def test_in_bf16_the_softmax_stays_exact(causal: bool) -> None:
    rough = triple(64, dtype=torch.bfloat16)
    exact = [part.float() for part in rough]
    one = plain_attention(*rough, None, causal=causal)
    assert one.dtype == torch.bfloat16
    torch.testing.assert_close(one.float(), plain_attention(*exact, None, causal=causal), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_layer_answers_alike_on_either_road(causal: bool, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = Attention(16, heads=2, rotary=True, qk_norm=True, causal=causal, dropout=0.0)
    x = torch.randn(3, 40, 16)
    mask = key_mask(seen(40), causal=causal) if masked else None
    short = layer(x, mask)
    monkeypatch.setattr(attention, "MAX_PLAIN_TOKENS", 0)
    torch.testing.assert_close(layer(x, mask), short, atol=1e-5, rtol=1e-5)


def test_many_tokens_and_dropout_take_the_fused_road(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(q: Tensor, *_: object, **__: object) -> Tensor:
        asked.append(q.shape[-2])
        return torch.zeros_like(q)

    monkeypatch.setattr(attention, "plain_attention", refuse)
    layer = Attention(16, heads=2, rotary=False, qk_norm=False, causal=False, dropout=0.1).train()
    layer(torch.randn(1, 8, 16), None)  # dropout is a matter of the kernel
    layer.eval()
    layer(torch.randn(1, MAX_PLAIN_TOKENS + 1, 16), None)
    assert asked == []
    layer(torch.randn(1, MAX_PLAIN_TOKENS, 16), None)
    assert asked == [MAX_PLAIN_TOKENS]
