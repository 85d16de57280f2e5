"""Multi-head attention over tokens, with rotary positions.

N rows, P tokens, R queries, D width, h heads, K head width, M packed tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.nn.norms import RMSNorm
from tsfm.nn.packing import Packing

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MAX_PLAIN_TOKENS = 128  # up to so many tokens, plain matrix products are faster on a CPU
ALL = slice(None)


def key_mask(valid: Bool[Tensor, "N P"], *, causal: bool) -> Tensor | None:
    """Return which keys each query may attend to.

    Parameters
    ----------
    valid
        `[rows, tokens]`, True for tokens that are not padding.
    causal
        Whether a query attends to earlier tokens and itself only.

    Returns
    -------
    Tensor or None
        `[rows, 1, tokens, tokens]`, query before key. A token always attends to itself, so a row without a valid key
        stays finite. None if all tokens are valid; a causal mask is then left to the attention.
    """
    if not torch.compiler.is_compiling() and bool(valid.all()):
        return None  # the check costs less than the mask
    tokens = valid.shape[-1]
    allowed = valid[:, None, None, :] | torch.eye(tokens, dtype=torch.bool, device=valid.device)
    return allowed.tril() if causal else allowed.expand(-1, 1, tokens, tokens)


class Attention(nn.Module):
    """Scaled dot-product attention (arXiv:1706.03762, eq. 1).

    Parameters
    ----------
    width, heads
        Features of a token, and the number of heads that share them.
    rotary
        Whether positions are encoded by `rotate`; the head width must be even.
    qk_norm
        Whether queries and keys are normalised per head (RMSNorm).
    causal, dropout, bias
        As in `key_mask`; of the attention weights; of the linear maps.

    Raises
    ------
    ValueError
        If `heads` does not divide `width`, or the head width is odd and `rotary` is set.
    """

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

    def forward(
        self,
        x: Float[Tensor, "N P D"],
        mask: Tensor | None,
        *,
        queries: slice = ALL,
    ) -> Float[Tensor, "N R D"]:
        """Return the outputs of the tokens `queries`, which attend to all tokens that `mask` allows."""
        # heads are cut off the last axis before they move: the gradient of qkv is then one copy, not a stack and a copy
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(dim=-3)
        q, k, v = self.norm_q(q).transpose(1, 2), self.norm_k(k).transpose(1, 2), v.transpose(1, 2)
        if self.rotary:
            cos, sin = rotary_angles(q)
            q, k = apply_rotation(q, cos, sin), apply_rotation(k, cos, sin)
        if queries != ALL:
            assert not self.causal, "the triangle of a causal mask belongs to all tokens"
            q, mask = q[:, :, queries], None if mask is None else mask[:, :, queries]
        return self.out(rearrange(self._attend(q, k, v, mask), "n h p k -> n p (h k)"))

    def packed(self, x: Float[Tensor, "M D"], mask: Tensor | None, packing: Packing) -> Float[Tensor, "R D"]:
        """Return the outputs of the tokens that are returned; only the attention itself is computed in whole rows."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(dim=-3)
        q, k = self.norm_q(q), self.norm_k(k)
        if self.rotary:
            of_positions = rotary_angles(q.new_empty(packing.num_tokens, q.shape[-1]))
            cos, sin = (angles[packing.positions, None] for angles in of_positions)
            q, k = apply_rotation(q, cos, sin), apply_rotation(k, cos, sin)
        q, k, v = (packing.unpack(tokens).transpose(1, 2) for tokens in (q, k, v))
        return self.out(packing.pack(rearrange(self._attend(q, k, v, mask), "n h p k -> n p (h k)")))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if self._is_small(q):
            return plain_attention(q, k, v, mask, causal=self.causal)
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and mask is None,
        )

    def _is_small(self, q: Tensor) -> bool:
        """Whether plain products are faster: on a CPU the fused backward pass takes several times as long here."""
        return q.device.type == "cpu" and q.shape[-2] <= MAX_PLAIN_TOKENS and not (self.training and self.dropout)


def plain_attention(
    q: Float[Tensor, "N h R K"],
    k: Float[Tensor, "N h P K"],
    v: Float[Tensor, "N h P K"],
    mask: Tensor | None,
    *,
    causal: bool,
) -> Float[Tensor, "N h R K"]:
    """Return softmax(q k' / sqrt(K)) v, the definition, with the softmax in float32 at least."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if mask is None and causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(v.dtype) @ v


def rotate(x: Float[Tensor, "... P K"], *, base: float = 10_000.0) -> Float[Tensor, "... P K"]:
    """Return x with rotary positions: pairs (x[i], x[i + K/2]) of token p turned by the angle p * base^(-2i/K).

    Products of rotated queries and keys then depend on relative positions (RoFormer, arXiv:2104.09864, eq. 34).
    """
    return apply_rotation(x, *rotary_angles(x, base=base))


def rotary_angles(
    x: Float[Tensor, "... P K"], *, base: float = 10_000.0
) -> tuple[Float[Tensor, "P K"], Float[Tensor, "P K"]]:
    """Return the cosine and the signed sine of every token and feature, for tensors of the shape and type of x."""
    tokens, width = x.shape[-2:]
    half = width // 2
    # float32: in bf16 the angle of token 1000 is off by more than a radian
    frequency = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(tokens, device=x.device, dtype=torch.float32)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], dim=-1).to(x.dtype), torch.cat([-sin, sin], dim=-1).to(x.dtype)


def apply_rotation(
    x: Float[Tensor, "... P K"], cos: Float[Tensor, "*angles K"], sin: Float[Tensor, "*angles K"]
) -> Float[Tensor, "... P K"]:
    """Return x rotated by the angles of `rotary_angles`."""
    half = x.shape[-1] // 2
    swapped = torch.cat([x[..., half:], x[..., :half]], dim=-1)
    return torch.addcmul(swapped * sin, x, cos)  # on a CPU half the time of four products of halves
