"""Analogues: what followed the most similar past windows of the panel.

The nearest neighbours of the standardized past, over all series, give a distribution of futures (method of analogues;
Lorenz 1969). The number of past steps and of neighbours is chosen in the back-test.

W windows, D windows to compare with, P past steps, H horizon, Q quantile levels, K neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from tsfm.ensemble.member import History, Member, standardize
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.ridge import lookbacks

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_COMPARED = 4000
MIN_COMPARED = 32
MAX_LOOKBACK = 512
NUM_LOOKBACKS = 4  # the shortest candidates
NEIGHBOURS = (8, 24)
BATCH = 64  # windows whose neighbours are in memory at once


class Analogues(Member):
    """Quantiles of the futures of the most similar past windows; see the module."""

    name = "analogues"

    @override
    def fit(self, history: History) -> Float[np.ndarray, "W H Q"] | None:
        """Choose the number of past steps and of neighbours; see `Member.fit`."""
        self._history = history
        best: tuple[float, int, int, np.ndarray] | None = None
        middle = int(np.argmin(np.abs(np.asarray(history.quantile_levels) - 0.5)))
        short = [count for count in lookbacks(history) if count <= MAX_LOOKBACK]
        for lookback in short[:NUM_LOOKBACKS]:
            compared = self._compared(lookback, whole=False)
            if compared is None:
                continue
            for count in NEIGHBOURS:
                quantiles = self._query(history.panel, history.windows, lookback, count, compared)
                loss = history.mean_error(quantiles[..., middle])
                if best is None or loss < best[0]:
                    best = loss, lookback, count, quantiles
        if best is None:
            return None
        _, self._lookback, self._count, quantiles = best
        # the last part of a history can have so many gaps that the windows of the whole are fewer
        compared = self._compared(self._lookback, whole=True) or self._compared(self._lookback, whole=False)
        assert compared is not None
        self._compared_windows = compared
        return quantiles

    @override
    def quantiles(self, panel: Panel, windows: Windows) -> Float[np.ndarray, "W H Q"]:
        """Return quantiles of windows; see `Member.quantiles`."""
        return self._query(panel, windows, self._lookback, self._count, self._compared_windows)

    @property
    @override
    def settings(self) -> str:
        return f"{self._count} neighbours by {self._lookback} past steps"

    def _compared(self, lookback: int, *, whole: bool):
        """Return standardized pasts [D, P] and futures [D, H] to compare with, None if there are too few."""
        history = self._history
        windows = history.training_windows(lookback, whole=whole, max_windows=MAX_COMPARED)
        if len(windows) < MIN_COMPARED:
            return None
        past, level, scale = self._standardized(history.panel, windows, lookback)
        future = (history.panel.future(windows, history.horizon) - level) / scale
        complete = np.isfinite(future).all(axis=1)
        return (past[complete], future[complete]) if complete.sum() >= MIN_COMPARED else None

    def _standardized(self, panel: Panel, windows: Windows, lookback: int):
        steps = self._history.scale_steps
        past, level, scale = standardize(
            panel.past(windows, max(lookback, steps)), panel.scale_of(windows), scale_steps=steps
        )
        return past[:, -lookback:].astype(np.float32), level, scale

    def _query(self, panel: Panel, windows: Windows, lookback: int, count: int, compared: tuple):
        """Return the quantiles of the futures of the `count` nearest windows, in the units of each window."""
        pasts, futures = compared
        quantile_levels, size = self._history.quantile_levels, (pasts**2).sum(axis=1)
        out = np.empty((len(windows), futures.shape[1], len(quantile_levels)))
        count = min(count, len(pasts))
        for start in range(0, len(windows), BATCH):
            rows = slice(start, start + BATCH)
            past, level, scale = self._standardized(panel, windows.select(np.arange(len(windows))[rows]), lookback)
            nearest = np.argpartition(size - 2 * past @ pasts.T, count - 1, axis=1)[:, :count]
            quantiles = np.moveaxis(np.quantile(futures[nearest], quantile_levels, axis=1), 0, -1)
            out[rows] = quantiles * scale[..., None] + level[..., None]
        return out
