"""Beyond the trained horizon: answer, take the answer as seen, go on. B batch, C channels, L context, Q levels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.model.model import Model
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def rollout(
    model: Model, values: Float[Tensor, "B C L"], observed: Bool[Tensor, "B C L"]
) -> Iterator[Float[Tensor, "B C H Q"]]:
    """Forecasts of `model.config.horizon` steps each, without end. The median of one (its reads sorted) is the newest
    context of the next; widths therefore tell the uncertainty of each block alone and come out narrow far ahead."""
    context, horizon = model.config.context, model.config.horizon
    while True:
        values, observed = left_pad(values[..., -context:], context), left_pad(observed[..., -context:], context)
        tail = torch.zeros(*values.shape[:2], horizon, dtype=values.dtype, device=values.device)
        hidden = torch.zeros_like(tail, dtype=torch.bool)
        problem = Problem(
            values=torch.cat([values, tail], dim=-1),
            visible=torch.cat([observed, hidden], dim=-1),
            wanted=torch.cat([torch.zeros_like(observed), ~hidden], dim=-1),
        )
        block = model(problem).read[..., -horizon:, :]
        yield block
        median = block.sort(dim=-1).values[..., block.shape[-1] // 2]  # reads may cross; the answer is sorted too
        values = torch.cat([values, median.to(values.dtype)], dim=-1)
        observed = torch.cat([observed, ~hidden], dim=-1)


def left_pad(x: Tensor, length: int) -> Tensor:
    """Zeros (False) before the first step up to `length` steps."""
    return torch.nn.functional.pad(x, (length - x.shape[-1], 0))
