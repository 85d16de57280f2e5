"""Compare fit_df with the zero-shot model on the held-out ends of corpus sets: MASE, WQL, seconds.

    python scripts/bench_fit_df.py                                 # ten sets, tsfm-small
    python scripts/bench_fit_df.py --sets hotel_demand_daily --method lora
    python scripts/bench_fit_df.py --rows 500                      # the last 500 rows of one series of each set

Of each set the last windows of some series are scored, as `tsfm bench suite --role corpus` does; `fit_df` gets
everything before the first of them, at most `--rows` rows of a series. `better` is the model that `fit_df`
returns, by its validation; the scores of the fine-tuned one are those that it would return otherwise. Seconds are CPU
seconds with one thread.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from peers.measure import markdown

import tsfm
from tsfm.bench.gift_table import geometric_mean
from tsfm.bench.suite import score_windows_of_set
from tsfm.bench.suite_windows import SuiteLimits, SuiteWindows, collect_windows, find_suite_sets
from tsfm.estimators.fit_plan import FitPlan
from tsfm.store.catalog import resolve
from tsfm.timestamps.offsets import make_timestamps

SETS = (
    "australia_mortality_weekly", "us_gasoline_weekly", "hotel_demand_daily", "classics_monthly_quarterly",
    "favorita_transactions_daily", "nngc1_hourly", "kiel_bakery_daily", "glucose_cgm_5min", "ottawa_bikes_daily",
    "us_house_prices_monthly",
)  # fmt: skip
METRICS = ("mase", "wql")


def frames(windows: SuiteWindows, *, rows: int | None) -> list[tuple[pd.DataFrame, int]]:
    """Return, for each horizon and frequency, the past of every series before its first window; and the horizon."""
    result = []
    for task in windows.tasks:
        firsts: dict[tuple[Any, bytes], int] = {}
        for i, context in enumerate(task.contexts):  # later windows of a series have the same first steps
            key = (task.starts[i], context[0, : task.horizon].tobytes())
            firsts.setdefault(key, i)
        items = []
        for i in firsts.values():
            values = task.contexts[i][0]
            stamps = make_timestamps(task.starts[i], task.freqs[i], len(values))
            item = pd.DataFrame({"item_id": f"series {i}", "timestamp": stamps, "target": values})
            items.append(item.iloc[-rows:] if rows else item)
        result.append((pd.concat(items, ignore_index=True), task.horizon))
    return result


def score_one_set(name: str, model: Any, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each horizon of a set."""
    entry = next(entry for entry in find_suite_sets("corpus") if entry.name == name)
    limits = SuiteLimits(series=args.series, windows=args.series * args.windows, each=args.windows)
    windows = collect_windows(entry, resolve(name), limits)
    rows, verdicts = [], []
    own = FitPlan.is_better

    def record(plan: FitPlan, score: float, before: float) -> bool:
        """Record whether fit_df would return the fine-tuned weights, and let it return them."""
        verdicts.append(own(plan, score, before))
        return True

    for task, (df, horizon) in zip(windows.tasks, frames(windows, rows=args.rows), strict=True):
        of_task = SuiteWindows([task], windows.freqs, series=windows.series)
        start = time.process_time()
        with warnings.catch_warnings(record=True) as caught, mock.patch.object(FitPlan, "is_better", record):
            warnings.simplefilter("always")
            tuned = model.fit_df(
                df, horizon, method=args.method, device="cpu", errors="skip", progress=False,
                overrides=args.overrides,
            )  # fmt: skip
        seconds = time.process_time() - start
        announced = [str(warning.message) for warning in caught if "fine-tuning" in str(warning.message)]
        validation = tuned.about.metrics
        scores = {key: score_windows_of_set(m, of_task) for key, m in (("zero_shot", model), ("fit", tuned))}
        better = "fit" if verdicts.pop() else "zero_shot"
        row: dict[str, Any] = {"set": name, "series": df["item_id"].nunique(), "rows": len(df), "horizon": horizon}
        for metric in METRICS:
            row |= {f"{metric} {key}": value[metric] for key, value in scores.items()}
        row |= {"val_before": validation["val_loss_before"], "val": validation["val_loss"]}
        row |= {"better": better, "seconds": round(seconds, 1), "plan": announced[-1] if announced else ""}
        rows.append(row)
    return rows


def summarize(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the geometric means of the scores relative to zero-shot: fine-tuned always, and what fit_df returns."""
    means = {}
    for metric in METRICS:
        ratios = [row[f"{metric} fit"] / row[f"{metric} zero_shot"] for row in rows]
        returned = [ratio if row["better"] == "fit" else 1.0 for row, ratio in zip(rows, ratios, strict=True)]
        means |= {f"{metric} fine-tuned": geometric_mean(ratios), f"{metric} returned": geometric_mean(returned)}
        means[f"{metric} worst returned"] = float(np.max(returned))
    return means


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows as text."""
    texts = []
    for row in rows:
        text = {key: row[key] for key in ("set", "series", "rows", "horizon")}
        for metric in METRICS:
            zero_shot, fit = row[f"{metric} zero_shot"], row[f"{metric} fit"]
            returned = fit if row["better"] == "fit" else zero_shot
            columns = {"zero-shot": zero_shot, "fine-tuned": fit, "fit_df": returned}
            text |= {f"{metric.upper()} {key}": f"{value:.3f}" for key, value in columns.items()}
        texts.append(text | {"kept": "fine-tuned" if row["better"] == "fit" else "zero-shot", "s": row["seconds"]})
    return texts


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tsfm-small")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--method", default="full", choices=["full", "head", "lora"])
    parser.add_argument("--series", type=int, default=32, help="of a set")
    parser.add_argument("--windows", type=int, default=1, help="of a series that are scored")
    parser.add_argument("--rows", type=int, help="last rows of each series that fit_df gets; default: all")
    parser.add_argument("--overrides", nargs="*", default=[], help="settings of fit_df, as optim.lr=1e-4")
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    return parser.parse_args()


def main() -> int:
    """Print the table."""
    args = parse()
    torch.set_num_threads(1)
    model, rows = tsfm.load(args.model), []
    for name in args.sets:
        rows += score_one_set(name, model, args)
        print(json.dumps(rows[-1]), flush=True)
        if args.out:
            args.out.write_text(json.dumps(rows, indent=1))
    print(markdown(table(rows)))
    print(", ".join(f"{name} {value:.3f}" for name, value in summarize(rows).items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
