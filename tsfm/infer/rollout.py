"""Beyond the trained horizon: answer, take the answer as seen, go on.

B batch, C target channels, K covariates, L context, R steps ahead, H trained horizon, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.model.model import Model
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def rollout(
    model: Model,
    values: Float[Tensor, "B C L"],
    observed: Bool[Tensor, "B C L"],
    *,
    known: Float[Tensor, "B K L+R"] | None = None,
    marks: int = 0,
) -> Iterator[Float[Tensor, "B C H Q"]]:
    """Forecasts of `model.config.horizon` steps each, without end. The median of one (its reads sorted) is the newest
    context of the next; widths therefore tell the uncertainty of each block alone and come out narrow far ahead.

    `known` holds the covariates, NaN where nobody knows them; the last `marks` of them are in units of their own."""
    context, horizon, targets = model.config.context, model.config.horizon, values.shape[1]
    beside = _Beside(known, first=values.shape[-1] - context, marks=marks, targets=targets)
    while True:
        values, observed = left_pad(values[..., -context:], context), left_pad(observed[..., -context:], context)
        tail = torch.zeros(*values.shape[:2], horizon, dtype=values.dtype, device=values.device)
        hidden = torch.zeros_like(tail, dtype=torch.bool)
        problem = Problem(
            values=torch.cat([values, tail], dim=-1),
            visible=torch.cat([observed, hidden], dim=-1),
            wanted=torch.cat([torch.zeros_like(observed), ~hidden], dim=-1),
        )
        block = model(beside.join(problem, steps=context + horizon)).read[:, :targets, -horizon:]
        yield block
        median = block.sort(dim=-1).values[..., block.shape[-1] // 2]  # reads may cross; the answer is sorted too
        values = torch.cat([values, median.to(values.dtype)], dim=-1)
        observed = torch.cat([observed, ~hidden], dim=-1)
        beside.first += horizon


@dataclass
class _Beside:
    """Covariates beside the targets of a window that moves on; `first` is the step at which it begins."""

    known: Float[Tensor, "B K L+R"] | None
    first: int
    marks: int
    targets: int

    def join(self, problem: Problem, *, steps: int) -> Problem:
        """The problem with the covariates below its targets: visible where they are known, and not wanted."""
        if self.known is None:
            return problem
        given = self.known[..., max(self.first, 0) : max(self.first + steps, 0)]
        given = left_pad(given, given.shape[-1] + max(-self.first, 0), fill=torch.nan)
        given = torch.nn.functional.pad(given, (0, steps - given.shape[-1]), value=torch.nan)
        visible = torch.isfinite(given)
        mark = torch.zeros(len(given), self.targets + given.shape[1], dtype=torch.bool, device=given.device)
        if self.marks:
            mark[:, -self.marks :] = True
        return Problem(
            values=torch.cat([problem.values, torch.where(visible, given, 0.0)], dim=1),
            visible=torch.cat([problem.visible, visible], dim=1),
            wanted=torch.cat([problem.wanted, torch.zeros_like(visible)], dim=1),
            marks=mark,
        )


def left_pad(x: Tensor, length: int, *, fill: float = 0.0) -> Tensor:
    """Zeros (False), or `fill`, before the first step up to `length` steps."""
    return torch.nn.functional.pad(x, (length - x.shape[-1], 0), value=fill)
