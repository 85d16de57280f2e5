"""`tsfm bench longhorizon`: MSE and MAE over every window of the test part, zero-shot."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.bench.longhorizon import dataset, score_long
from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.seen_sets import SeenSets
from tsfm.commands.bench.predictors import check_data, load_predictors, scored_stores
from tsfm.data.settings import DataConfig
from tsfm.files import check_folder, write_text
from tsfm.infer.predictor import Predictor


def run(args: argparse.Namespace) -> int:
    """Score the predictors at every horizon and write long.md and long.csv."""
    check_folder(args.out)
    sets = {name: dataset(name) for name in args.sets}
    predictors = load_predictors(args)
    seen_sets = check_data(predictors, scored_stores(sets), args=args)
    rows = score_sets(predictors, sets, seen_sets=seen_sets, args=args)
    text = "\n".join([as_markdown(means_table(rows)), *(f"{sentence}\n" for sentence in seen_sets.sentences())])
    passes = "one pass over the longest horizon" if args.one_pass else "each horizon separately"
    title = f"# Long horizons, zero-shot, context {args.context}, {passes}\n\n"
    write_text(args.out / "long.md", title + text)
    print(text)
    return 0


def score_sets(
    predictors: dict[str, Predictor], sets: dict[str, DataConfig], *, seen_sets: SeenSets, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row per predictor, set and horizon; long.csv is written after every set."""
    rows: list[dict[str, Any]] = []
    options = {"one_pass": args.one_pass, "bf16": args.bf16, "flip": args.flip}
    for name, predictor in predictors.items():
        for data, config in sets.items():
            scores = score_long(
                predictor, config, horizons=args.horizons, context=args.context, one_pass=args.one_pass,
                batch_size=args.batch_size,
            )  # fmt: skip
            rows += [{"model": name, **row, **options, **seen_sets.columns(name, data)} for row in scores]
            write_text(args.out / "long.csv", as_csv(rows))
            for row in scores:
                print(f"{name}  {data}  {row['horizon']}  MSE {row['mse']:.4f}  MAE {row['mae']:.4f}", flush=True)
    return rows


def means_table(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a line per set and horizon with MSE and MAE of each predictor, and the means of the lines."""
    lines: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        key = (row["data"], row["horizon"])
        line = lines.setdefault(key, {"set": key[0], "horizon": str(key[1]), "windows": row["windows"]})
        line |= {f"{row['model']} MSE": row["mse"], f"{row['model']} MAE": row["mae"]}
    scores = list(next(iter(lines.values())))[3:]
    means = {key: float(np.mean([line[key] for line in lines.values()])) for key in scores}
    windows = sum(line["windows"] for line in lines.values())
    return [*lines.values(), {"set": f"mean of {len(lines)}", "horizon": "", "windows": windows, **means}]
