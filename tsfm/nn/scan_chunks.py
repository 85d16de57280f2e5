"""Parts of the chunked scan (scan.py): the outputs of each chunk, and the states that pass from chunk to chunk.

A cell is one chunk of one row and one group of heads: R cells, L tokens of a cell, H heads of it. N rows, U chunks of a
row, h heads, K head width, J SSM state. `log_decay` is the sum of the log decays from the start of the cell.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of torch leave the types of some results open)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_DECAYS = {"cpu": 2**17, "cuda": 2**27}  # computed at a time: on a CPU what fits in its nearer caches
MIN_LOG_DECAY = -50.0  # a decay below it counts as 0: products with it would be denormal numbers, slow on a CPU


def exp_decay(log_decay: Tensor) -> Tensor:
    """Return exp(log_decay), and 0 below `MIN_LOG_DECAY`."""
    return F.threshold(log_decay, MIN_LOG_DECAY, -torch.inf).exp()


def pass_states(
    added: Float[Tensor, "N U h K J"], decay: Float[Tensor, "N U h"], state: Float[Tensor, "N h K J"] | None
) -> tuple[Float[Tensor, "N U h K J"] | None, Float[Tensor, "N h K J"]]:
    """Return the state before each chunk and the state after the last one.

    Parameters
    ----------
    added
        What the tokens of each chunk add to the state at its end.
    decay
        The decay over each chunk.
    state
        The state before the first chunk; None for zeros.

    Returns
    -------
    tuple
        States before the chunks (None if there is one chunk and its state is 0), and the last state.
    """
    if state is None and added.shape[1] == 1:
        return None, added[:, 0]
    start = torch.zeros_like(added[:, 0]) if state is None else state.to(added.dtype)
    if not added.is_cuda and not torch.compiler.is_compiling():
        return PassStates.apply(added, decay[..., None, None], start)
    # where a loop is slow: after round i each state contains the last 2^i chunks
    states, decay = torch.cat([start[:, None], added], dim=1), F.pad(decay, (0, 0, 1, 0))[..., None, None]
    lag = 1
    while lag < states.shape[1]:
        states = torch.cat([states[:, :lag], states[:, lag:] + decay[:, lag:] * states[:, :-lag]], dim=1)
        decay = torch.cat([decay[:, :lag], decay[:, lag:] * decay[:, :-lag]], dim=1)
        lag *= 2
    return states[:, :-1], states[:, -1]


class PassStates(torch.autograd.Function):
    """`pass_states` as a loop, linear in length; written by hand since autograd keeps a node for every step."""

    @staticmethod
    def forward(ctx: Any, added: Tensor, decay: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state before each chunk and after the last one."""
        before, state = torch.empty_like(added), start
        for target, chunk, chunk_decay in zip(before.unbind(1), added.unbind(1), decay.unbind(1), strict=True):
            target.copy_(state)
            state = torch.addcmul(chunk, state, chunk_decay)
        ctx.save_for_backward(before, decay)
        return before, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradients of the inputs of `forward`."""
        dbefore, dstate = grads
        before, decay = ctx.saved_tensors
        dadded = torch.empty_like(before)
        chunks = zip(*(t.unbind(1)[::-1] for t in (dadded, dbefore, decay)), strict=True)
        for target, chunk, chunk_decay in chunks:
            target.copy_(dstate)
            dstate = torch.addcmul(chunk, dstate, chunk_decay)
        return dadded, (dadded * before).sum((-1, -2), keepdim=True), dstate


class CellOutputs(torch.autograd.Function):
    """The outputs of cells from their tokens and the states before them.

    Written by hand, a block of cells at a time: the L x L decays of a block stay in the cache, and are computed again
    in the backward pass instead of being kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "R L H K"],
        dt: Float[Tensor, "R L H"],
        log_decay: Float[Tensor, "R L H"],
        b: Float[Tensor, "R L J"],
        c: Float[Tensor, "R L J"],
        before: Tensor | None,  # [R, H K, J]
    ) -> Float[Tensor, "R L H K"]:
        """Return the outputs; `before` are the states before the cells, None for zeros."""
        ctx.save_for_backward(x, dt, log_decay, b, c, before)
        y = torch.empty_like(x)
        for block in _blocks(log_decay):
            _, weight = _weights(log_decay[block], b[block], c[block])
            z = (x[block] * dt[block][..., None]).to(x.dtype).transpose(1, 2)
            out = (weight.to(x.dtype) @ z).transpose(1, 2)
            if before is not None:
                carried = (c[block] @ before[block].transpose(1, 2)).view(out.shape)
                out = out + carried * exp_decay(log_decay[block])[..., None]
            y[block] = out
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradients of the inputs of `forward`."""
        x, dt, log_decay, b, c, before = ctx.saved_tensors
        dy = grads[0].to(x.dtype)
        dx, ddt, dlog_decay, db, dc = (torch.empty_like(t) for t in (x, dt, log_decay, b, c))
        dbefore = None if before is None else torch.empty_like(before)
        for block in _blocks(log_decay):
            decay, weight = _weights(log_decay[block], b[block], c[block])
            step, out = dt[block][..., None], dy[block].transpose(1, 2).contiguous()
            dz = (weight.to(x.dtype).transpose(-1, -2) @ out).transpose(1, 2)
            dx[block], ddt[block] = dz * step, (dz * x[block]).sum(-1)
            dweight = out @ (x[block] * step).to(x.dtype).permute(0, 2, 3, 1)
            flow = dweight * weight  # a decay from j to i is exp(log_decay_i - log_decay_j)
            dlog_decay[block] = (flow.sum(-1) - flow.sum(-2)).transpose(1, 2)
            dscore = (dweight * decay).sum(1).to(x.dtype)
            dc[block], db[block] = dscore @ b[block], dscore.transpose(1, 2) @ c[block]
            if before is not None and dbefore is not None:
                decayed = (dy[block] * exp_decay(log_decay[block])[..., None]).to(x.dtype)
                carried = (c[block] @ before[block].transpose(1, 2)).view(decayed.shape)
                dlog_decay[block] += (decayed * carried).sum(-1)
                dbefore[block] = decayed.flatten(2).transpose(1, 2) @ c[block]
                dc[block] += decayed.flatten(2) @ before[block]
        return dx, ddt, dlog_decay, db, dc, dbefore


def _weights(
    log_decay: Float[Tensor, "R L H"], b: Float[Tensor, "R L J"], c: Float[Tensor, "R L J"]
) -> tuple[Float[Tensor, "R H L L"], Float[Tensor, "R H L L"]]:
    """Return the decay from token j to token i, and that times c_i b_j; masked before exp, which overflows above."""
    log_decay = log_decay.transpose(1, 2).contiguous()
    later = torch.full((log_decay.shape[-1],) * 2, -torch.inf, dtype=log_decay.dtype, device=log_decay.device).triu_(1)
    difference = (log_decay[..., :, None] - log_decay[..., None, :]).add_(later)
    decay = torch.threshold_(difference, MIN_LOG_DECAY, -torch.inf).exp_()
    return decay, (c @ b.transpose(1, 2))[:, None] * decay


def _blocks(log_decay: Float[Tensor, "R L H"]) -> list[slice]:
    """Return slices of cells of at most `MAX_DECAYS` decays."""
    num_cells, chunk, heads = log_decay.shape
    if torch.compiler.is_compiling():  # the compiler chooses its own blocks
        return [slice(None)]
    size = max(1, MAX_DECAYS.get(log_decay.device.type, MAX_DECAYS["cuda"]) // (chunk * chunk * heads))
    return [slice(first, first + size) for first in range(0, num_cells, size)]
