"""From windows that a sketch holds to parts of series that a corpus holds. N hits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.contamination.patterns import Channel
from tsfm.contamination.resolutions import MAX_COARSE_SPACING, MAX_SPACING, QUERY_RESOLUTIONS, RESOLUTIONS, Resolution

if TYPE_CHECKING:
    from jaxtyping import Int, Integer

MIN_HITS = 2  # kept windows that a copy must hit
MIN_DISTANCE = 7  # windows between two hits, so that they are independent evidence
MAX_RATIO_TERM = 6  # the larger term of a ratio of steps, unless the other is 1
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


def best_matches(
    channels: Sequence[Channel],
    hits: Int[np.ndarray, "N 4"],
    source: Integer[np.ndarray, " N"],
    resolution: Integer[np.ndarray, " N"],
    names: Sequence[str],
) -> list[Match]:
    """Return the match with the most hits for each channel and source.

    The hits of a match are close to each other, of one source, and of the same two resolutions.

    Parameters
    ----------
    hits
        Columns: index of the channel, index in QUERY_RESOLUTIONS, first step, index in the sketch.
    source, resolution
        Of each hit: the index of its source in `names`, and of its kept resolution in RESOLUTIONS.
    """
    if not len(hits):
        return []
    order = np.lexsort((hits[:, 2], resolution, hits[:, 1], source, hits[:, 0]))
    channel, query, step, index = hits[order].T
    source, resolution = source[order], resolution[order]
    factor = np.array([each.factor for each in QUERY_RESOLUTIONS])[query]
    max_gap = (
        MAX_GAP_FACTOR
        * factor
        * np.array([MAX_SPACING if each.factor == 1 else MAX_COARSE_SPACING for each in RESOLUTIONS])[resolution]
    )
    group = np.stack([channel, source, query, resolution], axis=1)
    ends = (group[1:] != group[:-1]).any(axis=1) | (np.diff(step) > max_gap[1:])
    best: dict[tuple[int, int], Match] = {}
    for run in np.split(np.arange(len(step)), np.flatnonzero(ends) + 1):
        _, first_of_each = np.unique(index[run], return_index=True)
        query_resolution, (channel_index, source_index) = (
            QUERY_RESOLUTIONS[query[run[0]]],
            (int(channel[run[0]]), int(source[run[0]])),
        )
        if not _plausible(query_resolution.factor, RESOLUTIONS[resolution[run[0]]].factor):
            continue
        count = _count_distant(step[run][np.sort(first_of_each)], MIN_DISTANCE * query_resolution.factor)
        if count < MIN_HITS or (
            (best_so_far := best.get((channel_index, source_index))) is not None and count <= best_so_far.hits
        ):
            continue
        length = len(channels[channel_index].values)
        span = length - query_resolution.windows(length) + 1
        best[channel_index, source_index] = Match(
            series=channels[channel_index].series,
            channel=channels[channel_index].channel,
            source=names[source_index],
            own=query_resolution,
            kept=RESOLUTIONS[resolution[run[0]]],
            hits=count,
            first=int(step[run[0]]),
            stop=int(step[run[-1]]) + span,
        )
    return [best[key] for key in sorted(best)]


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
