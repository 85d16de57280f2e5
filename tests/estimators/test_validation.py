"""Bad inputs of the estimators end in an error of one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from tests.estimators.small import FEW, trained, waves
from tsfm import Classifier, Detector, Regressor
from tsfm.estimators.probe import Probe

X, CODES = waves(12)
WITH_INF, SILENT = X.copy(), X.copy()
WITH_INF[3, 1, 5] = np.inf
SILENT[4] = np.nan
RAGGED = [*X[:5], X[5, :1], *X[6:]]
SERIES = np.sin(np.arange(600) / 5)


@pytest.mark.parametrize(
    ("cases", "labels", "message"),
    [
        (X, np.zeros(12, int), r"y has only the class 0; a classifier needs"),
        (X, ["a"] * 12, r"y has only the class 'a'; a classifier needs"),
        (X[:0], [], r"X holds no case; give at least one"),
        ([], [], r"X holds no case"),
        (RAGGED, CODES, r"case 5 has 1 channels, and case 0 has 2; all need the same"),
        (SILENT, CODES, r"case 4 has no observed value; leave it out"),
        (WITH_INF, CODES, r"case 3 holds inf in channel 1, step 5, infinite or beyond float32"),
        (X * 1e300, CODES, r"case 0 holds .* beyond float32"),
        (X, CODES[:7], r"X has 12 cases and y 7 entries; give one for each case"),
        (X[None], CODES, r"X has shape \(1, 12, 2, 40\); expected \[cases, channels, steps\]"),
        (X[0, 0], CODES, r"X has shape \(40,\); expected"),
        ([1.0, 2.0], [0, 1], r"case 0 has shape \(\); expected \[channels, steps\] or \[steps\]"),
        ([X[0], X[1][:, :0]], [0, 1], r"case 1 has shape \(2, 0\)"),
        ([["a", "b"], ["c", "d"]], [0, 1], r"case 0 holds <U1; expected numbers"),
        ([pd.DataFrame(X[0].T), pd.DataFrame(X[1].T)], [0, 1], r"case 0 is a table; give its values"),
        (X, None, r"y is missing"),
        (X, pd.array([*[1, 2] * 5, 1, pd.NA], dtype="Int64"), r"y has no label for 1 cases, the first is case 11"),
        (X, [*"abababababa", None], r"y has no label for 1 cases, the first is case 11"),
        (X, [*CODES[:11].astype(float), np.nan], r"y has no label for 1 cases, the first is case 11"),
        (X, ["a", 1] * 6, r"y mixes labels of the kinds int, str; make them all text"),
        (X, CODES + 0.5, r"y holds 0\.5, which is a number and not a class; use Regressor"),
        (X, np.stack([CODES, CODES], 1), r"y has shape \(12, 2\); expected one entry for each case"),
    ],
)
def test_a_classifier_says_what_is_wrong_with_its_cases(cases: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Classifier(**FEW).fit(cases, labels)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array(["a", "b"])[CODES], r"y holds 'a'; the targets of a regression are numbers: use Classifier"),
        (["1.5", "2"] * 6, r"the targets of a regression are numbers"),
        (np.ones(12), r"y is 1 for every case; there is nothing to learn"),
        ([*range(11), np.inf], r"y holds inf for case 11"),
        ([*range(11), np.nan], r"y has no label for 1 cases, the first is case 11"),
    ],
)
def test_a_regressor_says_what_is_wrong_with_its_targets(targets: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Regressor(**FEW).fit(X, targets)


@pytest.mark.parametrize("estimator", [Classifier(), Regressor(), Detector(), Probe("anything")], ids=repr)
def test_nothing_is_predicted_before_a_fit(estimator: Any) -> None:
    with pytest.raises(NotFittedError):
        estimator.predict(X)


def test_other_channels_at_predict_are_named() -> None:
    classifier = Classifier(trained(), method="probe", device="cpu").fit(X, CODES)
    with pytest.raises(ValueError, match=r"case 0 has 1 channels, and the estimator was fitted on 2"):
        classifier.predict(X[:, :1])
    with pytest.raises(ValueError, match=r"case 2 has 1 channels, and the estimator was fitted on 2"):
        classifier.predict([X[0], X[1], X[2, 0]])
    with pytest.raises(ValueError, match=r"X holds no case"):
        classifier.predict([])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "mixr"}, r"no backbone of that name \(did you mean 'mixer'\?.*no model 'mixr'"),
        ({"model": 3}, r"model is of type int; expected a backbone"),
        ({"method": "lora"}, r"method=lora adapts a trained model, and model='mixer' is a backbone without weights"),
        ({"method": "al"}, r"method is 'al'; .*known: full, head, lora, probe"),
        ({"members": 0}, r"members is 0; it is a number of networks"),
        ({"device": "gpu"}, r"device is 'gpu'; .*known: auto, cpu, cuda, mps"),
        ({"experiment": "classify/deflt"}, r"unknown experiment 'classify/deflt'; did you mean 'classify/default'"),
        ({"overrides": "model.width=3"}, r"overrides are 'model.width=3'; expected a list"),
        ({"model": "dlinear"}, r"backbone\.depth is not a setting"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_at_fit(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Classifier(**settings).fit(X, CODES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": 2}, r"members is 2, and a probe is deterministic"),
        ({"overrides": ["seed=1"]}, r"method='probe' trains no network"),
    ],
)
def test_a_probe_has_no_recipe(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Classifier(trained(), method="probe", **settings).fit(X, CODES)


def test_overlapping_patches_have_no_pooled_head() -> None:
    with pytest.raises(ValueError, match=r"cuts patches of 8 steps every 4, and repeats the last, and head=pooled"):
        Classifier(trained("flatten")).fit(X, CODES)


@pytest.mark.parametrize(
    ("series", "settings", "message"),
    [
        (SERIES[:60], {}, r"the longest series has 60 steps, and 9\d are needed to train windows of 32"),
        (SERIES[:, None], {}, r"600 channels of 1 steps: are rows and columns exchanged\?"),
        (SERIES, {"level": 1.0}, r"level is 1; expected"),
        (SERIES, {"level": 0.999}, r"120 steps are held out, and level=0.999 needs 999"),
        (SERIES, {"calibration": 0.0}, r"calibration is 0.0; it is a share of the series"),
        (SERIES, {"combine": "sum"}, r"combine is 'sum'; "),
        (SERIES, {"method": "full"}, r"method=full adapts a trained model, and 'patch_transformer' is a backbone"),
        (SERIES, {"scoring": "zscore"}, r"task\.score is 'zscore'"),
        ([], {}, r"X holds no series"),
        (np.full(600, np.nan), {}, r"X has no observed value"),
        (np.stack([SERIES, np.full(600, np.nan)]), {}, r"series 0 has no observed value in channel 1"),
        ([SERIES, np.stack([SERIES] * 2)], {}, r"series 1 has 2 channels, series 0 1; give the same"),
        (np.where(np.arange(600) == 9, np.inf, SERIES), {}, r"X holds inf in channel 0, step 9"),
        (SERIES.astype(str), {}, None),
    ],
)
def test_a_detector_says_what_is_wrong(series: Any, settings: dict, message: str | None) -> None:
    steps = {"overrides": ["trainer.max_steps=1", "data.batches_per_epoch=1", "model.width=16"], "device": "cpu"}
    if message is None:  # numbers as text are numbers
        assert Detector(**steps, level=0.9).fit(series).threshold_ > 0
        return
    with pytest.raises(ValueError, match=message):
        Detector(**settings, **steps).fit(series)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"calibration": "0.2"}, r"calibration is '0\.2'; it is a share of the series"),
        ({"calibration": True}, r"calibration is True; it is a share"),
        ({"stride": 0}, r"stride is 0; it is a number of steps, at least 1"),
        ({"stride": 2.5}, r"stride is 2\.5; it is a number of steps"),
        ({"stride": 65, "window": 64}, r"stride is 65, and the windows have 64 steps"),
        ({"level": 0.999}, r"120 steps are held out, and level=0\.999 needs 999"),
        ({"level": 0.95, "calibration": 0.1, "stop": 558}, r"18 steps are held out, and level=0\.95 needs 19"),
    ],
)
def test_wrong_settings_are_refused_before_the_training(
    settings: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*args: Any, **options: Any) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr("tsfm.estimators.detector.train_predictor", fit)
    settings = dict(settings)
    series = np.where(np.arange(600) < settings.pop("stop", 600), SERIES, np.nan)
    with pytest.raises(ValueError, match=message):
        Detector(**settings, device="cpu").fit(series)
    with pytest.raises(AssertionError, match="it trained"):
        Detector(device="cpu", level=0.95).fit(SERIES)


def test_a_detector_of_a_trained_model_refuses_options_of_training() -> None:
    with pytest.raises(ValueError, match=r"window is 64, and a trained model has its own"):
        Detector(trained(), window=64).fit(SERIES)
    with pytest.raises(ValueError, match=r"without a method the model is not trained"):
        Detector(trained(), max_epochs=3).fit(SERIES)
    detector = Detector(trained(), device="cpu").fit(SERIES)
    with pytest.raises(ValueError, match=r"series 0 has 2 channels, the detector was fitted on 1"):
        detector.predict(np.stack([SERIES] * 2))
