"""Infer the frequencies of many items: what is the same for several items is inferred once. N items, L rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsfm.timestamps.frequency import infer_freq
from tsfm.timestamps.steps import DAY

if TYPE_CHECKING:
    from jaxtyping import Int

MAX_DAYS = 3  # longest constant step whose name does not depend on the calendar: 14 and 15 days may be half-months


class PanelFrequencies:
    """Infers what `infer_freq` does for each item, once for all items with the same step or the same timestamps.

    Parameters
    ----------
    times
        [L] local times of all items, in time order.
    bounds
        [N + 1]; item i has the rows ``bounds[i]:bounds[i + 1]``.
    """

    def __init__(self, times: np.ndarray, bounds: np.ndarray):
        self.times, self.bounds = times, bounds
        self._steps = constant_steps(times, bounds)
        self._known: dict[int | bytes, str] = {}

    def infer(self, index: int, *, item: str, steps: bool = False) -> str:
        """Return the frequency of an item; `item` names it in the error, `steps` says that timestamps number steps."""
        times, constant = self.times[self.bounds[index] : self.bounds[index + 1]], int(self._steps[index])
        key = constant if constant > 0 and (steps or constant <= MAX_DAYS * DAY) else times.tobytes()
        if key not in self._known:
            self._known[key] = infer_freq(times, item=item, steps=steps)
        return self._known[key]


def constant_steps(times: np.ndarray, bounds: np.ndarray) -> Int[np.ndarray, " N"]:
    """Return the step of each item in microseconds; 0 where steps differ, or there are fewer than two.

    Examples
    --------
    >>> days = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-01", "2024-01-02"], "M8[us]")
    >>> constant_steps(days, np.array([0, 3, 5])).tolist()
    [86400000000, 0]
    """
    first, lengths = bounds[:-1], np.diff(bounds)
    out = np.zeros(len(first), np.int64)
    is_long = lengths > 2
    if times.dtype != "M8[us]" or not is_long.any():
        return out
    steps = np.diff(times.astype(np.int64), append=0)
    within = np.column_stack([first, first + lengths - 1])[is_long].ravel()  # without the step to the next item
    lowest, highest = np.minimum.reduceat(steps, within)[::2], np.maximum.reduceat(steps, within)[::2]
    out[is_long] = np.where(lowest == highest, lowest, 0)
    return out
