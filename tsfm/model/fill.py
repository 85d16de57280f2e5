"""Replace hidden steps by linear interpolation between their visible neighbours. B batch, C channels, T steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

FILLS = ("zero", "linear")


def visible_extent(visible: Bool[Tensor, "... T"]) -> tuple[Int[Tensor, "... 1"], Int[Tensor, "... 1"]]:
    """Return the first and the last visible step of each row; T and -1 where no step is visible."""
    steps = torch.arange(visible.shape[-1], device=visible.device)
    first = torch.where(visible, steps, visible.shape[-1]).amin(dim=-1, keepdim=True)
    return first, torch.where(visible, steps, -1).amax(dim=-1, keepdim=True)


def can_branch_on_data(rows: Tensor) -> bool:
    """Return whether the values may decide which code runs: an accelerator would wait, and a compiler cannot."""
    return rows.device.type == "cpu" and not torch.compiler.is_compiling()


def has_no_gaps(visible: Bool[Tensor, "... T"], *, first: Tensor, last: Tensor) -> bool:
    """Return whether every row is visible from its `first` to its `last` step, so that indices are plain arithmetic.

    Most forecasts are of such series. False where `can_branch_on_data` is.
    """
    if not can_branch_on_data(visible):
        return False
    return torch.equal(visible.sum(dim=-1, keepdim=True), (last - first + 1).clamp_min(0))


class Neighbours(NamedTuple):
    """The visible neighbours of every step.

    Attributes
    ----------
    before, after
        The last visible step up to each step and the first one from it on; where one is missing, the other one.
    is_leading
        True before the first visible step of a channel.
    fraction
        Position between the two neighbours, from 0 at `before` to 1 at `after`.
    """

    before: Int[Tensor, "*rows T"]
    after: Int[Tensor, "*rows T"]
    is_leading: Bool[Tensor, "*rows T"]
    fraction: Float[Tensor, "*rows T"]


def find_neighbours(visible: Bool[Tensor, "*rows T"], *, dtype: torch.dtype) -> Neighbours:
    """Return the visible neighbours of every step, with fractions of type `dtype`."""
    size = visible.shape[-1]
    steps = torch.arange(size, device=visible.device).expand_as(visible)
    first, last = visible_extent(visible)
    if has_no_gaps(visible, first=first, last=last):  # a third of the time
        is_leading = steps < first
        before = torch.where(is_leading, 0, torch.minimum(steps, last))
        after = torch.where(steps <= last, torch.maximum(steps, first), before)
    else:
        before = torch.where(visible, steps, -1).cummax(dim=-1).values
        after = torch.where(visible, steps, size).flip(-1).cummin(dim=-1).values.flip(-1)
        is_leading, before = before < 0, before.clamp_min(0)
        after = torch.where(after < size, after, before)
    fraction = (steps - before).to(dtype) / (after - before).clamp_min(1)
    return Neighbours(before, after, is_leading, fraction)


def interpolate(
    values: Float[Tensor, "*#rows T"], visible: Bool[Tensor, "*#rows T"], *, neighbours: Neighbours | None = None
) -> Float[Tensor, "*#rows T"]:
    """Return the visible values, and at other steps a value interpolated from their neighbours.

    Between two visible values it is linear, after the last one it is that value, and before the first one it is zero:
    padding must not reveal its length. `neighbours` saves the search where they are known.
    """
    neighbours = find_neighbours(visible, dtype=values.dtype) if neighbours is None else neighbours
    left = values.gather(-1, neighbours.before)
    line = left + (values.gather(-1, neighbours.after) - left) * neighbours.fraction
    return torch.where(visible, values, torch.where(neighbours.is_leading, 0.0, line))
