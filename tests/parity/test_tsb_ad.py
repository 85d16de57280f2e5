"""The detection metrics agree with the package TSB-AD 1.5, on random and on real series, to 1e-6.

It needs numpy < 2, so it cannot be installed in the same environment; its metric modules run without dependencies:

    pip install --no-deps --target DIR TSB-AD==1.5
    PYTHONPATH=DIR pytest tests/parity/test_tsb_ad.py

Differences, and how the comparison handles them: its Standard-F1 adds 1e-5 to a denominator (our `epsilon`); its point
adjustment never fills step 0 of a series, so none of these starts with an anomaly; its event F1 omits the last step
of an anomaly that lasts to the end, so none does where that is compared; its range and affiliation metrics take minutes
on series of thousands of steps, so they are compared on short ones. Labels and flags are given as integers, since a
difference of booleans has no sign.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tsfm.data.anomalies import read_anomalies
from tsfm.metrics.detection import (
    auc_pr,
    auc_roc,
    best_over,
    f1,
    f1_affiliation,
    f1_best,
    f1_event,
    f1_point_adjusted,
    f1_range,
    find_length_rank,
    vus,
)

REASON = "parity needs TSB-AD's package: see the head of this file"
reference = pytest.importorskip("TSB_AD.evaluation.basic_metrics", reason=REASON)
windows = pytest.importorskip("TSB_AD.utils.slidingWindows", reason=REASON)
METRICS_OF_FLAGS = {
    "metric_RF1": f1_range,
    "metric_EventF1PA": f1_event,
    "metric_Affiliation": f1_affiliation,
    "metric_PointF1PA": f1_point_adjusted,
    "metric_PointF1": f1,
}


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels, scores (some with many ties) and a window."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(40, 700))
    labels = np.zeros(steps, int)
    for start in rng.integers(1, steps, rng.integers(1, 9)):
        labels[start : start + rng.integers(1, 30)] = 1
    if seed % 4 == 0:
        labels[-3:] = 1
    scores = rng.random(steps) + 2 * rng.random() * labels
    return labels, np.round(scores, 1 if seed % 3 == 0 else 9), int(rng.integers(0, 60))


def reference_volumes(labels: np.ndarray, scores: np.ndarray, window: int) -> tuple[float, float]:
    return reference.generate_curve(labels.astype(int), scores, window, "opt", 250)[-2:]


@pytest.mark.parametrize("seed", range(24))
def test_random_series(seed: int) -> None:
    labels, scores, window = drawn(seed)
    grader = reference.basic_metricor()
    assert vus(labels, scores, window) == pytest.approx(reference_volumes(labels, scores, window), rel=0, abs=1e-6)
    assert auc_roc(labels, scores) == pytest.approx(grader.metric_ROC(labels, scores), abs=1e-12)
    assert auc_pr(labels, scores) == pytest.approx(grader.metric_PR(labels, scores), abs=1e-12)
    best = grader.metric_PointF1(labels, scores)
    assert f1_best(labels, scores, epsilon=1e-5) == pytest.approx(best, abs=1e-6)
    assert best <= f1_best(labels, scores) <= best + 1e-4


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", METRICS_OF_FLAGS)
def test_flags_and_their_best_threshold(name: str, seed: int) -> None:
    labels, scores, _ = drawn(seed)
    if name == "metric_EventF1PA":
        labels[-1] = 0
    grade = getattr(reference.basic_metricor(), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the reference's precision without a flag
        for cut in np.quantile(scores, [0.5, 0.8, 0.95]):
            flags = (scores > cut).astype(int)
            if flags.any():
                result = METRICS_OF_FLAGS[name](labels, flags)
                assert result == pytest.approx(grade(labels, scores, preds=flags), abs=1e-6)
        if name != "metric_PointF1":  # the reference takes all thresholds there, see above
            assert best_over(METRICS_OF_FLAGS[name], labels, scores) == pytest.approx(grade(labels, scores), abs=1e-6)


@pytest.mark.realdata
@pytest.mark.parametrize("data", ["tsb_ad_u", "tsb_ad_m", "skab", "nab"])
def test_windows_of_real_series(data: str) -> None:
    for series in read_anomalies(data):
        for rank in (1, 2, 3):
            result = find_length_rank(series.values[0], rank)
            assert result == windows.find_length_rank(series.values[0][:, None], rank=rank), (series.item_id, rank)


@pytest.mark.realdata
def test_volumes_of_real_series() -> None:
    """Scored by the distance to the series' own median, over every short file of TSB-AD-U here."""
    compared = 0
    for series in read_anomalies("tsb_ad_u"):
        window = find_length_rank(series.values[0])
        if series.num_steps * window > 200_000:
            continue
        scores = np.abs(series.values[0] - np.median(series.values[0]))
        expected = reference_volumes(series.labels, scores, window)
        assert vus(series.labels, scores, window) == pytest.approx(expected, rel=0, abs=1e-6), series.item_id
        compared += 1
    assert compared >= 6
