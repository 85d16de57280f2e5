"""Several optimizers over different parameters, used as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch.optim import Optimizer


class JointOptimizer(Optimizer):
    """An optimizer that steps several others.

    Groups and state are shared with the optimizers, so that a schedule, the clipping of gradients and checkpoints see
    one optimizer: each of its groups is a group of one of them.

    Parameters
    ----------
    optimizers
        Over different parameters.
    """

    def __init__(self, optimizers: Sequence[Optimizer]):
        self.optimizers: list[Optimizer] = []
        super().__init__([group for optimizer in optimizers for group in optimizer.param_groups], {})
        self.optimizers = list(optimizers)
        self._share(list(accumulate((len(optimizer.param_groups) for optimizer in optimizers), initial=0)))

    def _share(self, bounds: Sequence[int]) -> None:
        """Give optimizer i the state, and the groups from bounds[i] to bounds[i + 1]."""
        self._bounds = bounds
        for optimizer, (first, stop) in zip(self.optimizers, pairwise(bounds), strict=True):
            optimizer.__setstate__({"state": self.state, "param_groups": self.param_groups[first:stop]})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # load_state_dict calls it with a new state and new groups
        self._share(self._bounds)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"optimizers": self.optimizers, "_bounds": self._bounds}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuse a further group: it is not known which optimizer it belongs to."""
        if self.optimizers:
            raise NotImplementedError("it is not known which optimizer a later group belongs to; make a new optimizer")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step every optimizer."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss
