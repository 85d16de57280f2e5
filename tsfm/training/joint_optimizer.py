"""Several optimisers over different parameters, as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch.optim import Optimizer


class JointOptimizer(Optimizer):
    """Steps every part. Groups and state are shared with the parts, so that a schedule, clipping of gradients and
    checkpoints see one optimiser: group i of the whole is one group of one part."""

    def __init__(self, parts: Sequence[Optimizer]):
        self.parts: list[Optimizer] = []
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = list(parts)
        self._share(list(accumulate((len(part.param_groups) for part in parts), initial=0)))

    def _share(self, bounds: Sequence[int]) -> None:
        self._bounds = bounds
        for part, (first, stop) in zip(self.parts, pairwise(bounds), strict=True):
            part.__setstate__({"state": self.state, "param_groups": self.param_groups[first:stop]})

    def __setstate__(self, state: dict[str, Any]) -> None:  # what load_state_dict ends in: both are new objects
        super().__setstate__(state)
        self._share(self._bounds)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"parts": self.parts, "_bounds": self._bounds}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.parts:
            raise NotImplementedError("it is not known which part a later group belongs to; make the optimiser anew")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss
