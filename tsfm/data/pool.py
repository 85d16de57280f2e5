"""Real series of many data sets in one flat array, and windows drawn from them at many resolutions.

N series (one channel each), V values in all, B rows of a batch, T steps of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tsfm.data.balance import MIN_STEPS, SetSeries, band_of, series_weights
from tsfm.data.flat import flatten
from tsfm.data.splits import holdout_length, typical_horizon
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps.offsets import nested_seasons, season_length, timestamp_at
from tsfm.types import NO_TIMESTAMP

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FACTORS = (2, 3, 4, 6, 7, 8, 12, 24, 48)  # steps that are averaged into one


def min_length(steps: int, ratio: int = 3) -> int:
    """Return the trained steps that a series must have for windows of `steps` steps: steps / ratio, at most 512."""
    return min(steps // ratio, 512)


class Drawn(NamedTuple):
    """Windows, and the season lengths in steps of their frequency at the resolution they are read at.

    Values are NaN before the first step of a series and where they are missing; seasons are 0 where there is none.
    Timestamps are those of the first step of each mean, in seconds since 1970; None where they were not requested.
    """

    values: Float[Tensor, "B T"]
    seasons: Int[Tensor, "B 2"]
    timestamps: Int[Tensor, "B T"] | None = None


@dataclass(frozen=True)
class SeriesPool:
    """The trainable part of each channel of each series is values[first : first + length]."""

    values: Float[Tensor, " V"]
    first: Int[Tensor, " N"]
    length: Int[Tensor, " N"]
    weight: Float[Tensor, " N"]  # probability of a series to be drawn
    total: Int[Tensor, " N"]  # length with the part that is held out
    seasons: Int[Tensor, "N 2"]  # season lengths of its frequency in steps, 0 where there is none
    set_index: Int[Tensor, " N"]  # which data set
    band: Int[Tensor, " N"]  # of frequencies, an index of `balance.BANDS`
    length_ratio: int = 3  # a window is at most so many times as long as a series, or the series has 512 steps
    starts: np.ndarray | None = None  # timestamp of the first step of each series
    freqs: np.ndarray | None = None  # of each series

    def __len__(self) -> int:
        return len(self.length)

    def draw(
        self, num: int, steps: int, generator: torch.Generator, *, resample: float = 0.0, timestamps: bool = False
    ) -> Drawn:
        """Return windows drawn at random.

        Parameters
        ----------
        num, steps
            Number of windows, and steps of each. They are drawn from series of at least `min_length(steps)` steps.
        generator
            The source of all randomness.
        resample
            Share of windows whose steps are means of several steps of the series.
        timestamps
            Whether to return timestamps, too.

        Raises
        ------
        ValueError
            When no series is long enough.
        """
        self.check_length(steps)
        weight = self.weights_for(steps)
        series = torch.multinomial(weight, num, replacement=True, generator=generator)
        max_factor = self.length[series] // max(MIN_STEPS, steps // 4)
        factors = torch.tensor((1, *FACTORS))
        picked = torch.randint(len(FACTORS), (num,), generator=generator) + 1
        resampled = torch.rand(num, generator=generator) < resample
        factor = torch.where(resampled & (factors[picked] <= max_factor), factors[picked], 1)
        span = steps * factor
        # a window ends at any step after the first `span` steps of its series
        num_ends = (self.length[series] - torch.minimum(span, self.length[series])).double()
        end = self.length[series] - (torch.rand(num, generator=generator, dtype=torch.double) * (num_ends + 1)).long()
        windows = torch.empty(num, steps)
        for value in factor.unique().tolist():
            rows = (factor == value).nonzero()[:, 0]
            windows[rows] = self._read(series[rows], end[rows], steps=steps, factor=value)
        known = self.timestamps(series, end, factor, steps=steps) if timestamps else None
        return Drawn(windows, resampled_seasons(self.seasons[series], factor), known)

    def timestamps(
        self, series: Int[Tensor, " B"], end: Int[Tensor, " B"], factor: Int[Tensor, " B"], *, steps: int
    ) -> Int[Tensor, "B T"]:
        """Return seconds since 1970 of windows that end before step `end`; `NO_TIMESTAMP` before the first step."""
        assert self.starts is not None
        assert self.freqs is not None
        index = (end[:, None] - factor[:, None] * torch.arange(steps, 0, -1)).numpy()
        rows, out = series.numpy(), np.full(index.shape, NO_TIMESTAMP, np.int64)
        freqs = self.freqs[rows]
        for freq in np.unique(freqs):
            chosen = freqs == freq
            stamps = timestamp_at(self.starts[rows[chosen]][:, None], str(freq), np.maximum(index[chosen], 0))
            out[chosen] = stamps.astype("M8[s]").astype(np.int64)
        return torch.from_numpy(np.where(index >= 0, out, NO_TIMESTAMP))

    def weights_for(self, steps: int) -> Float[Tensor, " N"]:
        """Return the weight of each series for windows of `steps` steps: 0 where it is too short."""
        return torch.where(self.length >= min_length(steps, self.length_ratio), self.weight, 0.0)

    def check_length(self, steps: int) -> None:
        """Raise a ValueError if no series is long enough for windows of `steps` steps."""
        longest = int(torch.where(self.weight > 0, self.length, 0).max())
        if longest < (needed := min_length(steps, self.length_ratio)):
            raise ValueError(
                f"windows of {steps} steps need a series of at least {needed} trained steps; the longest has "
                f"{longest}: lower data.lengths, or name data sets with longer series"
            )

    def _read(self, series: Tensor, end: Tensor, *, steps: int, factor: int) -> Float[Tensor, "B T"]:
        index = end[:, None] + torch.arange(-steps * factor, 0)
        values = self.values[(self.first[series][:, None] + index.clamp_min(0))]
        values = torch.where(index >= 0, values, torch.nan)
        return values if factor == 1 else values.unflatten(-1, (steps, factor)).nanmean(dim=-1)

    def last_windows(self, series: Int[Tensor, " B"], *, steps: int) -> Float[Tensor, "B T"]:
        """Return the last `steps` steps of series, with the part that is held out; NaN before the first step."""
        index = self.total[series][:, None] + torch.arange(-steps, 0)
        values = self.values[self.first[series][:, None] + index.clamp_min(0)]
        return torch.where(index >= 0, values, torch.nan)


def resampled_seasons(seasons: Int[Tensor, "B 2"], factor: Int[Tensor, " B"]) -> Int[Tensor, "B 2"]:
    """Return season lengths after `factor` steps became one; 0 where that is not close to a whole number of steps."""
    exact = seasons / factor[:, None]
    rounded = exact.round()
    is_whole = (rounded >= 2) & ((exact - rounded).abs() <= 0.015 * exact)
    return torch.where(is_whole, rounded, 0).long()


def build_pool(
    stores: Sequence[SeriesStore],
    *,
    temperature: float,
    hold_out: bool = True,
    balance: str = "size",
    factors: Sequence[float] | None = None,
    length_ratio: int = 3,
) -> SeriesPool:
    """Return the series of many data sets, each channel as a series of its own.

    Parameters
    ----------
    stores
        The data sets.
    temperature
        A data set has the weight (its number of values, at most `MAX_VALUES`) ** temperature, divided among its series
        in proportion to the square root of their lengths.
    hold_out
        Whether the end of every series is kept out of training.
    balance
        ``"size"`` leaves these weights; ``"frequency"`` gives each band of frequencies the same sum.
    factors
        By which the weight of each data set is multiplied; None: 1.
    length_ratio
        Windows are drawn from series of at least a `length_ratio`-th of their steps, or 512.

    Raises
    ------
    ValueError
        When no series has `MIN_STEPS` steps to train on.
    """
    values: list[np.ndarray] = []
    totals: list[np.ndarray] = []
    seasons: list[np.ndarray] = []
    sets: list[SetSeries] = []
    starts: list[np.ndarray] = []
    all_freqs: list[np.ndarray] = []
    for number, store in enumerate(stores):
        flat = flatten(store)
        total = np.repeat(np.asarray(flat.lengths), flat.num_channels)
        freqs = np.repeat(np.asarray(store.freqs, dtype=object), flat.num_channels)
        held_out = [holdout_length(int(n), typical_horizon(str(freq))) for n, freq in zip(total, freqs, strict=True)]
        trained = total - np.asarray(held_out) if hold_out else total
        bands = np.array([band_of(str(freq)) for freq in freqs], dtype=np.int64)
        values.append(np.asarray(flat.values))
        totals.append(total)
        starts.append(np.repeat(store.starts, flat.num_channels))
        all_freqs.append(freqs.astype(str))
        seasons.append(np.array([nested_seasons(season_length(str(freq))) for freq in freqs], np.int64).reshape(-1, 2))
        sets.append(SetSeries(trained, bands, 1.0 if factors is None else factors[number]))
    weight = series_weights(sets, temperature=temperature, balance=balance) if sets else np.zeros(0)
    if not weight.sum():
        raise ValueError(
            f"the {len(stores)} data sets have no series of {MIN_STEPS} steps to learn from; name others in data.sets"
        )
    total = np.concatenate(totals)
    first = np.concatenate([[0], np.cumsum(total)[:-1]])
    return SeriesPool(
        torch.from_numpy(np.concatenate(values)),
        torch.from_numpy(first),
        torch.from_numpy(np.concatenate([item.lengths for item in sets])),
        torch.from_numpy(weight / weight.sum()),
        torch.from_numpy(total),
        torch.from_numpy(np.concatenate(seasons)),
        torch.from_numpy(np.repeat(np.arange(len(sets)), [len(item.lengths) for item in sets])),
        torch.from_numpy(np.concatenate([item.bands for item in sets])),
        length_ratio,
        np.concatenate(starts),
        np.concatenate(all_freqs),
    )
