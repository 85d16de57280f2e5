"""Detector: scores per step, calibrated to a false-alarm rate, of a model trained on the series or before."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import tsfm
from tests.estimators.small import trained
from tsfm import Detector

FEW: dict[str, Any] = {
    "overrides": ["model.width=16", "trainer.max_steps=90", "data.batches_per_epoch=30", "data.batch_size=32"],
    "device": "cpu",
}
SPIKE = slice(300, 304)


def series(length: int = 600, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sin(np.arange(length) / 4) + 0.1 * rng.normal(size=length)


def spoilt(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[..., SPIKE] += 3
    return values


@pytest.fixture(scope="module")
def fitted() -> Detector:
    return Detector(**FEW, level=0.95).fit(series(1200))


def test_parameters_are_stored_as_given() -> None:
    detector = Detector("mixer", level=0.9, window=64)
    assert vars(detector) == detector.get_params() == clone(detector).get_params()
    assert detector.name == "detector_mixer"


def test_what_is_strange_stands_out(fitted: Detector) -> None:
    new = spoilt(series(seed=1))
    scores, flags = fitted.score_samples(new), fitted.predict(new)
    assert scores.shape == flags.shape == new.shape
    assert scores[SPIKE].min() > 3 * np.median(scores)
    assert flags[SPIKE].all()
    np.testing.assert_array_equal(fitted.decision_function(new), scores - fitted.threshold_)
    np.testing.assert_array_equal(flags, (scores > fitted.threshold_).astype(int))


def test_the_false_alarm_rate_on_clean_steps_agrees_with_level(fitted: Detector) -> None:
    flags = fitted.predict([series(1200, seed=seed) for seed in (1, 2, 3)])
    assert 0.025 < np.mean(np.concatenate(flags)) < 0.1


def test_labels_as_sklearns_detectors_give_them(fitted: Detector) -> None:
    new = spoilt(series(seed=1))
    plain = fitted.predict(new)
    flipped = pickle.loads(pickle.dumps(fitted)).set_params(sklearn_labels=True).predict(new)
    assert set(flipped) == {-1, 1}
    np.testing.assert_array_equal(flipped == -1, plain == 1)


def test_scores_as_sklearns_detectors_give_them_are_lower_where_stranger(fitted: Detector) -> None:
    new = spoilt(series(seed=1))
    turned = pickle.loads(pickle.dumps(fitted)).set_params(sklearn_labels=True)
    np.testing.assert_array_equal(turned.score_samples(new), -fitted.score_samples(new))
    np.testing.assert_array_equal(turned.decision_function(new), -fitted.decision_function(new))
    np.testing.assert_array_equal(turned.decision_function(new) < 0, turned.predict(new) == -1)
    np.testing.assert_array_equal(turned.score(new[None]), fitted.score(new[None]))  # of benchmarks


def test_a_network_without_a_scaler_gets_standardized_series() -> None:
    """Shifted and stretched in training and in scoring alike, a series has the same scores."""
    steps = ["scaler=none", "data.standardize=true", "trainer.max_steps=20", "data.batches_per_epoch=10"]
    few: dict[str, Any] = {"overrides": [*steps, "model.width=16"], "level": 0.9, "device": "cpu"}
    clean, new = np.stack([series(), 5 + 9 * series(seed=2)]), np.stack([spoilt(series(seed=1)), series(seed=3)])
    loc, scale = np.array([[300.0], [-7.0]]), np.array([[40.0], [0.01]])
    detector, rescaled = Detector(**few).fit(clean), Detector(**few).fit(loc + scale * clean)
    assert rescaled.threshold_ == pytest.approx(detector.threshold_, rel=1e-2)
    scores = detector.score_samples(new)
    np.testing.assert_allclose(rescaled.score_samples(loc + scale * new), scores, rtol=1e-2, atol=1e-2 * scores.std())
    again = Detector(detector.predictor_, level=0.9, device="cpu").fit(clean)  # used as it is
    np.testing.assert_allclose(again.score_samples(new), scores, rtol=1e-5)
    with pytest.raises(ValueError, match=r"was trained on 2 channels and knows the scale of those only; found 1"):
        Detector(detector.predictor_, level=0.9, device="cpu").fit(series())


def test_a_list_of_series_gives_a_list_of_scores_and_missing_steps_have_none(fitted: Detector) -> None:
    first, second = series(seed=1), series(150, seed=2)
    first[40:60] = np.nan
    scores_by_series = fitted.score_samples([first, second[None]])
    assert [len(scores) for scores in scores_by_series] == [600, 150]
    np.testing.assert_array_equal(np.isnan(scores_by_series[0]), np.isnan(first))
    np.testing.assert_allclose(scores_by_series[0], fitted.score_samples(first), rtol=1e-4, atol=1e-5)
    assert not fitted.predict(first)[40:60].any()
    assert fitted.score(first[None]).shape == (600,)
    assert np.isfinite(fitted.score(first[None])).all()
    assert len(fitted.predict(np.stack([second, second])[:, None])) == 2


def test_the_threshold_is_the_quantile_of_the_held_out_scores(fitted: Detector) -> None:
    held = fitted.score_samples(series(1200))[-240:]
    assert np.mean(held > fitted.threshold_) <= 0.05
    assert np.mean(held >= fitted.threshold_) >= 0.05 - 1 / 240


def test_scores_are_scaled_by_the_training_series(fitted: Detector) -> None:
    """A series that is mostly anomalous does not set its own scale."""
    new = series(seed=1)
    new[100:500] += 4 * np.random.default_rng(0).normal(size=400)
    assert fitted.predict(new)[100:500].mean() > 0.7


def test_pickled_and_saved(fitted: Detector, tmp_path: Path) -> None:
    new = spoilt(series(seed=1))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.score_samples(new), fitted.score_samples(new))
    model = tsfm.load(fitted.save(tmp_path / "model"))
    own = model.detect(new)  # in units of this series
    np.testing.assert_allclose(own * new.std(), fitted.score_samples(new) * fitted.unit_[0, 0], rtol=1e-3, atol=1e-4)


def test_short_series_get_a_short_window() -> None:
    detector = Detector(**FEW, level=0.9, max_epochs=1).fit([series(100), series(60, seed=3)])
    assert detector.predictor_.model.config.context == 32
    assert Detector(**FEW, level=0.9, max_epochs=1, window=64).fit(series()).predictor_.model.config.context == 64


@pytest.mark.parametrize("backbone", ["mixer", "mamba", "inverted"])
def test_other_backbones_score_every_step(backbone: str) -> None:
    values = np.stack([series(300), series(300, seed=5)])
    detector = Detector(backbone, overrides=["data.batches_per_epoch=5"], max_epochs=1, level=0.9).fit(values)
    assert detector.score_samples(values).shape == (300,)


def test_a_trained_model_is_used_as_it_is_or_adapted() -> None:
    base = trained()
    detector = Detector(base, device="cpu", level=0.9).fit(series())
    assert detector.predictor_ is base
    assert np.mean(detector.score_samples(series()) > detector.threshold_) <= 0.1  # all steps calibrate
    few = ["trainer.max_steps=20", "data.batches_per_epoch=10"]
    adapted = Detector(base, method="head", device="cpu", level=0.9, overrides=few).fit(series())
    assert adapted.predictor_.about.task["name"] == "detect"
    assert adapted.predictor_.about.trained_on["init"]["from"] == base.name
