"""The effect of known covariates on one series: a ridge regression whose features are chosen on held-out blocks.

The level and the season of a series are not constant, so the regression is on what a simple forecaster misses: each
value minus the mean of those one, two, ... seasons before, and each feature minus the mean of the same steps. What
that leaves is often autocorrelated, so that values and features are also taken minus a multiple of the step before
(Cochrane and Orcutt 1949). Features enter in groups, the best first, as long as they lower the error of blocks that
the regression has not seen. No future value of the target exists here.

L past steps, H future steps, W = L + H, K covariates, F features, N rows of the regression, B blocks, S strengths.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.infer.covariate_features import NUM_LAGS, FeatureGroup, fill_missing, make_features

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MIN_STEPS = 30  # observed past steps
MAX_STEPS = 4096  # most recent ones that are used, unless the network reads more
NUM_BLOCKS = 8
MIN_GAIN = 0.02  # of the error of held-out blocks, for one group of features
MIN_T = 2.0  # mean gain over its standard error, of the blocks
MAX_GROUPS = 8
STRENGTHS = np.array([1e-4, 1e-2, 0.3])  # of the ridge, per row and unit variance of a feature
NUM_SEASONS = (1, 4)  # means of so many earlier seasons are tried
MIN_CYCLES = 3  # in the past, for a season to be used


class Effect(NamedTuple):
    """The effect of the covariates at each step, with mean 0 over the past, and how it was found."""

    values: Float[np.ndarray, " W"]
    used: tuple[int, ...]  # covariates, by their rows
    gain: float  # share by which the error of held-out blocks is lower


class _Regression(NamedTuple):
    """Errors of the simple forecaster and features; `moments` are of autoregressive differences, by block."""

    errors: Float[np.ndarray, " N"]
    features: Float[np.ndarray, "N F"]
    block: Int[np.ndarray, " N"]
    moments: Float[np.ndarray, "B F F"]
    products: Float[np.ndarray, "B F"]
    num_rows: Float[np.ndarray, " B"]


def estimate_effect(
    target: Float[np.ndarray, " L"],
    covariates: Float[np.ndarray, "K W"],
    *,
    seasons: tuple[int, ...],
    max_steps: int = MAX_STEPS,
) -> Effect:
    """Return the effect of known covariates on a series; zero where they do not help.

    Parameters
    ----------
    target
        NaN is missing.
    covariates
        NaN is missing in the past. A row with a missing future value is not used.
    seasons
        Possible season lengths in steps, such as 24 and 168.
    max_steps
        Past steps that are used; the effect is 0 before them.
    """
    num_past, num_steps = len(target), covariates.shape[-1]
    nothing = Effect(np.zeros(num_steps), (), 0.0)
    first = max(num_past - max_steps, 0)
    y, x = np.array(target[first:], np.float64), np.asarray(covariates[:, first:], np.float64)
    rows = usable_covariates(x, num_past=len(y))
    if np.isfinite(y).sum() < MIN_STEPS or not len(rows):
        return nothing
    seasons = tuple(season for season in seasons if 1 < season <= len(y) / MIN_CYCLES)
    features, owner, groups = make_features(fill_missing(x[rows]), num_past=len(y), season_length=(*seasons, 1)[0])
    y[:NUM_LAGS] = np.nan  # the covariates before the first step are not known
    regression, scale = _make_regression(y, features[:, : len(y)], seasons=seasons)
    if regression is None:
        return nothing
    columns, strength, gain = choose_columns(regression, groups)
    if not len(columns):
        return nothing
    columns = drop_covariates(regression, columns, owner)
    coefficients = _solve(regression, columns, np.array([strength]), held_out=False)[0, 0]
    values = (coefficients / scale[columns]) @ features[columns]
    values -= values[: len(y)].mean()
    used = np.unique(rows[owner[columns]]).tolist()
    return Effect(np.concatenate([np.zeros(first), values]), tuple(used), gain)


def usable_covariates(covariates: Float[np.ndarray, "K W"], *, num_past: int) -> Int[np.ndarray, " _"]:
    """Return the rows that are known in the future, and observed and not constant in at least half of the past."""
    observed = np.isfinite(covariates)
    enough = observed[:, num_past:].all(axis=1) & (observed[:, :num_past].mean(axis=1) >= 0.5)
    rows = np.flatnonzero(enough)
    spread = np.array([np.nanstd(covariates[k, :num_past]) for k in rows])
    size = np.array([np.nanmax(np.abs(covariates[k, :num_past])) for k in rows])
    return rows[spread > 1e-6 * size]


def forecast_errors(
    y: Float[np.ndarray, " L"], features: Float[np.ndarray, "F L"], *, season_length: int, num_seasons: int
) -> tuple[Float[np.ndarray, " L"], Float[np.ndarray, "F L"]]:
    """Return the values minus the mean of those up to `num_seasons` seasons before, and features minus the same mean.

    NaN where the step or all of the earlier ones are missing.
    """
    observed = np.isfinite(y)
    total, count = np.zeros(len(y)), np.zeros(len(y))
    feature_total = np.zeros_like(features)
    for k in range(1, num_seasons + 1):
        lag = k * season_length
        if lag >= len(y):
            break
        total[lag:] += np.where(observed[:-lag], y[:-lag], 0.0)
        feature_total[:, lag:] += features[:, :-lag] * observed[:-lag]
        count[lag:] += observed[:-lag]
    usable = observed & (count > 0)
    count = np.maximum(count, 1)
    return np.where(usable, y - total / count, np.nan), features - feature_total / count


def _make_regression(
    y: Float[np.ndarray, " L"], features: Float[np.ndarray, "F L"], *, seasons: tuple[int, ...]
) -> tuple[_Regression | None, Float[np.ndarray, " F"]]:
    """Return the regression on the errors of the best simple forecaster, and the scale of its features."""
    options = [
        forecast_errors(y, features[:0], season_length=season, num_seasons=count)[0]
        for season in seasons or (1,)
        for count in NUM_SEASONS
    ]
    best = int(np.argmin([np.nanmean(np.abs(errors)) for errors in options]))
    season, count = (seasons or (1,))[best // len(NUM_SEASONS)], NUM_SEASONS[best % len(NUM_SEASONS)]
    errors, differences = forecast_errors(y, features, season_length=season, num_seasons=count)
    usable = np.isfinite(errors)
    steps = np.flatnonzero(usable)
    errors, rows = errors[steps] - errors[steps].mean(), differences[:, steps].T
    rows = rows - rows.mean(axis=0)
    scale = rows.std(axis=0)
    scale = np.where(scale > 1e-6, scale, np.inf)  # what the seasons explain has no effect of its own
    if len(steps) < MIN_STEPS // 2 or not errors.any() or not np.isfinite(scale).any():
        return None, scale
    rows = rows / scale
    block = np.minimum(steps * NUM_BLOCKS // len(y), NUM_BLOCKS - 1)
    block = np.unique(block, return_inverse=True)[1]
    consecutive = np.diff(steps) == 1
    # two passes: the autocorrelation of what a regression on all values leaves
    regression = _with_moments(errors, rows, block, consecutive, autocorrelation=0.0)
    left = errors - rows @ _solve(regression, np.arange(rows.shape[1]), STRENGTHS[1:2], held_out=False)[0, 0]
    pairs = left[1:][consecutive] @ left[:-1][consecutive]
    autocorrelation = float(np.clip(pairs / max(left @ left, 1e-300), 0.0, 0.98))
    return _with_moments(errors, rows, block, consecutive, autocorrelation=autocorrelation), scale


def _with_moments(
    errors: Float[np.ndarray, " N"],
    rows: Float[np.ndarray, "N F"],
    block: Int[np.ndarray, " N"],
    consecutive: Bool[np.ndarray, " M"],
    *,
    autocorrelation: float,
) -> _Regression:
    """Return the regression with second moments of its rows minus a multiple of the row before."""
    y, x, of_row = errors, rows, block
    if autocorrelation:
        y = (errors[1:] - autocorrelation * errors[:-1])[consecutive]
        x = (rows[1:] - autocorrelation * rows[:-1])[consecutive]
        of_row = block[1:][consecutive]
    num_blocks = int(block.max()) + 1
    bounds = np.searchsorted(of_row, np.arange(num_blocks + 1))
    blocks = [slice(start, stop) for start, stop in pairwise(bounds)]
    moments = np.stack([x[rows_of_block].T @ x[rows_of_block] for rows_of_block in blocks])
    products = np.stack([x[rows_of_block].T @ y[rows_of_block] for rows_of_block in blocks])
    return _Regression(errors, rows, block, moments, products, np.diff(bounds).astype(float))


def choose_columns(regression: _Regression, groups: list[FeatureGroup]) -> tuple[Int[np.ndarray, " _"], float, float]:
    """Return the features that lower the error of held-out blocks, the ridge's strength, and the share they save."""
    columns, strength = np.empty(0, int), float(STRENGTHS[0])
    nothing = losses = np.bincount(regression.block, np.abs(regression.errors)) / np.bincount(regression.block)
    for _ in range(MAX_GROUPS):
        groups = [group for group in groups if not set(group.columns) <= set(columns)]
        if not groups:
            break
        trials = [_best_trial(regression, np.union1d(columns, group.columns)) for group in groups]
        means = np.array([trial.mean() for trial, _ in trials])
        best = int(means.argmin())
        if not _is_better(losses, trials[best][0]):
            break
        # a covariate none of whose groups helps is not tried again
        helpful = {k for g, mean in zip(groups, means, strict=True) if mean < losses.mean() for k in g.covariates}
        columns = np.union1d(columns, groups[best].columns)
        losses, strength = trials[best]
        groups = [group for group in groups if set(group.covariates) <= helpful]
    return columns, strength, 1 - float(losses.mean() / nothing.mean())


def drop_covariates(
    regression: _Regression, columns: Int[np.ndarray, " _"], owner: Int[np.ndarray, " F"]
) -> Int[np.ndarray, " _"]:
    """Return the features without those of covariates that are not clearly better than none of them."""
    losses = _best_trial(regression, columns)[0]
    for k in np.unique(owner[columns]):
        fewer = columns[owner[columns] != k]
        if len(fewer) and not _is_better(_best_trial(regression, fewer)[0], losses):
            columns = fewer
    return columns


def _is_better(losses: Float[np.ndarray, " B"], trial: Float[np.ndarray, " B"]) -> bool:
    """Return whether the losses of blocks are lower by a clear share, and in most blocks."""
    gain = losses - trial
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    return bool(gain.mean() > MIN_GAIN * losses.mean() and gain.mean() > MIN_T * error)


def _best_trial(regression: _Regression, columns: Int[np.ndarray, " _"]) -> tuple[Float[np.ndarray, " B"], float]:
    """Return the mean absolute error of each held-out block, and the strength for which the mean of them is lowest."""
    coefficients = _solve(regression, columns, STRENGTHS, held_out=True)
    rows = regression.features[:, columns]
    counts = np.bincount(regression.block)
    losses = np.empty((len(STRENGTHS), len(counts)))
    stops = np.cumsum(counts)
    for block, (start, stop) in enumerate(zip(stops - counts, stops, strict=True)):
        left = regression.errors[start:stop, None] - rows[start:stop] @ coefficients[:, block].T
        losses[:, block] = np.abs(left).mean(axis=0)
    best = int(losses.mean(axis=1).argmin())
    return losses[best], float(STRENGTHS[best])


def _solve(
    regression: _Regression, columns: Int[np.ndarray, " _"], strengths: Float[np.ndarray, " S"], *, held_out: bool
) -> Float[np.ndarray, "S B _"]:
    """Return the coefficients for each strength, from all blocks but one, or (B = 1) from all."""
    moments = regression.moments[:, columns[:, None], columns]
    products, counts = regression.products[:, columns], regression.num_rows
    total, total_products, total_count = moments.sum(axis=0), products.sum(axis=0), counts.sum()
    if held_out:
        moments, products, counts = total - moments, total_products - products, total_count - counts
    else:
        moments, products, counts = total[None], total_products[None], np.array([total_count])
    # a feature has the variance of its rows: with autoregressive differences less than 1
    variance = np.diagonal(moments, axis1=1, axis2=2) + 1e-9 * counts[:, None]
    penalty = strengths[:, None, None] * variance
    matrices = moments + penalty[..., None] * np.eye(len(columns))
    return np.linalg.solve(matrices, np.broadcast_to(products, penalty.shape)[..., None])[..., 0]
