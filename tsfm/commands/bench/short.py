"""`tsfm bench short`: forecasts of short histories next to the seasonal naive."""

from __future__ import annotations

import argparse

from tqdm import tqdm

from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.short import LIMITS, SETS, check_cycles, means_by_cycles, score_short_set, sets_by_cycles
from tsfm.commands.bench.predictors import load_predictors
from tsfm.commands.bench.suite import choose_limits, choose_sets
from tsfm.files import check_folder, write_text


def run(args: argparse.Namespace) -> int:
    """Score the predictors on every set and write short.md and short.csv."""
    check_folder(args.out)
    cycles = check_cycles(args.cycles)
    sets = choose_sets("corpus", args.sets or SETS)
    limits = choose_limits(LIMITS, args)
    predictors = load_predictors(args)
    rows = []
    for entry in tqdm(sets, desc="sets", disable=None):
        rows += score_short_set(predictors, entry, cycles=cycles, limits=limits, batch_size=args.batch_size)
    means = as_markdown(means_by_cycles(rows))
    sections = [
        "# Short histories: next to the seasonal naive\n",
        f"Errors relative to the seasonal naive, geometric means over {len(sets)} sets, by cycles of the season in "
        f"the past.\n\n{means}",
        *(f"## {name}: relative MAE by set\n\n{as_markdown(sets_by_cycles(rows, name))}" for name in predictors),
    ]
    write_text(args.out / "short.md", "\n".join(sections))
    write_text(args.out / "short.csv", as_csv(rows))
    print(means)
    print(f"wrote {args.out / 'short.md'}")
    return 0
