"""Where a series is unlike itself: two views of each step's neighbourhood, as one score. L steps, F features.

The surprise of a model tells that a step does not follow from those around it; novelty tells that a stretch looks like
no other stretch of the series, also where the model, which sees both of its ends, fills it in well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

WIDTH = 96  # steps around a step over which its surprise counts: anomalies are seldom single steps
STRETCH = 64  # steps of a stretch that is compared with others
APART = 128  # steps between a stretch and those it is compared with
NEAREST = 8  # of the most similar stretches, of whose distances the mean counts
WEIGHT = 2.0  # of novelty beside surprise, each in units of its own deviation
EACH, REFERENCE = 4, 8  # of so many steps one is compared, with one of so many
MOST = 4096  # stretches to compare with: a longer series is compared with fewer of its own
CELLS = 2**22  # distances at a time


def blend(values: Float[np.ndarray, " L"], surprise: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """How strange the neighbourhood of each step is, in standard deviations over the series: its largest surprise, and
    twice its novelty, both averaged over `WIDTH` steps. NaN where the surprise is.

    Width, weight and features were chosen on NAB, SMAP, MSL and UCR series that are no part of TSB-AD's."""
    known = ~np.isnan(surprise)
    filled = lined(surprise)
    near = moving_mean(moving_max(filled, WIDTH), WIDTH)
    new = moving_mean(novelty(lined(values)), WIDTH)
    return np.where(known, standard(near) + WEIGHT * standard(new), np.nan).astype(np.float32)


def novelty(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """Distance of each stretch to the most similar ones far from it, by level, spread, roughness and extremes. 0 for a
    series too short to hold another."""
    steps = len(values)
    profile = features(values)
    places = np.arange(0, steps, EACH)
    others = np.arange(0, steps, max(REFERENCE, -(-steps // MOST)))
    found = np.zeros(len(places))
    rows = max(1, CELLS // len(others))
    for first in range(0, len(places), rows):
        asked = places[first : first + rows]
        squares = np.square(profile[asked]).sum(1)[:, None] + np.square(profile[others]).sum(1)
        distance = np.sqrt(np.maximum(squares - 2 * profile[asked] @ profile[others].T, 0))
        distance[np.abs(asked[:, None] - others) < APART] = np.inf
        count = min(NEAREST, len(others))
        nearest = np.partition(distance, count - 1, axis=1)[:, :count]
        there = np.isfinite(nearest)
        found[first : first + rows] = np.where(there, nearest, 0).sum(1) / np.maximum(there.sum(1), 1)
    return np.interp(np.arange(steps), places, found)


def features(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, "L F"]:
    """Of the stretch around each step: mean, deviation, mean absolute difference, maximum and minimum; each with mean 0
    and deviation 1 over the series."""
    mean = moving_mean(values, STRETCH)
    spread = np.sqrt(np.maximum(moving_mean(values**2, STRETCH) - mean**2, 0))
    rough = moving_mean(np.abs(np.diff(values, prepend=values[:1])), STRETCH)
    columns = (mean, spread, rough, moving_max(values, STRETCH), -moving_max(-values, STRETCH))
    return np.stack([standard(column) for column in columns], axis=1)


def standard(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """With mean 0 and deviation 1; zeros where nothing varies."""
    centred, unit = values - values.mean(), values.std()
    return centred / unit if unit > 1e-6 * max(1.0, float(np.abs(values).max())) else np.zeros_like(values)


def lined(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """In float64, standardised, with straight lines over what is missing."""
    known = np.flatnonzero(np.isfinite(values))
    return standard(np.interp(np.arange(len(values)), known, values[known].astype(np.float64)))


def moving_mean(values: Float[np.ndarray, " L"], width: int) -> Float[np.ndarray, " L"]:
    """The mean of `width` steps around each; the ends go on as they are."""
    sums = np.cumsum(np.pad(values, (width // 2 + 1, width - width // 2 - 1), mode="edge"))
    return (sums[width:] - sums[:-width]) / width


def moving_max(values: Float[np.ndarray, " L"], width: int) -> Float[np.ndarray, " L"]:
    """The largest of `width` steps around each; the ends go on as they are."""
    most = np.pad(values, (width // 2, width - width // 2 - 1), mode="edge")
    reach = 1  # steps whose maximum each entry holds; doubled until two of them cover the width
    while 2 * reach <= width:
        most = np.maximum(most[:-reach], most[reach:])
        reach *= 2
    rest = width - reach
    return np.maximum(most[: len(most) - rest], most[rest:]) if rest else most
