"""The selective scan of Mamba-2 (SSD, arXiv:2405.21060): a linear recurrence over tokens, as matrix products.

N rows, P tokens, h heads, K head width, G groups of heads, J SSM state; R cells (a chunk of one row and group),
L tokens of a cell, H heads of it, U chunks of a row.

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

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger("tsfm")
CHUNK = 32  # tokens; of 16, 32, 64, 128 the fastest on a CPU for a state of 16 to 64, within a fifth for 128
BLOCK = {"cpu": 2**17, "cuda": 2**27}  # decays at a time: on a CPU what fits in its nearer caches
FAINT = -50.0  # log of a decay that counts as 0: below, products run into denormal numbers, slow on a CPU


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
        run, why = kernel()
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
    fall = rearrange(dt * a.to(exact), "n (u l) (g h) -> (n u g) l h", l=chunk, g=groups).cumsum(1)
    dt = rearrange(dt, "n (u l) (g h) -> (n u g) l h", l=chunk, g=groups)
    x = rearrange(x, "n (u l) (g h) k -> (n u g) l h k", l=chunk, g=groups)
    b, c = (rearrange(t.to(x.dtype), "n (u l) g j -> (n u g) l j", l=chunk) for t in (b, c))

    # what each chunk leaves behind, and what it therefore finds
    reach = (dt * _decay(fall[:, -1:] - fall)).to(x.dtype)
    left = (x * reach[..., None]).flatten(2).transpose(1, 2) @ b
    left = left.to(exact).view(rows, -1, heads, width, states)
    before, last = _pass(left, _decay(fall[:, -1]).view(rows, -1, heads), state)
    if before is not None:
        before = before.to(x.dtype).view(len(c), -1, states)
    y = _Read.apply(x, dt, fall, b, c, before)
    return rearrange(y, "(n u g) l h k -> n (u l) (g h) k", n=rows, g=groups)[:, :tokens], last


def _decay(log_decay: Tensor) -> Tensor:
    return F.threshold(log_decay, FAINT, -torch.inf).exp()


def _pass(
    left: Float[Tensor, "N U h K J"], keep: Float[Tensor, "N U h"], state: Float[Tensor, "N h K J"] | None
) -> tuple[Float[Tensor, "N U h K J"] | None, Float[Tensor, "N h K J"]]:
    """The state before each chunk (None: it is 0 before the only one) and after the last."""
    if state is None and left.shape[1] == 1:
        return None, left[:, 0]
    start = torch.zeros_like(left[:, 0]) if state is None else state.to(left.dtype)
    if not left.is_cuda and not torch.compiler.is_compiling():
        return _Pass.apply(left, keep[..., None, None], start)
    # where a step of a loop is dear: after round i each state holds the last 2^i chunks
    now, keep = torch.cat([start[:, None], left], dim=1), F.pad(keep, (0, 0, 1, 0))[..., None, None]
    lag = 1
    while lag < now.shape[1]:
        now = torch.cat([now[:, :lag], now[:, lag:] + keep[:, lag:] * now[:, :-lag]], dim=1)
        keep = torch.cat([keep[:, :lag], keep[:, lag:] * keep[:, :-lag]], dim=1)
        lag *= 2
    return now[:, :-1], now[:, -1]


class _Pass(torch.autograd.Function):
    """From chunk to chunk in a loop, linear in length; by hand because autograd keeps a node for every step."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, keep: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        before, now = torch.empty_like(left), start
        for into, add, part in zip(before.unbind(1), left.unbind(1), keep.unbind(1), strict=True):
            into.copy_(now)
            now = torch.addcmul(add, now, part)
        ctx.save_for_backward(before, keep)
        return before, now

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dbefore, dnow = grads
        before, keep = ctx.saved_tensors
        dleft = torch.empty_like(before)
        for into, add, part in zip(*(t.unbind(1)[::-1] for t in (dleft, dbefore, keep)), strict=True):
            into.copy_(dnow)
            dnow = torch.addcmul(add, dnow, part)
        return dleft, (dleft * before).sum((-1, -2), keepdim=True), dnow


class _Read(torch.autograd.Function):
    """The outputs of cells from their own tokens and the state they find. By hand, a block of cells at a time, so that
    the L x L decays of a block stay in the cache and are made again for the backward pass rather than kept."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "R L H K"],
        dt: Float[Tensor, "R L H"],
        fall: Float[Tensor, "R L H"],
        b: Float[Tensor, "R L J"],
        c: Float[Tensor, "R L J"],
        before: Tensor | None,  # [R, H K, J]
    ) -> Float[Tensor, "R L H K"]:
        ctx.save_for_backward(x, dt, fall, b, c, before)
        y = torch.empty_like(x)
        for at in _blocks(fall):
            _, weight = _weights(fall[at], b[at], c[at])
            z = (x[at] * dt[at][..., None]).to(x.dtype).transpose(1, 2)
            own = (weight.to(x.dtype) @ z).transpose(1, 2)
            if before is not None:
                own = own + (c[at] @ before[at].transpose(1, 2)).view(own.shape) * _decay(fall[at])[..., None]
            y[at] = own
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, fall, b, c, before = ctx.saved_tensors
        dy = grads[0].to(x.dtype)
        dx, ddt, dfall, db, dc = (torch.empty_like(t) for t in (x, dt, fall, b, c))
        dbefore = None if before is None else torch.empty_like(before)
        for at in _blocks(fall):
            decay, weight = _weights(fall[at], b[at], c[at])
            step, out = dt[at][..., None], dy[at].transpose(1, 2).contiguous()
            dz = (weight.to(x.dtype).transpose(-1, -2) @ out).transpose(1, 2)
            dx[at], ddt[at] = dz * step, (dz * x[at]).sum(-1)
            dweight = out @ (x[at] * step).to(x.dtype).permute(0, 2, 3, 1)
            flow = dweight * weight  # a decay from j to i is exp(fall_i - fall_j)
            dfall[at] = (flow.sum(-1) - flow.sum(-2)).transpose(1, 2)
            dscore = (dweight * decay).sum(1).to(x.dtype)
            dc[at], db[at] = dscore @ b[at], dscore.transpose(1, 2) @ c[at]
            if before is not None and dbefore is not None:
                faded = (dy[at] * _decay(fall[at])[..., None]).to(x.dtype)
                dfall[at] += (faded * (c[at] @ before[at].transpose(1, 2)).view(faded.shape)).sum(-1)
                dbefore[at] = faded.flatten(2).transpose(1, 2) @ c[at]
                dc[at] += faded.flatten(2) @ before[at]
        return dx, ddt, dfall, db, dc, dbefore


def _weights(
    fall: Float[Tensor, "R L H"], b: Float[Tensor, "R L J"], c: Float[Tensor, "R L J"]
) -> tuple[Float[Tensor, "R H L L"], Float[Tensor, "R H L L"]]:
    """The decay from token j to token i, and that times c_i b_j. Masked before exp: above the diagonal it overflows."""
    fall = fall.transpose(1, 2).contiguous()
    later = torch.full((fall.shape[-1],) * 2, -torch.inf, dtype=fall.dtype, device=fall.device).triu_(1)
    decay = F.threshold_((fall[..., :, None] - fall[..., None, :]).add_(later), FAINT, -torch.inf).exp_()
    return decay, (c @ b.transpose(1, 2))[:, None] * decay


def _blocks(fall: Float[Tensor, "R L H"]) -> list[slice]:
    cells, chunk, heads = fall.shape
    if torch.compiler.is_compiling():  # the compiler makes its own blocks
        return [slice(None)]
    most = max(1, BLOCK.get(fall.device.type, BLOCK["cuda"]) // (chunk * chunk * heads))
    return [slice(first, first + most) for first in range(0, cells, most)]


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
def kernel() -> tuple[Callable[..., Any] | None, str]:
    """mamba_ssm's SSD kernel or None, and a line that says which path runs and why."""
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined
    except Exception as error:  # foreign compiled code: it fails in more ways than ImportError
        return None, f"scan: chunked matmul in PyTorch (mamba_ssm does not import: {error})"
    return mamba_chunk_scan_combined, "scan: mamba_ssm's SSD kernel on CUDA, chunked matmul in PyTorch elsewhere"


@cache
def _say_once(line: str) -> None:
    log.info(line)


def _scan_kernel(
    run: Callable[..., Any], x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, *, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The kernel takes one dtype for x, b and c, float32 for the decays, and chunks of a size of its own."""
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
