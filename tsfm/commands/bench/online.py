"""`tsfm bench online`: members weighted step by step along a series, under both kinds of feedback."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from tsfm.bench.longhorizon import dataset
from tsfm.bench.online import PUBLISHED, PUBLISHED_HORIZONS, adapted, online_series, score_online
from tsfm.bench.report import as_csv, as_markdown
from tsfm.commands.bench.predictors import check_data, load_predictors, scored_stores
from tsfm.files import check_folder, write_text

NOTE = """With delayed feedback a forecast is learned from when its last step is known. Immediate feedback learns from
it at once, before its steps have happened: that is the protocol of the published values, and no forecaster in use can
do it.
"""


def run(args: argparse.Namespace) -> int:
    """Score the members on every set and write online.md and online.csv."""
    check_folder(args.out)
    sets = {name: dataset(name) for name in args.sets}
    predictors = load_predictors(args)
    seen_sets = check_data(predictors, scored_stores(sets), args=args)
    rows: list[dict[str, Any]] = []
    for name, config in sets.items():
        series, start = online_series(name, config), time.perf_counter()
        scores = score_online(
            predictors, series, horizons=args.horizons, context=args.context, memory=args.memory,
            batch_size=args.batch_size,
        )  # fmt: skip
        if args.adapt_rate is not None:
            for horizon in sorted(set(args.horizons)):
                for feedback in ("delayed", "immediate"):
                    metrics = adapted(
                        predictors, series, horizon=horizon, context=args.context, feedback=feedback,
                        memory=args.memory, rate=args.adapt_rate,
                    )  # fmt: skip
                    kind = f"{feedback} feedback, short-term weights, adapted head"
                    scores.append({"horizon": horizon, "kind": kind, **metrics})
        seconds = round(time.perf_counter() - start, 1)
        rows += [{"set": name, **row, "context": args.context, "seconds": seconds} for row in scores]
        write_text(args.out / "online.csv", as_csv(rows))
        print(as_markdown(table(rows, name)), flush=True)
    sections = ["# Online forecasting: cumulative MSE of standardized values\n", NOTE]
    for name in sets:
        sections.append(f"## {name}\n\n{as_markdown(table(rows, name))}")
    sections += [f"{sentence}\n" for sentence in seen_sets.sentences()]
    write_text(args.out / "online.md", "\n".join(sections))
    print(f"wrote {args.out / 'online.md'}")
    return 0


def table(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the MSE on one set, a line per kind of forecast and a column per horizon; published values come last."""
    own = [row for row in rows if row["set"] == name]
    horizons = sorted({row["horizon"] for row in own})
    lines: dict[str, dict[str, Any]] = {}
    for row in own:
        lines.setdefault(row["kind"], {"forecast": row["kind"]})[f"H = {row['horizon']}"] = row["mse"]
    for model, values in PUBLISHED.get(name, {}).items():
        line = {"forecast": f"{model} (published, immediate)"}
        known = dict(zip(PUBLISHED_HORIZONS, values, strict=True))
        lines[model] = line | {f"H = {horizon}": known.get(horizon, float("nan")) for horizon in horizons}
    return list(lines.values())
