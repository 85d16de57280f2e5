"""The parts of the chunked scan (see scan.py): cells, which are read, and states, which pass from chunk to chunk.

A cell is one chunk of one row and group of heads: R cells, L tokens of a cell, H heads of it. N rows, U chunks of a
row, h heads, K head width, J SSM state. `fall` is the sum of the log decays from the start of the cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float

BLOCK = {"cpu": 2**17, "cuda": 2**27}  # decays at a time: on a CPU what fits in its nearer caches
FAINT = -50.0  # log of a decay that counts as 0: below, products run into denormal numbers, slow on a CPU


def decay_of(log_decay: Tensor) -> Tensor:
    return F.threshold(log_decay, FAINT, -torch.inf).exp()


def pass_states(
    left: Float[Tensor, "N U h K J"], keep: Float[Tensor, "N U h"], state: Float[Tensor, "N h K J"] | None
) -> tuple[Float[Tensor, "N U h K J"] | None, Float[Tensor, "N h K J"]]:
    """The state before each chunk (None: it is 0 before the only one) and after the last."""
    if state is None and left.shape[1] == 1:
        return None, left[:, 0]
    start = torch.zeros_like(left[:, 0]) if state is None else state.to(left.dtype)
    if not left.is_cuda and not torch.compiler.is_compiling():
        return PassStates.apply(left, keep[..., None, None], start)
    # where a step of a loop is dear: after round i each state holds the last 2^i chunks
    now, keep = torch.cat([start[:, None], left], dim=1), F.pad(keep, (0, 0, 1, 0))[..., None, None]
    lag = 1
    while lag < now.shape[1]:
        now = torch.cat([now[:, :lag], now[:, lag:] + keep[:, lag:] * now[:, :-lag]], dim=1)
        keep = torch.cat([keep[:, :lag], keep[:, lag:] * keep[:, :-lag]], dim=1)
        lag *= 2
    return now[:, :-1], now[:, -1]


class PassStates(torch.autograd.Function):
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
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dbefore, dnow = grads
        before, keep = ctx.saved_tensors
        dleft = torch.empty_like(before)
        for into, add, part in zip(*(t.unbind(1)[::-1] for t in (dleft, dbefore, keep)), strict=True):
            into.copy_(dnow)
            dnow = torch.addcmul(add, dnow, part)
        return dleft, (dleft * before).sum((-1, -2), keepdim=True), dnow


class ReadCells(torch.autograd.Function):
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
                own = own + (c[at] @ before[at].transpose(1, 2)).view(own.shape) * decay_of(fall[at])[..., None]
            y[at] = own
        return y

    @staticmethod
    @once_differentiable
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
                faded = (dy[at] * decay_of(fall[at])[..., None]).to(x.dtype)
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
    decay = torch.threshold_((fall[..., :, None] - fall[..., None, :]).add_(later), FAINT, -torch.inf).exp_()
    return decay, (c @ b.transpose(1, 2))[:, None] * decay


def _blocks(fall: Float[Tensor, "R L H"]) -> list[slice]:
    cells, chunk, heads = fall.shape
    if torch.compiler.is_compiling():  # the compiler makes its own blocks
        return [slice(None)]
    most = max(1, BLOCK.get(fall.device.type, BLOCK["cuda"]) // (chunk * chunk * heads))
    return [slice(first, first + most) for first in range(0, cells, most)]
