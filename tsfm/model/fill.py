"""What stands for a hidden step before the network has said anything: the line between its visible neighbours.

B batch, C channels, T steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FILLS = ("zero", "line")


def between(values: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> Float[Tensor, "B C T"]:
    """Visible values as they are; between two of them the straight line, after the last one its value, before the first
    one zero: padding must not tell how long it is."""
    size = values.shape[-1]
    steps = torch.arange(size, device=values.device).expand_as(visible)
    before = torch.where(visible, steps, -1).cummax(dim=-1).values
    after = torch.where(visible, steps, size).flip(-1).cummin(dim=-1).values.flip(-1)
    left = values.gather(-1, before.clamp_min(0))
    right = torch.where(after < size, values.gather(-1, after.clamp_max(size - 1)), left)
    share = (steps - before).to(values.dtype) / (after - before).clamp_min(1)
    line = torch.where(before >= 0, left + (right - left) * share, 0.0)
    return torch.where(visible, values, line)
