"""Cut series of any length into windows of a model, and put what it says of their steps together again.

N series, C channels, L steps of a series, W windows over all series, B windows of a batch, T steps of a window,
Q quantile levels. NaN is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tsfm.infer.batches import CELLS, as_series, listed
from tsfm.model.model import Model
from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Given:
    """Series as [C, L] float32 arrays, and the form in which they were given."""

    parts: list[np.ndarray]
    form: str  # one: [L] or [C, L]; stack: [N, C, L]; list
    flat: list[bool]  # whether a series was given as [L]

    def back(self, answers: Sequence[np.ndarray]) -> Any:
        """One answer [C, L, ...] per series in the form of the question; [L, ...] for a series given as [L]."""
        shaped = [answer[0] if flat else answer for answer, flat in zip(answers, self.flat, strict=True)]
        return self.joined(shaped)

    def joined(self, answers: Sequence[np.ndarray]) -> Any:
        """One answer per series, of whatever shape: alone, as a stack, or as a list."""
        return answers[0] if self.form == "one" else np.stack(answers) if self.form == "stack" else list(answers)


def take(series: Any, *, silent_channels: bool = False) -> Given:
    """One array ([L] or [C, L]), a stack [N, C, L] or a list of arrays of any lengths and one number of channels."""
    parts = as_series(series, silent_channels=silent_channels)
    channels = {part.shape[0] for part in parts}
    if len(channels) > 1:
        raise ValueError(f"series have different channel counts {sorted(channels)}; give each count by itself")
    if listed(series):
        return Given(parts, "list", [np.ndim(one) == 1 for one in series])
    dims = np.ndim(series)
    return Given(parts, "stack" if dims == 3 else "one", [dims == 1] * len(parts))


@dataclass(frozen=True)
class Tiles:
    """Windows over series. Window w covers `window` steps from `first[w]` on, which is negative where its series is
    shorter. Of its answer the steps `begin[w]` to `stop[w]` are kept: each step of a series is kept once, from the
    window in which it lies farthest from a border, where most is seen around it."""

    window: int
    series: Int[np.ndarray, " W"]
    first: Int[np.ndarray, " W"]
    begin: Int[np.ndarray, " W"]
    stop: Int[np.ndarray, " W"]

    def __len__(self) -> int:
        return len(self.series)

    def at(self, place: int) -> tuple[int, int, slice]:
        """The series of a window, its first step there, and the steps that are kept of its answer."""
        kept = slice(int(self.begin[place]), int(self.stop[place]))
        return int(self.series[place]), int(self.first[place]), kept

    def pick(self, places: np.ndarray) -> Tiles:
        return replace(self, **{name: getattr(self, name)[places] for name in ("series", "first", "begin", "stop")})


def tile(lengths: Sequence[int], *, window: int, stride: int) -> Tiles:
    """Windows every `stride` steps from the start of each series on, and one that ends with it."""
    if not 1 <= stride <= window:
        raise ValueError(f"stride is {stride}; windows of {window} steps lie 1 to {window} steps apart")
    columns: list[list[np.ndarray]] = [[], [], [], []]
    for i, length in enumerate(lengths):
        first = np.append(np.arange(0, length - window, stride), length - window)
        edges = np.array([0, *(first[:-1] + first[1:] + window) // 2, length])
        for column, found in zip(columns, (np.full(len(first), i), first, edges[:-1], edges[1:]), strict=True):
            column.append(found)
    return Tiles(window, *map(np.concatenate, columns))


def newest(lengths: Sequence[int], *, window: int) -> Tiles:
    """One window for each series, which ends with it."""
    length = np.asarray(lengths, dtype=np.int64)
    return Tiles(window, np.arange(len(length)), length - window, np.maximum(length - window, 0), length)


def cut(
    parts: Sequence[np.ndarray], tiles: Tiles, *, model: Model, batch_size: int
) -> Iterator[tuple[Int[np.ndarray, " B"], Float[np.ndarray, "B C T"]]]:
    """Batches of windows and their places among the tiles; each window comes once. Windows end together: a shorter
    series has NaN on its left. A model of free length is spared patches in which no window of a batch has a step."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1 window")
    order = np.argsort(np.minimum(tiles.first, 0), kind="stable")
    room = max(1, min(batch_size, CELLS // (parts[0].shape[0] * tiles.window)))
    patch = model.config.patch
    for at in range(0, len(order), room):
        places = order[at : at + room]
        empty = 0 if model.fixed_length else max(0, -int(tiles.first[places].max())) // patch * patch
        out = np.full((len(places), parts[0].shape[0], tiles.window - empty), np.nan, np.float32)
        for row, place in zip(out, places, strict=True):
            one, first, _ = tiles.at(place)
            steps = parts[one][:, max(first, 0) : first + tiles.window]
            row[:, row.shape[1] - steps.shape[1] :] = steps
        yield places, out


def as_batch(windows: Float[np.ndarray, "B C T"], *, model: Model) -> Batch:
    """Windows on the device of the model."""
    values = torch.as_tensor(windows, device=next(model.parameters()).device)
    observed = torch.isfinite(values)
    return Batch(torch.where(observed, values, 0.0), observed)
