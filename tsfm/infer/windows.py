"""Cut series of any length into windows of a model, and place results of the windows at the steps of the series.

N series, C channels, W windows over all series, B windows of a batch, T steps of a window. NaN is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from tsfm.infer.arguments import check_count
from tsfm.infer.series_input import MAX_VALUES
from tsfm.model.model import Model
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Windows:
    """Windows over series.

    Window w has `length` steps from step `first[w]` of its series on; `first` is negative where the series is shorter.
    Of its result the steps `begin[w]` to `stop[w]` of the series are kept. Each step of a series is kept once, from
    the window in which it is farthest from the borders, where most context is around it.
    """

    length: int
    series: Int[np.ndarray, " W"]
    first: Int[np.ndarray, " W"]
    begin: Int[np.ndarray, " W"]
    stop: Int[np.ndarray, " W"]

    def __len__(self) -> int:
        return len(self.series)

    def location(self, window: int) -> tuple[int, int, slice]:
        """Return the series of a window, its first step there, and the steps that are kept of its result."""
        kept = slice(int(self.begin[window]), int(self.stop[window]))
        return int(self.series[window]), int(self.first[window]), kept

    def select(self, indices: np.ndarray) -> Windows:
        """Return some of the windows."""
        columns = {name: getattr(self, name)[indices] for name in ("series", "first", "begin", "stop")}
        return replace(self, **columns)


def sliding_windows(lengths: Sequence[int], *, window_length: int, stride: int) -> Windows:
    """Return windows every `stride` steps from the start of each series on, and one that ends with it.

    Raises
    ------
    ValueError
        When `stride` is longer than the window, which would leave steps out.

    Examples
    --------
    >>> windows = sliding_windows([10], window_length=4, stride=3)
    >>> [windows.location(w) for w in range(len(windows))]
    [(0, 0, slice(0, 3, None)), (0, 3, slice(3, 6, None)), (0, 6, slice(6, 10, None))]
    """
    if not 1 <= stride <= window_length:
        raise ValueError(f"stride is {stride}; expected 1 to {window_length} steps, the length of a window")
    columns: list[list[np.ndarray]] = [[], [], [], []]
    for i, length in enumerate(lengths):
        first = np.append(np.arange(0, length - window_length, stride), length - window_length)
        borders = np.array([0, *(first[:-1] + first[1:] + window_length) // 2, length])
        values = (np.full(len(first), i), first, borders[:-1], borders[1:])
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return Windows(window_length, *map(np.concatenate, columns))


def last_windows(lengths: Sequence[int], *, window_length: int) -> Windows:
    """Return one window for each series, which ends with it."""
    length = np.asarray(lengths, dtype=np.int64)
    first = length - window_length
    return Windows(window_length, np.arange(len(length)), first, np.maximum(first, 0), length)


def window_batches(
    arrays: Sequence[np.ndarray], windows: Windows, *, model: Model, batch_size: int
) -> Iterator[tuple[Int[np.ndarray, " B"], Float[np.ndarray, "B C T"]]]:
    """Yield the indices of windows and their values in batches; each window comes once.

    Windows end together: a shorter series has NaN on its left. For a model that takes windows of any length, patches
    in which no window of the batch has a step are left out.
    """
    batch_size = check_count("batch_size", batch_size, unit="window")
    order = np.argsort(np.minimum(windows.first, 0), kind="stable")
    num_channels, patch = arrays[0].shape[0], model.config.patch
    size = max(1, min(batch_size, MAX_VALUES // (num_channels * windows.length)))
    for begin in range(0, len(order), size):
        indices = order[begin : begin + size]
        num_empty = 0 if model.fixed_length else max(0, -int(windows.first[indices].max())) // patch * patch
        out = np.full((len(indices), num_channels, windows.length - num_empty), np.nan, np.float32)
        for row, index in zip(out, indices, strict=True):
            series, first, _ = windows.location(index)
            steps = arrays[series][:, max(first, 0) : first + windows.length]
            row[:, row.shape[1] - steps.shape[1] :] = steps
        yield indices, out


def to_batch(values: Float[np.ndarray, "B C T"], *, device: torch.device) -> Batch:
    """Return windows as a batch on a device; what is NaN is not observed."""
    tensor = torch.as_tensor(values, device=device)
    observed = torch.isfinite(tensor)
    return Batch(torch.where(observed, tensor, 0.0), observed)
