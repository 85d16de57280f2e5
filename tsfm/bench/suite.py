"""A benchmark suite: forecasters next to the seasonal naive on every data set of a role, all by the same rule.

It measures breadth: on how many kinds of series is a model better than the simplest seasonal forecast? Sets of role
`benchmark` are scored on their last windows, by the rule of GIFT-Eval (arXiv:2410.10393) or over the horizon of their
official test part. Sets of role `corpus` are scored on steps that `holdout_length` excludes from
training: a validation suite, by which recipes are chosen. Variates count as series. Of a
large set a sample is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.gift_table import geometric_mean
from tsfm.bench.protocols.gift import forecast_deciles
from tsfm.bench.suite_windows import SuiteLimits, SuiteSet, SuiteWindows, collect_windows
from tsfm.infer.predictor import DECILES, Predictor
from tsfm.metrics.forecast_score import ForecastScore, added_scores
from tsfm.store.catalog import resolve

METRICS = ("mase", "wql")  # compared with those of the seasonal naive


def score_windows_of_set(predictor: Predictor, windows: SuiteWindows, *, batch_size: int = 256) -> dict[str, float]:
    """Return the forecast metrics over all windows of a set, and their number.

    Raises
    ------
    RuntimeError
        If a window was lost.
    """
    score = ForecastScore(DECILES)
    for task in windows.tasks:
        forecaster = predictor.fitted_to(task.pasts(), prediction_length=task.horizon, season_length=task.season_length)
        predicted = forecast_deciles(
            forecaster,
            task.contexts,
            horizon=task.horizon,
            season_length=task.season_length,
            batch_size=batch_size,
            starts=task.starts,
            freq=task.freqs,
        )
        score.update(np.stack(task.y_true), predicted, scale=np.stack(task.scales))
    metrics = score.result()
    if metrics["windows"] != (expected := sum(len(task.contexts) for task in windows.tasks)):
        raise RuntimeError(f"{metrics['windows']} windows were scored; there are {expected}")
    return metrics


def score_set(
    predictors: dict[str, Predictor], entry: SuiteSet, limits: SuiteLimits, *, batch_size: int = 256
) -> dict[str, dict[str, Any]]:
    """Return a row for each predictor on one set, next to the seasonal naive on the same windows.

    Returns
    -------
    dict
        By predictor: set, freq, horizon, season, counts, the metrics with their values for the seasonal naive and the
        ratios, and `better`, whether both MASE and WQL are lower.

    Raises
    ------
    ValueError
        If the set has no window that can be scored.
    """
    windows = collect_windows(entry, resolve(entry.name), limits)
    if not windows.tasks:
        raise ValueError(
            f"set {entry.name!r} has nothing to score: {windows.too_short} series are too short and "
            f"{windows.unobserved_windows} windows are unobserved; leave it out"
        )
    naive = score_windows_of_set(SeasonalNaive(), windows, batch_size=batch_size)
    properties = {
        "set": entry.name,
        "freq": " ".join(windows.freqs),
        "horizon": " ".join(dict.fromkeys(str(task.horizon) for task in windows.tasks)),
        "season": " ".join(dict.fromkeys(str(task.season_length) for task in windows.tasks)),
        "series": windows.series,
        "windows": int(naive["windows"]),
        "not_drawn": windows.not_drawn,
        "too_short": windows.too_short,
        "unobserved_windows": windows.unobserved_windows,
    }
    rows = {}
    for name, predictor in predictors.items():
        scores = score_windows_of_set(predictor, windows, batch_size=batch_size)
        rows[name] = {**properties, **compare_scores(scores, naive), **added_scores(scores)}
    return rows


def compare_scores(scores: dict[str, float], naive: dict[str, float]) -> dict[str, Any]:
    """Return both scores of each metric, their ratio (NaN if that of the naive is 0), and whether all are better.

    A metric that is not defined on the windows is NaN, and does not count for `better`.
    """
    columns: dict[str, Any] = {}
    for metric in METRICS:
        value, naive_value = scores.get(metric, np.nan), naive.get(metric, np.nan)
        ratio = value / naive_value if naive_value else np.nan
        columns |= {metric: value, f"{metric}_naive": naive_value, f"{metric}_relative": ratio}
    defined = [metric for metric in METRICS if metric in scores]
    return columns | {"better": bool(defined) and all(scores[metric] < naive[metric] for metric in defined)}


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return geometric means of the relative scores, the share of sets with `better`, and the other sets."""
    means = {}
    for metric in METRICS:
        ratios = [row[f"{metric}_relative"] for row in rows if np.isfinite(row[f"{metric}_relative"])]
        means[metric] = geometric_mean(ratios) if ratios else float("nan")
    return {
        **means,
        "sets": len(rows),
        "better": float(np.mean([row["better"] for row in rows])),
        "not_better": [row["set"] for row in rows if not row["better"]],
        "windows": sum(row["windows"] for row in rows),
    }
