"""Does the threshold of a detector mean the false-alarm rate it names? Measured on stretches without anomalies.

    python scripts/bench_calibration.py --out runs/calibration                # every series with a long clean part
    python scripts/bench_calibration.py --out runs/calibration --data ucr_anomaly --levels 0.95 0.99

Each labelled series has a train part, taken to be clean, and a series without any anomaly is clean as a whole; those
with an anomaly in the train part, or with fewer than 1,000 clean steps, are left out and counted. The detector learns
from the first 75 % of the clean part (of that, its last fifth calibrates the threshold, which no training sees); the
false alarms are the steps of the last 25 % that exceed it. Prints, for each set and level, the rate over all steps and
the mean over series, beside the nominal one. One JSON file in --out is written after every series: what is there is
not run again.
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

LEAST = 1000  # clean steps of a series
LEARN = 0.75  # share that is learnt from and calibrated on
RECIPE = ("trainer.max_steps=200", "trainer.max_epochs=2")


def clean_part(series: AnomalySeries) -> np.ndarray | None:
    """The values of the train part, of a series without any anomaly all of them [C, L]; None where that is short or
    holds an anomaly."""
    stop = series.train_length if series.labels.any() else series.num_steps
    if stop < LEAST or series.labels[:stop].any():
        return None
    return series.values[:, :stop]


def measure(values: np.ndarray, levels: list[float], *, seed: int) -> dict[str, float]:
    """The share of clean steps that exceed the threshold of each level, and how many steps there are."""
    stop = int(LEARN * values.shape[1])
    detector = Detector(level=max(levels), overrides=RECIPE, seed=seed).fit(values[:, :stop])
    scores = np.asarray(detector.score_samples(values))
    held = scores[int((1 - detector.calibration) * stop) : stop]
    rates = {
        f"{level:g}": float(np.nanmean(scores[stop:] > conformal_threshold(held[~np.isnan(held)], level=level)))
        for level in levels
    }
    return {**rates, "steps": int((~np.isnan(scores[stop:])).sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", nargs="+", default=["ucr_anomaly", "tsb_ad_u", "nab", "skab"])
    parser.add_argument("--levels", type=float, nargs="+", default=[0.95, 0.99])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "calibration.json"
    kept: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.is_file() else {}
    print("| set | series (left out) | level | nominal rate | rate over all steps | mean over series |")
    print("|---|---|---|---|---|---|")
    everything: list[dict[str, float]] = []
    for name in asked.data:
        rows, out = [], 0
        for series in read_anomalies(name):
            values = clean_part(series)
            if values is None:
                out += 1
                continue
            key = f"{name}/{series.item_id}/{asked.seed}/{asked.levels}"
            if key not in kept:
                kept[key] = measure(values, asked.levels, seed=asked.seed)
                draft = file.with_suffix(".tmp")
                draft.write_text(json.dumps(kept, indent=1))
                os.replace(draft, file)
            rows.append(kept[key])
        tell(name, rows, out, asked.levels)
        everything += rows
    tell("all of them", everything, 0, asked.levels)


def tell(name: str, rows: list[dict[str, float]], out: int, levels: list[float]) -> None:
    """The lines of one set."""
    steps = np.array([row["steps"] for row in rows])
    for level in levels if len(rows) else []:
        rates = np.array([row[f"{level:g}"] for row in rows])
        cells = (name, f"{len(rows)} ({out})", f"{level:g}", f"{1 - level:.3f}")
        print("|", " | ".join([*cells, f"{(rates * steps).sum() / steps.sum():.4f}", f"{rates.mean():.4f}"]), "|")


if __name__ == "__main__":
    main()
