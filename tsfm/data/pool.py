"""Real series of many sets in one flat array, and windows drawn from them at many resolutions.

N series (one channel each), V values in all, B rows of a batch, T steps of a window.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tsfm.data.flat import flatten
from tsfm.data.holdout import held_out, usual_horizon
from tsfm.store.series_store import SeriesStore

if TYPE_CHECKING:
    from jaxtyping import Float, Int

log = logging.getLogger("tsfm")

MOST = 3_000_000  # values beyond which a set weighs no more
LEAST = 16  # steps that a series must have, at the resolution it is read at
FACTORS = (2, 3, 4, 6, 7, 8, 12, 24, 48)  # steps that are averaged into one


def fills(steps: int) -> int:
    """Trained steps of a series from which windows of `steps` steps are drawn: a third of them, at most 512."""
    return min(steps // 3, 512)


@dataclass(frozen=True)
class Pool:
    """The trainable part of each channel of each series lies at values[first : first + length]; `weight` is the
    chance of a series to be drawn."""

    values: Float[Tensor, " V"]
    first: Int[Tensor, " N"]
    length: Int[Tensor, " N"]
    weight: Float[Tensor, " N"]
    total: Int[Tensor, " N"]  # with the part that is held out

    def __len__(self) -> int:
        return len(self.length)

    def draw(self, num: int, steps: int, generator: torch.Generator, *, resample: float = 0.0) -> Float[Tensor, "B T"]:
        """Windows of `steps` steps, NaN before the first step of a series and where nobody observed. A share `resample`
        of them averages several steps into one. Long windows are drawn from series that fill a third of them."""
        self.check(steps)
        weight = torch.where(self.length >= fills(steps), self.weight, 0.0)
        series = torch.multinomial(weight, num, replacement=True, generator=generator)
        fits = self.length[series] // max(LEAST, steps // 4)
        kinds = torch.tensor((1, *FACTORS))
        pick = torch.randint(len(FACTORS), (num,), generator=generator) + 1
        chosen = torch.rand(num, generator=generator) < resample
        factor = torch.where(chosen & (kinds[pick] <= fits), kinds[pick], 1)
        span = steps * factor
        # a window ends anywhere after enough has been seen of a series
        room = (self.length[series] - torch.minimum(span, self.length[series])).double()
        end = self.length[series] - (torch.rand(num, generator=generator, dtype=torch.double) * (room + 1)).long()
        out = torch.empty(num, steps)
        for one in factor.unique().tolist():
            rows = (factor == one).nonzero()[:, 0]
            out[rows] = self._read(series[rows], end[rows], steps=steps, factor=one)
        return out

    def check(self, steps: int) -> None:
        """Refuse windows that no series fills."""
        longest = int(torch.where(self.weight > 0, self.length, 0).max())
        if longest < (need := fills(steps)):
            raise ValueError(
                f"windows of {steps} steps need a series of at least {need} trained steps; the longest has {longest}: "
                "lower data.lengths, or name longer sets"
            )

    def _read(self, series: Tensor, end: Tensor, *, steps: int, factor: int) -> Float[Tensor, "B T"]:
        offset = torch.arange(-steps * factor, 0)
        place = end[:, None] + offset
        inside = place >= 0
        found = self.values[(self.first[series][:, None] + place.clamp_min(0))]
        found = torch.where(inside, found, torch.nan)
        return found if factor == 1 else found.unflatten(-1, (steps, factor)).nanmean(dim=-1)

    def ends(self, series: Int[Tensor, " B"], *, steps: int) -> Float[Tensor, "B T"]:
        """The last `steps` steps of these series with the part that is held out, NaN before the first step."""
        place = self.total[series][:, None] + torch.arange(-steps, 0)
        found = self.values[self.first[series][:, None] + place.clamp_min(0)]
        return torch.where(place >= 0, found, torch.nan)


def gather(stores: Sequence[SeriesStore], *, temperature: float, hold_out: bool = True) -> Pool:
    """The series of many sets. A set has the weight (its number of values, at most `MOST`) ** temperature, divided over
    its series by the square root of their lengths; the end of every series is held out from training."""
    parts: list[np.ndarray] = []
    length: list[np.ndarray] = []
    total: list[np.ndarray] = []
    weight: list[np.ndarray] = []
    for store in stores:
        flat = flatten(store)
        kept = np.repeat(np.asarray(flat.lengths), flat.num_channels)
        freqs = np.repeat(np.asarray(store.freqs, dtype=object), flat.num_channels)
        cut = [held_out(int(n), usual_horizon(str(freq))) for n, freq in zip(kept, freqs, strict=True)]
        trained = kept - np.asarray(cut) if hold_out else kept
        share = np.sqrt(np.where(trained >= LEAST, trained, 0).astype(np.float64))
        size = min(float(trained.sum()), MOST) ** temperature
        parts.append(np.asarray(flat.values))
        length.append(trained)
        total.append(kept)
        weight.append(share / share.sum() * size if share.sum() else share)
    if not parts or not (joined := np.concatenate(weight)).sum():
        raise ValueError(f"the {len(stores)} sets have no series of {LEAST} steps to learn from; name others")
    lengths = np.concatenate(total)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return Pool(
        torch.from_numpy(np.concatenate(parts)),
        torch.from_numpy(first),
        torch.from_numpy(np.concatenate(length)),
        torch.from_numpy(joined / joined.sum()),
        torch.from_numpy(lengths),
    )
