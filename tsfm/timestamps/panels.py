"""The timestamps of many items at once, and those of the steps after them. N items, L rows, H horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.timestamps.calendars import timestamp_at
from tsfm.timestamps.grid import as_times
from tsfm.timestamps.panel_frequency import constant_steps
from tsfm.timestamps.steps import parse_freq
from tsfm.timestamps.timezones import local_times, naive_utc, regular_times, restore_timezone

if TYPE_CHECKING:
    from jaxtyping import Bool, Int


@dataclass(frozen=True)
class TimeSpan:
    """Consecutive timestamps of an index that many items share; an index of its own for each would take long."""

    shared: pd.DatetimeIndex
    start: int
    stop: int

    @property
    def index(self) -> pd.DatetimeIndex:
        """Return the timestamps in their zone."""
        return self.shared[self.start : self.stop]  # type: ignore[return-value]

    @property
    def utc(self) -> np.ndarray:
        """Return the timestamps in UTC, or as they are without a zone."""
        return np.asarray(self.shared.values)[self.start : self.stop]


@dataclass(frozen=True)
class PanelTimes:
    """The timestamps of all items, in time order.

    Attributes
    ----------
    index
        [L]; item i has the rows ``bounds[i]:bounds[i + 1]``.
    bounds
        [N + 1]
    """

    index: pd.DatetimeIndex
    bounds: np.ndarray

    @cached_property
    def zone(self) -> tzinfo | None:
        """Return the time zone; None without one."""
        return self.index.tz

    @cached_property
    def local(self) -> np.ndarray:
        """Return local times without a zone."""
        return local_times(self.index)

    @cached_property
    def utc(self) -> np.ndarray:
        """Return the timestamps in UTC, or as they are without a zone."""
        return self.local if self.zone is None else as_times(naive_utc(self.index))

    def regular(self, item: int, freq: str) -> tuple[np.ndarray, bool]:
        """Return the timestamps of an item in the zone in which they are regular, and whether that is UTC."""
        span = slice(self.bounds[item], self.bounds[item + 1])
        if self.zone is None:
            return _shortest(self.local[span]), False
        return regular_times(_shortest(self.utc[span]), _shortest(self.local[span]), freq)

    def without_gaps(self, freqs: Sequence[str], absolute: Bool[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
        """Return the items, of at least 3 rows, that have a row at every step of a frequency of constant length.

        `absolute` is as for `after`.
        """
        steps = constant_steps(self.utc, self.bounds)
        if self.zone is not None:
            steps = np.where(absolute, steps, constant_steps(self.local, self.bounds))
        lengths = {freq: step.micros if (step := parse_freq(freq)).has_whole_micros else -1 for freq in set(freqs)}
        return steps == np.array([lengths[freq] for freq in freqs])

    def after(
        self,
        starts: Sequence[np.datetime64],
        lengths: Int[np.ndarray, " N"],
        freqs: Sequence[str],
        absolute: Bool[np.ndarray, " N"],
        *,
        horizon: int,
        unit: str,
    ) -> list[TimeSpan]:
        """Return the `horizon` timestamps after the `lengths` steps of each item, in the time zone.

        Parameters
        ----------
        absolute
            Whether the starts are in UTC rather than local times.
        unit
            The resolution to return, where it can represent the timestamps.
        """
        out = [TimeSpan(pd.DatetimeIndex([]), 0, 0)] * len(starts)
        groups: dict[tuple[str, bool, np.dtype], list[int]] = {}
        for item, (start, freq) in enumerate(zip(starts, freqs, strict=True)):
            groups.setdefault((freq, bool(absolute[item]), start.dtype), []).append(item)
        for (freq, is_absolute, _), items in groups.items():
            index = lengths[items][:, None] + np.arange(horizon)
            times = timestamp_at(np.array([starts[item] for item in items])[:, None], freq, index)
            zoned = restore_timezone(times.ravel(), self.zone, absolute=is_absolute, unit=unit)
            for row, item in enumerate(items):
                out[item] = TimeSpan(zoned, row * horizon, (row + 1) * horizon)
        return out


def _shortest(times: np.ndarray) -> np.ndarray:
    """Return microseconds where they lose no digits."""
    return times if times.dtype == "M8[us]" else as_times(times)
