"""Batches of windows, one after another, resumable at any batch.

Cutting a batch of windows takes microseconds. Batches of synthetic series take longer, and a second process of one
thread can make them ahead: the same batches, bit for bit, in the same order.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

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

    Parameters
    ----------
    windows, plan
        What batches are cut from, and which windows each of them has.
    prefetch
        Batches that a second process makes ahead; 0: none.
    """

    batch_sampler = None  # Lightning looks for it wherever there is a sampler

    def __init__(self, windows: WindowSource, plan: BatchPlan, *, prefetch: int = 0):
        self.windows, self.plan, self.prefetch = windows, plan, prefetch
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
        return self._made_ahead() if self.prefetch else self._batches()

    def _made_ahead(self) -> Iterator[Batch]:
        stream, next_batch = iter(()), (-1, -1)
        while self.position < len(self):
            if (self.epoch, self.position) != next_batch:  # the first batch, or Lightning named another epoch
                stream = iter(_process(self))
            batch = next(stream)
            self.position += 1
            self._resumed = False
            next_batch = self.epoch, self.position
            yield batch
        self._resumed = False

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


class _Rest(IterableDataset):
    """The batches of a loader from its position to the end of its epoch."""

    def __init__(self, loader: WindowLoader):
        self.loader = copy.copy(loader)

    def __iter__(self) -> Iterator[Batch]:
        return self.loader._batches()  # noqa: SLF001


def _process(loader: WindowLoader) -> DataLoader:
    """Return the rest of an epoch as made by a process of its own."""
    return DataLoader(
        _Rest(loader),
        batch_size=None,
        num_workers=1,
        prefetch_factor=loader.prefetch,
        generator=torch.Generator(),  # the global one is left as it is
    )


def as_batch(
    values: Float[Tensor, "B C T"], key: Int[Tensor, "B 2"] | None = None, role: Int8[Tensor, "B C"] | None = None
) -> Batch:
    """Return a batch of values in which NaN is a missing step; the tensor is used, not copied."""
    observed = ~torch.isnan(values)
    return Batch(values.masked_fill_(~observed, 0.0), observed, key=key, role=role)
