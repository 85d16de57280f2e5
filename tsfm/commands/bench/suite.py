"""`tsfm bench suite`: forecasters next to the seasonal naive on every data set of a role."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.seen_sets import SeenSets
from tsfm.bench.suite import score_set, summarize
from tsfm.bench.suite_windows import LIMITS, SuiteLimits, SuiteSet, find_suite_sets
from tsfm.commands.bench.predictors import check_suite_sets, load_predictors
from tsfm.files import check_folder, write_text
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean


def run(args: argparse.Namespace) -> int:
    """Score the predictors on every set and write suite.md and suite.csv."""
    start = time.perf_counter()
    check_folder(args.out)
    limits = choose_limits(LIMITS[args.role], args)
    sets = choose_sets(args.role, args.sets)
    predictors = load_predictors(args)
    seen_sets = check_suite_sets(predictors, sets, limits, args=args)
    rows = score_sets(predictors, sets, limits, seen_sets=seen_sets, batch_size=args.batch_size)
    sections, heads = [], []
    for name, table in rows.items():
        totals = summarize(table)
        heads.append(head_row(name, totals))
        if unseen := [row for row in table if row.get("seen") == 0]:
            heads.append(head_row(f"{name}, sets without a series it has seen", summarize(unseen)))
        worse = ", ".join(totals["not_better"]) or "none"
        sections.append(f"## {name}\n\nNot better in both: {worse}.\n\n{as_markdown(table)}")
        print(
            f"{name}: {totals['sets']} sets, MASE {totals['mase']:.4f} and WQL {totals['wql']:.4f} relative to "
            f"seasonal naive, both better on {100 * totals['better']:.1f} %; not on: {worse}"
        )
    title = f"# {args.role} sets: next to the seasonal naive\n"
    means = f"Geometric means of the scores relative to the seasonal naive.\n\n{as_markdown(heads)}"
    notes = [f"{sentence}\n" for sentence in seen_sets.sentences()]
    write_text(args.out / "suite.md", "\n".join([title, means, *notes, *sections]))
    write_text(
        args.out / "suite.csv", as_csv([{"model": name, **row} for name, table in rows.items() for row in table])
    )
    print(f"wrote {args.out / 'suite.md'} in {time.perf_counter() - start:.0f} s")
    return 0


def choose_limits(defaults: SuiteLimits, args: argparse.Namespace) -> SuiteLimits:
    """Return the limits with those that the command line changes."""
    changes = {key: getattr(args, key) for key in ("series", "windows", "each", "seed")}
    return replace(defaults, **{key: value for key, value in changes.items() if value is not None})


def choose_sets(role: str, names: Sequence[str] | None) -> list[SuiteSet]:
    """Return the sets of a role, or those of the given names (in any case).

    Raises
    ------
    ValueError
        If the role has no set of a name; the message lists similar names.
    """
    known = {entry.name.lower(): entry for entry in find_suite_sets(role)}
    for name in names or ():
        if name.lower() not in known:
            raise ValueError(f"--sets: no {role} set {name!r}; {did_you_mean(name, list(known))}")
    return [known[name.lower()] for name in names] if names else list(known.values())


def score_sets(
    predictors: dict[str, Predictor],
    sets: Sequence[SuiteSet],
    limits: SuiteLimits,
    *,
    seen_sets: SeenSets,
    batch_size: int,
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each predictor, one per set; those of trained models have the leak check's columns."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in predictors}
    for entry in tqdm(sets, desc="sets", disable=None):
        for name, row in score_set(predictors, entry, limits, batch_size=batch_size).items():
            rows[name].append(row | seen_sets.columns(name, entry.name))
    return rows


def head_row(name: str, totals: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a model in the first table."""
    means = {"sets": totals["sets"], "windows": totals["windows"], "MASE": totals["mase"], "WQL": totals["wql"]}
    return {"model": name, **means, "both better": f"{100 * totals['better']:.1f} %"}
