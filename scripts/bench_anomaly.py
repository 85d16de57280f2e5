"""Detectors beside TSB-AD's published VUS-PR on the same files. Prints a Markdown table; resumes from --out.

    python scripts/bench_anomaly.py --out runs/anomaly             # every baseline, every set: some 10 minutes
    python scripts/bench_anomaly.py --out runs/anomaly --methods sub_pca iforest --data tsb_ad_u nab_part
    python scripts/bench_anomaly.py --out runs/anomaly --files     # the rows of each file too
    python scripts/bench_anomaly.py --out runs/anomaly --seeds 5   # of the random methods a row per seed
    python scripts/bench_anomaly.py --out runs/anomaly --methods tsfm:patch_transformer --data tsb_ad_u nab
    python scripts/bench_anomaly.py --out runs/anomaly --methods zero:tsfm-small --data tsb_ad_u --files
    python scripts/bench_anomaly.py --out runs/anomaly --methods zero:tsfm-small --data tsb_ad_m --set combine=max

`tsfm:<backbone or model directory>` is tsfm's own detector: for each series it learns from the train part alone.
`zero:<model>` is a trained model (bundled, or a directory) that learns nothing of the series: its `detect`, with --set
score=... and combine=... (default: blend and mean). Beside it stands TSPulse, zero-shot.

The sets: tsb_ad_u (27 files of TSB-AD-U), nab_part (the NAB files among them), nab (all 54 as Numenta gives them),
tsb_ad_m (32 files of TSB-AD-M), skab.
For each method the mean VUS-PR here, the published mean over the same files, and the largest difference of one file;
SKAB has no published numbers, and on TSB-AD-M only methods with published ones run unless --methods asks for others (a
matrix profile of 55 channels takes its time). Settings are the published ones of each track. The published file is
`anomaly_published.csv` of the anchors beside the data folder, or --published. Done files are kept in
OUT/anomaly.json: delete it after a detector has changed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsfm.bench.anomaly import AnomalyConfig, choose, find_detector, score_series, why_not
from tsfm.bench.interfaces import SeriesDetector

Factory = Callable[..., SeriesDetector]  # settings -> detector
SETS = {
    "tsb_ad_u": AnomalyConfig(data="tsb_ad_u"),
    "nab_part": AnomalyConfig(data="tsb_ad_u", only="_NAB_"),
    "tsb_ad_m": AnomalyConfig(data="tsb_ad_m"),
    "skab": AnomalyConfig(data="skab"),
    "nab": AnomalyConfig(data="nab"),
    "ucr_anomaly": AnomalyConfig(data="ucr_anomaly"),
}
OWN = "tsfm:"  # begins the name of a detector of ours
ZERO = "zero:"  # begins the name of a trained model that learns nothing of the series
BESIDE_ZERO = "TSPulse (ZS, time)"  # in the published table
RECIPE = ("trainer.max_steps=200", "trainer.max_epochs=2")  # of its training on each series
TRACKS = {"tsb_ad_u": "U", "nab_part": "U", "tsb_ad_m": "M"}
PUBLISHED = {  # method -> track -> its name in TSB-AD's tables, and the settings there where they are not ours
    "spectral_residual": {"U": ("SR", {})},
    "sub_pca": {"U": ("Sub-PCA", {})},
    "pca": {"M": ("PCA", {})},
    "matrix_profile": {"U": ("MatrixProfile", {})},
    "iforest": {"U": ("IForest", {}), "M": ("IForest", {"trees": 25, "features": 0.8})},
    "sub_iforest": {"U": ("Sub-IForest", {})},
    "sub_kmeans": {"U": ("KMeansAD", {}), "M": ("KMeansAD", {"window": 40})},
    "sub_lof": {"U": ("Sub-LOF", {})},
    "lof": {"U": ("LOF", {}), "M": ("LOF", {})},
    "sub_knn": {"U": ("Sub-KNN", {})},
    "seasonal_residual": {},
}
RANDOM = ("iforest", "sub_iforest", "sub_kmeans")  # have a seed


class Ours(SeriesDetector):
    """tsfm's Detector, fitted to the train part of each series."""

    def __init__(self, model: str, *, overrides: Sequence[str] = ()):
        from tsfm.estimators.detector import Detector  # Lightning, which baselines do without

        self.name = OWN + model
        self.detector = Detector(model=model, overrides=(*RECIPE, *overrides))
        self.threshold: float | None = None

    def fit(self, train: np.ndarray) -> SeriesDetector:
        # a short train part cannot calibrate 1 in 100; its threshold then means 1 in 20
        self.detector.set_params(level=0.99 if train.shape[1] >= 1000 else 0.95)
        self.threshold = float(self.detector.fit(train).threshold_)
        return self

    def score(self, series: np.ndarray) -> np.ndarray:
        return self.detector.score(series)


def zero_shot(model: str, *, overrides: Sequence[str] = ()) -> SeriesDetector:
    """A trained model as a detector; overrides are score=... and combine=..."""
    from tsfm.bench.scoring import ModelDetector
    from tsfm.infer.load import load

    settings: dict[str, Any] = dict(text.partition("=")[::2] for text in overrides)
    if strange := sorted(set(settings) - {"score", "combine"}):
        raise ValueError(f"--set {strange[0]}=... is no setting of {ZERO}{model}; known: score, combine")
    return ModelDetector(load(model), **settings)


class Kept:
    """Scores by method, settings and file, in one json that is written after every file."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "anomaly.json"
        self.rows: dict[str, dict[str, Any]] = (
            json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}
        )

    def row(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if key not in self.rows:
            self.rows[key] = make()
            beside = self.path.with_suffix(".tmp")
            beside.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")
            beside.replace(self.path)
        return self.rows[key]


def score_set(
    method: str,
    data: str,
    kept: Kept,
    *,
    limit: int | None,
    every: bool,
    seed: int | None,
    factory: Factory | None = None,
    overrides: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The rows of one method on one set; `factory` makes a detector that is no baseline."""
    settings = PUBLISHED.get(method, {}).get(TRACKS.get(data, ""), ("", {}))[1]
    settings = settings | ({"seed": seed} if seed is not None else {})
    for prefix, make in ((OWN, Ours), (ZERO, zero_shot)):
        if factory is None and method.startswith(prefix):
            settings, factory = {"overrides": list(overrides)}, partial(make, method.removeprefix(prefix))
    detector = find_detector(method, **settings) if factory is None else factory(**settings)
    rows = []
    for series in choose(SETS[data])[:limit]:
        if why_not(series):
            continue
        source = SETS[data].data
        key = " ".join(
            [method, json.dumps(settings, sort_keys=True), source, series.item_id, "all" if every else "few"]
        )
        rows.append(kept.row(key, lambda series=series: score_series(detector, series, every=every)))
    return rows


def published(file: Path, method: str, data: str) -> dict[str, float]:
    """The published VUS-PR of that method by file: TSB-AD's own, or of a zero-shot model TSPulse's."""
    track = TRACKS.get(data, "")
    zero = method.startswith(ZERO)
    name = BESIDE_ZERO if zero else PUBLISHED.get(method, {}).get(track, ("", {}))[0]
    if not name or not file.is_file():
        return {}
    table = pd.read_csv(file)
    chosen = table[(table["track"] == track) & (table["method"] == name) & (zero | (table["source"] == "tsb-ad"))]
    return dict(zip(chosen["file"], chosen["VUS-PR"], strict=True))


def line(method: str, data: str, rows: list[dict[str, Any]], theirs: dict[str, float]) -> dict[str, Any]:
    """One row of the table."""
    ours = {row["item_id"]: row["vus_pr"] for row in rows}
    both = [item for item in ours if item in theirs]
    found: dict[str, Any] = {
        "method": method,
        "data": data,
        "files": len(ours),
        "VUS-PR": statistics.fmean(ours.values()),
    }
    found["seconds"] = round(sum(row["seconds"] for row in rows), 1)
    found |= {"published": None, "difference": None, "largest of a file": None, "there": ""}
    if both and len(both) == len(ours):
        apart = {item: ours[item] - theirs[item] for item in both}
        worst = max(apart, key=lambda item: abs(apart[item]))
        found["published"] = statistics.fmean(theirs[item] for item in both)
        found["difference"] = found["VUS-PR"] - found["published"]
        found |= {"largest of a file": apart[worst], "there": worst.split("_tr_")[0]}
    return found


def markdown(table: list[dict[str, Any]]) -> str:
    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)

    heads = list(table[0])
    body = [[cell(row[head]) for head in heads] for row in table]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *body])


def options() -> argparse.ArgumentParser:
    root = Path(os.environ.get("TSFM_DATA", "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="detectors by name; default: all")
    parser.add_argument("--data", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--limit", type=int, help="only so many files of each set")
    parser.add_argument("--seeds", type=int, default=1, help="run the random methods with the seeds 0 to SEEDS - 1")
    parser.add_argument("--every", action="store_true", help="every metric, not only VUS and AUC; see the json")
    parser.add_argument(
        "--set", nargs="*", default=[], dest="overrides", help="settings of tsfm:..., zero:..., key=value"
    )
    parser.add_argument("--files", action="store_true", help="print each file too")
    parser.add_argument("--published", type=Path, default=root.parent / "anchors" / "anomaly_published.csv")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/anomaly"), help="folder of the json that it resumes from"
    )
    return parser


def main(argv: list[str] | None = None, *, factories: dict[str, Factory] | None = None) -> list[dict[str, Any]]:
    """`factories` adds detectors that are no baselines, by name: a trained model behind SeriesDetector."""
    args = options().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    kept, table = Kept(args.out), []
    for method in args.methods or PUBLISHED:
        for data in args.data:
            if args.methods is None and data == "tsb_ad_m" and "M" not in PUBLISHED[method]:
                continue
            factory = (factories or {}).get(method)
            theirs = published(args.published, method, data)
            for seed in range(args.seeds) if method in RANDOM else [None]:
                rows = score_set(
                    method, data, kept, limit=args.limit, every=args.every, seed=seed, factory=factory,
                    overrides=args.overrides,
                )  # fmt: skip
                name = method if args.seeds == 1 or seed is None else f"{method} seed {seed}"
                table.append(line(name, data, rows, theirs))
                logging.info("%s", markdown([table[-1]]).splitlines()[-1])
                for row in rows if args.files else []:
                    logging.info("  %s %.4f %s", row["item_id"], row["vus_pr"], theirs.get(row["item_id"], ""))
    print(markdown(table))
    return table


if __name__ == "__main__":
    main()
