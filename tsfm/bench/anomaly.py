"""How a detector is scored: series by series, over the whole of each, as TSB-AD does it. C channels, L steps.

A detector that learns is fitted to the leading train part of the series and scores all its steps, train part included;
one that learns nothing scores them outright. The widest tolerance of VUS is `find_length_rank` of channel 0. The means
are over series. SKAB and NAB are scored by the same metrics, not by the NAB score.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from tsfm.bench.find import find_baseline
from tsfm.bench.interfaces import SeriesDetector
from tsfm.data.anomalies import AnomalySeries, read_anomalies
from tsfm.infer.detect import BLEND, COMBINE
from tsfm.messages import did_you_mean
from tsfm.metrics.detection import auc_pr, auc_roc, detection_scores, f1_at, vus
from tsfm.metrics.vus import find_length_rank
from tsfm.registry import schema
from tsfm.tasks.detect import SCORES

log = logging.getLogger("tsfm")
THRESHOLD_FREE = ("vus_pr", "vus_roc", "auc_pr", "auc_roc")
AT_BEST = ("f1_best", "f1_range", "f1_event", "f1_affiliation", "f1_point_adjusted")
AT_OWN = ("f1_at_own", "false_alarms")  # only of a detector that has a threshold of its own
METRICS = (*THRESHOLD_FREE, *AT_BEST, *AT_OWN)  # what an experiment can make claims about


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@schema("bench", "anomaly")
@dataclass
class AnomalyConfig:
    """Every series of a labelled set by TSB-AD's rule (Liu & Paparrizos, NeurIPS 2024)."""

    name: str = "anomaly"
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


def find_detector(name: str, **settings: Any) -> SeriesDetector:
    """A detector by its name among the baselines, with settings other than its own if given."""
    return find_baseline(name, SeriesDetector, **settings)  # type: ignore[type-abstract]


def choose(config: AnomalyConfig) -> list[AnomalySeries]:
    """The series that the config speaks of."""
    found = read_anomalies(config.data)
    if config.only is not None and not (chosen := [each for each in found if config.only in each.item_id]):
        raise ValueError(
            f"no series of {config.data!r} has {config.only!r} in its name; the first is {found[0].item_id}"
        )
    return (found if config.only is None else chosen)[: config.limit]


def why_not(series: AnomalySeries) -> str | None:
    """Why a series cannot be scored."""
    return {0: "no step is anomalous", series.steps: "every step is anomalous"}.get(int(series.labels.sum()))


def learns(detector: SeriesDetector) -> bool:
    """Whether the detector has a `fit` of its own."""
    return type(detector).fit is not SeriesDetector.fit


def score_series(detector: SeriesDetector, series: AnomalySeries, *, every: bool = True) -> dict[str, Any]:
    """One row: the metrics of one series, its facts, and the seconds that fitting and scoring took."""
    window = find_length_rank(series.values[0])
    begun = time.perf_counter()
    if learns(detector):
        if not series.train:
            raise ValueError(
                f"{series.item_id} has no train part for {detector.name} to learn from; score it by a detector that "
                "learns nothing"
            )
        detector.fit(series.values[:, : series.train])
    scores = np.asarray(detector.score(series.values))
    seconds = time.perf_counter() - begun
    try:
        row = _metrics(series.labels, scores, window=window, every=every)
        if (threshold := getattr(detector, "threshold", None)) is not None:
            unseen = (series.labels == 0) & (np.arange(series.steps) >= series.train)
            row["f1_at_own"] = f1_at(series.labels, scores, float(threshold))
            row["false_alarms"] = float(np.mean(scores[unseen] > threshold)) if unseen.any() else float("nan")
    except ValueError as error:
        raise ValueError(f"{detector.name} on {series.item_id}: {error}") from None
    facts = {"steps": series.steps, "anomalous": int(series.labels.sum()), "train": series.train, "window": window}
    return {"item_id": series.item_id, **facts, **row, "seconds": round(seconds, 3)}


def _metrics(labels: Any, scores: Any, *, window: int, every: bool) -> dict[str, float]:
    if every:
        return detection_scores(labels, scores, window=window)
    roc, pr = vus(labels, scores, window)
    return {"vus_pr": pr, "vus_roc": roc, "auc_pr": auc_pr(labels, scores), "auc_roc": auc_roc(labels, scores)}


def means(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The mean of every metric over series; where one is not defined (NaN) it is left out of that metric."""
    rows = list(rows)
    found = {}
    for metric in METRICS:
        values = [row[metric] for row in rows if metric in row and np.isfinite(row[metric])]
        if values:
            found[metric] = float(np.mean(values))
    return found


def score_anomaly(detector: SeriesDetector, config: AnomalyConfig) -> dict[str, Any]:
    """The means, the rows they are of, and everything that decides them. What cannot be scored is named."""
    chosen = choose(config)
    skipped = [(series.item_id, why) for series in chosen if (why := why_not(series))]
    for item, why in skipped:
        log.info("left out of %s: %s (%s)", config.data, item, why)
    rows = [score_series(detector, series, every=config.every) for series in chosen if not why_not(series)]
    if not rows:
        raise ValueError(f"none of the {len(chosen)} series of {config.data!r} can be scored: {skipped[0][1]}")
    return {
        **means(rows),
        "series": len(rows),
        "steps_scored": sum(row["steps"] for row in rows),
        "skipped_series": len(skipped),
        "skipped": [item for item, _ in skipped],
        "fitted_to": "train part" if learns(detector) else "whole series, or nothing",
        "seconds_detecting": round(sum(row["seconds"] for row in rows), 2),
        "fingerprint": fingerprint(chosen),
        "rows": rows,
    }


def fingerprint(chosen: Iterable[AnomalySeries]) -> str:
    """Of names, values and labels, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for series in chosen:
        digest.update(series.item_id.encode())
        digest.update(np.ascontiguousarray(series.values, np.float64).tobytes())
        digest.update(np.ascontiguousarray(series.labels, np.int8).tobytes())
    return digest.hexdigest()
