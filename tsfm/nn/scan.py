"""The selective scan of Mamba-2 (SSD, arXiv:2405.21060): a linear recurrence over tokens, as matrix products.

N rows, P tokens, h heads, K head width, G groups of heads, J SSM state.

Per head, with a decay rate a < 0 and the step dt_t >= 0 (eq. 1-2, discretised as in mamba_ssm: dt multiplies both the
rate and the input):

    state_t = exp(dt_t a) state_{t-1} + dt_t x_t b_t^T        state [K, J]
    y_t     = state_t c_t

The heads of a group share b and c. A token with dt = 0 leaves the state unchanged. There is no skip term here.
Decays, their sums and the states are float32 even under autocast: in the 8 bits of bf16 the product of a thousand
decays near 1 is lost. The matrix products follow the dtype of x, and autocast.

Common arguments: `x` inputs, `dt` steps, `a` decay rates, `b` and `c` input and output maps of the state, `chunk`
tokens of a chunk (only the speed depends on it), `state` the state before the first token (None: zeros).
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of torch leave the types of some results open)

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from tsfm.nn.scan_chunks import MIN_LOG_DECAY, CellOutputs, exp_decay, pass_states
from tsfm.nn.scan_kernels import find_kernel

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger("tsfm")
CHUNK = 64  # tokens; the fastest of 16 to 128 on a CPU with 128 states; with 32 states a sixth slower than 32 tokens


def scan(
    x: Float[Tensor, "N P h K"],
    dt: Float[Tensor, "N P h"],
    a: Float[Tensor, " h"],
    b: Float[Tensor, "N P G J"],
    c: Float[Tensor, "N P G J"],
    *,
    chunk: int = CHUNK,
    state: Float[Tensor, "N h K J"] | None = None,
) -> tuple[Float[Tensor, "N P h K"], Float[Tensor, "N h K J"]]:
    """Return the outputs and the last state, computed by the fastest path of this machine."""
    if _suits_kernel(x):
        kernel, description = find_kernel()
        log_once(description)
        if kernel is not None:
            return kernel(x, dt, a, b, c, state=state)
    return scan_chunked(x, dt, a, b, c, chunk=chunk, state=state)


def _suits_kernel(x: Tensor) -> bool:
    # no kernel has float64, and torch.compile cannot trace one
    return x.is_cuda and x.dtype != torch.float64 and not torch.compiler.is_compiling()


def scan_chunked(
    x: Float[Tensor, "N P h K"],
    dt: Float[Tensor, "N P h"],
    a: Float[Tensor, " h"],
    b: Float[Tensor, "N P G J"],
    c: Float[Tensor, "N P G J"],
    *,
    chunk: int = CHUNK,
    state: Float[Tensor, "N h K J"] | None = None,
) -> tuple[Float[Tensor, "N P h K"], Float[Tensor, "N h K J"]]:
    """Return the same from attention with decay inside each chunk and a state from chunk to chunk.

    References
    ----------
    arXiv:2405.21060, section 6.
    """
    rows, tokens, heads, width = x.shape
    groups, states = b.shape[2:]
    exact = torch.promote_types(x.dtype, torch.float32)
    chunk = min(chunk, tokens)
    if rest := -tokens % chunk:  # tokens with dt = 0 change nothing
        x, b, c = (F.pad(t, (0, 0, 0, 0, 0, rest)) for t in (x, b, c))
        dt = F.pad(dt, (0, 0, 0, rest))
    dt = dt.to(exact)
    # a decay below exp(MIN_LOG_DECAY) counts as 0 anyway, and a larger one would take the digits of the sums after it
    log_decay = (dt * a.to(exact)).clamp_min(2 * MIN_LOG_DECAY)
    log_decay = rearrange(log_decay, "n (u l) (g h) -> (n u g) l h", l=chunk, g=groups).cumsum(1)
    dt = rearrange(dt, "n (u l) (g h) -> (n u g) l h", l=chunk, g=groups)
    x = rearrange(x, "n (u l) (g h) k -> (n u g) l h k", l=chunk, g=groups)
    b, c = (rearrange(t.to(x.dtype), "n (u l) g j -> (n u g) l j", l=chunk) for t in (b, c))

    # what each chunk adds to the state, and the states before the chunks that follow from it
    weight = (dt * exp_decay(log_decay[:, -1:] - log_decay)).to(x.dtype)
    added = (x * weight[..., None]).flatten(2).transpose(1, 2) @ b
    added = added.to(exact).view(rows, -1, heads, width, states)
    before, last = pass_states(added, exp_decay(log_decay[:, -1]).view(rows, -1, heads), state)
    if before is not None:
        before = before.to(x.dtype).reshape(c.shape[0], -1, states)
    y = CellOutputs.apply(x, dt, log_decay, b, c, before)
    return rearrange(y, "(n u g) l h k -> n (u l) (g h) k", n=rows, g=groups)[:, :tokens], last


def scan_sequential(
    x: Float[Tensor, "N P h K"],
    dt: Float[Tensor, "N P h"],
    a: Float[Tensor, " h"],
    b: Float[Tensor, "N P G J"],
    c: Float[Tensor, "N P G J"],
    *,
    state: Float[Tensor, "N h K J"] | None = None,
) -> tuple[Float[Tensor, "N P h K"], Float[Tensor, "N h K J"]]:
    """Return the same token by token, the definition."""
    exact = torch.promote_types(x.dtype, torch.float32)
    if state is None:
        state = x.new_zeros(x.shape[0], *x.shape[2:], b.shape[-1], dtype=exact)
    out: list[Tensor] = []
    for step in zip(x.unbind(1), dt.unbind(1), b.unbind(1), c.unbind(1), strict=True):
        y, state = scan_step(*step, state, a=a)
        out.append(y)
    return torch.stack(out, dim=1), state


def scan_step(
    x: Float[Tensor, "N h K"],
    dt: Float[Tensor, "N h"],
    b: Float[Tensor, "N G J"],
    c: Float[Tensor, "N G J"],
    state: Float[Tensor, "N h K J"],
    *,
    a: Float[Tensor, " h"],
) -> tuple[Float[Tensor, "N h K"], Float[Tensor, "N h K J"]]:
    """Return the output of one token and the next state."""
    heads = x.shape[1] // b.shape[1]
    dt = dt.to(state.dtype)
    b, c = (t.to(state.dtype).repeat_interleave(heads, dim=1) for t in (b, c))
    state = state * (dt * a.to(state.dtype)).exp()[..., None, None] + (dt[..., None] * x)[..., None] * b[:, :, None]
    return (state * c[:, :, None]).sum(-1).to(x.dtype), state


@cache
def log_once(line: str) -> None:
    """Log a line at its first call only."""
    log.info(line)
