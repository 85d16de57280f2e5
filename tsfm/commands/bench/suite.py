"""`tsfm bench suite`: forecasters next to the seasonal naive on every data set of a role."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.suite import score_set, summarize
from tsfm.bench.suite_windows import LIMITS, SuiteLimits, SuiteSet, find_suite_sets
from tsfm.commands.bench.predictors import load_predictors
from tsfm.contamination.verdict import check_contamination
from tsfm.files import check_folder, write_text
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.store.catalog import resolve


def run(args: argparse.Namespace) -> int:
    """Score the predictors on every set and write suite.md and suite.csv."""
    start = time.perf_counter()
    check_folder(args.out)
    limits = choose_limits(LIMITS[args.role], args)
    sets = choose_sets(args.role, args.sets)
    rows = score_sets(load_predictors(args), sets, limits, args=args)
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
    write_text(args.out / "suite.md", "\n".join([title, means, *sections]))
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
    predictors: dict[str, Predictor], sets: Sequence[SuiteSet], limits: SuiteLimits, *, args: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each predictor, one per set; trained models get `seen` on benchmark sets."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in predictors}
    paths = dict(zip(predictors, args.predictors, strict=True))
    trained = [name for name, predictor in predictors.items() if predictor.num_parameters() is not None]
    for entry in tqdm(sets, desc="sets", disable=None):
        for name, row in score_set(predictors, entry, limits, batch_size=args.batch_size).items():
            if args.role == "benchmark" and name in trained:
                row["seen"] = count_seen(paths[name], entry)
            rows[name].append(row)
    return rows


def count_seen(model: str, entry: SuiteSet) -> int | None:
    """Return how many series of a set occur in the training data of a model; None if the model has no sketch."""
    store = resolve(entry.name)
    verdict = check_contamination(model, (store.read(i) for i in range(len(store))))
    return None if verdict.zero_shot is None else len(verdict.seen)


def head_row(name: str, totals: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a model in the first table."""
    means = {"sets": totals["sets"], "windows": totals["windows"], "MASE": totals["mase"], "WQL": totals["wql"]}
    return {"model": name, **means, "both better": f"{100 * totals['better']:.1f} %"}
