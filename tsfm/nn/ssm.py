"""The Mamba-2 block (arXiv:2405.21060, section 7): a gated selective scan over tokens.

N rows, P tokens, D width, h heads, K head width, G groups of heads, J SSM state, I inner width (h K),
W features of the convolution (I + 2 G J), L earlier tokens that the convolution reads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.nn.norms import RMSNorm
from tsfm.nn.scan import CHUNK, scan, scan_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class SSMState(NamedTuple):
    """The state of a block between two tokens: the last inputs of the convolution, and the state of the scan."""

    window: Float[Tensor, "N L W"]
    state: Float[Tensor, "N h K J"]


class CausalConv(nn.Module):
    """A filter for each feature over the current token and the `kernel - 1` before it, zeros before the first."""

    def __init__(self, width: int, *, kernel: int):
        super().__init__()
        bound = 1 / math.sqrt(kernel)
        self.weight = nn.Parameter(torch.empty(width, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "N P W"], window: Float[Tensor, "N L W"] | None = None) -> Tensor:
        """Return the filtered tokens; `window` holds the `kernel - 1` tokens before them, None for zeros."""
        tokens, num_earlier = x.shape[1], self.weight.shape[1] - 1
        x = F.pad(x, (0, 0, num_earlier, 0)) if window is None else torch.cat([window, x], dim=1)
        y = self.bias.to(x.dtype)
        for first, weight in enumerate(self.weight.to(x.dtype).unbind(1)):
            y = torch.addcmul(y, x[:, first : first + tokens], weight)
        return y


class SSM(nn.Module):
    """Projection to gate, input, b, c and dt; causal convolution; scan; gated RMSNorm; output projection.

    Parameters
    ----------
    width, expand
        Features of a token; the inner width is `expand` times that.
    head
        Features that share one decay.
    state, groups
        Numbers that a feature keeps; groups of heads, each with its own b and c.
    conv
        Tokens of the causal convolution; 0 or 1 for none.
    chunk
        As in `scan`.
    dt_range
        Range of the initial steps.

    Raises
    ------
    ValueError
        If `head` does not divide the inner width, or `groups` the number of heads.
    """

    def __init__(
        self,
        width: int,
        *,
        expand: int,
        head: int,
        state: int,
        groups: int = 1,
        conv: int = 4,
        chunk: int = CHUNK,
        dt_range: tuple[float, float] = (1e-3, 1e-1),
    ):
        super().__init__()
        inner = expand * width
        if inner % head:
            raise ValueError(
                f"inner width {expand} x {width} = {inner} is not a multiple of the head width {head}; use "
                f"backbone.head={math.gcd(inner, head)}, or another model.width"
            )
        self.heads, self.head, self.state, self.groups, self.chunk = inner // head, head, state, groups, chunk
        if self.heads % groups:
            raise ValueError(
                f"{self.heads} heads cannot be divided into {groups} groups; use a divisor for backbone.groups"
            )
        self.inner, self.mixed = inner, inner + 2 * groups * state
        self.project = nn.Linear(width, inner + self.mixed + self.heads, bias=False)
        self.conv = CausalConv(self.mixed, kernel=conv) if conv > 1 else None
        # initial dt is log-uniform (arXiv:2312.00752, section 3.6) and initial a uniform in [-16, -1], as in mamba_ssm
        low, high = (math.log(bound) for bound in dt_range)
        dt = torch.exp(low + (high - low) * torch.rand(self.heads))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
        self.a_log = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.norm = RMSNorm(inner, eps=1e-5)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Float[Tensor, "N P D"], valid: Bool[Tensor, "N P"] | None = None) -> Float[Tensor, "N P D"]:
        """Return the outputs; tokens that are not valid (None: all are) have no effect on others, at any position."""
        gate, mixed, dt = self._project(x)
        if valid is not None:
            mixed, dt = (torch.where(valid[..., None], t, 0.0) for t in (mixed, dt))
        x, b, c = self._split(F.silu(self.conv(mixed) if self.conv is not None else mixed))
        y, _ = scan(x, dt, self.rate(), b, c, chunk=self.chunk)
        return self._gate(y, x, gate)

    def start(self, rows: int) -> SSMState:
        """Return the state before the first token of `rows` sequences."""
        num_earlier = self.conv.weight.shape[1] - 1 if self.conv is not None else 0
        like = self.project.weight
        return SSMState(
            window=like.new_zeros(rows, num_earlier, self.mixed),
            state=like.new_zeros(rows, self.heads, self.head, self.state, dtype=torch.float32),
        )

    def step(self, x: Float[Tensor, "N D"], past: SSMState) -> tuple[Float[Tensor, "N D"], SSMState]:
        """Return the output of the next token and the state after it."""
        gate, mixed, dt = self._project(x[:, None])
        window = torch.cat([past.window, mixed.to(past.window.dtype)], dim=1)[:, 1:]
        if self.conv is not None:
            mixed = self.conv(mixed, past.window.to(mixed.dtype))
        x, b, c = self._split(F.silu(mixed))
        y, state = scan_step(x[:, 0], dt[:, 0], b[:, 0], c[:, 0], past.state, a=self.rate())
        return self._gate(y[:, None], x, gate)[:, 0], SSMState(window, state)

    def rate(self) -> Float[Tensor, " h"]:
        """Return the decay rate of each head, negative."""
        return -self.a_log.float().exp()

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gate, mixed, dt = self.project(x).split([self.inner, self.mixed, self.heads], dim=-1)
        # float32: the sum of a thousand dt is the memory of a head, and bf16 has three digits
        return gate, mixed, F.softplus(dt.float() + self.dt_bias.float())

    def _split(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shared = self.groups * self.state
        x, b, c = torch.split(mixed, [self.inner, shared, shared], dim=-1)
        b, c = (rearrange(t, "n p (g j) -> n p g j", g=self.groups) for t in (b, c))
        return rearrange(x, "n p (h k) -> n p h k", h=self.heads), b, c

    def _gate(self, y: Tensor, x: Tensor, gate: Tensor) -> Tensor:
        y = rearrange(y + self.skip.to(x.dtype)[:, None] * x, "n p h k -> n p (h k)")
        return self.out(self.norm(y * F.silu(gate)))
