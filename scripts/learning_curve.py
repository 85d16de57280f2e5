"""Learning curve: the score on the validation suite against the values seen, for several sizes of a model.

    python scripts/learning_curve.py --out runs/curve                        # nano, mini and small, up to 80 M values
    python scripts/learning_curve.py --out runs/curve --sizes nano --millions 5 10 20
    python scripts/learning_curve.py --out runs/curve --table                # the table of what is scored already

Each size is one run at a constant learning rate with averaged weights, extended from point to point, so that a point
costs what it adds. A point is scored on the held-out ends of the corpus (`tsfm bench suite --role corpus`): the
geometric mean over the sets of MASE and WQL relative to the seasonal naive. To the points of a size the curve
limit + scale * values ** -exponent is fitted, and its value at 10 G values printed, with the range from the 10th to the
90th percentile of fits to resampled sets. A finished point is not run again. No benchmark set is read.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

from tsfm.bench.report import as_markdown
from tsfm.config import compose, typed

SIZES, MILLIONS = ("nano", "mini", "small"), (5.0, 10.0, 20.0, 40.0, 80.0)
PREDICTED = 10e9  # values
METRICS = {"MASE": "mase_relative", "WQL": "wql_relative"}
RESAMPLED, RANGE = 200, (10, 90)
# what scripts/pretrain.sh trains; without a warm-up, whose length would depend on that of the run
SETTINGS = ["model.known_season=true", "data.seasons=true", "data.blend_rate=0.2", "optim.schedule=constant"]
SETTINGS += ["optim.warmup=0", "optim.lr=1e-3", "trainer.packed=true", "trainer.ema=0.998"]
SETTINGS += ["trainer.precision=auto", "trainer.progress=false"]


def train_to(size: str, values: float, out: Path) -> Path:
    """Extend the run of a size to a number of values, unless that point exists, and return its model directory."""
    run_dir, target = out / size, out / f"{size}-{values / 1e6:g}M"
    if not target.is_dir():
        experiment = [f"experiment=pretrain/{size}", *SETTINGS]
        batch_values = int(typed(compose("train", experiment)).data.batch_values)
        steps = round(values / batch_values)
        command = ["train", *experiment, f"trainer.max_steps={steps}", f"run_dir={run_dir}", "resume=auto"]
        subprocess.run([sys.executable, "-m", "tsfm", *command], check=True)
        shutil.copytree(run_dir / "model", draft := target.with_suffix(".draft"), dirs_exist_ok=True)
        draft.rename(target)
    return target


def score(model: Path) -> dict[str, np.ndarray]:
    """Return the logarithms of the relative metrics by set; the suite is run unless its table exists."""
    file = model.with_name(model.name + "-suite") / "suite.csv"
    if not file.is_file():
        options = ["--role", "corpus", "--out", str(file.parent)]
        subprocess.run([sys.executable, "-m", "tsfm", "bench", "suite", str(model), *options], check=True)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    values = {name: np.array([float(row[column] or "nan") for row in rows]) for name, column in METRICS.items()}
    return {name: np.log(np.where(ratios > 0, ratios, np.nan)) for name, ratios in values.items()}


def curve(values: np.ndarray, limit: float, scale: float, exponent: float) -> np.ndarray:
    """Return the score at numbers of values, in millions."""
    return limit + scale * values**-exponent


def predict(millions: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return the fitted score at `PREDICTED` values, and the exponent of the curve."""
    begin = (scores.min() - 0.05, 2 * float(np.ptp(scores)) + 1e-3, 0.3)
    bounds = ((0.0, 0.0, 0.02), (scores.min(), 10.0, 2.0))
    (limit, scale, exponent), _ = curve_fit(curve, millions, scores, p0=begin, bounds=bounds, max_nfev=20000)
    return float(curve(np.array(PREDICTED / 1e6), limit, scale, exponent)), float(exponent)


def summarize(size: str, millions: np.ndarray, logs: list[dict[str, np.ndarray]]) -> list[dict[str, object]]:
    """Return a row for each metric: the score at each point, and the prediction with its range."""
    rows, rng = [], np.random.default_rng(0)
    for metric in METRICS:
        by_set = np.stack([point[metric] for point in logs])  # [points, sets]
        by_set = by_set[:, np.isfinite(by_set).all(axis=0)]
        scores = np.exp(by_set.mean(axis=1))
        row: dict[str, object] = {"size": size, "metric": metric, "sets": by_set.shape[1]}
        row |= {f"{count:g} M": float(value) for count, value in zip(millions, scores, strict=True)}
        if len(millions) > 3:
            value, exponent = predict(millions, scores)
            draws = rng.integers(0, by_set.shape[1], (RESAMPLED, by_set.shape[1]))
            fits = [predict(millions, np.exp(by_set[:, draw].mean(axis=1)))[0] for draw in draws]
            low, high = np.percentile(fits, RANGE)
            row |= {"exponent": exponent, "10 G": value, "range": f"{low:.3f} to {high:.3f}"}
        rows.append(row)
    return rows


def main(argv: list[str] | None = None) -> None:
    """Train and score every point, and write curve.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of curve.md")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="SIZE", help="as in experiment=pretrain/SIZE")
    parser.add_argument("--millions", nargs="+", type=float, default=MILLIONS, metavar="VALUES")
    parser.add_argument("--table", action="store_true", help="only the table of what is scored already")
    args = parser.parse_args(argv)
    rows: list[dict[str, object]] = []
    for size in args.sizes:
        points = []
        for count in sorted(args.millions):
            suite = args.out / f"{size}-{count:g}M-suite" / "suite.csv"
            if not args.table or suite.is_file():
                points.append((count, score(train_to(size, count * 1e6, args.out))))
        if points:
            rows += summarize(size, np.array([count for count, _ in points]), [logs for _, logs in points])
    table = as_markdown(rows)
    (args.out / "curve.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
