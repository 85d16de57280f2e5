"""Laws of the layers: each against the formula it comes from. N rows, P tokens, D width, h heads, K head width."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tsfm.nn.attention import Attention, key_mask, rotate
from tsfm.nn.dropout import Dropout
from tsfm.nn.mlp import FeedForward, ResidualMLP
from tsfm.nn.norms import NORMS, RMSNorm, make_norm

ROWS, TOKENS, WIDTH, HEADS = 3, 7, 12, 2


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def turned(x: Tensor) -> Tensor:
    """Rotary positions as complex numbers (arXiv:2104.09864, section 3.2): pair i of token p turned by p 10^(-8i/K)."""
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half], x[..., half:])
    angle = torch.arange(x.shape[-2])[:, None] * 10_000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / (2 * half))
    y = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([y.real, y.imag], dim=-1)


def rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


def plain_attention(layer: Attention, x: Tensor, allowed: Tensor) -> Tensor:
    """Row by row and head by head: softmax(q k' / sqrt(K)) v over the tokens a query may look at."""
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
                q, k = turned(q), turned(k)
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
    x, seen = tokens(ROWS, TOKENS, WIDTH), torch.ones(ROWS, TOKENS, dtype=torch.bool)
    if hidden_keys:
        seen[0, :3] = False
        seen[1] = False  # nothing but itself
    allowed = seen[:, None, :] | torch.eye(TOKENS, dtype=torch.bool)
    if causal:
        allowed = allowed & torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()
    found = layer(x, key_mask(seen, causal=causal))
    expected = plain_attention(layer, x, allowed.double())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)  # the angles of rotate are float32


def test_the_short_cut_without_a_mask_equals_the_mask() -> None:
    """`seen` all True takes another path through SDPA; both say the same."""
    x, seen = tokens(ROWS, TOKENS, WIDTH), torch.ones(ROWS, TOKENS, dtype=torch.bool)
    for causal in (False, True):
        layer = Attention(WIDTH, heads=HEADS, rotary=True, qk_norm=False, causal=causal, dropout=0.0).double()
        assert key_mask(seen, causal=causal) is None
        full = torch.ones(ROWS, 1, TOKENS, TOKENS, dtype=torch.bool)
        torch.testing.assert_close(layer(x, None), layer(x, full.tril() if causal else full))


def test_an_unseen_token_moves_nothing_but_itself() -> None:
    layer = Attention(WIDTH, heads=HEADS, rotary=True, qk_norm=False, causal=False, dropout=0.0).double()
    x, seen = tokens(ROWS, TOKENS, WIDTH), torch.ones(ROWS, TOKENS, dtype=torch.bool)
    seen[:, :2] = False
    poked = x.clone()
    poked[:, :2] = 1e3
    mask = key_mask(seen, causal=False)
    assert torch.equal(layer(x, mask)[:, 2:], layer(poked, mask)[:, 2:])


def test_attention_dropout_is_for_training_only() -> None:
    layer = Attention(WIDTH, heads=HEADS, rotary=False, qk_norm=False, causal=False, dropout=0.5).double()
    x = tokens(ROWS, TOKENS, WIDTH)
    torch.manual_seed(0)
    assert not torch.equal(layer.train()(x, None), layer(x, None))
    assert torch.equal(layer.eval()(x, None), layer(x, None))


@pytest.mark.parametrize(("heads", "rotary", "words"), [(5, False, "multiple of heads"), (4, True, "even head width")])
def test_heads_that_do_not_divide_are_refused(heads: int, rotary: bool, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Attention(WIDTH, heads=heads, rotary=rotary, qk_norm=False, causal=False, dropout=0.0)


def test_rotary_scores_depend_on_relative_positions_only() -> None:
    q, k = tokens(16), tokens(16, seed=1)
    score = rotate(q.expand(50, 16)) @ rotate(k.expand(50, 16)).T  # score[m, n], the same q and k everywhere
    for shift in range(50):
        diagonal = score.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=2e-5)
    assert score[0].std() > 0.1  # and they do depend on those


def test_rotary_is_a_rotation_that_leaves_token_0() -> None:
    x = tokens(4, 300, 8)
    y = rotate(x)
    torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(y[:, 0], x[:, 0])
    torch.testing.assert_close(y, turned(x), rtol=0, atol=1e-4)


def test_rotary_angles_are_exact_enough_in_bf16() -> None:
    """Angles are made in float32: at token 1000 a bf16 angle would be wrong by more than a radian."""
    x = tokens(1, 1200, 8)
    rough = rotate(x.bfloat16()).double()
    torch.testing.assert_close(rough[:, -1], turned(x)[:, -1], rtol=0, atol=0.05)


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
    """Four draws share a 64-bit word: neighbours must know nothing of each other."""
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


def test_dropout_repeats_with_the_seed_only() -> None:
    x, layer = torch.ones(1001), Dropout(0.5).train()
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_dropout_agrees_with_torch_in_distribution_and_dtype() -> None:
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        ours, theirs = (layer(0.25).train()(torch.ones(100_000, dtype=dtype)) for layer in (Dropout, nn.Dropout))
        assert ours.dtype == theirs.dtype == dtype
        assert ours.max().item() == pytest.approx(theirs.max().item(), rel=1e-3)
        assert (ours == 0).double().mean().item() == pytest.approx((theirs == 0).double().mean().item(), abs=0.01)


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_those_of_torch(name: str) -> None:
    x = tokens(4, 3, 10, 6) * 5 + 2
    found = make_norm(name, 6).double().train()(x)
    if name == "batch":
        expected = nn.BatchNorm1d(6).double().train()(x.flatten(0, 2)).view_as(x)
    elif name == "layer":
        expected = nn.functional.layer_norm(x, (6,))
    else:
        expected = rms(x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_batch_norm_remembers_the_mean_of_all_tokens() -> None:
    norm, x = make_norm("batch", 6).double(), tokens(4, 10, 6) + 3
    assert isinstance(norm, nn.BatchNorm1d)
    norm.momentum = 1.0
    norm.train()(x)
    torch.testing.assert_close(norm.running_mean, x.mean(dim=(0, 1)), rtol=1e-6, atol=1e-6)


def test_an_unknown_norm_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown norm 'rsm'; known: batch, layer, rms"):
        make_norm("rsm", 4)


def test_feed_forward_layers_are_their_formulas() -> None:
    x = tokens(5, 6)
    for gated in (False, True):
        layer = FeedForward(6, hidden=4, gated=gated, dropout=0.5).double().eval()
        up = x @ layer.up.weight.T + layer.up.bias
        inner = up[:, :4] * up[:, 4:] * torch.sigmoid(up[:, 4:]) if gated else up * (1 + torch.erf(up / 2**0.5)) / 2
        torch.testing.assert_close(layer(x), inner @ layer.down.weight.T + layer.down.bias)
    layer = ResidualMLP(6, hidden=4, outputs=3).double()
    up = x @ layer.up.weight.T + layer.up.bias
    inner = up * torch.sigmoid(up)
    expected = x @ layer.skip.weight.T + layer.skip.bias + inner @ layer.down.weight.T + layer.down.bias
    torch.testing.assert_close(layer(x), expected)


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
