"""Laws of the detection metrics; tests/parity/test_tsb_ad.py compares them with the published package. L steps."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from tsfm.metrics.detection import (
    affiliation,
    auc_pr,
    auc_roc,
    best_over,
    detection_scores,
    f1,
    f1_affiliation,
    f1_at,
    f1_best,
    f1_event,
    f1_point_adjusted,
    f1_range,
    find_length_rank,
    range_precision,
    range_recall,
    vus,
    vus_pr,
    vus_roc,
)

OF_SCORES = (
    auc_pr,
    auc_roc,
    f1_best,
    partial(vus_pr, window=9),
    partial(vus_roc, window=9),
    partial(f1_at, threshold=0.5),
    partial(best_over, f1_range),
    partial(detection_scores, window=9),
)
OF_FLAGS = (f1, f1_range, f1_event, f1_affiliation, f1_point_adjusted, range_recall, range_precision)


def drawn(seed: int, *, steps: int = 400, events: int = 5, digits: int = 6, help: float = 0.5):
    """Labels with runs, and scores that know something of them; few digits make ties."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(steps, np.int8)
    for start in rng.integers(0, steps, events):
        labels[start : start + rng.integers(1, 40)] = 1
    return labels, np.round(rng.random(steps) + help * labels, digits)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("digits", [1, 8])
def test_areas_are_those_of_scikit_learn(seed: int, digits: int) -> None:
    labels, scores = drawn(seed, digits=digits)
    assert auc_pr(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert auc_roc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_f1_over_steps_is_that_of_scikit_learn(seed: int) -> None:
    labels, scores = drawn(seed, digits=2)
    assert f1_at(labels, scores, 0.8) == pytest.approx(f1_score(labels, scores > 0.8), abs=1e-12)
    precision, recall, cuts = precision_recall_curve(labels, scores)
    total = np.where(precision + recall > 0, precision + recall, 1)
    assert f1_best(labels, scores) == pytest.approx(np.max(2 * precision * recall / total), abs=1e-12)
    assert f1_best(labels, scores) == pytest.approx(max(f1(labels, scores >= cut) for cut in cuts), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_range_metrics_are_those_of_aeon(seed: int) -> None:
    aeon = pytest.importorskip("aeon.benchmarking.metrics.anomaly_detection", reason="the bench extra brings aeon")
    labels, scores = drawn(seed)
    flags = (scores > 0.9).astype(int)
    recall = aeon.range_recall(labels.astype(int), flags, alpha=0.2, cardinality="reciprocal", bias="flat")
    precision = aeon.range_precision(labels.astype(int), flags, alpha=0, cardinality="reciprocal", bias="flat")
    assert range_recall(labels, flags) == pytest.approx(recall, abs=1e-9)
    assert range_precision(labels, flags) == pytest.approx(precision, abs=1e-9)


def plain_vus(labels: np.ndarray, scores: np.ndarray, window: int, thresholds: int) -> tuple[float, float]:
    """The definition, threshold by threshold and tolerance by tolerance."""
    steps, edges = len(labels), np.flatnonzero(np.diff(labels, prepend=0, append=0))
    events = list(zip(edges[::2], edges[1::2] - 1, strict=True))
    cuts = np.sort(scores)[::-1][np.linspace(0, steps - 1, thresholds).astype(int)]
    areas = []
    for w in range(window + 1):
        soft = labels.astype(float)
        groups: list[list[int]] = []
        for start, last in events:
            for away in range(1, w // 2 + 1):
                for step in (start - away, last + away):
                    if 0 <= step < steps:
                        soft[step] += np.sqrt(1 - away / w)
            low, high = max(start - w // 2, 0), min(last + w // 2, steps - 1)
            if groups and groups[-1][1] >= start - w // 2:
                groups[-1][1] = high
            else:
                groups.append([low, high])
        soft = np.minimum(soft, 1)
        recalls, falses, precisions = [0.0], [0.0], []
        for cut in cuts:
            flags = scores >= cut
            true_positives = soft @ flags
            size = (labels.sum() + np.where(labels == 1, 1, soft * flags).sum()) / 2
            touched = np.mean([flags[low : high + 1].any() for low, high in groups])
            recalls.append(min(true_positives / size, 1) * touched)
            falses.append((flags.sum() - true_positives) / (steps - size))
            precisions.append(true_positives / flags.sum())
        pr = np.diff(recalls) @ precisions
        areas.append((auc([*falses, 1], [*recalls, 1]), pr))
    roc, pr = np.mean(areas, axis=0)
    return roc, pr


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("window", [0, 1, 7, 30])
def test_the_fast_volume_is_the_plain_one(seed: int, window: int) -> None:
    labels, scores = drawn(seed, steps=150, digits=1 + seed)
    assert vus(labels, scores, window, thresholds=40) == pytest.approx(
        plain_vus(labels, scores, window, 40), rel=0, abs=1e-12
    )


def test_a_long_series_takes_well_under_a_second() -> None:
    labels, scores = drawn(0, steps=10_000, events=20)
    begun = time.process_time()
    vus(labels, scores, 300)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("metric", OF_SCORES[:5])
def test_only_the_order_of_scores_matters(metric) -> None:
    labels, scores = drawn(3, digits=2)
    assert metric(labels, np.exp(scores) * 3 - 1) == pytest.approx(metric(labels, scores), abs=1e-12)


@pytest.mark.parametrize("metric", [*OF_SCORES[:3], *(partial(best_over, each) for each in OF_FLAGS)])
def test_time_may_run_backwards(metric) -> None:
    labels, scores = drawn(4)
    assert metric(labels[::-1], scores[::-1]) == pytest.approx(metric(labels, scores), abs=1e-12)


def test_scores_that_are_the_labels_are_perfect_and_the_reverse_are_not() -> None:
    labels, _ = drawn(5)
    perfect = detection_scores(labels, labels, window=0)
    assert perfect == pytest.approx(dict.fromkeys(perfect, 1.0))
    worst = detection_scores(labels, -labels.astype(float), window=0)
    assert worst["auc_roc"] == 0
    assert all(worst[name] < 0.8 for name in worst if name != "f1_affiliation")


@pytest.mark.parametrize("window", [0, 12])
def test_constant_scores_have_the_metrics_of_chance(window: int) -> None:
    labels, _ = drawn(6)
    metrics = detection_scores(labels, np.full(len(labels), 3.0), window=window)
    assert metrics["auc_roc"] == 0.5
    assert metrics["auc_pr"] == pytest.approx(labels.mean())
    assert metrics["f1_best"] == f1(labels, np.ones(len(labels), int))
    assert (
        metrics["f1_range"] == metrics["f1_event"] == metrics["f1_affiliation"] == 0
    )  # nothing lies above a threshold
    assert metrics["vus_pr"] < 3 * labels.mean()


def test_a_tolerance_forgives_an_alarm_beside_an_anomaly() -> None:
    labels = np.zeros(200, int)
    labels[100:110] = 1
    near, far = np.zeros(200), np.zeros(200)
    near[95:100], far[20:25] = 1, 1
    assert vus_pr(labels, near, 0) == vus_pr(labels, far, 0)
    assert vus_pr(labels, near, 40) > 2 * vus_pr(labels, far, 40)
    assert f1(labels, near) == f1(labels, far) == 0
    assert f1_affiliation(labels, near) > f1_affiliation(labels, far) > 0


def sampled_affiliation(labels: np.ndarray, flags: np.ndarray, fine: int = 40) -> tuple[float, float]:
    """The definition on a fine grid of points."""
    edges = np.flatnonzero(np.diff(labels, prepend=0, append=0))
    events = np.stack([edges[::2], edges[1::2]], 1)
    cuts = np.concatenate([[0], (events[:-1, 1] + events[1:, 0]) / 2, [len(labels)]])
    points = (np.arange(len(labels) * fine) + 0.5) / fine
    raised = np.repeat(flags, fine).astype(bool)
    precisions, recalls = [], []
    for (start, stop), low, high in zip(events, cuts[:-1], cuts[1:], strict=True):
        zone = points[(points > low) & (points < high)]
        alarms = points[raised & (points > low) & (points < high)]
        far = np.maximum(np.maximum(start - zone, zone - stop), 0)
        if len(alarms):
            away = np.maximum(np.maximum(start - alarms, alarms - stop), 0)
            precisions.append(np.mean([(far >= each).mean() for each in away]))
        inside = points[(points > start) & (points < stop)]
        chances = []
        for point in inside:
            nearest = 0 if flags[int(point)] else np.abs(alarms - point).min() if len(alarms) else np.inf
            chances.append((np.abs(zone - point) >= nearest).mean())
        recalls.append(np.mean(chances))
    return float(np.mean(precisions)), float(np.mean(recalls))


@pytest.mark.parametrize("seed", range(4))
def test_affiliation_is_its_definition(seed: int) -> None:
    labels, scores = drawn(seed, steps=80, events=3)
    flags = (scores > np.sort(scores)[-9]).astype(int)
    assert affiliation(labels, flags) == pytest.approx(sampled_affiliation(labels, flags), abs=0.02)


def test_point_adjustment_is_the_old_flattery() -> None:
    labels = np.zeros(100, int)
    labels[:40] = labels[60:65] = 1
    flags = np.zeros(100, int)
    flags[20] = 1
    assert f1_point_adjusted(labels, flags) == pytest.approx(2 * 40 / (45 + 40))
    assert f1(labels, flags) == pytest.approx(2 / 46)
    assert f1_point_adjusted(labels, labels) == 1


@pytest.mark.parametrize("metric", OF_SCORES)
def test_invalid_input_is_refused(metric) -> None:
    labels, scores = drawn(7)
    with pytest.raises(ValueError, match="none of the 400 steps is labelled"):
        metric(np.zeros(400, int), scores)
    with pytest.raises(ValueError, match="2 of 400 scores are not finite, the first at step 5"):
        metric(labels, np.where(np.isin(np.arange(400), (5, 9)), [np.nan], scores))
    with pytest.raises(ValueError, match="scores have shape"):
        metric(labels, scores[1:])
    with pytest.raises(ValueError, match="labels hold 2"):
        metric(labels * 2, scores)
    with pytest.raises(ValueError, match="labels have shape"):
        metric(labels[None], scores[None])


@pytest.mark.parametrize("metric", OF_FLAGS)
def test_what_flags_cannot_say(metric) -> None:
    labels, _ = drawn(8)
    with pytest.raises(ValueError, match="none of the 400 steps"):
        metric(np.zeros(400, int), labels)
    with pytest.raises(ValueError, match="399 flags for 400"):
        metric(labels, labels[1:])
    with pytest.raises(ValueError, match=r"flags hold .*0\.5"):
        metric(labels, np.full(400, 0.5))
    assert metric(labels, np.zeros(400, int)) == 0


def test_all_anomalous_has_a_precision_but_no_false_alarm() -> None:
    labels, scores = np.ones(50, int), np.random.default_rng(0).random(50)
    for metric in (auc_roc, partial(vus_pr, window=3)):
        with pytest.raises(ValueError, match="all 50 steps"):
            metric(labels, scores)
    assert auc_pr(labels, scores) == pytest.approx(1)
    assert f1_best(labels, scores) == 1
    with pytest.raises(ValueError, match="threshold is nan"):
        f1_at(labels, scores, float("nan"))


def test_the_window_is_the_period() -> None:
    time_steps = np.arange(3000)
    rng = np.random.default_rng(0)
    assert find_length_rank(np.sin(2 * np.pi * time_steps / 50) + 0.1 * rng.normal(size=3000)) == 50
    assert find_length_rank(np.ones(500)) == 125
    assert find_length_rank(time_steps) == 125
    assert find_length_rank(np.sin(time_steps), 0) == 1
    with pytest.raises(ValueError, match="rank is 4"):
        find_length_rank(time_steps, 4)
    with pytest.raises(ValueError, match="not all finite"):
        find_length_rank(np.array([1.0, np.nan, 2.0]))
