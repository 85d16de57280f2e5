"""Series of a panel without gaps, and windows of them: what the members of an ensemble are fitted on.

N series, L steps of a series, W windows, P past steps of a window, H horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MIN_RELATIVE_SPREAD = 1e-9  # of the largest absolute value: what is less is a constant series


class Windows(NamedTuple):
    """Places in a panel: the series, and the number of steps before the first step that is forecast."""

    series: Int[np.ndarray, " W"]
    origin: Int[np.ndarray, " W"]

    def __len__(self) -> int:
        """Return the number of windows, not that of the fields."""
        return len(self.series)

    def select(self, index: np.ndarray) -> Windows:
        """Return some of the windows, by a mask or by indices."""
        return Windows(self.series[index], self.origin[index])


class Panel:
    """Univariate series in float64. Gaps are filled linearly in the past of windows, and stay NaN in their future.

    Parameters
    ----------
    series
        Arrays [L]; NaN is missing.
    spread
        A scale for each series, such as that of its history; None: the mean absolute deviation of its values.
    """

    def __init__(self, series: Iterable[Float[np.ndarray, " _"]], *, spread: Float[np.ndarray, " N"] | None = None):
        self.raw = [np.asarray(values, np.float64) for values in series]
        self.filled = [fill_gaps(values) for values in self.raw]
        self.lengths = np.array([len(values) for values in self.raw])
        self.spread = np.array([_spread(values) for values in self.filled]) if spread is None else spread

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.raw)

    def past(self, windows: Windows, num_steps: int) -> Float[np.ndarray, "W P"]:
        """Return the last steps before each window; a shorter past begins with copies of its first value."""
        out = np.empty((len(windows), num_steps))
        for row, series, origin in zip(out, windows.series, windows.origin, strict=True):
            values = self.filled[series][max(origin - num_steps, 0) : origin]
            row[: num_steps - len(values)] = values[0]
            row[num_steps - len(values) :] = values
        return out

    def future(self, windows: Windows, horizon: int) -> Float[np.ndarray, "W H"]:
        """Return the steps of each window; NaN where they are missing."""
        positions = zip(windows.series, windows.origin, strict=True)
        return np.array([self.raw[series][origin : origin + horizon] for series, origin in positions]).reshape(
            -1, horizon
        )

    def scale_of(self, windows: Windows) -> Float[np.ndarray, " W"]:
        """Return the spread of the series of each window."""
        return self.spread[windows.series]


def fill_gaps(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """Return the values with gaps filled linearly, and by the nearest value at both ends; zeros if all are missing.

    Examples
    --------
    >>> fill_gaps(np.array([np.nan, 1.0, np.nan, 3.0])).tolist()
    [1.0, 1.0, 2.0, 3.0]
    """
    observed = np.isfinite(values)
    if observed.all():
        return values
    if not observed.any():
        return np.zeros(len(values))
    steps = np.arange(len(values))
    return np.interp(steps, steps[observed], values[observed])


def spread_windows(first: Int[np.ndarray, " N"], last: Int[np.ndarray, " N"], *, max_windows: int) -> Windows:
    """Return windows whose origins lie between `first` and `last` of each series: all, or evenly spread ones.

    Parameters
    ----------
    first, last
        The lowest and the highest origin of each series; a series with `last` below `first` has none.

    Examples
    --------
    >>> spread_windows(np.array([3, 5]), np.array([5, 4]), max_windows=2).origin.tolist()
    [3, 5]
    """
    counts = np.maximum(last - first + 1, 0)
    stops = np.cumsum(counts)
    total = int(stops[-1]) if len(stops) else 0
    positions = np.arange(total)
    if total > max_windows:
        positions = np.linspace(0, total - 1, max_windows).astype(int)
    series = np.searchsorted(stops, positions, side="right")
    return Windows(series, first[series] + positions - (stops - counts)[series])


def observed_windows(panel: Panel, windows: Windows, *, horizon: int, recent: int) -> Bool[np.ndarray, " W"]:
    """Return which windows have an observed step, and one in the `recent` steps before them."""
    positions: Sequence[tuple[int, int]] = list(zip(windows.series.tolist(), windows.origin.tolist(), strict=True))
    return np.array(
        [
            np.isfinite(panel.raw[series][origin : origin + horizon]).any()
            and np.isfinite(panel.raw[series][max(origin - recent, 0) : origin]).any()
            for series, origin in positions
        ],
        bool,
    )


def _spread(values: Float[np.ndarray, " L"]) -> float:
    """Return the mean absolute deviation from the mean, above 0."""
    size = float(np.abs(values).max(initial=0.0))
    return max(
        float(np.abs(values - values.mean()).mean()), MIN_RELATIVE_SPREAD * size, float(np.finfo(np.float32).tiny)
    )
