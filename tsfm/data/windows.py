"""Every window of one split, counted, found and cut many at once. N series, B windows, C channels, T steps of a window.

A window is `context` steps and the `horizon` steps after them. The index stores nothing per window: window number i is
found from the number of windows each series has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tsfm.data.collate import as_batch
from tsfm.data.flat import FlatSeries
from tsfm.data.splits import Spans
from tsfm.data.standardize import Standardizer
from tsfm.messages import did_you_mean
from tsfm.timestamps.time_features import TimeFeatures
from tsfm.types import TARGET, Batch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Int8

MAX_BUCKETS = 2**18  # entries of the table that finds a window's series; beyond it a binary search does


@dataclass(frozen=True)
class Located:
    """B windows found: what cutting them needs, so that it can be worked out for many batches at once."""

    series: Int[np.ndarray, " B"]
    start: Int[np.ndarray, " B"]  # first step; negative where the window begins before its series
    rows: Int[Tensor, " BC"]  # place of each first step in the flat values, window by window
    key: Int[Tensor, "B 2"]
    partial: Bool[np.ndarray, " B"] | None  # windows that may hold unobserved steps; None: none does


class WindowIndex:
    """The windows of the series in `flat` that lie in `spans` (made with lookback=context).

    `role` (Batch.role of one window) and `calendar` come with covariates: its marks follow the channels of the store.
    With `min_context` the context may begin up to `context - min_context` steps before the series does; those steps are
    unobserved. `fraction` keeps the most recent windows of each series: few-shot training as TinyTimeMixers' scripts do
    it (arXiv:2401.03955, fewshot_location="last"). GPT4TS (arXiv:2302.11939) keeps the first rows of train instead,
    which leaves a gap of months before the test part that no user would leave.
    """

    def __init__(
        self,
        flat: FlatSeries,
        spans: Spans,
        *,
        context: int,
        horizon: int,
        stride: int = 1,
        min_context: int | None = None,
        fraction: float = 1.0,
        channels: Sequence[str] | None = None,
        standardizer: Standardizer | None = None,
        role: Int8[Tensor, "1 C"] | None = None,
        calendar: TimeFeatures | None = None,
    ):
        if context < 0 or horizon < 0 or context + horizon < 1 or stride < 1:
            raise ValueError(
                f"context {context}, horizon {horizon}, stride {stride}; a window needs a step and a stride"
            )
        if len(spans) != len(flat):
            raise ValueError(f"{len(spans)} spans for {len(flat)} series; give one span for each series")
        self.flat, self.spans = flat, spans
        self.context, self.horizon, self.stride = context, horizon, stride
        self.least = context if min_context is None else min(min_context, context)
        self.stored = pick(flat.channels, channels)
        self.calendar, self.role = calendar, role
        self._picked = np.array([flat.channels.index(channel) for channel in self.stored], dtype=np.int64)
        self._starts, self.count_by_series = self._count(fraction)
        self._set_table()
        self._set_memory(standardizer)

    def _count(self, fraction: float) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """First start and number of windows of every series."""
        spans = self.spans
        # the first target of an evaluation is fixed by its split: a series with too little before it is left out, named
        target = np.where(spans.target > 0, spans.target, spans.first + self.least)
        counts = (spans.stop - target - self.horizon) // self.stride + 1
        counts = np.where((spans.stop > 0) & (spans.first + self.least <= target), np.maximum(counts, 0), 0)
        kept = np.ceil(counts * fraction - 1e-9).astype(np.int64) if fraction < 1 else counts
        return target - self.context + (counts - kept) * self.stride, kept

    def _set_table(self) -> None:
        self._series = np.flatnonzero(self.count_by_series)  # those with windows; a window's place counts these alone
        counts = self.count_by_series[self._series]
        self._ends = np.cumsum(counts)
        self._begins = self._ends - counts
        self._total = int(self._ends[-1]) if len(self._ends) else 0
        # buckets no wider than the smallest series: then at most one series ends within a bucket
        self._shift = int(counts.min()).bit_length() - 1 if len(counts) else 0
        num = (self._total >> self._shift) + 1
        lows = np.arange(num, dtype=np.int64) << self._shift if num <= MAX_BUCKETS else None
        self._buckets = None if lows is None else np.searchsorted(self._ends, lows, side="right")

    def _set_memory(self, standardizer: Standardizer | None) -> None:
        values, steps = self.flat.tensor(), self.context + self.horizon
        self._last = len(values) - steps  # the last row at which a window fits
        # row r of this view is values[r : r + T]: cutting B windows is one index_select of B * C rows
        self._view = values.as_strided((self._last + 1, 1, steps), (1, 1, 1)) if self._last >= 0 else None
        self._begins_early = bool((self._starts[self._series] < 0).any())
        self._missing = self.flat.has_missing if self.flat.has_missing[self._series].any() else None
        self._all = torch.ones(1, dtype=torch.bool).expand(1, self.num_channels, steps)
        self.standardizer = standardizer
        if standardizer is not None:
            place = [standardizer.channels.index(channel) for channel in self.stored]
            self._loc = torch.from_numpy(standardizer.loc[place]).float()[:, None]
            self._scale = torch.from_numpy(standardizer.scale[place]).float()[:, None]

    def __len__(self) -> int:
        return self._total

    @property
    def num_channels(self) -> int:
        """Of a window: those of the store that are read, and the calendar's."""
        return len(self.stored) + (len(self.calendar.fields) if self.calendar is not None else 0)

    @property
    def targets(self) -> tuple[str, ...]:
        """The channels that are asked for; they come first."""
        return self.stored if self.role is None else self.stored[: int((self.role == TARGET).sum())]

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        """(item, reason) of every series without a window here."""
        return [(self.flat.ids[int(i)], self._reason(int(i))) for i in np.flatnonzero(self.count_by_series == 0)]

    def _reason(self, i: int) -> str:
        if i in self.spans.reasons:
            return self.spans.reasons[i]
        first, stop, target = int(self.spans.first[i]), int(self.spans.stop[i]), int(self.spans.target[i])
        if target and target - first < self.least:
            return f"{target - first} steps before its first target, a context needs {self.least}"
        found, needed = (stop - target, self.horizon) if target else (stop - first, self.least + self.horizon)
        return f"{found} steps, a window needs {needed}"

    def locate(self, indices: Iterable[int]) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
        """Series and first step of windows, by number; a first step below 0 lies before the series."""
        numbers = np.asarray(indices, dtype=np.int64)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < self._total):
            raise IndexError(f"window numbers {numbers.min()} to {numbers.max()}; this split has {self._total} windows")
        if self._buckets is None:
            place = np.searchsorted(self._ends, numbers, side="right")
        else:  # ten times faster than the search, and the same
            place = self._buckets[numbers >> self._shift]
            place += self._ends[place] <= numbers
        series = self._series[place]
        return series, self._starts[series] + (numbers - self._begins[place]) * self.stride

    def prepare(self, indices: Iterable[int]) -> Located:
        """All that is whole-number arithmetic, for the windows of one batch or of many."""
        series, start = self.locate(indices)
        rows = (self.flat.offsets[series] + start)[:, None]
        if self.flat.num_channels > 1:
            rows = rows + self.flat.lengths[series][:, None] * self._picked
        partial = None
        if self._begins_early:
            partial = start < 0
            rows = np.clip(rows, 0, max(self._last, 0))  # partial windows are cut the plain way, over what is cut here
        if self._missing is not None:
            partial = self._missing[series] if partial is None else partial | self._missing[series]
        key = torch.from_numpy(np.stack([series, start], axis=1))
        return Located(series, start, torch.from_numpy(rows.ravel()), key, partial)

    def gather(self, indices: Iterable[int]) -> Batch:
        """The windows of these numbers, in this order; key is (series, first step)."""
        located = self.prepare(indices)
        return self.cut(located, 0, len(located.series))

    def cut(self, located: Located, first: int, stop: int) -> Batch:
        """One batch of prepared windows."""
        num, wide = stop - first, len(self._picked)
        if self._view is None:
            values = self.plain(located.series[first:stop], located.start[first:stop])
        else:
            values = self._view.index_select(0, located.rows[first * wide : stop * wide])
            if wide > 1:
                values = values.view(num, wide, -1)
        partial = located.partial is not None and bool(located.partial[first:stop].any())
        if partial and self._begins_early and self._view is not None:
            early = np.flatnonzero(located.start[first:stop] < 0)
            if len(early):
                values[torch.from_numpy(early)] = self.plain(
                    located.series[first:stop][early], located.start[first:stop][early]
                )
        if self.standardizer is not None:
            values.sub_(self._loc).div_(self._scale)
        if self.calendar is not None:
            marks = self.calendar.window(located.series[first:stop], located.start[first:stop], steps=values.shape[-1])
            values = torch.cat([values, torch.from_numpy(marks)], dim=1)
        role = None if self.role is None else self.role.expand(num, -1)
        key = located.key[first:stop]
        if partial:
            return as_batch(values, key, role)
        if len(self._all) != num:  # one mask serves all batches of a size
            self._all = self._all[:1].expand(num, -1, -1)
        return Batch(values, self._all, key=key, role=role)

    def plain(self, series: Int[np.ndarray, " B"], start: Int[np.ndarray, " B"]) -> Float[Tensor, "B C T"]:
        """What a window is, step by step; NaN before its series begins. Stored channels, in the store's units."""
        steps = start[:, None] + np.arange(self.context + self.horizon)
        base = self.flat.offsets[series][:, None] + self.flat.lengths[series][:, None] * self._picked
        values = self.flat.values[base[:, :, None] + np.maximum(steps, 0)[:, None, :]]
        return torch.from_numpy(np.where((steps >= 0)[:, None, :], values, np.float32(np.nan)))


def pick(known: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The channels asked for, all if none are named."""
    if wanted is None:
        return tuple(known)
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"channels are {list(wanted)}; name at least one, and each once")
    for name in wanted:
        if name not in known:
            raise ValueError(f"no channel {name!r}; {did_you_mean(name, list(known))}")
    return tuple(wanted)
