"""Measure which part of the CPU time of predict_df and `tsfm forecast` is reading, the network and writing.

    python scripts/bench_panels.py                      # 10,000 series of 200 steps
    python scripts/bench_panels.py --series 1000 --model tsfm-small
    python scripts/bench_panels.py --file               # also `tsfm forecast` of a CSV: a tenth of the series, and all

With one thread; CPU seconds, so that other programs on the machine do not count. `network` is the time in
`quantiles`, `reading` that in `read_frame`, `writing` that in `write_frame`, `other` the rest: checks, batches and
bounds. The exit code is 1 where reading and writing have more than a quarter of a `predict_df`, or where the time of
`tsfm forecast` grows faster than the file.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from peers.measure import markdown

import tsfm.infer.dataframe_forecast as forecast_module
from tsfm.infer.load import load

MAX_SHARE = 0.25  # of reading and writing in predict_df
MAX_RATIO = 13.0  # CPU time of ten times as many series in a file; without the start of Python
FEW = 20  # series of a file that shows the start of Python


def panel(num_series: int, steps: int, *, seed: int = 0) -> pd.DataFrame:
    """Return daily random walks with a week, the items of which begin on different days."""
    rng = np.random.default_rng(seed)
    starts = np.datetime64("2023-01-01", "D") + rng.integers(0, 300, size=num_series)
    values = 100 + rng.normal(size=(num_series, steps)).cumsum(axis=1) + 5 * (np.arange(steps) % 7 > 4)
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"series_{i:06d}" for i in range(num_series)], steps),
            "timestamp": (starts[:, None] + np.arange(steps)).astype("M8[ns]").ravel(),
            "target": values.round(3).ravel(),
        }
    )


@contextmanager
def timed(seconds: dict[str, float], name: str, owner: Any, function: str) -> Iterator[None]:
    """Add the CPU seconds of a function to `seconds[name]`."""
    original: Callable[..., Any] = getattr(owner, function)

    def measured(*args: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return original(*args, **options)
        finally:
            seconds[name] += time.process_time() - start

    with mock.patch.object(owner, function, measured):
        yield


def split(name: str, df: pd.DataFrame, horizon: int) -> dict[str, float]:
    """Return the CPU seconds of one `predict_df`, in all and by what they were for."""
    model = load(name)
    first = df.head(20 * int((df["item_id"] == df["item_id"].iloc[0]).sum()))
    model.predict_df(first, horizon, progress=False)  # memory and caches
    seconds: dict[str, float] = {"reading": 0.0, "network": 0.0, "writing": 0.0}
    with (
        timed(seconds, "reading", forecast_module, "read_frame"),
        timed(seconds, "network", type(model), "quantiles"),
        timed(seconds, "writing", forecast_module, "write_frame"),
    ):
        start = time.process_time()
        model.predict_df(df, horizon, progress=False)
        total = time.process_time() - start
    return seconds | {"other": total - sum(seconds.values()), "total": total}


def report_split(args: argparse.Namespace) -> bool:
    """Print the table of `predict_df`; return whether reading and writing have at most `MAX_SHARE`."""
    rows, is_fast = [], True
    for name in args.model:
        seconds = split(name, panel(args.series, args.steps), args.horizon)
        share = (seconds["reading"] + seconds["writing"]) / seconds["total"]
        is_fast = is_fast and share <= MAX_SHARE
        rows.append(
            {
                "model": name,
                **{f"{component} s": f"{value:.2f}" for component, value in seconds.items()},
                "reading and writing": f"{share:.0%} (at most {MAX_SHARE:.0%})",
                "other": f"{seconds['other'] / seconds['total']:.0%}",
            }
        )
    print(f"\npredict_df of {args.series:,} series x {args.steps} steps, horizon {args.horizon}:\n")
    print(markdown(rows))
    return is_fast


def report_files(args: argparse.Namespace) -> bool:
    """Print the table of `tsfm forecast`; return whether its time grows as the number of series does."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (FEW, args.series // 10, args.series):
            file = Path(folder) / f"panel{count}.csv"
            df = panel(count, args.steps)
            df.to_csv(file, index=False)
            command = ["-m", "tsfm", "forecast", str(file), "--model", args.model[0], "--horizon", str(args.horizon)]
            used = in_process([*command, "--out", str(file.with_name("out.csv"))])
            rows.append({"series": count, "MB": f"{file.stat().st_size / 1e6:.0f}", **used})
    fewer, all_series = (row["CPU s"] - rows[0]["CPU s"] for row in rows[1:])  # without the start of Python and torch
    ratio = all_series / max(fewer, 0.01)
    print(f"\n`tsfm forecast` of a CSV with {args.model[0]}; the first row is mostly the start of Python and torch:\n")
    print(markdown(rows))
    print(f"\nTen times the series: {ratio:.1f} times the CPU time (at most {MAX_RATIO:g}).")
    return ratio <= MAX_RATIO


def in_process(command: list[str]) -> dict[str, Any]:
    """Return the CPU seconds and the peak of memory of a new Python process."""
    code = (
        "import json, resource, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True, "
        "stdout=subprocess.DEVNULL); u = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([u.ru_utime + u.ru_stime, u.ru_maxrss]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1:]}")
    cpu, peak = json.loads(done.stdout)
    return {"CPU s": round(cpu, 2), "peak MiB": round(peak / (2**20 if sys.platform == "darwin" else 1024))}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the checked command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", help="name or directory; may be repeated")
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--horizon", type=int, default=14)
    parser.add_argument("--file", action="store_true", help="also `tsfm forecast` of a CSV")
    args = parser.parse_args(argv)
    args.model = args.model or ["tsfm-mini", "tsfm-small"]
    if args.series < 100 or min(args.steps, args.horizon) < 1:
        parser.error("--series counts from 100, --steps and --horizon from 1")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; 1 if a target is missed."""
    args = parse(argv)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    is_fast = report_split(args)
    if args.file:
        is_fast = report_files(args) and is_fast
    return 0 if is_fast else 1


if __name__ == "__main__":
    raise SystemExit(main())
