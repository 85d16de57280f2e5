"""All windows of one split: counted, located and cut many at once.

N series, B windows, C channels, T steps of a window. A window is `context` steps and the `horizon` steps after them.
The index stores nothing per window: window i is located from the number of windows of each series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tsfm.data.flat import FlatSeries
from tsfm.data.loader import as_batch
from tsfm.data.splits import Spans
from tsfm.data.standardize import Standardizer
from tsfm.messages import did_you_mean
from tsfm.timestamps.time_features import TimeFeatures
from tsfm.types import TARGET, Batch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Int8

MAX_BUCKETS = 2**18  # entries of the table that finds the series of a window; beyond it a binary search does


@dataclass(frozen=True)
class LocatedWindows:
    """What cutting B windows needs, computed for many batches at once."""

    series: Int[np.ndarray, " B"]
    start: Int[np.ndarray, " B"]  # first step; negative where the window begins before its series
    rows: Int[Tensor, " BC"]  # position of each first step in the flat values, window by window
    key: Int[Tensor, "B 2"]
    partial: Bool[np.ndarray, " B"] | None  # windows that may hold missing steps; None: none does


class WindowIndex:
    """The windows of N series within the spans of a split.

    Parameters
    ----------
    flat
        The values of the series.
    spans
        The split, one span per series, made with lookback=context.
    context, horizon
        Steps of a window before and after its forecast origin.
    stride
        Steps from one window to the next.
    min_context
        The context may begin up to `context - min_context` steps before the series does; these steps are missing.
        Default: the whole context is in the series.
    fraction
        Share of the windows of each series that is kept, the most recent ones: few-shot training as in the scripts of
        TinyTimeMixers (arXiv:2401.03955, fewshot_location="last"). GPT4TS (arXiv:2302.11939) keeps the first rows of
        train instead, which leaves a gap of months before the test part.
    channels
        Channels of the store to read; None reads all of them.
    standardizer
        Units of the windows; None keeps those of the store.
    role
        `Batch.role` of one window, where there are covariates.
    time_features
        Time features that follow the channels of the store.

    Raises
    ------
    ValueError
        When lengths are not positive, or spans and series differ in number.
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
        time_features: TimeFeatures | None = None,
    ):
        if context < 0 or horizon < 0 or context + horizon < 1 or stride < 1:
            raise ValueError(
                f"context {context}, horizon {horizon}, stride {stride}; a window needs at least one step, and a "
                "stride of at least 1"
            )
        if len(spans) != len(flat):
            raise ValueError(f"{len(spans)} spans for {len(flat)} series; give one span for each series")
        self.flat, self.spans = flat, spans
        self.context, self.horizon, self.stride = context, horizon, stride
        self.min_context = context if min_context is None else min(min_context, context)
        self.channels = select_channels(flat.channels, channels)
        self.time_features, self.role = time_features, role
        self._selected = np.array([flat.channels.index(channel) for channel in self.channels], dtype=np.int64)
        self._starts, self.count_by_series = self._count(fraction)
        self._set_lookup_table()
        self._set_views(standardizer)

    def _count(self, fraction: float) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """First start and number of windows of every series."""
        spans = self.spans
        # the first target of an evaluation is fixed by its split: a series with too little before it has no window
        target = np.where(spans.target > 0, spans.target, spans.first + self.min_context)
        counts = (spans.stop - target - self.horizon) // self.stride + 1
        counts = np.where((spans.stop > 0) & (spans.first + self.min_context <= target), np.maximum(counts, 0), 0)
        kept = np.ceil(counts * fraction - 1e-9).astype(np.int64) if fraction < 1 else counts
        return target - self.context + (counts - kept) * self.stride, kept

    def _set_lookup_table(self) -> None:
        self._series = np.flatnonzero(self.count_by_series)  # series with windows; ranks of windows count these alone
        counts = self.count_by_series[self._series]
        self._ends = np.cumsum(counts)
        self._begins = self._ends - counts
        self._total = int(self._ends[-1]) if len(self._ends) else 0
        # buckets no wider than the smallest series: then at most one series ends within a bucket
        self._shift = int(counts.min()).bit_length() - 1 if len(counts) else 0
        num_buckets = (self._total >> self._shift) + 1
        lows = np.arange(num_buckets, dtype=np.int64) << self._shift if num_buckets <= MAX_BUCKETS else None
        self._buckets = None if lows is None else np.searchsorted(self._ends, lows, side="right")

    def _set_views(self, standardizer: Standardizer | None) -> None:
        values, steps = self.flat.tensor(), self.context + self.horizon
        self._last = len(values) - steps  # the last row at which a window fits
        # row r of this view is values[r : r + T]: cutting B windows is one index_select of B * C rows
        self._view = values.as_strided((self._last + 1, 1, steps), (1, 1, 1)) if self._last >= 0 else None
        self._begins_early = bool((self._starts[self._series] < 0).any())
        self._missing = self.flat.has_missing if self.flat.has_missing[self._series].any() else None
        self._all_observed = torch.ones(1, dtype=torch.bool).expand(1, self.num_channels, steps)
        self.standardizer = standardizer
        if standardizer is not None:
            index = [standardizer.channels.index(channel) for channel in self.channels]
            self._loc = torch.from_numpy(standardizer.loc[index]).float()[:, None]
            self._scale = torch.from_numpy(standardizer.scale[index]).float()[:, None]

    def __len__(self) -> int:
        return self._total

    @property
    def num_channels(self) -> int:
        """Channels of a window: those of the store and the time features."""
        return len(self.channels) + (len(self.time_features.fields) if self.time_features is not None else 0)

    @property
    def targets(self) -> tuple[str, ...]:
        """The channels that a model predicts; they come first."""
        return self.channels if self.role is None else self.channels[: int((self.role == TARGET).sum())]

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        """(item, reason) of every series without a window here."""
        return [(self.flat.ids[int(i)], self._reason(int(i))) for i in np.flatnonzero(self.count_by_series == 0)]

    def _reason(self, i: int) -> str:
        if i in self.spans.reasons:
            return self.spans.reasons[i]
        first, stop, target = int(self.spans.first[i]), int(self.spans.stop[i]), int(self.spans.target[i])
        if target and target - first < self.min_context:
            return f"{target - first} steps before its first target, a context needs {self.min_context}"
        num_steps, needed = (stop - target, self.horizon) if target else (stop - first, self.min_context + self.horizon)
        return f"{num_steps} steps, a window needs {needed}"

    def locate(self, indices: Iterable[int]) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
        """Return series and first step of windows; a first step below 0 is before the series.

        Raises
        ------
        IndexError
            When there is no window of an index.
        """
        numbers = np.asarray(indices, dtype=np.int64)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < self._total):
            raise IndexError(f"window numbers {numbers.min()} to {numbers.max()}; this split has {self._total} windows")
        if self._buckets is None:
            rank = np.searchsorted(self._ends, numbers, side="right")
        else:  # ten times faster than the search, with the same result
            rank = self._buckets[numbers >> self._shift]
            rank += self._ends[rank] <= numbers
        series = self._series[rank]
        return series, self._starts[series] + (numbers - self._begins[rank]) * self.stride

    def prepare(self, indices: Iterable[int]) -> LocatedWindows:
        """Return everything that is whole-number arithmetic, for the windows of one batch or of many."""
        series, start = self.locate(indices)
        rows = (self.flat.offsets[series] + start)[:, None]
        if self.flat.num_channels > 1:
            rows = rows + self.flat.lengths[series][:, None] * self._selected
        partial = None
        if self._begins_early:
            partial = start < 0
            rows = np.clip(rows, 0, max(self._last, 0))  # `cut` replaces the windows that begin early
        if self._missing is not None:
            partial = self._missing[series] if partial is None else partial | self._missing[series]
        key = torch.from_numpy(np.stack([series, start], axis=1))
        return LocatedWindows(series, start, torch.from_numpy(rows.ravel()), key, partial)

    def gather(self, indices: Iterable[int]) -> Batch:
        """Return the windows of these indices, in this order; `Batch.key` is (series, first step)."""
        prepared = self.prepare(indices)
        return self.cut(prepared, 0, len(prepared.series))

    def cut(self, prepared: LocatedWindows, first: int, stop: int) -> Batch:
        """Return prepared windows first..stop-1 as one batch."""
        num, num_stored = stop - first, len(self._selected)
        if self._view is None:
            values = self.cut_plainly(prepared.series[first:stop], prepared.start[first:stop])
        else:
            values = self._view.index_select(0, prepared.rows[first * num_stored : stop * num_stored])
            if num_stored > 1:
                values = values.view(num, num_stored, -1)
        partial = prepared.partial is not None and bool(prepared.partial[first:stop].any())
        if partial and self._begins_early and self._view is not None:
            early = np.flatnonzero(prepared.start[first:stop] < 0)
            if len(early):
                values[torch.from_numpy(early)] = self.cut_plainly(
                    prepared.series[first:stop][early], prepared.start[first:stop][early]
                )
        if self.standardizer is not None:
            values.sub_(self._loc).div_(self._scale)
        if self.time_features is not None:
            features = self.time_features.window(
                prepared.series[first:stop], prepared.start[first:stop], steps=values.shape[-1]
            )
            values = torch.cat([values, torch.from_numpy(features)], dim=1)
        role = None if self.role is None else self.role.expand(num, -1)
        key = prepared.key[first:stop]
        if partial:
            return as_batch(values, key, role)
        if len(self._all_observed) != num:  # one mask serves all batches of a size
            self._all_observed = self._all_observed[:1].expand(num, -1, -1)
        return Batch(values, self._all_observed, key=key, role=role)

    def cut_plainly(self, series: Int[np.ndarray, " B"], start: Int[np.ndarray, " B"]) -> Float[Tensor, "B C T"]:
        """Return windows step by step, the definition of a window: in the units of the store, NaN before the series."""
        steps = start[:, None] + np.arange(self.context + self.horizon)
        base = self.flat.offsets[series][:, None] + self.flat.lengths[series][:, None] * self._selected
        values = self.flat.values[base[:, :, None] + np.maximum(steps, 0)[:, None, :]]
        return torch.from_numpy(np.where((steps >= 0)[:, None, :], values, np.float32(np.nan)))


def select_channels(available: Sequence[str], selected: Sequence[str] | None) -> tuple[str, ...]:
    """Return the selected channels, or all of them if None is given.

    Raises
    ------
    ValueError
        When a channel is not available, named twice, or none is named.
    """
    if selected is None:
        return tuple(available)
    if not selected or len(set(selected)) < len(selected):
        raise ValueError(f"channels are {list(selected)}; name at least one, and each once")
    for name in selected:
        if name not in available:
            raise ValueError(f"no channel {name!r}; {did_you_mean(name, list(available))}")
    return tuple(selected)
