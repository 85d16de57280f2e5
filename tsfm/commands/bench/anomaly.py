"""`tsfm bench anomaly`: detectors next to the published VUS-PR of TSB-AD on the same files. C channels, L steps."""

from __future__ import annotations

import argparse
import json
import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.bench.interfaces import SeriesDetector
from tsfm.bench.predictors import baselines, is_model
from tsfm.bench.protocols.anomaly import (
    AnomalyProtocol,
    ModelDetector,
    find_detector,
    reason_to_skip,
    score_series,
    select_series,
)
from tsfm.bench.seen_sets import SeenSets, check_sets
from tsfm.commands.bench.stored_scores import ScoreCache, stored_weights
from tsfm.data.base import SourceSeries
from tsfm.files import check_folder
from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger("tsfm")
Factory = Callable[..., SeriesDetector]  # settings -> detector
SETS = {
    "tsb_ad_u": AnomalyProtocol.Config(data="tsb_ad_u"),
    "nab_part": AnomalyProtocol.Config(data="tsb_ad_u", only="_NAB_"),
    "tsb_ad_m": AnomalyProtocol.Config(data="tsb_ad_m"),
    "skab": AnomalyProtocol.Config(data="skab"),
    "nab": AnomalyProtocol.Config(data="nab"),
    "ucr_anomaly": AnomalyProtocol.Config(data="ucr_anomaly"),
}
FITTED = "tsfm:"  # prefix of a backbone or model that tsfm.Detector fits to each series
ZERO_SHOT = "zero:"  # prefix of a trained model that learns nothing of the series
TSPULSE = "TSPulse (ZS, time)"  # name in the published table
RECIPE = ("trainer.max_steps=200", "trainer.max_epochs=2")  # training of FITTED on each series
TRACKS = {"tsb_ad_u": "U", "nab_part": "U", "tsb_ad_m": "M"}
PUBLISHED = {  # method -> track -> its name in TSB-AD's tables, and the settings there where they differ from ours
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
RANDOM = ("iforest", "sub_iforest", "sub_kmeans")  # methods with a seed


def run(args: argparse.Namespace) -> int:
    """Score the methods and print the table."""
    print(markdown(score_methods(args)))
    return 0


def score_methods(args: argparse.Namespace, *, factories: Mapping[str, Factory] | None = None) -> list[dict[str, Any]]:
    """Return a row per method, set and seed; each row is logged when it is finished.

    Parameters
    ----------
    args
        The options of `tsfm bench anomaly`.
    factories
        Further methods by name: functions that make a detector.
    """
    check_folder(args.out)
    factories = factories or {}
    check_methods(args.methods or (), known=[*factories])
    seen_sets = check_models(args.methods or (), args.data, limit=args.limit, zero_shot=args.zero_shot)
    cache, table = ScoreCache(args.out / "anomaly.json"), []
    for method in args.methods or PUBLISHED:
        for data in args.data:
            if args.methods is None and data == "tsb_ad_m" and "M" not in PUBLISHED[method]:
                continue
            published = read_published(args.published, method, data)
            for seed in range(args.seeds) if method in RANDOM else [None]:
                rows = score_set(
                    method, data, cache, limit=args.limit, every=args.every, seed=seed, factory=factories.get(method),
                    overrides=args.overrides,
                )  # fmt: skip
                name = method if args.seeds == 1 or seed is None else f"{method} seed {seed}"
                table.append(summary_row(name, data, rows, published) | seen_sets.columns(method, data))
                log.info("%s", markdown([table[-1]]).splitlines()[-1])
                for row in rows if args.files else []:
                    log.info("  %s %.4f %s", row["item_id"], row["vus_pr"], published.get(row["item_id"], ""))
    return table


def check_methods(methods: Sequence[str], *, known: Sequence[str]) -> None:
    """Refuse an unknown method before anything is scored."""
    names = [*baselines(SeriesDetector), *known]
    for method in methods:
        if method not in names and not method.startswith((FITTED, ZERO_SHOT)):
            hint = f"{did_you_mean(method, names)} (or {FITTED}<backbone or model>, {ZERO_SHOT}<model>)"
            raise ValueError(f"--methods: no detector {method!r}; {hint}")


def check_models(methods: Sequence[str], data: Sequence[str], *, limit: int | None, zero_shot: bool) -> SeenSets:
    """Ask the leak check about the trained models among the methods, and the series of the sets."""
    models = {method: model for method in methods if (model := model_of(method)) is not None and is_model(model)}
    return check_sets(models, {name: partial(scored_series, name, limit) for name in data}, zero_shot=zero_shot)


def model_of(method: str) -> str | None:
    """Return the model or backbone that a method names; None for a baseline."""
    prefix = next((prefix for prefix in (FITTED, ZERO_SHOT) if method.startswith(prefix)), None)
    return None if prefix is None else method.removeprefix(prefix)


def scored_series(data: str, limit: int | None) -> SourceSeries:
    """Return the series of a set for the leak check."""
    chosen = select_series(SETS[data])[:limit]
    return SourceSeries([series.item_id for series in chosen], [series.values for series in chosen])


class FittedDetector(SeriesDetector):
    """`tsfm.Detector`, fitted to the train part of each series.

    Parameters
    ----------
    model
        Name of a backbone, or a model directory.
    overrides
        Settings of the training, such as `optim.lr=1e-3`.
    """

    def __init__(self, model: str, *, overrides: Sequence[str] = ()):
        from tsfm.estimators.detector import Detector  # imports Lightning, which baselines do without

        self.name = FITTED + model
        self.detector = Detector(model=model, overrides=(*RECIPE, *overrides))
        self.threshold: float | None = None

    def fit(self, train: Float[np.ndarray, "C L"]) -> SeriesDetector:
        """Fit to the train part; its threshold is calibrated on 1 in 100 steps, of a short part on 1 in 20."""
        self.detector.set_params(level=0.99 if train.shape[1] >= 1000 else 0.95)
        self.threshold = float(self.detector.fit(train).threshold_)
        return self

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """Return the anomaly score of every step."""
        return self.detector.score(series)


def zero_shot_detector(model: str, *, overrides: Sequence[str] = ()) -> SeriesDetector:
    """Return a trained model as a detector; `overrides` are `score=...` and `combine=...`."""
    from tsfm.infer.load import load

    settings: dict[str, Any] = {name: value for name, _, value in (text.partition("=") for text in overrides)}
    for name in settings:
        if name not in (known := ["score", "combine"]):
            raise ValueError(f"--set {name}=... is not a setting of {ZERO_SHOT}{model}; {did_you_mean(name, known)}")
    return ModelDetector(load(model), **settings)


def score_set(
    method: str,
    data: str,
    cache: ScoreCache,
    *,
    limit: int | None,
    every: bool,
    seed: int | None,
    factory: Factory | None = None,
    overrides: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return the rows of one method on one set, a row per file; `factory` makes a detector that is not a baseline."""
    settings = PUBLISHED.get(method, {}).get(TRACKS.get(data, ""), ("", {}))[1]
    settings = settings | ({"seed": seed} if seed is not None else {})
    for prefix, make in ((FITTED, FittedDetector), (ZERO_SHOT, zero_shot_detector)):
        if factory is None and method.startswith(prefix):
            settings, factory = {"overrides": list(overrides)}, partial(make, method.removeprefix(prefix))
    detector = find_detector(method, **settings) if factory is None else factory(**settings)
    model, rows = model_of(method), []
    if model is not None and is_model(model):
        settings = settings | {"weights": stored_weights(model)}
    for series in select_series(SETS[data])[:limit]:
        if reason_to_skip(series):
            continue
        metrics = "all" if every else "few"
        key = " ".join([method, json.dumps(settings, sort_keys=True), SETS[data].data, series.item_id, metrics])
        rows.append(cache.row(key, partial(score_series, detector, series, every=every)))
    return rows


def read_published(file: Path, method: str, data: str) -> dict[str, float]:
    """Read the published VUS-PR of a method by file: TSB-AD's own, or for a zero-shot model TSPulse's."""
    track = TRACKS.get(data, "")
    zero_shot = method.startswith(ZERO_SHOT)
    name = TSPULSE if zero_shot else PUBLISHED.get(method, {}).get(track, ("", {}))[0]
    if not name or not file.is_file():
        return {}
    table = pd.read_csv(file)
    rows = table[(table["track"] == track) & (table["method"] == name) & (zero_shot | (table["source"] == "tsb-ad"))]
    return dict(zip(rows["file"], rows["VUS-PR"], strict=True))


def summary_row(
    method: str, data: str, rows: Sequence[dict[str, Any]], published: Mapping[str, float]
) -> dict[str, Any]:
    """Return a row of the table: means over files here and as published, and the largest difference of a file."""
    scores = {row["item_id"]: row["vus_pr"] for row in rows}
    row: dict[str, Any] = {"method": method, "data": data, "files": len(scores)}
    row |= {"VUS-PR": statistics.fmean(scores.values()), "seconds": round(sum(row["seconds"] for row in rows), 1)}
    row |= {"published": None, "difference": None, "largest difference": None, "of file": ""}
    if scores and all(item in published for item in scores):
        differences = {item: score - published[item] for item, score in scores.items()}
        largest = max(differences, key=lambda item: abs(differences[item]))
        row["published"] = statistics.fmean(published[item] for item in scores)
        row["difference"] = row["VUS-PR"] - row["published"]
        row |= {"largest difference": differences[largest], "of file": largest.split("_tr_")[0]}
    return row


def markdown(table: Sequence[dict[str, Any]]) -> str:
    """Return the table as Markdown; missing values are empty cells."""

    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)

    heads = list(dict.fromkeys(head for row in table for head in row))
    body = [[cell(row.get(head)) for head in heads] for row in table]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *body])
