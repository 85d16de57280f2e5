"""Histories of one to two seasons: a second forecast from the past extended by its own season.

A season that was seen less than twice cannot be found in the values, but its length follows from the frequency. How far
the second, incomplete cycle repeats the first one decides how much the second forecast counts. The constants were
chosen on 34 sets of the corpus that `tsfm bench short` does not score.

C channels, L past steps, M steps of the extended past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

EXTENDED_CYCLES = 2.3
FULL_WEIGHT, NO_WEIGHT = 0.2, 0.6  # ratios of errors at which the second forecast counts fully, and not at all
LONG_SEASON = 48  # steps; of longer ones the second cycle was a worse guide, so the second forecast counts at most half
MAX_LAGS = 64  # that the season is compared with
MIN_SHARE = 0.5  # of the second cycle, for a drift
MIN_STEPS = 3  # of the second cycle, for comparing its shape with that of the first


def is_short(num_past: int, season_length: int) -> bool:
    """Return whether a past holds more than one season and less than two."""
    return 1 < season_length < num_past < 2 * season_length


class Season(NamedTuple):
    """How much a forecast that repeats the season counts, from 0 to 1, and the change of the level over a season."""

    weight: Float[np.ndarray, " C"]
    drift: Float[np.ndarray, " C"]  # 0 where it does not help to explain the second cycle


def measure_season(values: Float[np.ndarray, "C L"], season_length: int) -> Season:
    """Return how well the second cycle repeats the first one.

    The mean change over a season, relative to that over shorter lags, decides: 0.2 and less has weight 1, 0.6 and more
    weight 0, and half of that for seasons of more than 48 steps. There are two ratios: of the changes, and of the
    changes minus their mean, the drift. The larger one counts, because a slowly varying level can make either small by
    chance; where at least half of the second cycle is seen and the second ratio is smaller, it counts alone, together
    with the drift.

    Examples
    --------
    >>> week = np.array([[1.0, 2, 3, 4, 5, 9, 8]])
    >>> measure_season(np.tile(week, 2)[:, :10], 7)
    Season(weight=array([1.]), drift=array([0.]))
    >>> measure_season(np.sqrt(np.arange(10.0))[None], 7).weight
    array([0.])
    """
    end = values[:, season_length:]
    lags = np.unique(np.linspace(1, season_length - 1, min(season_length - 1, MAX_LAGS)).round().astype(int))
    stops = values.shape[-1] - np.append(lags, season_length)
    changes = np.stack([end - values[:, stop - end.shape[-1] : stop] for stop in stops], axis=1).astype(np.float64)
    ratio = ratio_of_shape = _last_relative_to_others(changes)
    means = _mean(changes)
    if end.shape[-1] >= MIN_STEPS:
        ratio_of_shape = _last_relative_to_others(changes - means[..., None])
    drifts = (ratio_of_shape < ratio) & (end.shape[-1] >= MIN_SHARE * season_length)
    counted = np.where(drifts, ratio_of_shape, np.maximum(ratio, ratio_of_shape))
    weight = np.clip((NO_WEIGHT - counted) / (NO_WEIGHT - FULL_WEIGHT), 0.0, 1.0)
    weight = weight if season_length <= LONG_SEASON else 0.5 * weight
    return Season(weight, np.where(drifts & (weight > 0), means[:, -1], 0.0))


def _last_relative_to_others(changes: Float[np.ndarray, "C K N"]) -> Float[np.ndarray, " C"]:
    """Return the mean absolute change over the last lag relative to the others; infinite where there is none."""
    size = _mean(np.abs(changes))
    others = _mean(size[:, :-1])
    usable = np.isfinite(size[:, -1]) & (others > 0)
    return np.where(usable, size[:, -1] / np.where(usable, others, 1.0), np.inf)


def _mean(values: Float[np.ndarray, "*rows N"]) -> Float[np.ndarray, "*rows"]:
    """Return the mean over the last axis of what is not missing; NaN where all is."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def extended_length(season_length: int) -> int:
    """Return the steps to which a short past is extended."""
    return int(EXTENDED_CYCLES * season_length) + 1


def extend_past(
    values: Float[np.ndarray, "C L"], season_length: int, *, drift: Float[np.ndarray, " C"]
) -> Float[np.ndarray, "C M"]:
    """Return the past with copies of its first season before it, each lower by the drift than the one after it.

    Examples
    --------
    >>> extend_past(np.array([[1.0, 2, 3, 4, 2]]), 4, drift=np.array([1.0]))
    array([[2., 0., 1., 2., 3., 1., 2., 3., 4., 2.]])
    """
    steps = np.arange(values.shape[-1] - extended_length(season_length), 0)
    earlier = values[:, steps % season_length] + drift[:, None] * (steps // season_length)
    return np.concatenate([earlier, values], axis=1).astype(values.dtype)
