"""Detection: every observed step is scored while it is hidden; a threshold is a rate of false alarms."""

from __future__ import annotations

import logging
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.infer.small_models import WINDOW, label_model, sines, step_model, trained_model
from tests.tiny import tiny
from tsfm.infer.anomaly_scoring import combine_channels, error_unit
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.metrics.conformal import conformal_threshold, scores_needed
from tsfm.registry import TASKS
from tsfm.types import Batch


def frame(length: int = 400, **items: np.ndarray) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01", periods=length, freq="h")
    items = items or {"b": sines(length), "a": sines(length, seed=1)}
    parts = [pd.DataFrame({"item_id": name, "timestamp": stamps, "target": values}) for name, values in items.items()]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("length", [20, WINDOW, 70, 300])
def test_every_observed_step_has_a_score_and_no_other(length: int) -> None:
    series = sines(length, missing=0.1)
    scores = step_model().detect(series)
    assert scores.shape == series.shape
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(series))


@pytest.mark.parametrize("score", ["pinball", "residual", "tail"])
def test_one_window_agrees_with_the_task(score: str) -> None:
    """The score of each step is that of the one pass that hides it."""
    model, series = step_model(), sines(WINDOW, channels=3).astype(np.float32)
    task = TASKS.build(TASKS.config({"name": "detect", "block": 8, "score": score}), horizon=16)
    values = torch.from_numpy(series)[None]
    unit, sums = torch.from_numpy(error_unit(series))[None], torch.zeros_like(values)
    with torch.no_grad():
        for problem in task.passes(Batch(values, torch.ones_like(values, dtype=torch.bool))):
            sums += task.score(model.model(problem), problem, unit=unit).nan_to_num()
    (scores,) = model.detect([series], score=score, combine="none")
    np.testing.assert_allclose(scores, sums[0].numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.detect([series], score=score)[0], scores.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model.detect([series], score=score, combine="max")[0], scores.max(0))


def test_overlapping_windows_are_averaged() -> None:
    model, series = step_model(), sines(96)
    units = sines(96).std()
    first, last = (model.detect(rows) * rows.std() / units for rows in (series[:64], series[32:]))
    scores = model.detect(series, stride=32)
    np.testing.assert_allclose(scores[:32], first[:32], rtol=1e-4)
    np.testing.assert_allclose(scores[32:64], (first[32:] + last[:32]) / 2, rtol=1e-4)
    np.testing.assert_allclose(scores[64:], last[32:], rtol=1e-4)


def test_scores_move_neither_with_level_nor_with_size_nor_with_batches() -> None:
    model, series = trained_model("detect"), sines(200, channels=2)
    (scores,) = model.detect(series[None])
    (moved,) = model.detect(series[None] * np.array([[1000], [0.01]]) + np.array([[3], [-5]]))
    np.testing.assert_allclose(moved, scores, rtol=1e-2, atol=1e-3)
    several = model.detect([series, series[:, :30], series], batch_size=2)
    assert [item.shape for item in several] == [(200,), (30,), (200,)]
    np.testing.assert_allclose(several[2], scores, rtol=1e-4, atol=1e-5)
    stacked = model.detect(np.stack([series, series]))
    assert stacked.shape == (2, 200)
    np.testing.assert_allclose(stacked[0], scores, rtol=1e-4, atol=1e-5)


def test_a_trained_model_finds_inserted_anomalies() -> None:
    model = trained_model("detect")
    for step in (5, 77, 140, 295):
        series = sines()
        series[step] += 1.5 * series.std()
        scores = model.detect(series)
        assert int(scores.argmax()) == step
        assert scores[step] > 3 * np.quantile(scores, 0.95)
    flat = sines()
    flat[100:140] = flat[100]
    assert np.isfinite(model.detect(flat)).all()
    assert model.detect(np.full(100, 7.0)).max() < 10  # nothing anomalous in a constant


def test_channels_without_a_score_do_not_count() -> None:
    scores = np.array([[1.0, np.nan, np.nan], [3.0, 4.0, np.nan]])
    np.testing.assert_array_equal(combine_channels(scores, method="mean"), [2, 4, np.nan])
    np.testing.assert_array_equal(combine_channels(scores, method="max"), [3, 4, np.nan])


def test_the_task_of_the_training_is_kept() -> None:
    series = sines(128)
    settings = {
        "name": "detect",
        "block": 4,
        "num_passes": 2,
        "score": "residual",
        "loss": "pinball",
        "units": "scaled",
    }
    own, other = step_model(task=settings).detect(series), step_model().detect(series)
    assert not np.allclose(own, other)
    np.testing.assert_array_equal(own, step_model(task=settings).detect(series, score="residual"))
    rebuilt = step_model(task=settings | {"mode": "reconstruct"}).detect(series)
    assert np.isfinite(rebuilt).all()


def test_scores_of_visible_steps_are_announced(caplog: pytest.LogCaptureFixture) -> None:
    text, model = "nothing is hidden", step_model(task={"name": "detect", "mode": "reconstruct"})
    caplog.set_level(logging.INFO, logger="tsfm")
    step_model(task={"name": "detect"}).detect(sines(100))
    assert text not in caplog.text
    model.detect(sines(100))
    assert text in caplog.text
    notes = model.detect_df(frame(), level=0.9).attrs["announcements"]
    assert any(text in note for note in notes)
    notes = step_model(task={"name": "detect"}).detect_df(frame(), level=0.9).attrs["announcements"]
    assert not any(text in note for note in notes)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="so it cannot detect; use a model trained with task=detect"):
        label_model().detect(sines())
    flat = ModelPredictor(tiny("patch_transformer"), name="flat")
    with pytest.raises(ValueError, match=r"predicts its horizon only \(flatten\), so it cannot detect"):
        flat.detect(sines())
    with pytest.raises(ValueError, match="series 0 has 5 observed values, and none can be scored"):
        step_model().detect(sines(5))
    with pytest.raises(ValueError, match="combine is 'avg'"):
        step_model().detect(sines(), combine="avg")
    with pytest.raises(ValueError, match=r"task.score is 'tails'; did you mean 'tail'\?"):
        step_model().detect(sines(), score="tails")
    with pytest.raises(ValueError, match="stride is 65; expected 1 to 64 steps"):
        step_model().detect(sines(), stride=65)


@settings(max_examples=60, deadline=None)
@given(number=st.integers(1, 400), level=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_the_threshold_is_the_conformal_quantile(number: int, level: float, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=number)
    rank = math.ceil((number + 1) * level - 1e-9)
    assert (number >= scores_needed(level)) == (rank <= number)
    if rank > number:
        with pytest.raises(ValueError, match=f"needs {scores_needed(level)} clean scores, and {number} were found"):
            conformal_threshold(scores, level=level)
    else:
        assert conformal_threshold(np.append(scores, np.nan), level=level) == np.sort(scores)[rank - 1]


def test_exchangeable_scores_are_flagged_at_the_nominal_rate() -> None:
    """Over many calibrations the share of alarms is 1 - ceil((n + 1) level) / (n + 1), whatever the scores."""
    generator = np.random.default_rng(0)
    for number, level in ((99, 0.99), (200, 0.95), (30, 0.8)):
        scores = generator.gamma(1.0, size=(4000, number))
        thresholds = np.array([conformal_threshold(row, level=level) for row in scores])
        nominal = 1 - math.ceil((number + 1) * level) / (number + 1)
        assert abs(np.exp(-thresholds).mean() - nominal) < 0.1 * nominal


@pytest.mark.parametrize("level", [0.95, 0.99])
@pytest.mark.parametrize("clean", ["share", "frame"])
def test_clean_rows_are_flagged_at_the_nominal_rate(level: float, clean: str) -> None:
    values = sines(9000)
    df = frame(9000, a=values)
    calibration = 0.4 if clean == "share" else frame(3000, a=sines(3000))  # with other noise
    out = trained_model("detect").detect_df(df, level=level, calibration=calibration)
    rate = out["is_anomaly"][3600:].mean()
    assert (1 - level) / 1.5 < rate < (1 - level) * 1.5


def test_rows_are_kept_and_thresholds_are_of_their_own_first_steps() -> None:
    df = frame()
    df.loc[[7, 650], "target"] = np.nan
    df.loc[300, "target"] += 30
    df = df.drop(index=[20, 21]).sample(frac=1, random_state=0)
    before = df.copy()
    out = trained_model("detect").detect_df(df, level=0.95, calibration=150)
    pd.testing.assert_frame_equal(df, before)
    pd.testing.assert_frame_equal(out[df.columns], df)
    assert list(out.columns) == [*df.columns, "score", "threshold", "is_anomaly"]
    np.testing.assert_array_equal(out["score"].isna(), df["target"].isna())
    assert not out["is_anomaly"][out["score"].isna()].any()
    assert out["is_anomaly"][300]
    assert out["is_anomaly"].dtype == bool
    np.testing.assert_array_equal(out["is_anomaly"], out["score"] > out["threshold"])
    for item, rows in out.sort_values("timestamp").groupby("item_id"):
        steps = rows[rows["timestamp"] < pd.Timestamp("2024-01-01") + pd.Timedelta(hours=150)]
        assert rows["threshold"].iloc[0] == np.float32(conformal_threshold(steps["score"], level=0.95)), item
        assert rows["threshold"].nunique() == 1
    share = trained_model("detect").detect_df(df, level=0.95, calibration=150 / 400)
    pd.testing.assert_frame_equal(share, out)


def test_clean_rows_give_thresholds_for_their_items_and_for_others() -> None:
    model, df = trained_model("detect"), frame()
    clean = frame(200, b=sines(200), c=sines(200, seed=2))
    out = model.detect_df(df, level=0.95, calibration=clean)
    own = [model.detect(rows["target"].to_numpy()) for _, rows in clean.groupby("item_id")]
    scores = out.groupby("item_id")["threshold"].first()
    assert scores["b"] == np.float32(conformal_threshold(own[0], level=0.95))
    assert scores["a"] == np.float32(conformal_threshold(np.concatenate(own), level=0.95))


def test_bad_calibrations_are_named() -> None:
    model, df = step_model(), frame()
    for level in (0, 1, 1.5, -0.1, "high", math.nan):
        with pytest.raises(ValueError, match=r"level is .*; expected a"):
            model.detect_df(df, level=level)
    with pytest.raises(ValueError, match=r"item 'b', its first 20 steps: 20 clean steps have a score.* needs 99; give"):
        model.detect_df(df, calibration=20)
    with pytest.raises(ValueError, match="calibration, item 'a': 50 clean steps have a score"):
        model.detect_df(df, calibration=frame(50, a=sines(50)))
    for wrong in (0, -1, 2.5, "some", True, math.nan, math.inf, -math.inf, np.float32("inf"), 1j, np.bool_(True)):
        with pytest.raises(ValueError, match=r"calibration is .*; expected a table of clean rows"):
            model.detect_df(df, calibration=wrong)
    for whole in (1, 1.0, np.float64(1)):
        with pytest.raises(ValueError, match=r"item 'b', its first step \(a share is below 1\): 1 clean steps have"):
            model.detect_df(df, calibration=whole)
    uneven = pd.concat([frame(400, b=sines(400)), frame(150, a=sines(150))])
    for steps in (150, 150.0, 200, 10**400):
        with pytest.raises(ValueError, match=r"item 'a' has 150 steps and calibration=.* leaves none to score; give"):
            model.detect_df(uneven, calibration=steps, errors="raise")
    assert model.detect_df(uneven, calibration=149)["threshold"].notna().all()
    with pytest.raises(ValueError, match="calibration is an empty table"):
        model.detect_df(df, calibration=df[:0])
    with pytest.raises(ValueError, match="df has a column 'score' already"):
        model.detect_df(df.assign(score=1.0))
    with pytest.raises(ValueError, match="df is empty"):
        model.detect_df(df[:0])
