"""Novelty and the blend: laws of the moving windows; and anomalous neighborhoods have the highest score."""

from __future__ import annotations

import numpy as np
import pytest

from tests.infer.small_models import sines, step_model, trained_model
from tsfm.infer.novelty import (
    MAX_REFERENCES,
    MIN_DISTANCE,
    blend,
    moving_max,
    moving_mean,
    novelty,
    standardise,
    stretch_features,
)


@pytest.mark.parametrize("width", [1, 2, 5, 64, 96])
def test_moving_windows_agree_with_numpy(width: int) -> None:
    values = np.random.default_rng(0).normal(size=200)
    padded = np.pad(values, (width // 2, width - width // 2 - 1), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    np.testing.assert_allclose(moving_mean(values, width), windows.mean(1))
    np.testing.assert_array_equal(moving_max(values, width), windows.max(1))


def cycles(length: int = 4000, *, period: int = 40, noise: float = 0.05) -> np.ndarray:
    return np.sin(np.arange(length) * 2 * np.pi / period) + noise * np.random.default_rng(0).normal(size=length)


@pytest.mark.parametrize("kind", ["level", "flat", "rough", "spike"])
def test_a_stretch_unlike_all_others_is_the_most_novel(kind: str) -> None:
    series, stretch = cycles(), slice(2000, 2080)
    if kind == "level":
        series[stretch] += 1.0
    elif kind == "flat":
        series[stretch] = series[2000]
    elif kind == "rough":
        series[stretch] += 0.5 * (-1.0) ** np.arange(80)
    else:
        series[2040] += 5
    scores = moving_mean(novelty(standardise(series)), 96)
    assert 1960 <= int(scores.argmax()) <= 2120
    assert scores.max() > 3 * np.median(scores)


def test_a_stretch_that_occurs_twice_is_less_novel() -> None:
    """An anomalous stretch with a second one like it far away is much less novel."""
    series = cycles()
    once, twice = series.copy(), series.copy()
    for first, changed in ((1000, (once, twice)), (3000, (twice,))):
        for values in changed:
            values[first : first + 80] += 2.0
    assert novelty(standardise(once))[1040] > 2 * novelty(standardise(twice))[1040]


def test_neighbors_of_the_stretch_itself_do_not_count() -> None:
    """In a series no longer than the distance kept there is nothing to compare with."""
    assert not novelty(cycles(MIN_DISTANCE)).any()
    assert np.isfinite(novelty(cycles(3 * MIN_DISTANCE))).all()


def test_a_long_series_is_compared_with_a_fixed_number_of_stretches() -> None:
    series = cycles(8 * MAX_REFERENCES + 5000, period=50)
    series[20000:20100] += 3
    assert 19900 <= int(moving_mean(novelty(series), 96).argmax()) <= 20200


def test_neither_level_nor_size_matter() -> None:
    series, surprise = cycles(1000), np.random.default_rng(1).random(1000)
    scores = blend(series, surprise)
    np.testing.assert_allclose(blend(1000 * series - 7, 3 * surprise + 1), scores, rtol=1e-3, atol=1e-4)
    assert scores.dtype == np.float32
    assert abs(float(scores.mean())) < 1e-5


def test_missing_steps_have_no_score_and_a_constant_none_above_zero() -> None:
    series = cycles(500)
    surprise = np.ones(500)
    series[100:120] = surprise[100:120] = np.nan
    np.testing.assert_array_equal(np.isnan(blend(series, surprise)), np.isnan(series))
    assert not blend(np.full(500, 3.0), np.zeros(500)).any()
    assert np.isfinite(stretch_features(np.full(500, 3.0))).all()
    assert np.isfinite(blend(np.arange(3.0), np.zeros(3))).all()


def test_a_model_blends_its_surprise_with_novelty() -> None:
    """Each channel as if it were alone, and the blend of its scores from `detect`."""
    model, series = trained_model("detect"), sines(600, channels=3).astype(np.float32)
    series[1] = 4.0
    series[2, 50:60] = np.nan
    (scores,) = model.detect([series], score="blend", combine="none")
    alone = model.detect(series[0])
    np.testing.assert_allclose(scores[0], blend(series[0], alone), rtol=1e-3, atol=1e-3)
    assert not scores[1].any()
    np.testing.assert_array_equal(np.isnan(scores[2]), np.isnan(series[2]))
    np.testing.assert_allclose(
        model.detect([series], score="blend")[0], np.nanmean(scores, axis=0), rtol=1e-4, atol=1e-5
    )
    assert not model.detect(np.full(300, 2.0), score="blend").any()


def test_an_anomalous_neighborhood_has_the_highest_blend() -> None:
    series = sines(2000)
    series[900:960] = series[900]
    scores = trained_model("detect").detect(series, score="blend")
    assert 850 <= int(scores.argmax()) <= 1010


def test_a_blend_has_no_threshold() -> None:
    from tests.infer.test_detection import frame

    with pytest.raises(ValueError, match="score is 'blend', which ranks the steps of one series"):
        step_model().detect_df(frame(), score="blend")
