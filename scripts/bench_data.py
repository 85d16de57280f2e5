"""Measure how fast windows are sampled, next to a plain Dataset and DataLoader over the same arrays, and the memory.

    python scripts/bench_data.py             # speed: a store of 50 M points
    python scripts/bench_data.py --memory    # memory: a store of 2.2 GiB, drawn from a memory-mapped file

Both make their store in a temporary folder and remove it. B windows in a batch, T steps of a window.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from tsfm.data.flat import FlatSeries, flatten
from tsfm.data.loader import WindowLoader
from tsfm.data.sampling import Shuffled
from tsfm.data.splits import split_all
from tsfm.data.windows import WindowIndex
from tsfm.store.series_store import SeriesStore, StoreWriter

TARGET_SPEED, TARGET_RATIO, TARGET_GROWTH = 300_000, 50, 300  # windows/s; times the plain loop; MB


class PlainWindows(Dataset):
    """A data set of single windows, without optimization: find the series, slice, mask, and set missing values to 0."""

    def __init__(self, arrays: list[np.ndarray], steps: int):
        self.arrays, self.steps = arrays, steps
        self.ends = list(itertools.accumulate(len(array) - steps + 1 for array in arrays))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        series = bisect.bisect_right(self.ends, number)
        start = number - (self.ends[series - 1] if series else 0)
        values = self.arrays[series][start : start + self.steps].copy()
        observed = ~np.isnan(values)
        values[~observed] = 0
        return {
            "values": torch.from_numpy(values)[None],
            "observed": torch.from_numpy(observed)[None],
            "key": torch.tensor([series, start]),
        }


def write_store(path: Path, *, num_series: int, steps: int) -> None:
    """Write a store of random values."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, channels=["value"]) as writer:
        for i in range(num_series):
            writer.add(f"s{i}", rng.standard_normal((1, steps), dtype=np.float32), np.datetime64("2000-01-01"), "h")


def make_store(path: Path, *, num_series: int, steps: int) -> None:
    """Write a store in a new process, so that its memory is not measured."""
    start = time.perf_counter()
    shape = ["--write", str(path), "--series", str(num_series), "--steps", str(steps)]
    subprocess.run([sys.executable, __file__, *shape], check=True)
    print(f"store of {num_series * steps:,} points written in {time.perf_counter() - start:.1f} s")


def endless(loader: WindowLoader) -> Iterator[Any]:
    """Yield batches without an end."""
    while True:
        yield from loader


def make_loader(flat: FlatSeries, args: argparse.Namespace) -> WindowLoader:
    """Return a loader of shuffled windows."""
    horizon = args.window // 5
    spans = split_all(flat.lengths, "all", lookback=args.window - horizon)["train"]
    windows = WindowIndex(flat, spans, context=args.window - horizon, horizon=horizon)
    return WindowLoader(windows, Shuffled(len(windows), args.batch, seed=0))


def check_equal(plain: PlainWindows, loader: WindowLoader) -> None:
    """Check that both sides give the same windows for the same numbers."""
    numbers = loader.plan.draw(0, 0, 1)[0]
    batch, expected = loader.windows.gather(numbers), default_collate([plain[int(number)] for number in numbers])
    assert all(torch.equal(getattr(batch, name), expected[name]) for name in expected)


def rate(batches: Iterator[Any], *, seconds: float, batch: int) -> float:
    """Return the windows per second over about `seconds`."""
    drawn, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for _ in range(20):
            next(batches)
        drawn += 20 * batch
    return drawn / elapsed


def bench_speed(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the windows per second of both sides, and whether the targets are met."""
    make_store(folder / "store", num_series=args.series, steps=args.steps)
    store = SeriesStore.open(folder / "store")
    flat = flatten(store, folder / "cache", limit_bytes=2**40)
    batches = endless(make_loader(flat, args))
    plain = PlainWindows([flat.series(i)[0] for i in range(len(flat))], args.window)
    plain_batches = iter(DataLoader(plain, batch_size=args.batch, shuffle=True))  # permutes all numbers here
    check_equal(plain, make_loader(flat, args))
    settings = sorted({1, torch.get_num_threads()}) if args.threads is None else [args.threads]
    rows = {threads: alternate(batches, plain_batches, args, threads=threads) for threads in settings}
    for threads, row in rows.items():
        print(f"{threads} torch thread(s): {row}")
    best = max(rows, key=lambda threads: rows[threads]["ratio"])
    met = rows[best]["windows_per_s"] >= TARGET_SPEED and rows[best]["ratio"] >= TARGET_RATIO
    shape = {"points": int(flat.values.size), "batch": args.batch, "window": args.window}
    return {**shape, "threads": best, **rows[best], "met": met}


def alternate(
    batches: Iterator[Any], plain_batches: Iterator[Any], args: argparse.Namespace, *, threads: int
) -> dict[str, Any]:
    """Return medians over rounds in which both take turns, and the median over the rounds of their ratio."""
    torch.set_num_threads(threads)
    sides = {"windows_per_s": batches, "plain_windows_per_s": plain_batches}
    for side in sides.values():  # warm up
        rate(side, seconds=args.seconds / 2, batch=args.batch)
    rounds = [
        {name: rate(side, seconds=args.seconds, batch=args.batch) for name, side in sides.items()}
        for _ in range(args.rounds)
    ]
    medians = {name: round(statistics.median(each[name] for each in rounds)) for name in sides}
    ratio = statistics.median(each["windows_per_s"] / each["plain_windows_per_s"] for each in rounds)
    return {**medians, "ratio": round(ratio, 1), "copy_only_windows_per_s": round(copy_bound(args))}


def copy_bound(args: argparse.Namespace) -> float:
    """Return the rate of copying windows of as many points by torch alone, an upper bound."""
    values = torch.ones(args.series * args.steps)
    view = values.as_strided((len(values) - args.window + 1, args.window), (1, 1))
    rows = torch.randint(len(view), (2000, args.batch), generator=torch.Generator().manual_seed(0))
    return rate((view.index_select(0, row) for row in itertools.cycle(rows)), seconds=args.seconds, batch=args.batch)


def anonymous() -> float:
    """Return the anonymous resident memory of this process in MB, which excludes the page cache."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def bench_memory(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the growth of the memory while windows are sampled, and whether the target is met."""
    steps = 2**20
    make_store(folder / "store", num_series=round(args.gib * 2**30 / 4 / steps), steps=steps)
    before = anonymous()
    start = time.perf_counter()
    store = SeriesStore.open(folder / "store")
    flat = flatten(store, folder / "cache")
    flattened, seconds = anonymous(), time.perf_counter() - start
    peak, first = flattened, time.perf_counter()
    drawn = 0
    for batch in endless(make_loader(flat, args)):
        drawn += len(batch.values)
        if drawn % (100 * args.batch) == 0:
            peak = max(peak, anonymous())
        if drawn >= args.windows:
            break
    speed = drawn / (time.perf_counter() - first)
    size = flat.values.size * 4
    print(f"{size / 2**30:.2f} GiB flattened in {seconds:.1f} s; {drawn:,} windows drawn, {speed:,.0f} windows/s")
    print(
        f"anonymous memory: {before:.0f} MB before, {flattened:.0f} after flattening, {peak:.0f} at most while drawing"
    )
    return {
        "bytes": size,
        "windows": drawn,
        "windows_per_s": round(speed),
        "growth_mb": round(peak - before, 1),
        "met": bool(peak - before < TARGET_GROWTH and size >= 2e9),
    }


def main() -> int:
    """Run the benchmark of the command line and print RESULT with a JSON object; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--steps", type=int, default=100_000, help="of each series")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--window", type=int, default=512, help="steps of a window")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument(
        "--threads", type=int, help="torch threads; default: 1 and torch's own choice, the better counts"
    )
    parser.add_argument("--gib", type=float, default=2.2, help="size of the store for --memory")
    parser.add_argument("--windows", type=int, default=3_000_000, help="drawn for --memory")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write is not None:
        write_store(args.write, num_series=args.series, steps=args.steps)
        return 0
    with tempfile.TemporaryDirectory(prefix="tsfm-bench-") as folder:
        result = (bench_memory if args.memory else bench_speed)(args, Path(folder))
    print("RESULT " + json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
