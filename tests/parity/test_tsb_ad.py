"""Our detection metrics beside TSB-AD's own package (TSB-AD 1.5), on random and on real series, to 1e-6.

It asks for numpy < 2, so it cannot be installed beside us; its metric modules run without its dependencies:

    pip install --no-deps --target DIR TSB-AD==1.5
    PYTHONPATH=DIR pytest tests/parity/test_tsb_ad.py

What differs and how it is met: its Standard-F1 adds 1e-5 to a denominator (our `epsilon`); its point adjustment never
fills step 0 of a series, so none of these begins with an anomaly; its event F1 leaves the last step out of an anomaly
that lasts to the end, so none does where that is compared; its range and affiliation metrics take minutes on series of
thousands of steps, so they are compared on short ones. Labels and flags reach it as integers: between booleans a
difference has no sign.
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

WHY = "parity needs TSB-AD's package: see the head of this file"
theirs = pytest.importorskip("TSB_AD.evaluation.basic_metrics", reason=WHY)
windows = pytest.importorskip("TSB_AD.utils.slidingWindows", reason=WHY)
OF_FLAGS = {
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


def their_volumes(labels: np.ndarray, scores: np.ndarray, window: int) -> tuple[float, float]:
    return theirs.generate_curve(labels.astype(int), scores, window, "opt", 250)[-2:]


@pytest.mark.parametrize("seed", range(24))
def test_random_series(seed: int) -> None:
    labels, scores, window = drawn(seed)
    grader = theirs.basic_metricor()
    assert vus(labels, scores, window) == pytest.approx(their_volumes(labels, scores, window), rel=0, abs=1e-6)
    assert auc_roc(labels, scores) == pytest.approx(grader.metric_ROC(labels, scores), abs=1e-12)
    assert auc_pr(labels, scores) == pytest.approx(grader.metric_PR(labels, scores), abs=1e-12)
    best = grader.metric_PointF1(labels, scores)
    assert f1_best(labels, scores, epsilon=1e-5) == pytest.approx(best, abs=1e-6)
    assert best <= f1_best(labels, scores) <= best + 1e-4


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", OF_FLAGS)
def test_flags_and_their_best_threshold(name: str, seed: int) -> None:
    labels, scores, _ = drawn(seed)
    if name == "metric_EventF1PA":
        labels[-1] = 0
    grade = getattr(theirs.basic_metricor(), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their precision without an alarm
        for cut in np.quantile(scores, [0.5, 0.8, 0.95]):
            flags = (scores > cut).astype(int)
            if flags.any():
                found = OF_FLAGS[name](labels, flags)
                assert found == pytest.approx(grade(labels, scores, preds=flags), abs=1e-6)
        if name != "metric_PointF1":  # that one runs over all thresholds, see above
            assert best_over(OF_FLAGS[name], labels, scores) == pytest.approx(grade(labels, scores), abs=1e-6)


@pytest.mark.realdata
@pytest.mark.parametrize("data", ["tsb_ad_u", "tsb_ad_m", "skab", "nab"])
def test_windows_of_real_series(data: str) -> None:
    for series in read_anomalies(data):
        for rank in (1, 2, 3):
            found = find_length_rank(series.values[0], rank)
            assert found == windows.find_length_rank(series.values[0][:, None], rank=rank), (series.item_id, rank)


@pytest.mark.realdata
def test_volumes_of_real_series() -> None:
    """Scored by the distance to the series' own median, over every short file of TSB-AD-U here."""
    compared = 0
    for series in read_anomalies("tsb_ad_u"):
        window = find_length_rank(series.values[0])
        if series.num_steps * window > 200_000:
            continue
        scores = np.abs(series.values[0] - np.median(series.values[0]))
        expected = their_volumes(series.labels, scores, window)
        assert vus(series.labels, scores, window) == pytest.approx(expected, rel=0, abs=1e-6), series.item_id
        compared += 1
    assert compared >= 6
