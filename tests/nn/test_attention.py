"""Laws of attention and of rotary positions, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tsfm.nn.attention import Attention, key_mask, rotate

ROWS, TOKENS, WIDTH, HEADS = 3, 7, 12, 2


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotated(x: Tensor) -> Tensor:
    """Rotary positions as complex numbers (arXiv:2104.09864, section 3.2), with the angles p 10^(-8i/K)."""
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half], x[..., half:])
    angle = torch.arange(x.shape[-2])[:, None] * 10_000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / (2 * half))
    y = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([y.real, y.imag], dim=-1)


def rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


def plain_attention(layer: Attention, x: Tensor, allowed: Tensor) -> Tensor:
    """Row by row and head by head: softmax(q k' / sqrt(K)) v over the tokens that a query may attend to."""
    rows, count, width = x.shape
    size = width // layer.heads
    projected = x @ layer.qkv.weight.T + layer.qkv.bias
    y = torch.zeros_like(x)
    for row in range(rows):
        for head in range(layer.heads):
            q, k, v = (projected[row, :, i * width + head * size :][:, :size] for i in range(3))
            if isinstance(layer.norm_q, nn.RMSNorm):
                q, k = rms(q), rms(k)
            if layer.rotary:
                q, k = rotated(q), rotated(k)
            for query in range(count):
                score = torch.exp(k @ q[query] / math.sqrt(size)) * allowed[row, query]
                y[row, query, head * size :][:size] = (score / score.sum()) @ v
    return y @ layer.out.weight.T + layer.out.bias


@pytest.mark.parametrize("hidden_keys", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("rotary", "qk_norm"), [(False, False), (True, False), (True, True)])
def test_attention_is_the_softmax_of_the_formula(hidden_keys: bool, causal: bool, rotary: bool, qk_norm: bool) -> None:
    torch.manual_seed(0)
    layer = Attention(WIDTH, heads=HEADS, rotary=rotary, qk_norm=qk_norm, causal=causal, dropout=0.0).double()
    x, valid = tokens(ROWS, TOKENS, WIDTH), torch.ones(ROWS, TOKENS, dtype=torch.bool)
    if hidden_keys:
        valid[0, :3] = False
        valid[1] = False  # each token attends to itself only
    allowed = valid[:, None, :] | torch.eye(TOKENS, dtype=torch.bool)
    if causal:
        allowed = allowed & torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    output = layer(x, key_mask(valid, causal=causal))
    expected = plain_attention(layer, x, allowed.double())
    torch.testing.assert_close(output, expected, rtol=1e-6, atol=1e-7)  # the angles of rotate are float32


def test_without_a_mask_the_output_equals_that_with_a_full_mask() -> None:
    """With `valid` all True another path through SDPA is taken; both agree."""
    x, valid = tokens(ROWS, TOKENS, WIDTH), torch.ones(ROWS, TOKENS, dtype=torch.bool)
    for causal in (False, True):
        layer = Attention(WIDTH, heads=HEADS, rotary=True, qk_norm=False, causal=causal, dropout=0.0).double()
        assert key_mask(valid, causal=causal) is None
        full = torch.ones(ROWS, 1, TOKENS, TOKENS, dtype=torch.bool)
        torch.testing.assert_close(layer(x, None), layer(x, full.tril() if causal else full))


def test_a_token_that_is_not_valid_has_no_effect_on_others() -> None:
    layer = Attention(WIDTH, heads=HEADS, rotary=True, qk_norm=False, causal=False, dropout=0.0).double()
    x, valid = tokens(ROWS, TOKENS, WIDTH), torch.ones(ROWS, TOKENS, dtype=torch.bool)
    valid[:, :2] = False
    poked = x.clone()
    poked[:, :2] = 1e3
    mask = key_mask(valid, causal=False)
    assert torch.equal(layer(x, mask)[:, 2:], layer(poked, mask)[:, 2:])


def test_attention_dropout_is_for_training_only() -> None:
    layer = Attention(WIDTH, heads=HEADS, rotary=False, qk_norm=False, causal=False, dropout=0.5).double()
    x = tokens(ROWS, TOKENS, WIDTH)
    torch.manual_seed(0)
    assert not torch.equal(layer.train()(x, None), layer(x, None))
    assert torch.equal(layer.eval()(x, None), layer(x, None))


@pytest.mark.parametrize(
    ("heads", "rotary", "message"), [(5, False, "multiple of heads"), (4, True, "even head width")]
)
def test_heads_that_do_not_divide_are_refused(heads: int, rotary: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Attention(WIDTH, heads=heads, rotary=rotary, qk_norm=False, causal=False, dropout=0.0)


def test_rotary_scores_depend_on_relative_positions_only() -> None:
    q, k = tokens(16), tokens(16, seed=1)
    score = rotate(q.expand(50, 16)) @ rotate(k.expand(50, 16)).T  # score[m, n], the same q and k everywhere
    for shift in range(50):
        diagonal = score.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=2e-5)
    assert score[0].std() > 0.1  # they do depend on relative positions


def test_rotary_is_a_rotation_that_leaves_token_0() -> None:
    x = tokens(4, 300, 8)
    y = rotate(x)
    torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(y[:, 0], x[:, 0])
    torch.testing.assert_close(y, rotated(x), rtol=0, atol=1e-4)


def test_rotary_angles_are_exact_enough_in_bf16() -> None:
    """Angles are computed in float32: at token 1000 a bf16 angle would be wrong by more than a radian."""
    x = tokens(1, 1200, 8)
    rough = rotate(x.bfloat16()).double()
    torch.testing.assert_close(rough[:, -1], rotated(x)[:, -1], rtol=0, atol=0.05)
