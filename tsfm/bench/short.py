"""Short histories: forecasts from one to two and a half cycles of the season, next to the seasonal naive.

The windows are those of the benchmark suite on corpus sets: steps that `holdout_length` excludes from training. Of each
context only the last cycles are given to the forecasters; the steps to forecast are the same for every number of
cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.gift_table import geometric_mean
from tsfm.bench.suite_windows import ForecastTask, SuiteLimits, SuiteSet, collect_windows
from tsfm.infer.predictor import POINT, Predictor
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.store.catalog import resolve
from tsfm.timestamps.offsets import timestamp_at

CYCLES = (1.1, 1.3, 1.6, 1.9, 2.5)
SETS = (  # of each frequency, sets with a clear season
    "pjm_hourly",
    "leeds_footfall_hourly",
    "vic_elec_30min",
    "favorita_transactions_daily",
    "chicago_ridership_daily",
    "australia_mortality_weekly",
    "germany_grippeweb_weekly",
    "australia_retail_monthly",
    "us_natural_gas_monthly",
    "australian_tourism_quarterly",
)
LIMITS = SuiteLimits(series=64, windows=64, each=8)
METRICS = ("mae", "mase")


class NoWindowError(ValueError):
    """A set has no window with a season and a past that is long enough."""


def short_context_length(cycles: float, season_length: int) -> int:
    """Return the steps of a number of cycles, rounded down, but at least one more than a cycle.

    Examples
    --------
    >>> [short_context_length(cycles, 24) for cycles in (1.1, 1.9, 2.5)], short_context_length(1.1, 4)
    ([26, 45, 60], 5)
    """
    return max(int(cycles * season_length + 1e-9), season_length + 1)


def check_cycles(cycles: Sequence[float]) -> tuple[float, ...]:
    """Return the numbers of cycles in ascending order, each once.

    Raises
    ------
    ValueError
        Unless each is a finite number above 1.
    """
    if not cycles or not all(1 < count < np.inf for count in cycles):
        raise ValueError(
            f"cycles are {list(cycles)}; expected numbers above 1, such as 1.5, as the seasonal naive needs a cycle"
        )
    return tuple(sorted({float(count) for count in cycles}))


def usable_windows(task: ForecastTask, cycles: Sequence[float]) -> list[int]:
    """Return the indices of windows whose longest cut exists and whose shortest cut has no missing step."""
    shortest, longest = (short_context_length(count, task.season_length) for count in (cycles[0], cycles[-1]))
    return [
        i
        for i, context in enumerate(task.contexts)
        if context.shape[1] >= longest and not np.isnan(context[:, -shortest:]).any()
    ]


def score_cut(
    predictor: Predictor, tasks: Sequence[tuple[ForecastTask, list[int]]], *, cycles: float, batch_size: int = 256
) -> dict[str, float]:
    """Return MAE and MASE of the median, from that many cycles of the past, over the given windows of each task.

    The scale of MASE is the seasonal error of the whole series before the window, so that every series counts.
    """
    score = ForecastScore(POINT)
    for task, indices in tasks:
        length = short_context_length(cycles, task.season_length)
        cut = [task.contexts[i].shape[1] - length for i in indices]
        starts = [timestamp_at(task.starts[i], task.freqs[i], n) for i, n in zip(indices, np.array(cut), strict=True)]
        forecast = predictor.predict(
            [task.contexts[i][:, -length:] for i in indices],
            prediction_length=task.horizon,
            quantile_levels=POINT,
            season_length=task.season_length,
            batch_size=batch_size,
            starts=starts,
            freq=[task.freqs[i] for i in indices],
        )
        y_true, scale = (np.stack([values[i] for i in indices]) for values in (task.y_true, task.scales))
        score.update(y_true, forecast.quantiles, scale=scale)
    return score.result()


def score_short_set(
    predictors: dict[str, Predictor],
    entry: SuiteSet,
    *,
    cycles: Sequence[float] = CYCLES,
    limits: SuiteLimits = LIMITS,
    batch_size: int = 256,
) -> list[dict[str, Any]]:
    """Return a row for each predictor and number of cycles on one set.

    Returns
    -------
    list of dict
        set, freq, horizon, season, windows, left_out (windows with a shorter past or missing steps in it), model,
        cycles, the context in steps, and MAE and MASE: their values, those of the seasonal naive, and the ratios.

    Raises
    ------
    NoWindowError
        If no window has a season and a past that is long enough.
    """
    cycles = check_cycles(cycles)
    windows = collect_windows(entry, resolve(entry.name), limits)
    tasks = [(task, usable_windows(task, cycles)) for task in windows.tasks if task.season_length > 1]
    tasks = [(task, indices) for task, indices in tasks if indices]
    if not tasks:
        raise NoWindowError(
            f"set {entry.name!r} has no window with a season and {cycles[-1]:g} observed cycles before it; leave it out"
        )
    count = sum(len(indices) for _, indices in tasks)
    total = sum(len(task.contexts) for task in windows.tasks)
    properties = {
        "set": entry.name,
        "freq": " ".join(windows.freqs),
        "horizon": " ".join(dict.fromkeys(str(task.horizon) for task, _ in tasks)),
        "season": " ".join(dict.fromkeys(str(task.season_length) for task, _ in tasks)),
        "windows": count,
        "left_out": total - count,
    }
    rows = []
    for number in cycles:
        naive = score_cut(SeasonalNaive(), tasks, cycles=number, batch_size=batch_size)
        steps = " ".join(dict.fromkeys(str(short_context_length(number, task.season_length)) for task, _ in tasks))
        for name, predictor in predictors.items():
            scores = score_cut(predictor, tasks, cycles=number, batch_size=batch_size)
            rows.append({**properties, "model": name, "cycles": number, "context": steps, **compare(scores, naive)})
    return rows


def compare(scores: dict[str, float], naive: dict[str, float]) -> dict[str, float]:
    """Return both values of each metric and their ratio; NaN where one is undefined or that of the naive is 0."""
    columns = {}
    for metric in METRICS:
        value, naive_value = scores.get(metric, np.nan), naive.get(metric, np.nan)
        ratio = value / naive_value if naive_value else np.nan
        columns |= {metric: value, f"{metric}_naive": naive_value, f"{metric}_relative": ratio}
    return columns


def means_by_cycles(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the geometric mean over sets of each relative metric, a row per model, a column per number of cycles."""
    table = []
    for model in dict.fromkeys(row["model"] for row in rows):
        for metric in METRICS:
            means: dict[str, Any] = {"model": model, "relative": metric.upper()}
            for cycles in dict.fromkeys(row["cycles"] for row in rows):
                ratios = [row[f"{metric}_relative"] for row in rows if (row["model"], row["cycles"]) == (model, cycles)]
                ratios = [ratio for ratio in ratios if np.isfinite(ratio)]
                means[f"{cycles:g}"] = geometric_mean(ratios) if ratios else float("nan")
            table.append(means)
    return table


def sets_by_cycles(rows: Sequence[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """Return the relative MAE of a model, a row per set, a column per number of cycles."""
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["model"] == model:
            columns = {key: row[key] for key in ("set", "freq", "horizon", "season", "windows", "left_out")}
            table.setdefault(row["set"], columns)[f"{row['cycles']:g}"] = row["mae_relative"]
    return list(table.values())
