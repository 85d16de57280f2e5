"""Multi-head attention over tokens. N rows, P tokens, R queries, D width, h heads, K head width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.nn.norms import RMSNorm
from tsfm.nn.rope import angles, turn

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


FEW = 128  # tokens
ALL = slice(None)


def key_mask(valid: Bool[Tensor, "N P"], *, causal: bool) -> Tensor | None:
    """What each query may look at, [N, 1, P, P]; None when that is everything (or the causal triangle alone).

    A token always sees itself, so a row without a valid key stays finite.
    """
    if not torch.compiler.is_compiling() and bool(valid.all()):
        return None  # the mask costs more than the look at it
    tokens = valid.shape[-1]
    allowed = valid[:, None, None, :] | torch.eye(tokens, dtype=torch.bool, device=valid.device)
    return allowed.tril() if causal else allowed.expand(-1, 1, tokens, tokens)


class Attention(nn.Module):
    """Scaled dot-product attention (arXiv:1706.03762, eq. 1), with rotary positions and QK-norm when asked."""

    def __init__(
        self, width: int, *, heads: int, rotary: bool, qk_norm: bool, causal: bool, dropout: float, bias: bool = True
    ):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}; use heads that divide it")
        if rotary and (width // heads) % 2:
            raise ValueError(f"rotary positions need an even head width; {width} / {heads} = {width // heads}")
        self.heads, self.rotary, self.causal, self.dropout = heads, rotary, causal, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.norm_q = RMSNorm(width // heads, eps=1e-6) if qk_norm else nn.Identity()
        self.norm_k = RMSNorm(width // heads, eps=1e-6) if qk_norm else nn.Identity()

    def forward(self, x: Float[Tensor, "N P D"], mask: Tensor | None, *, only: slice = ALL) -> Float[Tensor, "N R D"]:
        """What the tokens `only` take from all tokens: the same as all of them take, cut to those."""
        # heads are cut off the last axis before they move: the gradient of qkv is then one copy, not a stack and a copy
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(dim=-3)
        q, k, v = self.norm_q(q).transpose(1, 2), self.norm_k(k).transpose(1, 2), v.transpose(1, 2)
        if self.rotary:
            cos, sin = angles(q)
            q, k = turn(q, cos, sin), turn(k, cos, sin)
        if only != ALL:
            assert not self.causal, "the triangle of a causal mask is that of all tokens"
            q, mask = q[:, :, only], None if mask is None else mask[:, :, only]
        if self._is_small(q):
            y = plain_attention(q, k, v, mask, causal=self.causal)
            return self.out(rearrange(y, "n h p k -> n p (h k)"))
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and mask is None,
        )
        return self.out(rearrange(y, "n h p k -> n p (h k)"))

    def _is_small(self, q: Tensor) -> bool:
        """Whether plain matrix products are faster: on a CPU, the backward pass of the fused kernel takes several times
        as long for few tokens."""
        return q.device.type == "cpu" and q.shape[-2] <= FEW and not (self.training and self.dropout)


def plain_attention(
    q: Float[Tensor, "N h R K"],
    k: Float[Tensor, "N h P K"],
    v: Float[Tensor, "N h P K"],
    mask: Tensor | None,
    *,
    causal: bool,
) -> Float[Tensor, "N h R K"]:
    """The definition: softmax(q k' / sqrt(K)) v, the softmax in float32 at least."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if mask is None and causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(v.dtype) @ v
