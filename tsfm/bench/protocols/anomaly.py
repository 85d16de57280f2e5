"""Anomaly detection: series by series, over the whole of each, as TSB-AD does it. C channels, L steps.

A detector that learns is fitted to the leading training part of a series and scores all its steps; one that does not
learn scores them directly. The widest tolerance of VUS is `find_length_rank` of channel 0. Means are over series. SKAB
and NAB are scored by the same metrics, not by the NAB score.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from typing_extensions import override

from tsfm.bench.interfaces import SeriesDetector
from tsfm.bench.predictors import find_baseline, find_model, is_baseline
from tsfm.bench.protocol import Protocol
from tsfm.config import EvalConfig
from tsfm.data.anomalies import AnomalySeries, files_of, read_anomalies
from tsfm.data.base import SourceSeries
from tsfm.fingerprint import files_digest
from tsfm.infer.detection import BLEND, COMBINE
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.metrics.detection import AT_BEST, THRESHOLD_FREE, auc_pr, auc_roc, detection_scores, f1_at, vus
from tsfm.metrics.vus import find_length_rank
from tsfm.registry import PROTOCOLS
from tsfm.tasks.detect import SCORES

log = logging.getLogger("tsfm")
AT_OWN_THRESHOLD = ("f1_at_own", "false_alarms")  # only of detectors with a threshold
METRICS = (*THRESHOLD_FREE, *AT_BEST, *AT_OWN_THRESHOLD)  # what an experiment can make claims about


@PROTOCOLS("anomaly")
class AnomalyProtocol(Protocol):
    """Every series of a labelled set by the rule of TSB-AD (Liu & Paparrizos, NeurIPS 2024)."""

    # Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
    @dataclass
    class Config:
        """Settings of bench=anomaly."""

        data: str = "tsb_ad_u"  # tsb_ad_m, nab, skab, smap, msl, ... : a file of the folder `anomaly`
        only: Optional[str] = None  # noqa: UP045  item ids that hold this text, such as _NAB_
        limit: Optional[int] = None  # noqa: UP045  the first so many series
        every: bool = True  # the F1s at their best thresholds too
        score: Optional[str] = None  # noqa: UP045  of a trained model: pinball, residual, tail, blend; null: its own, or blend
        combine: str = "mean"  # of the channels' scores of a trained model: mean | max

        def __post_init__(self):
            if self.limit is not None and self.limit < 1:
                raise ValueError(f"bench.limit is {self.limit}; give at least 1 series, or null for all")
            for name, known in (("score", (*SCORES, BLEND)), ("combine", COMBINE[:2])):
                if (value := getattr(self, name)) is not None and value not in known:
                    raise ValueError(f"bench.{name} is {value!r}; {did_you_mean(value, list(known))}")

    metrics = METRICS
    subset_key = "item_id"

    def load_predictor(self, config: EvalConfig) -> SeriesDetector:
        """Return a baseline detector, or a trained model as a detector."""
        options = {"score": self.config.score, "combine": self.config.combine}
        if is_baseline(config.predictor):
            if options != {"score": None, "combine": "mean"}:
                raise ValueError(
                    f"bench.score and bench.combine are of trained models; {config.predictor} is a baseline"
                )
            return find_detector(config.predictor)
        predictor = find_model(config.predictor, kind=SeriesDetector, device=config.device)
        return ModelDetector(predictor, **options)

    @override
    def load_data(self, config: EvalConfig, predictor: SeriesDetector) -> list[AnomalySeries]:
        """Return the selected series."""
        return select_series(self.config)

    def scored_series(self, data: list[AnomalySeries]) -> SourceSeries:
        """Return the selected series."""
        return SourceSeries([series.item_id for series in data], [series.values for series in data])

    def score(self, predictor: SeriesDetector, data: list[AnomalySeries]) -> dict[str, Any]:
        """See `score_anomaly`."""
        return score_anomaly(predictor, data, self.config)

    @override
    def data_digest(self, config: EvalConfig) -> str:
        """Return the digest of the files of the labelled set."""
        return files_digest(files_of(self.config.data))

    @override
    def data_name(self, config: EvalConfig) -> str:
        """Return the name of the labelled set."""
        return self.config.data


class ModelDetector(SeriesDetector):
    """A trained model that hides every block in turn; it is not fitted. A missing step gets the lowest score.

    `score` and `combine` are those of `ModelPredictor.detect`. A model of another task than detect is scored by
    "blend" unless `score` names another.
    """

    def __init__(self, predictor: ModelPredictor, *, score: str | None = None, combine: str = "mean"):
        self.predictor, self.name = predictor, predictor.name
        other_task = predictor.about.task.get("name") != "detect"
        self.options = {"score": BLEND if score is None and other_task else score, "combine": combine}

    def score(self, series: np.ndarray) -> np.ndarray:
        """See `SeriesDetector.score`."""
        scores = np.asarray(self.predictor.detect([series], **self.options)[0])
        return np.where(np.isnan(scores), np.nanmin(scores), scores)


def find_detector(name: str, **settings: Any) -> SeriesDetector:
    """Return a baseline detector by its name, with settings that differ from its defaults."""
    return find_baseline(name, SeriesDetector, **settings)  # type: ignore[type-abstract]


def select_series(config: Any) -> list[AnomalySeries]:
    """Return the series that the settings of bench=anomaly select."""
    every_series = read_anomalies(config.data)
    selected = [series for series in every_series if config.only is None or config.only in series.item_id]
    if not selected:
        raise ValueError(
            f"no series of {config.data!r} has {config.only!r} in its name; the first is {every_series[0].item_id}"
        )
    return selected[: config.limit]


def reason_to_skip(series: AnomalySeries) -> str | None:
    """Return why a series cannot be scored; None if it can."""
    return {0: "no step is anomalous", series.num_steps: "every step is anomalous"}.get(int(series.labels.sum()))


def score_series(detector: SeriesDetector, series: AnomalySeries, *, every: bool = True) -> dict[str, Any]:
    """Return one row: the metrics of a series, its properties, and the seconds of fitting and scoring.

    `every` adds each F1 at its best threshold.
    """
    window = find_length_rank(series.values[0])
    start = time.perf_counter()
    if detector.learns:
        if not series.train_length:
            raise ValueError(
                f"{series.item_id} has no training part for {detector.name}; score it by a detector that does not learn"
            )
        detector.fit(series.values[:, : series.train_length])
    scores = np.asarray(detector.score(series.values))
    seconds = time.perf_counter() - start
    try:
        row = _metrics(series.labels, scores, window=window, every=every)
        if (threshold := detector.threshold) is not None:
            unseen = (series.labels == 0) & (np.arange(series.num_steps) >= series.train_length)
            row["f1_at_own"] = f1_at(series.labels, scores, float(threshold))
            row["false_alarms"] = float(np.mean(scores[unseen] > threshold)) if unseen.any() else float("nan")
    except ValueError as error:
        raise ValueError(f"{detector.name} on {series.item_id}: {error}") from None
    properties = {
        "steps": series.num_steps,
        "anomalous": int(series.labels.sum()),
        "train": series.train_length,
        "window": window,
    }
    return {"item_id": series.item_id, **properties, **row, "seconds": round(seconds, 3)}


def _metrics(labels: Any, scores: Any, *, window: int, every: bool) -> dict[str, float]:
    if every:
        return detection_scores(labels, scores, window=window)
    roc, pr = vus(labels, scores, window)
    return {"vus_pr": pr, "vus_roc": roc, "auc_pr": auc_pr(labels, scores), "auc_roc": auc_roc(labels, scores)}


def means(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of every metric over series; undefined values (NaN) are left out of that metric."""
    rows = list(rows)
    averages = {}
    for metric in METRICS:
        values = [row[metric] for row in rows if metric in row and np.isfinite(row[metric])]
        if values:
            averages[metric] = float(np.mean(values))
    return averages


def score_anomaly(detector: SeriesDetector, chosen: Sequence[AnomalySeries], config: Any) -> dict[str, Any]:
    """Return the means, the rows that they are of, and everything that decides them; skipped series are named."""
    skipped = [(series.item_id, reason) for series in chosen if (reason := reason_to_skip(series))]
    for item, reason in skipped:
        log.info("left out of %s: %s (%s)", config.data, item, reason)
    rows = [score_series(detector, series, every=config.every) for series in chosen if not reason_to_skip(series)]
    if not rows:
        raise ValueError(f"none of the {len(chosen)} series of {config.data!r} can be scored: {skipped[0][1]}")
    return {
        **means(rows),
        "series": len(rows),
        "steps_scored": sum(row["steps"] for row in rows),
        "skipped_series": len(skipped),
        "skipped": [item for item, _ in skipped],
        "fitted_to": "train part" if detector.learns else "whole series, or nothing",
        "seconds_detecting": round(sum(row["seconds"] for row in rows), 2),
        "fingerprint": fingerprint(chosen),
        "rows": rows,
    }


def fingerprint(chosen: Iterable[AnomalySeries]) -> str:
    """Return the digest of names, values and labels, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for series in chosen:
        digest.update(series.item_id.encode())
        digest.update(np.ascontiguousarray(series.values, np.float64).tobytes())
        digest.update(np.ascontiguousarray(series.labels, np.int8).tobytes())
    return digest.hexdigest()
