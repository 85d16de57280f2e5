"""The selective scan of Mamba-2 (SSD, arXiv:2405.21060): a linear recurrence over tokens, as matrix products.

N rows, P tokens, h heads, K head width, G groups of heads, J SSM state.

Per head, with one decay rate a < 0 and the step dt_t >= 0 (eq. 1-2, discretised as mamba_ssm does: dt multiplies both
the rate and the input):

    state_t = exp(dt_t a) state_{t-1} + dt_t x_t b_t^T        state [K, J]
    y_t     = state_t c_t

The heads of a group share b and c. A token with dt = 0 leaves the state as it is. There is no skip term here.
Decays, their sums and the states are float32 even under autocast: a product over a thousand steps of decays near 1
is lost in the 8 bits of bf16. The matrix products follow the dtype of x, and autocast.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from tsfm.nn.cells import FAINT, ReadCells, decay_of, pass_states

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger("tsfm")
CHUNK = 64  # tokens; of 16, 32, 64, 128 the fastest on a CPU at a state of 128; at 32 it is a sixth behind 32


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
    """The output and the last state, by the fastest path of this machine."""
    # the kernel knows no float64, and torch.compile cannot look into it
    if x.is_cuda and x.dtype != torch.float64 and not torch.compiler.is_compiling():
        run, why = find_kernel()
        _say_once(why)
        if run is not None:
            return _scan_kernel(run, x, dt, a, b, c, state=state)
    return scan_chunked(x, dt, a, b, c, chunk=chunk, state=state)


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
    """Attention with decay inside each chunk, a state from chunk to chunk (arXiv:2405.21060, section 6)."""
    rows, tokens, heads, width = x.shape
    groups, states = b.shape[2:]
    exact = torch.promote_types(x.dtype, torch.float32)
    chunk = min(chunk, tokens)
    if rest := -tokens % chunk:  # tokens with dt = 0 change nothing
        x, b, c = (F.pad(t, (0, 0, 0, 0, 0, rest)) for t in (x, b, c))
        dt = F.pad(dt, (0, 0, 0, rest))
    dt = dt.to(exact)
    # a decay below exp(FAINT) counts as 0 anyway, and a larger fall would take the digits of the sums after it
    fall = (dt * a.to(exact)).clamp_min(2 * FAINT)
    fall = rearrange(fall, "n (u l) (g h) -> (n u g) l h", l=chunk, g=groups).cumsum(1)
    dt = rearrange(dt, "n (u l) (g h) -> (n u g) l h", l=chunk, g=groups)
    x = rearrange(x, "n (u l) (g h) k -> (n u g) l h k", l=chunk, g=groups)
    b, c = (rearrange(t.to(x.dtype), "n (u l) g j -> (n u g) l j", l=chunk) for t in (b, c))

    # what each chunk leaves behind, and what it therefore finds
    reach = (dt * decay_of(fall[:, -1:] - fall)).to(x.dtype)
    left = (x * reach[..., None]).flatten(2).transpose(1, 2) @ b
    left = left.to(exact).view(rows, -1, heads, width, states)
    before, last = pass_states(left, decay_of(fall[:, -1]).view(rows, -1, heads), state)
    if before is not None:
        before = before.to(x.dtype).reshape(c.shape[0], -1, states)
    y = ReadCells.apply(x, dt, fall, b, c, before)
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
    """The definition, token by token."""
    exact = torch.promote_types(x.dtype, torch.float32)
    if state is None:
        state = x.new_zeros(x.shape[0], *x.shape[2:], b.shape[-1], dtype=exact)
    out = []
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
    """One token: the output and the next state."""
    heads = x.shape[1] // b.shape[1]
    dt = dt.to(state.dtype)
    b, c = (t.to(state.dtype).repeat_interleave(heads, dim=1) for t in (b, c))
    state = state * (dt * a.to(state.dtype)).exp()[..., None, None] + (dt[..., None] * x)[..., None] * b[:, :, None]
    return (state * c[:, :, None]).sum(-1).to(x.dtype), state


@cache
def find_kernel() -> tuple[Callable[..., Any] | None, str]:
    """mamba_ssm's SSD kernel or None, and a line that says which path runs and why."""
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined
    except Exception as error:  # foreign compiled code: it fails in more ways than ImportError
        return None, f"scan: chunked matmul in PyTorch (mamba_ssm does not import: {error})"
    elsewhere = "chunked matmul in PyTorch on a CPU, in float64 and under torch.compile"
    return mamba_chunk_scan_combined, f"scan: mamba_ssm's SSD kernel on CUDA; {elsewhere}"


@cache
def _say_once(line: str) -> None:
    log.info(line)


def _scan_kernel(
    run: Callable[..., Any], x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, *, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """mamba_ssm.ops.triton.ssd_combined, v2.2 and v2.3: the same recurrence, dt_softplus off because dt is given as it
    acts. It takes one dtype for x, b and c and float32 for the decays; float32 products run in TF32. Its chunks are its
    own: up to the 256 tokens of its authors' module, at least the 64 of their tests."""
    chunk = min(256, max(64, 1 << (x.shape[1] - 1).bit_length()))
    return run(
        x.contiguous(),
        dt.float().contiguous(),
        a.float(),
        b.to(x.dtype).contiguous(),
        c.to(x.dtype).contiguous(),
        chunk_size=chunk,
        initial_states=None if state is None else state.float(),
        return_final_states=True,
    )
