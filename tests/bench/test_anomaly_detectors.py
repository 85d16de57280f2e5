"""Laws of the detectors: what they find, what they refuse, agreement with definitions. C channels, L steps."""

from __future__ import annotations

import numpy as np
import pytest

from tsfm.bench.baselines.detectors import SubKMeans
from tsfm.bench.baselines.profiles import matrix_profile
from tsfm.bench.baselines.subsequences import normalised
from tsfm.bench.interfaces import SeriesDetector
from tsfm.bench.protocols.anomaly import find_detector
from tsfm.metrics.detection import auc_roc
from tsfm.registry import BASELINES

OF_SHAPES = ("sub_pca", "sub_kmeans", "sub_knn", "sub_lof", "sub_iforest", "matrix_profile", "seasonal_residual")
OF_STEPS = ("pca", "iforest", "lof", "spectral_residual")
EVERY = (*OF_SHAPES, *OF_STEPS)
PERIOD, STEPS = 20, 400


def seasonal(*, channels: int = 1, steps: int = STEPS, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    phase = np.arange(channels)[:, None]
    return np.sin(2 * np.pi * np.arange(steps) / PERIOD + phase) + 0.05 * rng.normal(size=(channels, steps))


def test_every_detector_is_in_the_registry() -> None:
    names = {entry.name for entry in BASELINES if issubclass(entry.component, SeriesDetector)}
    assert set(EVERY) <= names
    for name in EVERY:
        assert find_detector(name).name == name


@pytest.mark.parametrize("name", EVERY)
def test_scores_are_one_finite_number_per_step_and_reproducible(name: str) -> None:
    for channels in (1, 3):
        series = seasonal(channels=channels)
        before = series.copy()
        scores = find_detector(name).score(series)
        assert scores.shape == (STEPS,)
        assert np.isfinite(scores).all()
        assert np.array_equal(scores, find_detector(name).score(series))
        assert np.array_equal(series, before)


@pytest.mark.parametrize("name", OF_SHAPES)
def test_an_anomalous_shape_is_found(name: str) -> None:
    series, labels = seasonal(), np.zeros(STEPS, int)
    series[0, 250:270] = -2 * series[0, 250:270] + np.sin(np.arange(20))
    labels[240:280] = 1
    assert auc_roc(labels, find_detector(name).score(series)) > 0.9


@pytest.mark.parametrize("name", OF_STEPS)
def test_an_anomalous_step_is_found(name: str) -> None:
    series = seasonal()
    series[0, 221] = 7
    assert abs(int(np.argmax(find_detector(name).score(series))) - 221) <= 1


@pytest.mark.parametrize("name", EVERY)
def test_units_do_not_matter(name: str) -> None:
    series = seasonal(channels=1)
    plain, scaled = find_detector(name).score(series), find_detector(name).score(series * 8 - 64)
    rank = np.argsort(np.argsort(plain)), np.argsort(np.argsort(scaled))
    assert np.corrcoef(*rank)[0, 1] > 0.999


@pytest.mark.parametrize("name", EVERY)
def test_a_series_that_does_not_vary_has_finite_scores(name: str) -> None:
    assert np.isfinite(find_detector(name).score(np.full((2, 600), 0.1))).all()


@pytest.mark.parametrize("name", EVERY)
def test_fit_does_nothing(name: str) -> None:
    series = seasonal()
    assert np.array_equal(
        find_detector(name).fit(series[:, :100] * 50).score(series), find_detector(name).score(series)
    )


@pytest.mark.wrong_shapes
@pytest.mark.parametrize("name", EVERY)
def test_bad_series_are_named(name: str) -> None:
    detector, series = find_detector(name), seasonal(channels=2)
    series[1, [7, 9]] = np.nan
    with pytest.raises(ValueError, match=rf"{name} cannot score missing values: 2 of them.*channel 1, step 7"):
        detector.score(series)
    with pytest.raises(ValueError, match=r"expected \[channels, steps\]"):
        detector.score(np.zeros(50))
    with pytest.raises(ValueError, match="steps"):
        detector.score(np.arange(3.0)[None])


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("sub_pca", "window", -1),
        ("sub_pca", "rank", 4),
        ("sub_pca", "components", 1.5),
        ("sub_kmeans", "clusters", 0),
        ("iforest", "trees", 0),
        ("iforest", "features", 2.0),
        ("sub_knn", "neighbours", 0),
        ("matrix_profile", "window", 2),
        ("spectral_residual", "smooth", 1),
        ("seasonal_residual", "season", -1),
    ],
)
def test_settings_are_checked(name: str, setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        find_detector(name, **{setting: value})


def plain_profile(values: np.ndarray, window: int) -> np.ndarray:
    """The definition: every pair of windows."""
    windows = np.lib.stride_tricks.sliding_window_view(values, window)
    flat = np.ptp(windows, axis=1) == 0
    scaled = (
        np.where(flat[:, None], 0, windows - windows.mean(1, keepdims=True))
        / np.where(flat, 1, windows.std(1))[:, None]
    )
    apart = np.sqrt(((scaled[:, None] - scaled) ** 2).sum(-1))  # a flat one is sqrt(window) from any other
    starts = np.arange(len(windows))
    return np.where(np.abs(starts[:, None] - starts) > -(-window // 4), apart, np.inf).min(1)


@pytest.mark.parametrize("window", [3, 8, 17])
@pytest.mark.parametrize("flat", [False, True])
def test_the_matrix_profile_is_its_definition(window: int, flat: bool) -> None:
    values = np.random.default_rng(window).normal(size=150).cumsum()
    if flat:
        values[30:60] = values[30]
        values[100:130] = values[100]
    assert matrix_profile(values, window) == pytest.approx(plain_profile(values, window), abs=1e-6)


def test_one_flat_stretch_is_sqrt_window_from_the_rest() -> None:
    values = np.random.default_rng(0).normal(size=150)
    values[70:80] = 1.0
    assert matrix_profile(values, 10)[70] == pytest.approx(np.sqrt(10))
    assert matrix_profile(values, 10) == pytest.approx(plain_profile(values, 10), abs=1e-6)


def test_too_few_steps_for_two_windows() -> None:
    with pytest.raises(ValueError, match="no two windows of 20"):
        matrix_profile(np.arange(24.0), 20)


def test_a_step_gets_the_mean_of_the_windows_that_contain_it() -> None:
    scores = np.random.default_rng(0).random(9)
    by_step = SubKMeans().step_scores(scores, 4)
    containing = [[scores[start] for start in range(9) if start <= step < start + 4] for step in range(12)]
    assert by_step == pytest.approx([np.mean(each) for each in containing])


def test_a_normalised_window_has_no_units() -> None:
    windows = np.random.default_rng(0).normal(size=(5, 8))
    windows[2] = 4.0
    scaled = normalised(windows)
    assert scaled[2] == pytest.approx(np.zeros(8))
    assert np.delete(scaled, 2, 0).std(1, ddof=1) == pytest.approx(np.ones(4))
    assert scaled == pytest.approx(normalised(windows * 2 + 1))
    assert np.array_equal(normalised(windows[:, :1]), windows[:, :1])
