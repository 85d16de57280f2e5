"""Forecasters beside the seasonal naive on every data set of a role: on which are MASE and WQL better?

    python scripts/bench_board.py tsfm-small --out runs/board                     # the benchmark sets
    python scripts/bench_board.py a/model b/model --role corpus --out runs/board  # the held-out ends of the corpus sets
    python scripts/bench_board.py tsfm-mini --sets us_births m3_monthly --out runs/board

Of each benchmark set it is told how many series the training data of a model hold (`seen`), as far as its sketch knows,
and the means are given over the sets without any, too.
Writes board.md (the share of sets where both are better, the sets where not, every set) and board.csv. The sets and
their roles are those of forecasting/manifest.json in a data root (TSFM_DATA). Of a large set a fixed part is drawn:
--series, --windows and --seed say how much and which, the table how much was left.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tsfm.bench.ready import add_options, asked_for
from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.suite import LIMITS, ROLES, BoardSet, Limits, find_sets, score_set, summary
from tsfm.contamination.verdict import check_contamination
from tsfm.infer.load import ModelPredictor
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.store.catalog import resolve


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    add_options(parser, batch=256, unit="series")
    parser.add_argument("--role", choices=ROLES, default="benchmark")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--sets", nargs="+", help="names of files, without ending; default: all of the role")
    parser.add_argument("--series", type=int, help="most series of a set (benchmark 512, corpus 64)")
    parser.add_argument("--windows", type=int, help="most windows of a set (benchmark 1024, corpus 64)")
    parser.add_argument("--each", type=int, help="most windows of a series (benchmark 20, corpus 1)")
    parser.add_argument("--seed", type=int, help="of what is drawn (0)")
    return parser.parse_args(argv)


def choose(role: str, names: list[str] | None) -> list:
    """The sets of the role, or those of these names."""
    known = {entry.name.lower(): entry for entry in find_sets(role)}
    for name in names or []:
        if name.lower() not in known:
            raise ValueError(f"no {role} set {name!r}; {did_you_mean(name, list(known))}")
    return [known[name.lower()] for name in names] if names else list(known.values())


def seen(model: str, entry: BoardSet) -> int | None:
    """How many series of a set the training data of a model hold; None where that can't be told."""
    store = resolve(entry.name)
    verdict = check_contamination(model, (store.read(i) for i in range(len(store))))
    return None if verdict.zero_shot is None else len(verdict.seen)


def score_all(asked: argparse.Namespace, predictors: dict[str, Predictor], limits: Limits) -> dict[str, list[dict]]:
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in predictors}
    given = dict(zip(predictors, asked.predictors, strict=True))
    trained = [name for name, one in predictors.items() if isinstance(one, ModelPredictor)]
    for entry in tqdm(choose(asked.role, asked.sets), desc="sets", disable=None):
        for name, row in score_set(predictors, entry, limits, batch_size=asked.batch_size).items():
            if asked.role == "benchmark" and name in trained:
                row["seen"] = seen(given[name], entry)
            rows[name].append(row)
    return rows


def head(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """The line of a model in the first table."""
    means = {"sets": told["sets"], "windows": told["windows"], "MASE": told["mase"], "WQL": told["wql"]}
    return {"model": name, **means, "both better": f"{100 * told['better']:.1f} %"}


def main(argv: list[str] | None = None) -> None:
    asked = arguments(argv)
    given = {key: getattr(asked, key) for key in ("series", "windows", "each", "seed")}
    limits = replace(LIMITS[asked.role], **{key: value for key, value in given.items() if value is not None})
    begun = time.perf_counter()
    predictors = asked_for(asked)
    rows = score_all(asked, predictors, limits)
    parts = [f"# {asked.role} sets: beside the seasonal naive\n"]
    heads = []
    for name, each in rows.items():
        told = summary(each)
        heads.append(head(name, told))
        if unseen := [row for row in each if row.get("seen") == 0]:
            heads.append(head(f"{name}, sets without a series it has seen", summary(unseen)))
        lost = ", ".join(told["not_better"]) or "none"
        parts.append(f"## {name}\n\nNot better in both: {lost}.\n\n{as_markdown(each)}")
        print(
            f"{name}: {told['sets']} sets, MASE {told['mase']:.4f} and WQL {told['wql']:.4f} of seasonal naive's, both "
            f"better on {100 * told['better']:.1f} %; not on: {lost}"
        )
    parts.insert(1, f"Geometric means of what is divided by the seasonal naive's.\n\n{as_markdown(heads)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "board.md").write_text("\n".join(parts), encoding="utf-8")
    flat = [{"model": name, **row} for name, each in rows.items() for row in each]
    (asked.out / "board.csv").write_text(as_csv(flat), encoding="utf-8")
    print(f"wrote {asked.out / 'board.md'} in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
