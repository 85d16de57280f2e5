"""Batches of windows, one after another, resumable at any batch. No workers: cutting a batch takes microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from tsfm.data.sampling import Plan
from tsfm.types import Batch

BLOCK = 2**16  # rows whose arithmetic is done at once


class WindowSource(Protocol):
    """What batches are cut from: windows of series, or whole cases."""

    @property
    def num_channels(self) -> int: ...
    def __len__(self) -> int: ...
    def prepare(self, indices: Any) -> Any: ...
    def cut(self, located: Any, first: int, stop: int) -> Batch: ...
    def gather(self, indices: Any) -> Batch: ...


class WindowLoader:
    """An iterable of batches. Each pass is an epoch; `set_epoch` names it, else passes are counted.

    The state counts the batches handed out, so a loader that loads it goes on with the next one.
    """

    batch_sampler = None  # Lightning asks for it wherever there is a sampler

    def __init__(self, windows: WindowSource, plan: Plan):
        self.windows, self.plan = windows, plan
        self.epoch, self.position = 0, 0
        self._resumed = False
        self._block = max(1, BLOCK // (plan.batch_size * windows.num_channels))

    @property
    def sampler(self) -> WindowLoader:
        """Lightning tells the number of the epoch to a loader's sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Begin this epoch, unless it has begun."""
        if epoch != self.epoch:
            self.epoch, self.position, self._resumed = epoch, 0, False

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        if self.position and not self._resumed:
            self.epoch, self.position = self.epoch + 1, 0
        return self._batches()

    def _batches(self) -> Iterator[Batch]:
        # epoch and position are read at every step: Lightning makes the iterator before it names the epoch
        made = (-1, 0, 0)  # epoch, first and stop of the prepared block
        while self.position < len(self):
            epoch, first, stop = made
            if self.epoch != epoch or not first <= self.position < stop:
                made = self.epoch, self.position, min(self.position + self._block, len(self))
                indices, bounds = self.plan.draw(*made)
                located, bounds = self.windows.prepare(indices), bounds.tolist()
            place = self.position - made[1]
            batch = self.windows.cut(located, bounds[place], bounds[place + 1])
            self.position += 1
            self._resumed = False  # not before: Lightning makes an iterator or two that it throws away
            yield batch
        self._resumed = False  # a state saved after the last batch has no batch to resume with

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.plan.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not 0 <= state["position"] <= len(self):
            raise ValueError(
                f"the saved state is at batch {state['position']} of an epoch that has {len(self)}; resume with the "
                "data, batch size and number of ranks it was saved with"
            )
        self.plan = replace(self.plan, seed=state["seed"])  # type: ignore[type-var]
        self.epoch, self.position, self._resumed = state["epoch"], state["position"], True
