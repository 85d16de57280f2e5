"""One pass where the horizon was trained, and beyond it: answer, take the answers as seen, go on.

B batch, C target channels, K covariates, L context, R steps ahead, W = L + R, H steps of one pass, Q quantile levels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from einops import rearrange, repeat
from torch import Tensor

from tsfm.model.model import Model
from tsfm.types import Problem

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

CELLS = 2**18  # steps of a pass on a CPU
KEPT = 2**25 - 2**16  # bytes: below glibc's largest threshold, 32 MiB


def rollout(
    model: Model,
    values: Float[Tensor, "B C L"],
    observed: Bool[Tensor, "B C L"],
    *,
    steps: int | None = None,
    known: Float[Tensor, "B K W"] | None = None,
    marks: int = 0,
    flip: bool = False,
) -> Iterator[Float[Tensor, "B C H Q"]]:
    """Forecasts, pass after pass, without end. With `steps`, a model of free length answers what is left of them in one
    pass, in whole patches and up to `model.config.horizon`; any other model answers that horizon.

    Beyond the first pass a quantile forecast goes on along a path for each of its levels, and the quantiles of what all
    paths say are the next answer, so that uncertainty adds up (as Chronos-Bolt rolls out); a point forecast goes on
    from itself. `flip` also asks about the mirrored series, and takes the mean of both.
    `known` holds the covariates, NaN where nobody knows them; the last `marks` of them are in units of their own."""
    targets, left = values.shape[1], steps
    window = _Window(
        model,
        known,
        first=values.shape[-1] - model.config.context,
        marks=marks,
        targets=targets,
        flip=flip,
    )
    horizon = window.horizon(left)
    read = window.answer(values, observed, horizon)
    yield read
    levels = torch.tensor(model.quantile_levels, dtype=read.dtype, device=read.device)
    paths = len(levels)
    values, observed = repeat(values, "b c l -> (b q) c l", q=paths), repeat(observed, "b c l -> (b q) c l", q=paths)
    window = replace(window, known=None if known is None else repeat(known, "b k l -> (b q) k l", q=paths))
    while True:
        ahead = rearrange(read.sort(dim=-1).values, "b c h q -> (b q) c h")  # reads may cross; a path may not
        values = torch.cat([values, ahead.to(values.dtype)], dim=-1)
        observed = torch.cat([observed, torch.ones_like(ahead, dtype=torch.bool)], dim=-1)
        window = replace(window, first=window.first + horizon)
        left = None if left is None else left - horizon
        horizon = window.horizon(left)
        said = rearrange(window.answer(values, observed, horizon), "(b p) c h q -> b c h (p q)", p=paths)
        read = said if paths == 1 else torch.quantile(said, levels, dim=-1).movedim(0, -1)
        yield read


@dataclass
class _Window:
    """What a pass shows a model: the newest context, the hidden horizon, and covariates beside the targets. `first` is
    the step at which a whole context begins."""

    model: Model
    known: Float[Tensor, "B K W"] | None
    first: int
    marks: int
    targets: int
    flip: bool

    def horizon(self, left: int | None) -> int:
        """Steps of the next pass."""
        config = self.model.config
        if left is None or self.model.fixed_length:
            return config.horizon
        return max(1, min(config.horizon, -(-left // config.patch) * config.patch))

    def answer(self, values: Tensor, observed: Tensor, horizon: int) -> Float[Tensor, "B C H Q"]:
        model, config = self.model, self.model.config
        context = config.context
        if not model.fixed_length:  # nothing is gained by patches in which nothing was observed
            patch = model.config.patch
            context = min(context, -(-values.shape[-1] // patch) * patch)
        values, observed = left_pad(values[..., -context:], context), left_pad(observed[..., -context:], context)
        tail = torch.zeros(*values.shape[:2], horizon, dtype=values.dtype, device=values.device)
        hidden = torch.zeros_like(tail, dtype=torch.bool)
        problem = Problem(
            values=torch.cat([values, tail], dim=-1),
            visible=torch.cat([observed, hidden], dim=-1),
            wanted=torch.cat([torch.zeros_like(observed), ~hidden], dim=-1),
        )
        begins = self.first + model.config.context - context
        problem = self._join(problem, begins=begins, steps=context + horizon)
        read = self._ask(problem, horizon)
        if self.flip:
            values = torch.cat([-problem.values[:, : self.targets], problem.values[:, self.targets :]], dim=1)
            mirrored = -self._ask(replace(problem, values=values), horizon).flip(-1)
            read = (read.sort(dim=-1).values + mirrored.sort(dim=-1).values) / 2
        return read

    def _ask(self, problem: Problem, horizon: int) -> Float[Tensor, "B C H Q"]:
        """The tail of the model's answer. A CPU takes some rows at a time, so that their tensors stay in its cache."""
        _keep_pages()
        cells = problem.values.numel() if problem.values.device.type == "cpu" else 0
        parts = min(max(-(-cells // CELLS), 1), len(problem.values))
        given = (problem.values, problem.visible, problem.wanted, problem.unscaled)
        rows = zip(*([None] * parts if one is None else one.tensor_split(parts) for one in given), strict=True)
        asked = (Problem(values=v, visible=s, wanted=w, unscaled=m) for v, s, w, m in rows)
        return torch.cat([self.model(one, last=horizon).prediction[:, : self.targets] for one in asked])

    def _join(self, problem: Problem, *, begins: int, steps: int) -> Problem:
        """The problem with the covariates below its targets: visible where they are known, and not wanted."""
        if self.known is None:
            return problem
        given = self.known[..., max(begins, 0) : max(begins + steps, 0)]
        given = left_pad(given, given.shape[-1] + max(-begins, 0), fill=torch.nan)
        given = torch.nn.functional.pad(given, (0, steps - given.shape[-1]), value=torch.nan)
        visible = torch.isfinite(given)
        mark = torch.zeros(len(given), self.targets + given.shape[1], dtype=torch.bool, device=given.device)
        if self.marks:
            mark[:, -self.marks :] = True
        return Problem(
            values=torch.cat([problem.values, torch.where(visible, given, 0.0)], dim=1),
            visible=torch.cat([problem.visible, visible], dim=1),
            wanted=torch.cat([problem.wanted, torch.zeros_like(visible)], dim=1),
            unscaled=mark,
        )


@functools.cache
def _keep_pages() -> None:
    """From now on, once: glibc gives what is freed back to the system, page by page, and to have it anew costs up to a
    fifth of a pass. After a block of this size was freed it keeps twice as much; elsewhere this does nothing."""
    torch.empty(KEPT, dtype=torch.uint8)


def left_pad(x: Tensor, length: int, *, fill: float = 0.0) -> Tensor:
    """Zeros (False), or `fill`, before the first step up to `length` steps."""
    return torch.nn.functional.pad(x, (length - x.shape[-1], 0), value=fill)
