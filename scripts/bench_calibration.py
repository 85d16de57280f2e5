"""Measure the false-alarm rate of a detector's thresholds on series without anomalies, next to the nominal rate.

    python scripts/bench_calibration.py --out runs/calibration                # every series with a long clean part
    python scripts/bench_calibration.py --out runs/calibration --data ucr_anomaly --levels 0.95 0.99

Each labelled series has a train part, taken to be clean, and a series without any anomaly is clean as a whole; those
with an anomaly in the train part, or with fewer than 1,000 clean steps, are left out and counted. The detector is
trained on the first 75 % of the clean part (its last fifth only calibrates the threshold); false alarms are
the steps of the last 25 % that exceed it. Prints, for each set and level, the nominal rate, the rate over all steps
and the mean over series. A JSON file in --out is written after every series; finished series are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from tsfm.data.anomalies import AnomalySeries, read_anomalies
from tsfm.estimators.detector import Detector
from tsfm.metrics.conformal import conformal_threshold

MIN_STEPS = 1000  # clean steps of a series
TRAIN_SHARE = 0.75  # of the clean steps, for training and calibration
RECIPE = ("trainer.max_steps=200", "trainer.max_epochs=2")


def clean_part(series: AnomalySeries) -> np.ndarray | None:
    """Return the clean values [C, L]: the train part, or all without any anomaly; None if they are too few."""
    stop = series.train_length if series.labels.any() else series.num_steps
    if stop < MIN_STEPS or series.labels[:stop].any():
        return None
    return series.values[:, :stop]


def measure(values: np.ndarray, nominal: list[float], *, seed: int) -> dict[str, float]:
    """Return the share of clean steps that exceed the threshold of each nominal level, and the number of steps."""
    stop = int(TRAIN_SHARE * values.shape[1])
    detector = Detector(level=max(nominal), overrides=RECIPE, seed=seed).fit(values[:, :stop])
    scores = np.asarray(detector.score_samples(values))
    calibration = scores[int((1 - detector.calibration) * stop) : stop]
    rates = {
        f"{level:g}": float(
            np.nanmean(scores[stop:] > conformal_threshold(calibration[~np.isnan(calibration)], level=level))
        )
        for level in nominal
    }
    return {**rates, "steps": int((~np.isnan(scores[stop:])).sum())}


def main() -> None:
    """Measure the data sets of the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", nargs="+", default=["ucr_anomaly", "tsb_ad_u", "nab", "skab"])
    parser.add_argument("--levels", type=float, nargs="+", default=[0.95, 0.99])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "calibration.json"
    kept: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.is_file() else {}
    print("| set | series (left out) | level | nominal rate | rate over all steps | mean over series |")
    print("|---|---|---|---|---|---|")
    everything: list[dict[str, float]] = []
    for name in args.data:
        rows, num_left_out = [], 0
        for series in read_anomalies(name):
            values = clean_part(series)
            if values is None:
                num_left_out += 1
                continue
            key = f"{name}/{series.item_id}/{args.seed}/{args.levels}"
            if key not in kept:
                kept[key] = measure(values, args.levels, seed=args.seed)
                draft = file.with_suffix(".tmp")
                draft.write_text(json.dumps(kept, indent=1))
                os.replace(draft, file)
            rows.append(kept[key])
        print_rows(name, rows, num_left_out, args.levels)
        everything += rows
    print_rows("all of them", everything, 0, args.levels)


def print_rows(name: str, rows: list[dict[str, float]], num_left_out: int, nominal: list[float]) -> None:
    """Print the rows of one set."""
    steps = np.array([row["steps"] for row in rows])
    for level in nominal if len(rows) else []:
        rates = np.array([row[f"{level:g}"] for row in rows])
        cells = (name, f"{len(rows)} ({num_left_out})", f"{level:g}", f"{1 - level:.3f}")
        print("|", " | ".join([*cells, f"{(rates * steps).sum() / steps.sum():.4f}", f"{rates.mean():.4f}"]), "|")


if __name__ == "__main__":
    main()
