"""Measure what the floor at 0 changes: steps below it, and the loss, on corpus sets without negative values.

    python scripts/bench_bounds.py tsfm-small-next                  # 20 sets, every second that qualifies
    python scripts/bench_bounds.py tsfm-small-next --num-sets 40

The windows are the held-out ends of the benchmark suite. Each is forecast with `lower=None` and with the default, which
raises quantiles below 0 where no past value is negative. Printed are the share of steps with a quantile below 0 without
and with the floor, and the quantile loss and MASE with the floor relative to those without.
"""

from __future__ import annotations

import argparse

import numpy as np

from tsfm.bench.predictors import prepare_predictor
from tsfm.bench.protocols.gift import forecast_deciles
from tsfm.bench.report import as_markdown
from tsfm.bench.suite_windows import LIMITS, ForecastTask, collect_windows, find_suite_sets
from tsfm.infer.bounds import AUTO, read_bounds
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.predictor import DECILES, Predictor
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.store.catalog import resolve


def compare(predictor: Predictor, name: str, task: ForecastTask) -> dict[str, object] | None:
    """Return the row of a set, None if a past has a negative value."""
    if min(np.nanmin(context) for context in task.contexts) < 0:
        return None
    free = forecast_deciles(
        predictor, task.contexts, horizon=task.horizon, season_length=task.season_length, starts=task.starts,
        freq=task.freqs,
    )  # fmt: skip
    middle = len(DECILES) // 2
    bounds = read_bounds(AUTO, None, ["target"])
    forecast = Forecast(predictions=free[..., middle], quantiles=free, quantile_levels=DECILES)
    bounded = bounds.apply(forecast, task.contexts, ["target"]).quantiles
    scores = []
    for quantiles in (free, bounded):
        score = ForecastScore(DECILES)
        score.update(np.stack(task.y_true), quantiles, scale=np.stack(task.scales))
        scores.append(score.result())
    without, with_floor = scores
    below = [float((quantiles < 0).any(axis=-1).mean()) for quantiles in (free, bounded)]
    ratios = {f"{metric} ratio": with_floor[metric] / without[metric] for metric in ("wql", "mase")}
    return {"set": name, "windows": len(free), "below 0": below[0], "with floor": below[1], **ratios}


def main() -> None:
    """Measure the sets and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("predictor")
    parser.add_argument("--num-sets", type=int, default=20)
    args = parser.parse_args()
    predictor, rows = prepare_predictor(args.predictor), []
    for entry in find_suite_sets("corpus")[::2]:
        tasks = collect_windows(entry, resolve(entry.name), LIMITS["corpus"]).tasks
        row = compare(predictor, entry.name, tasks[0]) if tasks else None
        if row is not None and row["below 0"]:
            rows.append(row)
        if len(rows) == args.num_sets:
            break
    print(as_markdown(rows))
    for metric in ("wql ratio", "mase ratio"):
        values = np.array([row[metric] for row in rows], float)
        print(f"{metric}: geometric mean {np.exp(np.log(values).mean()):.5f}, highest {values.max():.5f}")


if __name__ == "__main__":
    main()
