"""`tsfm bench short`: forecasts of short histories next to the seasonal naive."""

from __future__ import annotations

import argparse

from tqdm import tqdm

from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.short import LIMITS, SETS, NoWindowError, check_cycles, means_by_cycles, score_short_set, sets_by_cycles
from tsfm.bench.suite_windows import SuiteSet
from tsfm.commands.bench.predictors import check_suite_sets, load_predictors
from tsfm.commands.bench.suite import choose_limits, choose_sets
from tsfm.files import check_folder, write_text

OTHERS = "others"  # every corpus set that is not scored by default


def run(args: argparse.Namespace) -> int:
    """Score the predictors on every set and write short.md and short.csv.

    Raises
    ------
    ValueError
        If a named set, or every other one, has no window whose past is long enough.
    """
    check_folder(args.out)
    cycles = check_cycles(args.cycles)
    sets = corpus_sets(args.sets)
    limits = choose_limits(LIMITS, args)
    predictors = load_predictors(args, single_pass=args.single_pass)
    seen_sets = check_suite_sets(predictors, sets, limits, args=args)
    rows, left_out = [], []
    for entry in tqdm(sets, desc="sets", disable=None):
        try:
            scores = score_short_set(predictors, entry, cycles=cycles, limits=limits, batch_size=args.batch_size)
        except NoWindowError:
            if args.sets != [OTHERS]:
                raise
            left_out.append(entry.name)
            continue
        rows += [row | seen_sets.columns(row["model"], entry.name) for row in scores]
    if not rows:
        raise ValueError(f"none of {len(sets)} sets has a season and {cycles[-1]:g} cycles before a window")
    means = as_markdown(means_by_cycles(rows))
    sections = [
        "# Short histories: next to the seasonal naive\n",
        f"Errors relative to the seasonal naive, geometric means over {len(sets) - len(left_out)} sets, by "
        f"cycles of the season in the past.\n\n{means}",
        *(f"{sentence}\n" for sentence in seen_sets.sentences()),
        *([f"Sets without a window: {', '.join(left_out)}\n"] if left_out else []),
        *(f"## {name}: relative MAE by set\n\n{as_markdown(sets_by_cycles(rows, name))}" for name in predictors),
    ]
    write_text(args.out / "short.md", "\n".join(sections))
    write_text(args.out / "short.csv", as_csv(rows))
    print(means)
    print(f"wrote {args.out / 'short.md'}")
    return 0


def corpus_sets(names: list[str] | None) -> list[SuiteSet]:
    """Return the ten sets of the benchmark, those of the given names, or with the name `others` all but the ten."""
    if names == [OTHERS]:
        return [entry for entry in choose_sets("corpus", None) if entry.name not in SETS]
    return choose_sets("corpus", names or SETS)
