"""From windows that a sketch holds to parts of series that a corpus holds.

A hash that a sketch holds is weak evidence: a search compares up to 10^14 pairs of windows, and some of them are alike
by chance. A match is several hits close to each other, so many that hardly any search has them by chance.
N hits, S sources, R resolutions of a sketch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.contamination.patterns import BITS, Channel
from tsfm.contamination.resolutions import MAX_COARSE_SPACING, MAX_SPACING, QUERY_RESOLUTIONS, RESOLUTIONS, Resolution

if TYPE_CHECKING:
    from jaxtyping import Int, Integer

MIN_HITS = 2  # kept windows that a copy must hit
MIN_DISTANCE = 7  # windows between two hits, so that they are independent evidence
MAX_RATIO_TERM = 6  # the larger term of a ratio of steps, unless the other is 1
MAX_EXPECTED = 1e-4  # accidental matches like this one in the search of one batch of series
ACCIDENTAL_RATE = 4 * 2.0**-BITS  # hits of a window and a kept hash: uniform hashes of patterns that are not uniform
MAX_GAP_FACTOR = 4  # times the spacing of kept windows in a long series: covers sketches with a larger spacing too


@dataclass(frozen=True)
class Match:
    """A part of a series that a corpus holds: steps first..stop hit `hits` kept windows of `source`."""

    series: int
    channel: int
    source: str
    own: Resolution
    kept: Resolution
    hits: int
    first: int
    stop: int

    def __str__(self) -> str:
        here = f"steps {self.first} to {self.stop}" + (f" ({self.own})" if self.own.factor > 1 else "")
        return f"{here} occur in {self.source}" + (f" ({self.kept})" if self.kept.factor > 1 else "")


class SearchResult(NamedTuple):
    """Matches in `num_series` series; those at `indistinct` are too short, smooth or regular to be recognised."""

    matches: list[Match]
    num_series: int
    indistinct: list[int]


@dataclass(frozen=True)
class SearchSize:
    """What decides how many hits a search has by chance: the windows searched, and the hashes of each source."""

    num_windows: int
    num_hashes: Int[np.ndarray, "S R"]

    def expected(self, num_hits: int, *, steps: int, source: int, resolution: int) -> float:
        """Return the expected number of accidental runs of `num_hits` hits or more within `steps` steps.

        The first hit is one of all accidental hits of the search; the others are a Poisson number of hits of the same
        source and resolution. This is the E-value of BLAST (Karlin & Altschul 1990, PNAS 87:2264) for hashed windows.
        """
        first = ACCIDENTAL_RATE * self.num_windows * int(self.num_hashes.sum())
        following = ACCIDENTAL_RATE * steps * int(self.num_hashes[source, resolution])
        logarithm = math.log(max(first, 1e-300)) + (num_hits - 1) * math.log(max(following, 1e-300))
        return math.exp(min(logarithm - math.lgamma(num_hits), 700.0))


def best_matches(
    channels: Sequence[Channel],
    hits: Int[np.ndarray, "N 4"],
    source: Integer[np.ndarray, " N"],
    resolution: Integer[np.ndarray, " N"],
    names: Sequence[str],
    size: SearchSize,
) -> list[Match]:
    """Return the match with the most hits for each channel and source.

    The hits of a match are close to each other, of one source, and of the same two resolutions.

    Parameters
    ----------
    hits
        Columns: index of the channel, index in QUERY_RESOLUTIONS, first step, index in the sketch.
    source, resolution
        Of each hit: the index of its source in `names`, and of its kept resolution in RESOLUTIONS.
    size
        Of the search that had the hits.
    """
    best: dict[tuple[int, int], Match] = {}
    for run in _runs(hits, source, resolution):
        channel, query = (int(hits[run[0], column]) for column in (0, 1))
        key = (channel, int(source[run[0]]))
        own, kept = QUERY_RESOLUTIONS[query], RESOLUTIONS[resolution[run[0]]]
        if not _plausible(own.factor, kept.factor):
            continue
        _, first_of_each = np.unique(hits[run, 3], return_index=True)
        steps = hits[run[np.sort(first_of_each)], 2]
        count = _count_distant(steps, MIN_DISTANCE * own.factor)
        if count < MIN_HITS or (key in best and count <= best[key].hits):
            continue
        span = int(steps[-1] - steps[0]) + 1
        if size.expected(count, steps=span, source=key[1], resolution=int(resolution[run[0]])) > MAX_EXPECTED:
            continue
        length = len(channels[channel].values)
        best[key] = Match(
            series=channels[channel].series,
            channel=channels[channel].channel,
            source=names[key[1]],
            own=own,
            kept=kept,
            hits=count,
            first=int(hits[run[0], 2]),
            stop=int(hits[run[-1], 2]) + length - own.windows(length) + 1,
        )
    return [best[key] for key in sorted(best)]


def _runs(
    hits: Int[np.ndarray, "N 4"], source: Integer[np.ndarray, " N"], resolution: Integer[np.ndarray, " N"]
) -> Iterator[Int[np.ndarray, " n"]]:
    """Yield the indices of at least MIN_HITS hits of one channel, source and pair of resolutions without large gaps."""
    if not len(hits):
        return
    order = np.lexsort((hits[:, 2], resolution, hits[:, 1], source, hits[:, 0]))
    group = np.stack([hits[:, 0], source, hits[:, 1], resolution], axis=1)[order]
    factor = np.array([each.factor for each in QUERY_RESOLUTIONS])[group[1:, 2]]
    spacing = np.array([MAX_SPACING if each.factor == 1 else MAX_COARSE_SPACING for each in RESOLUTIONS])
    max_gap = MAX_GAP_FACTOR * factor * spacing[group[1:, 3]]
    ends = (group[1:] != group[:-1]).any(axis=1) | (np.diff(hits[order, 2]) > max_gap)
    bounds = np.concatenate([[0], np.flatnonzero(ends) + 1, [len(hits)]])
    for i in np.flatnonzero(np.diff(bounds) >= MIN_HITS):
        yield order[bounds[i] : bounds[i + 1]]


def _plausible(query: int, kept: int) -> bool:
    """Whether copies have such a ratio of steps: n to 1, or as 10 to 15 minutes; at 7 to 2 daily cycles look alike."""
    common = math.gcd(query, kept)
    return min(query, kept) == common or max(query, kept) <= MAX_RATIO_TERM * common


def _count_distant(steps: Int[np.ndarray, " N"], distance: int) -> int:
    """Return the largest number of these ascending steps that are at least `distance` from each other."""
    count, last = 0, -distance
    for step in steps.tolist():
        if step - last >= distance:
            count, last = count + 1, step
    return count
