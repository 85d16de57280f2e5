"""Measure `tsfm.ingest` of a long CSV next to pandas.read_csv and DuckDB: rows per second and the peak of memory.

    python scripts/bench_ingest.py                       # files of 100 MB and 1 GB, made in a temporary folder
    python scripts/bench_ingest.py --megabytes 20 --rounds 3

Each reader runs in a process of its own with one thread: `pandas.read_csv(file, parse_dates=["timestamp"])`, DuckDB's
`read_csv` into an Arrow table (where duckdb is installed), and `tsfm.ingest`, which also checks every item, and writes
and fingerprints the store. CPU seconds are those of all threads around the call, without imports; they are comparable
on a busy machine, wall seconds are not. `times` is the median over the rounds of pandas' CPU seconds over these.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

ITEMS_PER_PART = 200
MAX_GROWTH = 1.5  # of the peak of memory, from the smallest file to the largest
READERS = ("pandas", "duckdb", "tsfm")


def write_csv(path: Path, *, size: int, seed: int = 0) -> int:
    """Write hourly items of 500 to 1,500 steps and a covariate until the file has `size` bytes; return its rows."""
    rng, num_items, rows = np.random.default_rng(seed), 0, 0
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with open(path, "wb") as file:
        file.write(b"item_id,timestamp,target,price\n")
        while file.tell() < size:
            lengths = rng.integers(500, 1500, size=ITEMS_PER_PART)
            total = int(lengths.sum())
            names = np.array([f"shop_{num_items + i:06d}" for i in range(ITEMS_PER_PART)])
            starts = np.datetime64("2024-01-01T00", "h") + rng.integers(0, 7200, size=ITEMS_PER_PART)
            steps = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            columns = {
                "item_id": np.repeat(names, lengths),
                "timestamp": (np.repeat(starts, lengths) + steps).astype("M8[s]"),
                "target": np.round(100 + 10 * rng.standard_normal(total), 3),
                "price": np.round(rng.uniform(1, 20, total), 2),
            }
            pa_csv.write_csv(pa.table(columns), file, options)
            num_items, rows = num_items + ITEMS_PER_PART, rows + total
    return rows


def reader(name: str, path: Path, folder: Path) -> Callable[[], int]:
    """Return a function that reads the file and returns its rows; imports are done here."""
    if name == "pandas":
        import pandas as pd

        return lambda: len(pd.read_csv(path, parse_dates=["timestamp"]))
    if name == "duckdb":
        import duckdb

        connection = duckdb.connect(config={"threads": 1})
        return lambda: connection.read_csv(str(path)).to_arrow_table().num_rows
    from tsfm.store.ingest import ingest

    return lambda: ingest(path, folder / "store", overwrite=True, progress=False).steps


def peak_memory() -> float:
    """Return the largest resident memory of this process in MiB."""
    with suppress(OSError), open("/proc/self/status") as file:  # ru_maxrss begins with the memory of the parent process
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def measure(name: str, path: Path) -> dict[str, float]:
    """Return the rows, seconds and peak of memory of one reader, in this process."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        read = reader(name, path, Path(folder))
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        rows = read()
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rows": rows, "cpu": cpu, "wall": wall, "peak": peak_memory()}


def in_process(name: str, path: Path) -> dict[str, float]:
    """Return `measure` in a new process with one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--measure", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | threads)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(path: Path, rows: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row of the table for each reader; they take turns."""
    names = [name for name in READERS if name != "duckdb" or importlib.util.find_spec("duckdb")]
    taken = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            taken[name].append(in_process(name, path))
    table = []
    for name, results in taken.items():
        assert all(result["rows"] == rows for result in results), f"{name} did not read all {rows:,} rows"
        cpu = statistics.median(result["cpu"] for result in results)
        ratios = [a["cpu"] / b["cpu"] for a, b in zip(taken["pandas"], results, strict=True)]
        table.append(
            {
                "file": f"{path.stat().st_size / 1e6:.0f} MB, {rows:,} rows",
                "reader": name,
                "CPU s": f"{cpu:.2f}",
                "wall s": f"{statistics.median(result['wall'] for result in results):.2f}",
                "rows per CPU s": f"{rows / cpu:,.0f}",
                "times": f"{statistics.median(ratios):.2f}",
                "peak MiB": round(max(result["peak"] for result in results)),
            }
        )
    return table


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the checked command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[100, 1000], help="sizes of the files")
    parser.add_argument("--rounds", type=int, default=1, help="of each reader")
    parser.add_argument("--folder", type=Path, help="for the files; default: the folder of temporary files")
    parser.add_argument("--measure", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.rounds < 1 or min(args.megabytes) <= 0:
        parser.error("--rounds and --megabytes are greater than 0")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 if ingest is slower than pandas, or its memory grows with the file."""
    args = parse(argv)
    if args.measure:  # without importing torch, which would be counted
        print(json.dumps(measure(args.measure[0], Path(args.measure[1]))))
        return 0
    from peers.measure import markdown

    table = []
    for size in sorted(args.megabytes):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            path = Path(folder) / "long.csv"
            table += compare(path, write_csv(path, size=round(size * 1e6)), args.rounds)
    print(markdown(table))
    own = [row for row in table if row["reader"] == "tsfm"]
    growth = own[-1]["peak MiB"] / own[0]["peak MiB"]
    is_fast = float(own[-1]["times"]) >= 1
    print(f"\nPeak of tsfm, largest file over smallest: {growth:.2f} (at most {MAX_GROWTH}).")
    return 0 if is_fast and growth <= MAX_GROWTH else 1


if __name__ == "__main__":
    raise SystemExit(main())
