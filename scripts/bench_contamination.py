"""The leak check in numbers: clean sets that it accuses, planted copies that it finds, and CPU seconds.

    python scripts/bench_contamination.py                 # everything: some minutes
    python scripts/bench_contamination.py --small         # a part of it: seconds

Clean sets are pieces of all files of TSFM_DATA whose series are in no training set of the model, synthetic series of
every generator, calendars and counters. Planted copies are pieces of benchmark series, added to the model's sketch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from leaks.clean_sets import SAME_SOURCE, CleanSet, calendar_sets, clean_sets
from leaks.planted import ALTERATIONS, Planted, plant

from tsfm.bench.report import as_markdown
from tsfm.contamination.sketch import Sketch
from tsfm.contamination.verdict import training_record

SMALL_CLEAN, SMALL_PLANTED = 3, 20  # of `--small`
SMALL_NAMES = (
    "bike_sharing_hourly",
    "ETTh1",
    "ETTm2",
    "m4_hourly",
    "m4_weekly",
)  # sets that copies are taken from then
LONG = (20, 30_000)  # channels and steps of the set whose search is timed


@dataclass
class Tally:
    """Clean sets of one kind."""

    sets: int = 0
    values: int = 0
    seconds: float = 0.0
    accused: list[str] = field(default_factory=list)


def is_unknown(clean: CleanSet, names: Iterable[str]) -> bool:
    """Return whether no source of these names is the file of the set, or holds some of it."""
    return not ({clean.file, *SAME_SOURCE.get(clean.file, ())} & set(names))


def check_clean(sketch: Sketch, sets: Iterable[CleanSet], *, verbose: bool = False) -> dict[str, Tally]:
    """Return what the sketch says of clean sets, by kind; those whose source it holds are left out."""
    tallies: dict[str, Tally] = {}
    for clean in sets:
        if not is_unknown(clean, sketch.names):
            continue
        tally, start = tallies.setdefault(clean.kind, Tally()), time.process_time()
        matches = sketch.find(clean.series)
        tally.seconds += time.process_time() - start
        tally.sets, tally.values = tally.sets + 1, tally.values + clean.num_values
        if matches:
            tally.accused.append(f"{clean.name}: {'; '.join(map(str, matches[:3]))} ({matches[0].hits} hits)")
        if verbose:
            print(clean.name, tally.accused[-1:] if matches else "", flush=True)
    return tallies


def find_planted(sketch: Sketch, planted: Sequence[Planted], held: Sequence[np.ndarray]) -> list[bool]:
    """Return for each planted copy whether the search names it, with what is held added to the sketch."""
    leaks = Sketch.build(held, [f"copy {i}" for i in range(len(held))])
    merged = Sketch.merge([sketch, leaks])
    named = {(match.series, match.source) for match in merged.find([each.evaluated for each in planted])}
    return [(i, f"copy {i}") in named for i in range(len(planted))]


def time_search(sketch: Sketch, shape: tuple[int, int] = LONG) -> float:
    """Return the CPU seconds of a search for rough series with a daily cycle of 144 steps."""
    rng = np.random.default_rng(0)
    steps = np.arange(shape[1])
    series = 5 * np.sin(2 * np.pi * steps / 144) + rng.normal(size=shape) + 0.05 * rng.normal(size=shape).cumsum(axis=1)
    sketch.find([np.zeros(100)])  # makes the tables
    start = time.process_time()
    sketch.find([series.astype(np.float32)])
    return time.process_time() - start


def main(argv: Sequence[str] | None = None) -> dict[str, int]:
    """Print the tables, and return how many clean sets were checked and accused, and copies planted and found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tsfm-small", help="a model with a sketch (default: tsfm-small)")
    parser.add_argument("--small", action="store_true", help="a few calendars and copies, and no files")
    parser.add_argument("--planted", type=int, default=400, help="copies (default: 400)")
    parser.add_argument("--values", type=int, default=60_000, help="largest number of values of a clean set")
    parser.add_argument("--verbose", action="store_true", help="a line per clean set")
    args = parser.parse_args(argv)
    sketch = training_record(args.model).sketch
    if sketch is None:
        raise ValueError(f"--model {args.model} has no sketch of its training data; give one that has")
    print(f"{args.model}: {len(sketch.names)} sources, {len(sketch):,} hashes", flush=True)
    sets = list(calendar_sets())[:SMALL_CLEAN] if args.small else clean_sets(max_values=args.values)
    tallies = check_clean(sketch, sets, verbose=args.verbose)
    rows = [
        {"clean sets": kind, "sets": tally.sets, "values": f"{tally.values:,}", "accused": len(tally.accused),
         "CPU s": f"{tally.seconds:.0f}"}
        for kind, tally in tallies.items()
    ]  # fmt: skip
    print(as_markdown(rows))
    accused = [line for tally in tallies.values() for line in tally.accused]
    print(*accused, sep="\n")
    small = {"num": SMALL_PLANTED, "names": SMALL_NAMES}
    planted = list(plant(**small) if args.small else plant(args.planted))
    is_named = find_planted(sketch, planted, [each.copy for each in planted])
    missed = [f"{p.name}, 1 of {p.factor} steps" for p, hit in zip(planted, is_named, strict=True) if not hit]
    print(
        f"planted copies found: {sum(is_named)} of {len(is_named)}",
        *(["missed: " + "; ".join(missed)] if missed else []),
    )
    whole = [each for each in planted if each.factor == 1 and np.isfinite(each.copy).all()]
    for name, alter in ALTERATIONS.items():
        hits = find_planted(sketch, whole, [alter(each.copy.astype(np.float64)) for each in whole])
        print(f"copies, {name}: {sum(hits)} of {len(hits)} found")
    if not args.small:
        print(f"search of {LONG[1]:,} rows x {LONG[0]} channels: {time_search(sketch):.1f} s of CPU time")
    checked = sum(tally.sets for tally in tallies.values())
    return {"checked": checked, "accused": len(accused), "planted": len(is_named), "found": sum(is_named)}


if __name__ == "__main__":
    main()
