"""Long-horizon forecasting, zero-shot: MSE and MAE over every window of the test part, standardised by the train rows.

    python scripts/bench_longhorizon.py tsfm-small --context 512 --out runs/long
    python scripts/bench_longhorizon.py runs/mine/model --context 1024 --one-pass --bf16 --out runs/long
    python scripts/bench_longhorizon.py seasonal_naive --sets etth1 --horizons 96 720 --context 336 --out runs/long

Each horizon is forecast by itself, as `tsfm eval data=etth1 horizon=96` does it. With --one-pass each window is
forecast once, over the longest horizon, and its first steps are scored at the shorter ones: less than half the work,
the same windows; the scores are the same for a predictor whose first steps do not depend on how far it was asked.
Writes long.md, and long.csv after every set.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.bench.longhorizon import dataset, score_long
from tsfm.bench.ready import add_options, asked_for
from tsfm.bench.report import as_csv, as_markdown
from tsfm.infer.predictor import Predictor

SETS = ["etth1", "etth2", "ettm1", "ettm2"]
HORIZONS = [96, 192, 336, 720]


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    add_options(parser, batch=64, unit="windows, of all channels,")
    parser.add_argument("--sets", nargs="+", default=SETS, help="names of conf/data")
    parser.add_argument("--horizons", nargs="+", type=int, default=HORIZONS, help="steps")
    parser.add_argument("--context", type=int, default=512, help="past steps shown (default 512)")
    parser.add_argument("--one-pass", action="store_true", help="each window once, over the longest horizon")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    return parser.parse_args(argv)


def score(asked: argparse.Namespace, predictors: dict[str, Predictor]) -> list[dict[str, Any]]:
    """A row per predictor, set and horizon; the file is written after every set."""
    rows: list[dict[str, Any]] = []
    how = {"one_pass": asked.one_pass, "bf16": asked.bf16, "flip": asked.flip}
    for name, predictor in predictors.items():
        for data in asked.sets:
            found = score_long(
                predictor, dataset(data), horizons=asked.horizons, context=asked.context, one_pass=asked.one_pass,
                batch_size=asked.batch_size,
            )  # fmt: skip
            rows += [{"model": name, **row, **how} for row in found]
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / "long.csv").write_text(as_csv(rows), encoding="utf-8")
            for row in found:
                print(f"{name}  {data}  {row['horizon']}  MSE {row['mse']:.4f}  MAE {row['mae']:.4f}", flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line per set and horizon, MSE and MAE of each predictor, and the means of the lines."""
    lines: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        place = (row["data"], row["horizon"])
        line = lines.setdefault(place, {"set": place[0], "horizon": str(place[1]), "windows": row["windows"]})
        line |= {f"{row['model']} MSE": row["mse"], f"{row['model']} MAE": row["mae"]}
    scores = list(next(iter(lines.values())))[3:]
    means = {key: float(np.mean([line[key] for line in lines.values()])) for key in scores}
    windows = sum(line["windows"] for line in lines.values())
    return [*lines.values(), {"set": f"mean of {len(lines)}", "horizon": "", "windows": windows, **means}]


def main(argv: list[str] | None = None) -> None:
    asked = arguments(argv)
    predictors = asked_for(asked)
    text = as_markdown(table(score(asked, predictors)))
    way = "one pass over the longest horizon" if asked.one_pass else "each horizon by itself"
    head = f"# Long horizons, zero-shot, context {asked.context}, {way}\n\n"
    (asked.out / "long.md").write_text(head + text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
