"""Batches of windows, one after another, resumable at any batch. No workers: cutting a batch takes microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tsfm.data.sampling import BatchPlan
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int8

BLOCK_ROWS = 2**16  # rows (windows x channels) whose positions are computed at once


class WindowSource(Protocol):
    """What batches are cut from: windows of series, or whole cases."""

    @property
    def num_channels(self) -> int:
        """Channels of a window."""
        ...

    @property
    def skipped(self) -> Any:
        """(item, reason) of every series that has no window."""
        ...

    def __len__(self) -> int: ...

    def prepare(self, indices: Any, /) -> Any:
        """Return what `cut` needs of the windows of these indices, for the windows of one batch or of many."""
        ...

    def cut(self, prepared: Any, first: int, stop: int) -> Batch:
        """Return prepared windows first..stop-1 as one batch."""
        ...

    def gather(self, indices: Any, /) -> Batch:
        """Return the windows of these indices, in this order, as one batch."""
        ...


class WindowLoader:
    """An iterable of batches. Each pass is an epoch: the one that `set_epoch` names, else the next one.

    Its state counts the batches handed out, so a loader that loads the state continues with the next batch.
    """

    batch_sampler = None  # Lightning looks for it wherever there is a sampler

    def __init__(self, windows: WindowSource, plan: BatchPlan):
        self.windows, self.plan = windows, plan
        self.epoch, self.position = 0, 0
        self._resumed = False
        self._block = max(1, BLOCK_ROWS // (plan.batch_size * windows.num_channels))

    @property
    def sampler(self) -> WindowLoader:
        """The loader itself: Lightning passes the number of the epoch to a loader's sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Start this epoch, unless it has started."""
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
        block = (-1, 0, 0)  # epoch, first and stop of the prepared block
        while self.position < len(self):
            epoch, first, stop = block
            if self.epoch != epoch or not first <= self.position < stop:
                block = self.epoch, self.position, min(self.position + self._block, len(self))
                indices, bounds = self.plan.draw(*block)
                prepared, bounds = self.windows.prepare(indices), bounds.tolist()
            offset = self.position - block[1]
            batch = self.windows.cut(prepared, bounds[offset], bounds[offset + 1])
            self.position += 1
            self._resumed = False  # not before: Lightning makes an iterator or two that it throws away
            yield batch
        self._resumed = False  # a state saved after the last batch has no batch to resume with

    def state_dict(self) -> dict[str, Any]:
        """Return seed, epoch and number of batches handed out."""
        return {"seed": self.plan.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batches that a saved state counts.

        Raises
        ------
        ValueError
            When an epoch has fewer batches than the state counts.
        """
        if not 0 <= state["position"] <= len(self):
            raise ValueError(
                f"the saved state is at batch {state['position']} of an epoch that has {len(self)}; resume with the "
                "data, batch size and number of processes it was saved with"
            )
        self.plan = replace(self.plan, seed=state["seed"])  # type: ignore[type-var]
        self.epoch, self.position, self._resumed = state["epoch"], state["position"], True


def as_batch(
    values: Float[Tensor, "B C T"], key: Int[Tensor, "B 2"] | None = None, role: Int8[Tensor, "B C"] | None = None
) -> Batch:
    """Return a batch of values in which NaN is a missing step; the tensor is used, not copied."""
    observed = ~torch.isnan(values)
    return Batch(values.masked_fill_(~observed, 0.0), observed, key=key, role=role)
