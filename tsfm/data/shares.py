"""What share of the real windows of a corpus each data set and each band of frequencies has. N series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tsfm.data.balance import BANDS
from tsfm.data.pool import SeriesPool


@dataclass(frozen=True)
class Share:
    """One data set in one band, or a whole band: how much there is, and how often it is drawn."""

    name: str
    band: str
    series: int
    values: int  # that are trained on
    weight: float  # share of the weights, before series that are too short for a window are left out
    drawn: tuple[float, ...]  # share of the windows of each length
    total: float  # share of the values of all windows, as drawn


def corpus_shares(
    pool: SeriesPool, names: Sequence[str], *, lengths: Sequence[int], length_weights: Sequence[float]
) -> list[Share]:
    """Return the share of each data set, bands in order and the largest set of a band first.

    Parameters
    ----------
    pool
        The series and their weights.
    names
        Of the data sets, in the order of `pool.set_index`.
    lengths, length_weights
        Steps of a window and how often a batch has each. Batches have the same number of values, so `Share.total` is
        the mean over the lengths by these weights.

    Raises
    ------
    ValueError
        When no series is long enough for one of the lengths.
    """
    for steps in lengths:
        pool.check_length(steps)
    by_length = [_normalized(pool.weights_for(steps)) for steps in lengths]
    mean = _normalized(torch.tensor(length_weights, dtype=torch.float64)).tolist()
    shares = []
    for number, name in enumerate(names):
        for band in pool.band[pool.set_index == number].unique().tolist():
            rows = (pool.set_index == number) & (pool.band == band)
            drawn = tuple(float(weights[rows].sum()) for weights in by_length)
            total = sum(share * value for share, value in zip(drawn, mean, strict=True))
            weight, values = float(pool.weight[rows].sum()), int(pool.length[rows].sum())
            shares.append(Share(name, BANDS[band], int(rows.sum()), values, weight, drawn, total))
    return sorted(shares, key=lambda share: (BANDS.index(share.band), -share.weight))


def band_shares(shares: Sequence[Share]) -> list[Share]:
    """Return the sums of each band that has series."""
    sums = []
    for band in BANDS:
        if rows := [share for share in shares if share.band == band]:
            drawn = tuple(np.sum([share.drawn for share in rows], axis=0).tolist())
            counts = (sum(share.series for share in rows), sum(share.values for share in rows))
            weight, total = sum(share.weight for share in rows), sum(share.total for share in rows)
            sums.append(Share(f"{len(rows)} sets", band, *counts, weight, drawn, total))
    return sums


def share_table(shares: Sequence[Share], lengths: Sequence[int]) -> str:
    """Return a text table of the bands and of the sets, in percent."""
    columns = "".join(f"{steps:>8}" for steps in lengths)
    lines = [f"{'band':<11} {'set':<38} {'series':>7} {'values':>11} {'weight':>8}{columns} {'total':>8}"]
    for share in (*band_shares(shares), *shares):
        drawn = "".join(f"{100 * value:8.2f}" for value in share.drawn)
        counts = f"{share.series:7,} {share.values:11,} {100 * share.weight:8.2f}"
        lines.append(f"{share.band:<11} {share.name:<38} {counts}{drawn} {100 * share.total:8.2f}")
    return "\n".join(lines)


def _normalized(weights: Tensor) -> Tensor:
    return weights.double() / weights.double().sum()
