"""Forecasts of weekly sales over Christmas from less than two years of history, next to the seasonal naive.

    python scripts/bench_christmas.py --model tsfm-small --model tsfm-small-next
    python scripts/bench_christmas.py --model tsfm-small --single-pass     # without the extended past

The windows end with the last week that begins before 28 November of each year; the past holds 92 weeks, so that it
shows one Christmas. Printed are the sums over all series of the absolute error of the median and of the quantile loss,
relative to those of the seasonal naive. The sets are part of the training corpus except for their ends, so this
compares ways to forecast and is not a zero-shot result.

N windows, L past weeks, H weeks to forecast.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.bench.report import as_markdown
from tsfm.infer.load import load
from tsfm.infer.predictor import Predictor
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.store.catalog import resolve
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps.calendars import make_timestamps

SETS = ("jewelry_weekly", "favorita_transactions_daily")
WEEK, YEAR = "W-SUN", 52
OPEN_DAYS = 5  # of a week of daily data: shops are closed, and their sales missing, on Christmas and New Year
QUANTILE_LEVELS = tuple(round(0.1 * i, 1) for i in range(1, 10))


class Windows(NamedTuple):
    """Weekly values before and after the last week of November, and the first week of each past."""

    pasts: np.ndarray  # [N, L]
    y_true: np.ndarray  # [N, H]
    starts: list[np.datetime64]


def weekly_series(store: SeriesStore, item: int) -> pd.Series:
    """Return sums of weeks of the first channel of an item; a week with more than 2 missing days is missing."""
    index = pd.DatetimeIndex(make_timestamps(store.starts[item], store.freqs[item], int(store.lengths[item])))
    days = pd.Series(store.read(item)[0].astype(np.float64), index)
    return days.resample(WEEK).sum(min_count=OPEN_DAYS if store.freqs[item] == "D" else 1)


def collect_windows(name: str, *, num_past: int, horizon: int) -> Windows:
    """Return the window of each year and item without a missing value.

    Raises
    ------
    ValueError
        If the set has no such window.
    """
    store = resolve(name)
    windows = []
    for item in range(len(store)):
        weeks = weekly_series(store, item)
        index = weeks.index.to_numpy()
        for year in np.unique(index.astype("datetime64[Y]")):
            stop = int(np.searchsorted(index, year + np.timedelta64(11, "M") + np.timedelta64(3, "D")))
            values = weeks.iloc[max(stop - num_past, 0) : stop + horizon]
            if len(values) == num_past + horizon and values.notna().all():
                windows.append((values.to_numpy(), values.index[0].to_datetime64()))
    if not windows:
        raise ValueError(f"set {name!r} has no {num_past} weeks before December and {horizon} after; give another set")
    values = np.stack([window for window, _ in windows])
    return Windows(values[:, :num_past], values[:, num_past:], [start for _, start in windows])


def score(predictor: Predictor, windows: Windows) -> dict[str, float]:
    """Return the mean absolute error of the median and the mean quantile loss over all windows."""
    horizon = windows.y_true.shape[1]
    forecast = predictor.predict(
        [past[None].astype(np.float32) for past in windows.pasts],
        prediction_length=horizon,
        quantile_levels=QUANTILE_LEVELS,
        season_length=YEAR,
        starts=windows.starts,
        freq=WEEK,
    )
    metrics = ForecastScore(QUANTILE_LEVELS)
    metrics.update(windows.y_true[:, None], forecast.quantiles)
    return metrics.result()


def compare(name: str, predictors: dict[str, Predictor], *, num_past: int, horizon: int) -> list[dict[str, object]]:
    """Return a row for each predictor: its errors on a set relative to those of the seasonal naive."""
    windows = collect_windows(name, num_past=num_past, horizon=horizon)
    naive = score(SeasonalNaive(), windows)
    rows = []
    for model, predictor in predictors.items():
        errors = score(predictor, windows)
        relative = {f"relative {metric.upper()}": errors[metric] / naive[metric] for metric in ("mae", "wql")}
        rows.append({"set": name, "windows": len(windows.pasts), "model": model, **relative})
    return rows


def main() -> None:
    """Print a table of all sets and models."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--past", type=int, default=92, help="weeks")
    parser.add_argument("--horizon", type=int, default=8, help="weeks")
    parser.add_argument("--single-pass", action="store_true", help="without the extended past")
    args = parser.parse_args()
    predictors: dict[str, Predictor] = {
        name: load(name, extend_short_pasts=not args.single_pass) for name in args.model
    }
    rows = [row for name in args.sets for row in compare(name, predictors, num_past=args.past, horizon=args.horizon)]
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
