"""How fast windows are drawn, beside a plain Dataset and DataLoader over the same arrays, and how much memory it takes.

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


class Plain(Dataset):
    """What one writes without thinking of speed: find the series, slice, mask, put 0 where nobody observed, wrap."""

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
    rng = np.random.default_rng(0)
    with StoreWriter(path, channels=["value"]) as writer:
        for i in range(num_series):
            writer.add(f"s{i}", rng.standard_normal((1, steps), dtype=np.float32), np.datetime64("2000-01-01"), "h")


def make_store(path: Path, *, num_series: int, steps: int) -> None:
    """In a process of its own: what writing leaves in memory is not part of what is measured."""
    begun = time.perf_counter()
    shape = ["--write", str(path), "--series", str(num_series), "--steps", str(steps)]
    subprocess.run([sys.executable, __file__, *shape], check=True)
    print(f"store of {num_series * steps:,} points written in {time.perf_counter() - begun:.1f} s")


def endless(loader: WindowLoader) -> Iterator[Any]:
    while True:
        yield from loader


def make_loader(flat: FlatSeries, args: argparse.Namespace) -> WindowLoader:
    horizon = args.window // 5
    spans = split_all(flat.lengths, "all", lookback=args.window - horizon)["train"]
    windows = WindowIndex(flat, spans, context=args.window - horizon, horizon=horizon)
    return WindowLoader(windows, Shuffled(len(windows), args.batch, seed=0))


def same(plain: Plain, loader: WindowLoader) -> None:
    """Both sides give the same windows for the same numbers."""
    numbers = loader.plan.draw(0, 0, 1)[0]
    ours, theirs = loader.windows.gather(numbers), default_collate([plain[int(number)] for number in numbers])
    assert all(torch.equal(getattr(ours, name), theirs[name]) for name in theirs)


def rate(batches: Iterator[Any], *, seconds: float, batch: int) -> float:
    """Windows per second over about `seconds`."""
    drawn, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        for _ in range(20):
            next(batches)
        drawn += 20 * batch
    return drawn / spent


def bench_speed(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    make_store(folder / "store", num_series=args.series, steps=args.steps)
    store = SeriesStore.open(folder / "store")
    flat = flatten(store, folder / "cache", limit_bytes=2**40)
    ours = endless(make_loader(flat, args))
    plain = Plain([flat.series(i)[0] for i in range(len(flat))], args.window)
    theirs = iter(DataLoader(plain, batch_size=args.batch, shuffle=True))  # lists all numbers once, before the clock
    same(plain, make_loader(flat, args))
    settings = sorted({1, torch.get_num_threads()}) if args.threads is None else [args.threads]
    found = {threads: alternate(ours, theirs, args, threads=threads) for threads in settings}
    for threads, row in found.items():
        print(f"{threads} torch thread(s): {row}")
    best = max(found, key=lambda threads: found[threads]["ratio"])
    met = found[best]["windows_per_s"] >= TARGET_SPEED and found[best]["ratio"] >= TARGET_RATIO
    shape = {"points": int(flat.values.size), "batch": args.batch, "window": args.window}
    return {**shape, "threads": best, **found[best], "met": met}


def alternate(ours: Iterator[Any], theirs: Iterator[Any], args: argparse.Namespace, *, threads: int) -> dict[str, Any]:
    """Medians over rounds in which both take turns, and the median of the rounds' ratios."""
    torch.set_num_threads(threads)
    sides = {"windows_per_s": ours, "plain_windows_per_s": theirs}
    for batches in sides.values():  # warm
        rate(batches, seconds=args.seconds / 2, batch=args.batch)
    rounds = [
        {name: rate(batches, seconds=args.seconds, batch=args.batch) for name, batches in sides.items()}
        for _ in range(args.rounds)
    ]
    medians = {name: round(statistics.median(each[name] for each in rounds)) for name in sides}
    ratio = statistics.median(each["windows_per_s"] / each["plain_windows_per_s"] for each in rounds)
    return {**medians, "ratio": round(ratio, 1), "copy_only_windows_per_s": round(copy_bound(args))}


def copy_bound(args: argparse.Namespace) -> float:
    """The rate of the bare gather over as many points, rows known beforehand: what memory and torch allow here."""
    values = torch.ones(args.series * args.steps)
    view = values.as_strided((len(values) - args.window + 1, args.window), (1, 1))
    rows = torch.randint(len(view), (2000, args.batch), generator=torch.Generator().manual_seed(0))
    return rate((view.index_select(0, row) for row in itertools.cycle(rows)), seconds=args.seconds, batch=args.batch)


def anonymous() -> float:
    """Anonymous resident memory of this process, in MB; page cache is not in it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def bench_memory(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    steps = 2**20
    make_store(folder / "store", num_series=round(args.gib * 2**30 / 4 / steps), steps=steps)
    before = anonymous()
    begun = time.perf_counter()
    store = SeriesStore.open(folder / "store")
    flat = flatten(store, folder / "cache")
    flattened, seconds = anonymous(), time.perf_counter() - begun
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
