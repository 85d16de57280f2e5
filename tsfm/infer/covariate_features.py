"""What a regression on covariates may use of each: the value, its past, a curve, and an effect that varies by season.

K covariates, W past and future steps, F features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NUM_LAGS = 3
NUM_KNOTS = 4  # of a piecewise linear curve, at quantiles of the past values
MAX_DISTINCT = 8  # a covariate with at most so many values has an effect for each, else a curve
MAX_PHASES = 12  # a longer season is described by sines and cosines
NUM_HARMONICS = 2


class FeatureGroup(NamedTuple):
    """Features that are chosen together: of one covariate, or the values of all of them."""

    covariates: tuple[int, ...]
    kind: str  # "value", "values of all", "lags", "curve" or "by season"
    columns: tuple[int, ...]


def make_features(
    covariates: Float[np.ndarray, "K W"], *, num_past: int, season_length: int
) -> tuple[Float[np.ndarray, "F W"], Int[np.ndarray, " F"], list[FeatureGroup]]:
    """Return all features of covariates without missing values, the covariate of each, and the groups that they form.

    Nothing but the past values decides which features there are.
    """
    rows: list[np.ndarray] = []
    owner: list[int] = []
    groups: list[FeatureGroup] = []
    for k, values in enumerate(covariates):
        past = values[:num_past]
        values = (values - past.mean()) / past.std()
        for kind, block in _blocks(values, num_past=num_past, season_length=season_length):
            groups.append(FeatureGroup((k,), kind, tuple(range(len(rows), len(rows) + len(block)))))
            rows.extend(block)
            owner.extend([k] * len(block))
    linear = [group for group in groups if group.kind == "value"]
    if len(linear) > 1:
        columns = tuple(column for group in linear for column in group.columns)
        groups.append(FeatureGroup(tuple(range(len(covariates))), "values of all", columns))
    return np.stack(rows), np.array(owner), groups


def _blocks(
    values: Float[np.ndarray, " W"], *, num_past: int, season_length: int
) -> Iterator[tuple[str, list[Float[np.ndarray, " W"]]]]:
    """Yield the kinds of features of one standardised covariate."""
    yield "value", [values]
    lags = [_shift(values, lag) for lag in range(1, NUM_LAGS + 1)]
    if season_length > NUM_LAGS:
        lags.append(trailing_mean(values, season_length))
    yield "lags", lags
    past = values[:num_past]
    distinct, counts = np.unique(past, return_counts=True)
    if len(distinct) > MAX_DISTINCT:
        knots = np.unique(np.quantile(past, np.arange(1, NUM_KNOTS + 1) / (NUM_KNOTS + 1)))
        yield "curve", [np.maximum(values - knot, 0) for knot in knots]
    elif len(distinct) > 2:
        yield "curve", [(values == value) * 1.0 for value in np.delete(distinct, counts.argmax())]
    if season_length > 1:
        yield "by season", [values * wave for wave in _season_waves(len(values), season_length)]


def _season_waves(num_steps: int, season_length: int) -> list[Float[np.ndarray, " W"]]:
    """Return functions of the phase: an indicator of each, or harmonics of a long season."""
    steps = np.arange(num_steps)
    if season_length <= MAX_PHASES:
        return [(steps % season_length == phase) * 1.0 for phase in range(season_length)]
    angles = [2 * np.pi * steps * (k + 1) / season_length for k in range(NUM_HARMONICS)]
    return [wave(angle) for angle in angles for wave in (np.cos, np.sin)]


def _shift(values: Float[np.ndarray, " W"], lag: int) -> Float[np.ndarray, " W"]:
    """Return the values of `lag` steps before; the first value before the beginning."""
    return np.concatenate([np.full(min(lag, len(values)), values[0]), values[:-lag]])


def trailing_mean(values: Float[np.ndarray, " W"], length: int) -> Float[np.ndarray, " W"]:
    """Return the mean of each value and the `length` - 1 before it; the first value before the beginning."""
    total = np.cumsum(np.concatenate([np.full(length, values[0]), values]))
    return (total[length:] - total[:-length]) / length


def fill_missing(covariates: Float[np.ndarray, "K W"]) -> Float[np.ndarray, "K W"]:
    """Return covariates whose missing values are the last one before, or the first one after."""
    filled = np.array(covariates, np.float64)
    for row in filled:
        known = np.flatnonzero(np.isfinite(row))
        if len(known) < len(row):
            row[:] = row[known[np.maximum(np.searchsorted(known, np.arange(len(row)), side="right") - 1, 0)]]
    return filled
