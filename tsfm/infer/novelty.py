"""Where a series differs from the rest of itself: two views of each step's neighborhood, as one score.

The surprise of a model is high at a step that does not follow from those around it; the novelty is high in a stretch
that is similar to no other stretch of the series, also where the model, which sees both of its ends, fills it well.
The constants were chosen on NAB, SMAP, MSL and UCR series that are not in TSB-AD. L steps, F features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

NEIGHBORHOOD = 96  # steps around a step over which its surprise counts: anomalies are seldom single steps
STRETCH = 64  # steps of a stretch that is compared with others
MIN_DISTANCE = 128  # steps between a stretch and those it is compared with
NUM_NEAREST = 8  # most similar stretches, whose mean distance counts
NOVELTY_WEIGHT = 2.0  # relative to surprise, each in units of its own standard deviation
QUERY_STRIDE, REFERENCE_STRIDE = 4, 8  # steps between stretches that are compared, and between those compared with
MAX_REFERENCES = 4096  # stretches to compare with: a longer series is compared with fewer of its own
MAX_DISTANCES = 2**22  # at a time


def blend(values: Float[np.ndarray, " L"], surprise: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """Return how anomalous the neighborhood of each step is, in standard deviations over the series.

    The sum of the largest surprise nearby and twice the novelty, both averaged over `NEIGHBORHOOD` steps. NaN where
    the surprise is.
    """
    scored = ~np.isnan(surprise)
    nearby = moving_mean(moving_max(interpolate_standardised(surprise), NEIGHBORHOOD), NEIGHBORHOOD)
    new = moving_mean(novelty(interpolate_standardised(values)), NEIGHBORHOOD)
    blended = standardise(nearby) + NOVELTY_WEIGHT * standardise(new)
    return np.where(scored, blended, np.nan).astype(np.float32)


def novelty(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """Return the distance of the stretch around each step to the most similar ones far from it.

    Stretches are compared by `stretch_features`. 0 for a series that is too short for a second stretch.
    """
    num_steps = len(values)
    features = stretch_features(values)
    queries = np.arange(0, num_steps, QUERY_STRIDE)
    references = np.arange(0, num_steps, max(REFERENCE_STRIDE, -(-num_steps // MAX_REFERENCES)))
    distances = np.zeros(len(queries))
    chunk_size = max(1, MAX_DISTANCES // len(references))
    for first in range(0, len(queries), chunk_size):
        chunk = queries[first : first + chunk_size]
        squares = np.square(features[chunk]).sum(1)[:, None] + np.square(features[references]).sum(1)
        distance = np.sqrt(np.maximum(squares - 2 * features[chunk] @ features[references].T, 0))
        distance[np.abs(chunk[:, None] - references) < MIN_DISTANCE] = np.inf
        num_nearest = min(NUM_NEAREST, len(references))
        nearest = np.partition(distance, num_nearest - 1, axis=1)[:, :num_nearest]
        valid = np.isfinite(nearest)
        mean = np.where(valid, nearest, 0).sum(1) / np.maximum(valid.sum(1), 1)
        distances[first : first + chunk_size] = mean
    return np.interp(np.arange(num_steps), queries, distances)


def stretch_features(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, "L F"]:
    """Return mean, standard deviation, mean absolute change, maximum and minimum of the stretch around each step.

    Each is standardised over the series.
    """
    mean = moving_mean(values, STRETCH)
    deviation = np.sqrt(np.maximum(moving_mean(values**2, STRETCH) - mean**2, 0))
    change = moving_mean(np.abs(np.diff(values, prepend=values[:1])), STRETCH)
    columns = (mean, deviation, change, moving_max(values, STRETCH), -moving_max(-values, STRETCH))
    return np.stack([standardise(column) for column in columns], axis=1)


def standardise(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """Return values with mean 0 and standard deviation 1; zeros where they are constant."""
    centred, unit = values - values.mean(), values.std()
    return centred / unit if unit > 1e-6 * max(1.0, float(np.abs(values).max())) else np.zeros_like(values)


def interpolate_standardised(values: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """Return values in float64, standardised, with straight lines over missing steps."""
    observed = np.flatnonzero(np.isfinite(values))
    return standardise(np.interp(np.arange(len(values)), observed, values[observed].astype(np.float64)))


def moving_mean(values: Float[np.ndarray, " L"], width: int) -> Float[np.ndarray, " L"]:
    """Return the mean of `width` steps around each step; the first and last value continue beyond the ends."""
    sums = np.cumsum(np.pad(values, (width // 2 + 1, width - width // 2 - 1), mode="edge"))
    return (sums[width:] - sums[:-width]) / width


def moving_max(values: Float[np.ndarray, " L"], width: int) -> Float[np.ndarray, " L"]:
    """Return the largest of `width` steps around each step; the first and last value continue beyond the ends."""
    largest = np.pad(values, (width // 2, width - width // 2 - 1), mode="edge")
    covered = 1  # steps whose maximum each entry is; doubled until two of them cover the width
    while 2 * covered <= width:
        largest = np.maximum(largest[:-covered], largest[covered:])
        covered *= 2
    rest = width - covered
    return np.maximum(largest[: len(largest) - rest], largest[rest:]) if rest else largest
