"""How often each data set of a corpus is drawn: by its size, or with equal weight for each band of frequencies.

N series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsfm.timestamps.offsets import DAY, MICROS, parse_freq

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BALANCES = ("size", "frequency")
BANDS = ("sub-hourly", "hourly", "daily", "weekly", "monthly+")
MAX_VALUES = 3_000_000  # values beyond which the weight of a data set does not grow
MIN_STEPS = 16  # that a series must have, at the resolution it is read at


def band_of(freq: str) -> int:
    """Return the index among `BANDS` of a frequency: below an hour, below a day, below a week, below 4 weeks, above.

    Examples
    --------
    >>> [BANDS[band_of(freq)] for freq in ("15min", "h", "B", "W-SUN", "QS")]
    ['sub-hourly', 'hourly', 'daily', 'weekly', 'monthly+']
    """
    step = parse_freq(freq)
    micros = step.count * DAY if step.weekmask else step.micros
    if not micros or micros >= 28 * DAY:
        return 4
    return int(np.searchsorted([MICROS["h"], DAY, 7 * DAY], micros, side="right"))


@dataclass(frozen=True)
class SetSeries:
    """The series of one data set: trained steps and bands `[N]`, and the factor of the weight of the set."""

    lengths: Int[np.ndarray, " N"]
    bands: Int[np.ndarray, " N"]
    factor: float = 1.0

    def weights(self, temperature: float) -> Float[np.ndarray, " N"]:
        """Return (number of values, at most `MAX_VALUES`) ** temperature, divided in proportion to sqrt(length)."""
        share = np.sqrt(np.where(self.lengths >= MIN_STEPS, self.lengths, 0).astype(np.float64))
        total = min(float(self.lengths.sum()), MAX_VALUES) ** temperature * self.factor
        return share / share.sum() * total if share.sum() else share

    def band_weights(self, temperature: float) -> Float[np.ndarray, " N"]:
        """Return the weights with the series of each band as a data set of their own."""
        out = np.zeros(len(self.lengths))
        for band in np.unique(self.bands):
            rows = self.bands == band
            out[rows] = SetSeries(self.lengths[rows], self.bands[rows], self.factor).weights(temperature)
        return out


def series_weights(sets: Sequence[SetSeries], *, temperature: float, balance: str) -> Float[np.ndarray, " N"]:
    """Return the weight of every series of all sets, in order; they need not sum to 1.

    Parameters
    ----------
    sets
        The series of each data set.
    temperature
        A set has the weight (its number of values, at most `MAX_VALUES`) ** temperature times its factor.
    balance
        ``"size"``: that is all. ``"frequency"``: in addition the weights of each band of frequencies are scaled to the
        same sum, so that a corpus of mostly hourly sets does not draw mostly hourly windows. Bands without series
        have none.
    """
    if balance == "size":
        return np.concatenate([item.weights(temperature) for item in sets])
    weights = np.concatenate([item.band_weights(temperature) for item in sets])
    bands = np.concatenate([item.bands for item in sets])
    totals = np.bincount(bands, weights, minlength=len(BANDS))
    return weights / np.where(totals > 0, totals, 1.0)[bands]


def set_factors(names: Sequence[str], factors: Mapping[str, float]) -> tuple[list[float], list[str]]:
    """Return the factor of each named set, 1 where none is given, and the keys of factors that name no set."""
    unused = sorted(set(factors) - set(names))
    return [float(factors.get(name, 1.0)) for name in names], unused


def check_factors(factors: Mapping[str, float]) -> None:
    """Raise a ValueError unless every factor is a number of at least 0."""
    for name, factor in factors.items():
        if not 0 <= factor < float("inf"):
            raise ValueError(
                f"data.factors.{name} is {factor}; expected at least 0: 0 leaves the set out, 1 changes nothing"
            )
