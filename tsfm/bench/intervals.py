"""Intervals: how often the true value lies in them, and how wide they are for a random walk.

Coverage is counted on the windows of the benchmark suite on corpus sets: steps that `holdout_length` excludes from
training. H horizon, Q quantile levels, W windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.bench.suite_windows import LIMITS, SuiteLimits, SuiteSet, collect_windows
from tsfm.infer.predictor import Predictor
from tsfm.store.catalog import resolve

if TYPE_CHECKING:
    from jaxtyping import Float

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.98)  # nominal
SEGMENTS = ("start", "middle", "end")  # thirds of the horizon
WALK_STEPS = (10, 100, 736, 2000)
WALK_COVERAGE = 0.8


def interval_levels(coverage: float) -> tuple[float, float]:
    """Return the levels of the two quantiles that bound the central interval of a nominal coverage.

    Examples
    --------
    >>> interval_levels(0.8), interval_levels(0.98)
    ((0.1, 0.9), (0.01, 0.99))
    """
    return round(0.5 - coverage / 2, 9), round(0.5 + coverage / 2, 9)


def possible_coverages(predictor: Predictor, coverages: Sequence[float] = COVERAGES) -> tuple[float, ...]:
    """Return the nominal coverages whose quantiles a predictor has.

    Raises
    ------
    ValueError
        If it has none of them.
    """
    trained = predictor.quantile_levels
    possible = tuple(
        coverage
        for coverage in coverages
        if trained is None
        or (trained[0] <= interval_levels(coverage)[0] and interval_levels(coverage)[1] <= trained[-1])
    )
    if not possible:
        nominal = ", ".join(f"{100 * coverage:g} %" for coverage in coverages)
        raise ValueError(
            f"{predictor.name} has no interval of {nominal}: its quantile levels are {trained}; leave it out"
        )
    return possible


def count_inside(
    y_true: Float[np.ndarray, "W C H"], low: Float[np.ndarray, "W C H"], high: Float[np.ndarray, "W C H"]
) -> dict[str, tuple[int, int]]:
    """Return for each third of the horizon how many observed values lie in the interval, and how many there are."""
    inside, observed = (low <= y_true) & (y_true <= high), ~np.isnan(y_true)
    thirds = np.array_split(np.arange(y_true.shape[-1]), len(SEGMENTS))
    return {
        segment: (int(inside[..., steps].sum()), int(observed[..., steps].sum()))
        for segment, steps in zip(SEGMENTS, thirds, strict=True)
    }


def score_coverage(
    predictors: dict[str, Predictor], entry: SuiteSet, *, limits: SuiteLimits = LIMITS["corpus"], batch_size: int = 256
) -> list[dict[str, Any]]:
    """Return a row for each predictor and segment of the horizon, on one set.

    Returns
    -------
    list of dict
        model, set, freq, windows, segment ("start", "middle" and "end", thirds of the horizon, and "all"), steps (the
        number of observed ones), and the measured coverage for each possible nominal one, in a column such as "80 %".

    Raises
    ------
    ValueError
        If the set has no window that can be scored, or a predictor has no interval.
    """
    windows = collect_windows(entry, resolve(entry.name), limits)
    if not windows.tasks:
        raise ValueError(f"set {entry.name!r} has nothing to score: its series are too short or missing; leave it out")
    rows = []
    for name, predictor in predictors.items():
        coverages = possible_coverages(predictor)
        quantile_levels = sorted(level for coverage in coverages for level in interval_levels(coverage))
        counts = {(coverage, segment): np.zeros(2, np.int64) for coverage in coverages for segment in SEGMENTS}
        for task in windows.tasks:
            quantiles = predictor.predict(
                task.contexts,
                prediction_length=task.horizon,
                quantile_levels=quantile_levels,
                season_length=task.season_length,
                batch_size=batch_size,
                starts=task.starts,
                freq=task.freqs,
            ).quantiles
            y_true = np.stack(task.y_true)
            for coverage in coverages:
                low, high = (quantiles[..., quantile_levels.index(level)] for level in interval_levels(coverage))
                for segment, count in count_inside(y_true, low, high).items():
                    counts[coverage, segment] += count
        properties = {
            "model": name,
            "set": entry.name,
            "freq": " ".join(windows.freqs),
            "windows": sum(len(task.contexts) for task in windows.tasks),
        }
        for segment, members in (*((segment, (segment,)) for segment in SEGMENTS), ("all", SEGMENTS)):
            sums = {
                coverage: np.sum([counts[coverage, member] for member in members], axis=0) for coverage in coverages
            }
            measured = {f"{100 * coverage:g} %": share(*total.tolist()) for coverage, total in sums.items()}
            rows.append({**properties, "segment": segment, "steps": int(sums[coverages[0]][1]), **measured})
    return rows


def share(inside: int, observed: int) -> float:
    """Return the share of observed values in the interval; NaN without any."""
    return float(inside / observed) if observed else float("nan")


def mean_coverage(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean over sets of each measured coverage, a row per model and segment of the horizon."""
    names = [f"{100 * coverage:g} %" for coverage in COVERAGES]
    table = []
    for model in dict.fromkeys(row["model"] for row in rows):
        for segment in (*SEGMENTS, "all"):
            chosen = [row for row in rows if (row["model"], row["segment"]) == (model, segment)]
            means = {name: float(np.nanmean([row[name] for row in chosen])) for name in names if name in chosen[0]}
            table.append({"model": model, "horizon": segment, "sets": len(chosen), **means})
    return table


def random_walk_widths(
    predictor: Predictor,
    steps: Sequence[int] = WALK_STEPS,
    *,
    num_walks: int = 64,
    length: int = 1000,
    seed: int = 0,
    batch_size: int = 256,
) -> list[dict[str, Any]]:
    """Return the mean width of the 80 % interval of random walks next to the true one, a row per step ahead.

    The steps of the walks are standard normal, so that h steps ahead the true interval has the width
    ``2 z_0.9 sqrt(h)``, with ``z_0.9 = 1.2816``.

    Parameters
    ----------
    steps
        Steps ahead at which the width is measured.
    num_walks, length, seed
        Number of walks, past steps of each, and the seed of the random numbers.

    Returns
    -------
    list of dict
        step, width, true_width, ratio.
    """
    walks = np.random.default_rng(seed).normal(size=(num_walks, length)).cumsum(-1)
    low, high = interval_levels(WALK_COVERAGE)
    quantiles = predictor.predict(
        walks[:, None], prediction_length=max(steps), quantile_levels=(low, high), batch_size=batch_size
    ).quantiles
    widths = (quantiles[..., 1] - quantiles[..., 0]).mean((0, 1))
    z = NormalDist().inv_cdf(high)
    rows = []
    for step in steps:
        true_width = 2 * z * step**0.5
        width = float(widths[step - 1])
        rows.append({"step": step, "width": width, "true_width": true_width, "ratio": width / true_width})
    return rows
