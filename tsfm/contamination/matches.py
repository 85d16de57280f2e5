"""From windows that a sketch knows to stretches of series that a corpus holds. N hits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.contamination.patterns import Row
from tsfm.contamination.resolutions import ASKED, COARSE, FAR, SCALES, Scale

if TYPE_CHECKING:
    from jaxtyping import Int

ENOUGH = 2  # kept windows that a copy hits
APART = 7  # windows, at least, from one to the next, so that both say something of their own
ODD_RATIO = 6  # no term of a ratio of steps is larger, unless the other is 1
REACH = 4  # times what lies between kept windows in a long series, at most: so that thin sketches do too


@dataclass(frozen=True)
class Match:
    """A stretch of a series that a corpus holds: steps first..stop hit `hits` kept windows of `source`."""

    series: int
    channel: int
    source: str
    own: Scale
    kept: Scale
    hits: int
    first: int
    stop: int

    def __str__(self) -> str:
        here = f"steps {self.first} to {self.stop}" + (f" ({self.own})" if self.own.factor > 1 else "")
        return f"{here} occur in {self.source}" + (f" ({self.kept})" if self.kept.factor > 1 else "")


class Search(NamedTuple):
    """What was found in `series` series; those at `plain` are too short, too smooth or too even to be recognised."""

    matches: list[Match]
    series: int
    plain: list[int]


def best_matches(
    rows: Sequence[Row],
    hits: Int[np.ndarray, "N 4"],
    source: Int[np.ndarray, " N"],
    scale: Int[np.ndarray, " N"],
    names: Sequence[str],
) -> list[Match]:
    """The matches among hits (row, place of the resolution in ASKED, first step, place in the sketch) on windows of
    these sources, kept at these places of SCALES: near to each other, of one source, and of the same resolutions. Of
    each row and source the one with the most."""
    if not len(hits):
        return []
    order = np.lexsort((hits[:, 2], scale, hits[:, 1], source, hits[:, 0]))
    row, own, step, place = hits[order].T
    source, scale = source[order], scale[order]
    factor = np.array([one.factor for one in ASKED])[own]
    reach = REACH * factor * np.array([FAR if one.factor == 1 else COARSE for one in SCALES])[scale]
    group = np.stack([row, source, own, scale], axis=1)
    ends = (group[1:] != group[:-1]).any(axis=1) | (np.diff(step) > reach[1:])
    best: dict[tuple[int, int], Match] = {}
    for part in np.split(np.arange(len(step)), np.flatnonzero(ends) + 1):
        _, once = np.unique(place[part], return_index=True)
        asked, (which, where) = ASKED[own[part[0]]], (int(row[part[0]]), int(source[part[0]]))
        if not _plausible(asked.factor, SCALES[scale[part[0]]].factor):
            continue
        count = _far_apart(step[part][np.sort(once)], APART * asked.factor)
        if count < ENOUGH or ((old := best.get((which, where))) is not None and count <= old.hits):
            continue
        length = len(rows[which].values)
        span = length - asked.windows(length) + 1
        best[which, where] = Match(
            series=rows[which].series,
            channel=rows[which].channel,
            source=names[where],
            own=asked,
            kept=SCALES[scale[part[0]]],
            hits=count,
            first=int(step[part[0]]),
            stop=int(step[part[-1]]) + span,
        )
    return [best[key] for key in sorted(best)]


def _plausible(own: int, kept: int) -> bool:
    """Whether the steps of copies stand in such a ratio: n to 1, or as 10 to 15 minutes. In others, such as 7 to 2, two
    daily cycles may look alike."""
    common = math.gcd(own, kept)
    return min(own, kept) == common or max(own, kept) <= ODD_RATIO * common


def _far_apart(steps: Int[np.ndarray, " N"], apart: int) -> int:
    """How many of these ascending steps, at most, lie `apart` from each other."""
    count, last = 0, -apart
    for step in steps.tolist():
        if step - last >= apart:
            count, last = count + 1, step
    return count
