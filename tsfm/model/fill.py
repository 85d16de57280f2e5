"""What stands for a hidden step before the network has said anything: the line between its visible neighbours.

B batch, C channels, T steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

FILLS = ("zero", "linear")


def extent(visible: Bool[Tensor, "... T"]) -> tuple[Int[Tensor, "... 1"], Int[Tensor, "... 1"]]:
    """The first and the last visible step of each row; T and -1 where there is none."""
    steps = torch.arange(visible.shape[-1], device=visible.device)
    first = torch.where(visible, steps, visible.shape[-1]).amin(dim=-1, keepdim=True)
    return first, torch.where(visible, steps, -1).amax(dim=-1, keepdim=True)


def looks(rows: Tensor) -> bool:
    """Whether what the rows hold may decide on the way: an accelerator would wait for it, and a graph can't choose."""
    return rows.device.type == "cpu" and not torch.compiler.is_compiling()


def without_gaps(visible: Bool[Tensor, "... T"], *, first: Tensor, last: Tensor) -> bool:
    """Whether every row is visible from its `first` to its `last` step, as most series that are forecast are: where to
    look is then plain arithmetic. False where nobody may look."""
    return looks(visible) and torch.equal(visible.sum(dim=-1, keepdim=True), (last - first + 1).clamp_min(0))


class Neighbours(NamedTuple):
    """Of every step: the newest visible one up to it, the first from it on (itself where there is none), whether it
    stands before all visible ones, and the share of the way from the one to the other."""

    before: Int[Tensor, "*rows T"]
    after: Int[Tensor, "*rows T"]
    early: Bool[Tensor, "*rows T"]
    share: Float[Tensor, "*rows T"]


def neighbours(visible: Bool[Tensor, "*rows T"], *, dtype: torch.dtype) -> Neighbours:
    size = visible.shape[-1]
    steps = torch.arange(size, device=visible.device).expand_as(visible)
    first, last = extent(visible)
    if without_gaps(visible, first=first, last=last):  # a third of the time
        early = steps < first
        before = torch.where(early, 0, torch.minimum(steps, last))
        after = torch.where(steps <= last, torch.maximum(steps, first), before)
    else:
        before = torch.where(visible, steps, -1).cummax(dim=-1).values
        after = torch.where(visible, steps, size).flip(-1).cummin(dim=-1).values.flip(-1)
        early, before = before < 0, before.clamp_min(0)
        after = torch.where(after < size, after, before)
    return Neighbours(before, after, early, (steps - before).to(dtype) / (after - before).clamp_min(1))


def between(
    values: Float[Tensor, "*#rows T"], visible: Bool[Tensor, "*#rows T"], *, at: Neighbours | None = None
) -> Float[Tensor, "*#rows T"]:
    """Visible values as they are; between two of them the straight line, after the last one its value, before the first
    one zero: padding must not tell how long it is. `at` spares the search for neighbours where it was made."""
    at = neighbours(visible, dtype=values.dtype) if at is None else at
    left = values.gather(-1, at.before)
    line = left + (values.gather(-1, at.after) - left) * at.share
    return torch.where(visible, values, torch.where(at.early, 0.0, line))
