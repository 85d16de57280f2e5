"""`tsfm bench intervals`: coverage of central intervals, and their width for random walks."""

from __future__ import annotations

import argparse

from tqdm import tqdm

from tsfm.bench.intervals import COVERAGES, mean_coverage, possible_coverages, random_walk_widths, score_coverage
from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.suite_windows import LIMITS
from tsfm.commands.bench.predictors import check_suite_sets, load_predictors
from tsfm.commands.bench.suite import choose_limits, choose_sets
from tsfm.files import check_folder, write_text
from tsfm.infer.arguments import check_count
from tsfm.infer.predictor import Predictor


def run(args: argparse.Namespace) -> int:
    """Score the predictors on every set and write intervals.md, intervals.csv and random_walk.csv."""
    check_folder(args.out)
    steps = [check_count("--walk-steps", step) for step in args.walk_steps]
    sets = choose_sets("corpus", args.sets)
    limits = choose_limits(LIMITS["corpus"], args)
    predictors = load_predictors(args)
    notes = [note for predictor in predictors.values() if (note := missing_intervals(predictor))]
    seen_sets = check_suite_sets(predictors, sets, limits, args=args)
    walk_rows, rows = [], []
    for name, predictor in predictors.items():
        widths = random_walk_widths(predictor, steps, seed=limits.seed, batch_size=args.batch_size)
        walk_rows += [{"model": name, **row} for row in widths]
    write_text(args.out / "random_walk.csv", as_csv(walk_rows))
    for entry in tqdm(sets, desc="sets", disable=None):
        scores = score_coverage(predictors, entry, limits=limits, batch_size=args.batch_size)
        rows += [row | seen_sets.columns(row["model"], entry.name) for row in scores]
    write_text(args.out / "intervals.csv", as_csv(rows))
    coverage, walks = as_markdown(mean_coverage(rows)), as_markdown(walk_rows)
    sections = [
        "# Intervals\n",
        f"Measured coverage of central intervals, mean over {len(sets)} corpus sets; the columns are nominal.\n",
        coverage,
        *(f"{note}\n" for note in [*notes, *seen_sets.sentences()]),
        f"## Random walks\n\nMean width of the 80 % interval, by steps ahead.\n\n{walks}",
    ]
    write_text(args.out / "intervals.md", "\n".join(sections))
    print("\n".join(sections[1:]))
    print(f"wrote {args.out / 'intervals.md'}")
    return 0


def missing_intervals(predictor: Predictor) -> str | None:
    """Return a sentence about the intervals that a predictor does not have; None if it has all."""
    possible = possible_coverages(predictor)
    missing = [f"{100 * coverage:g} %" for coverage in COVERAGES if coverage not in possible]
    if not missing or predictor.quantile_levels is None:
        return None
    low, high = predictor.quantile_levels[0], predictor.quantile_levels[-1]
    return f"{predictor.name} predicts quantile levels from {low:g} to {high:g}: no interval of {', '.join(missing)}."
