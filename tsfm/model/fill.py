"""What stands for a hidden step before the network has said anything: the line between its visible neighbours.

B batch, C channels, T steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

FILLS = ("zero", "line")


class Neighbours(NamedTuple):
    """Of every step: the newest visible one up to it, the first from it on (itself where there is none), whether it
    stands before all visible ones, and the share of the way from the one to the other."""

    before: Int[Tensor, "B C T"]
    after: Int[Tensor, "B C T"]
    early: Bool[Tensor, "B C T"]
    share: Float[Tensor, "B C T"]


def neighbours(visible: Bool[Tensor, "B C T"], *, dtype: torch.dtype) -> Neighbours:
    size = visible.shape[-1]
    steps = torch.arange(size, device=visible.device).expand_as(visible)
    before = torch.where(visible, steps, -1).cummax(dim=-1).values
    after = torch.where(visible, steps, size).flip(-1).cummin(dim=-1).values.flip(-1)
    early, before = before < 0, before.clamp_min(0)
    after = torch.where(after < size, after, before)
    return Neighbours(before, after, early, (steps - before).to(dtype) / (after - before).clamp_min(1))


def between(
    values: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"], *, at: Neighbours | None = None
) -> Float[Tensor, "B C T"]:
    """Visible values as they are; between two of them the straight line, after the last one its value, before the first
    one zero: padding must not tell how long it is. `at` spares the search for neighbours where it was made."""
    at = neighbours(visible, dtype=values.dtype) if at is None else at
    left = values.gather(-1, at.before)
    line = left + (values.gather(-1, at.after) - left) * at.share
    return torch.where(visible, values, torch.where(at.early, 0.0, line))
