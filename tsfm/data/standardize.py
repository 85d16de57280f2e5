"""One location and scale per channel, fitted on train rows: the units of the scores of long-horizon benchmarks.

C channels. Unlike a scaler of the model, which sees one window, this sees the whole train part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsfm.data.flat import FlatSeries
from tsfm.data.splits import Spans

if TYPE_CHECKING:
    from jaxtyping import Float

BLOCK_ROWS = 2**22  # rows turned into float64 at once


@dataclass(frozen=True)
class Standardizer:
    """Standardized = (value - loc) / scale, channel by channel."""

    channels: tuple[str, ...]
    loc: Float[np.ndarray, " C"]
    scale: Float[np.ndarray, " C"]
    constant: tuple[str, ...] = ()  # channels that do not vary in the train rows: their scale is 1

    def as_dict(self) -> dict[str, tuple[float, float]]:
        """Return channel -> (loc, scale), as a checkpoint stores them."""
        pairs = zip(self.loc.tolist(), self.scale.tolist(), strict=True)
        return dict(zip(self.channels, pairs, strict=True))


def fit_standardizer(flat: FlatSeries, spans: Spans, channels: tuple[str, ...]) -> Standardizer:
    """Return mean and biased standard deviation of each channel over the observed rows of `spans`, in float64.

    As scikit-learn's StandardScaler; a channel that does not vary has scale 1.

    Raises
    ------
    ValueError
        When a channel has no observed value in these rows.
    """
    selected = [flat.channels.index(channel) for channel in channels]
    moments = [_Moments() for _ in selected]
    for i, span in enumerate(spans):
        rows = flat.series(i)[:, span.first : span.stop]
        for moment, channel in zip(moments, selected, strict=True):
            for first in range(0, rows.shape[1], BLOCK_ROWS):
                moment.update(rows[channel, first : first + BLOCK_ROWS])
    empty = [channel for channel, moment in zip(channels, moments, strict=True) if not moment.count]
    if empty:
        raise ValueError(
            f"channel {', '.join(map(repr, empty))} has no observed value in the train rows, so it cannot be "
            "standardized; leave it out with channels=[...], or set standardize=false"
        )
    constant = tuple(channel for channel, moment in zip(channels, moments, strict=True) if moment.low == moment.high)
    loc = np.array([moment.low if moment.low == moment.high else moment.mean for moment in moments])
    scale = np.array([1.0 if m.low == m.high else np.sqrt(m.squares / m.count) or 1.0 for m in moments])
    return Standardizer(channels, loc, scale, constant)


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations, updated block by block (Chan, Golub & LeVeque 1983, eq. 2.1)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def update(self, block: np.ndarray) -> None:
        values = block[~np.isnan(block)].astype(np.float64)
        if not len(values):
            return
        mean = float(values.mean())
        total, difference = self.count + len(values), mean - self.mean
        self.squares += float(np.square(values - mean).sum()) + difference**2 * self.count * len(values) / total
        self.mean += difference * len(values) / total
        self.count = total
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
