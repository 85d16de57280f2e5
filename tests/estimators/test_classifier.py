"""Classifier and Regressor keep scikit-learn's contract, and train their models with tsfm's trainer."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline

import tsfm
from tests.estimators.small import ENOUGH, FEW, STEPS, trained, waves
from tsfm import Classifier, Regressor
from tsfm.model import checkpoint

X, CODES = waves()
NAMES = np.array(["slow", "fast"])[CODES]


@pytest.fixture(scope="module")
def fitted() -> Classifier:
    return Classifier(**ENOUGH).fit(X, NAMES)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_parameters_are_stored_as_given_and_nothing_else(kind: Any) -> None:
    overrides = ["optim.lr=1e-4"]
    estimator = kind("mamba", overrides=overrides, members=3, seed=7)
    assert estimator.get_params()["overrides"] is overrides
    assert vars(estimator) == estimator.get_params()
    again = clone(estimator)
    assert again.get_params() == estimator.get_params()
    assert clone(estimator.set_params(seed=8)).seed == 8
    assert "members=3" in repr(estimator)
    assert (estimator.name, estimator.regresses) == ("mamba", kind is Regressor)


def test_sklearn_knows_what_they_are() -> None:
    assert is_classifier(Classifier())
    assert not is_classifier(Regressor())
    assert is_regressor(Regressor())


def test_a_pipeline_is_cross_validated() -> None:
    pipe = Pipeline([("clf", Classifier(**FEW))])
    scores = cross_val_score(pipe, list(X), NAMES, cv=2, error_score="raise")
    assert scores.shape == (2,)
    assert pipe.set_params(clf__seed=3).get_params()["clf__seed"] == 3


def test_it_learns_and_its_probabilities_are_probabilities(fitted: Classifier) -> None:
    new, codes = waves(30, seed=1)
    share = fitted.predict_proba(new)
    assert fitted.score(new, np.array(["slow", "fast"])[codes]) > 0.9
    assert share.shape == (30, 2)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert (fitted.classes_[share.argmax(axis=1)] == fitted.predict(new)).all()
    assert (fitted.n_channels_in_, list(fitted.classes_)) == (2, ["fast", "slow"])


@pytest.mark.parametrize(
    "labels", [(10, 9), (True, False), (1.0, 0.0), (-1, -10), ("10", "9")], ids=lambda labels: repr(labels)
)
def test_predicted_labels_have_the_type_and_order_of_y(labels: tuple) -> None:
    y = np.array(labels)[CODES]
    classifier = Classifier(trained(), method="probe", device="cpu").fit(X, y)
    predicted = classifier.predict(X)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.9
    np.testing.assert_array_equal(classifier.classes_, np.unique(y))


def test_the_same_seed_gives_the_same_predictions_and_leaves_global_generators_alone() -> None:
    before, folders = torch.random.get_rng_state(), set(Path(tempfile.gettempdir()).glob("tsfm-*"))
    first, again, other = (Classifier(**FEW, seed=seed).fit(X, NAMES).predict_proba(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert torch.equal(before, torch.random.get_rng_state())
    assert set(Path(tempfile.gettempdir()).glob("tsfm-*")) <= folders


def test_members_have_seeds_of_their_own_and_are_averaged(tmp_path: Path) -> None:
    both = Classifier(**FEW, seed=1, members=2).fit(X, NAMES)
    alone = [Classifier(**FEW, seed=seed).fit(X, NAMES).predict_proba(X) for seed in (1, 2)]
    np.testing.assert_allclose(both.predict_proba(X), np.mean(alone, axis=0), atol=1e-12)
    both.save(tmp_path / "model")
    for name, probabilities in zip(("member0", "member1"), alone, strict=True):
        np.testing.assert_array_equal(tsfm.load(tmp_path / "model" / name).probabilities(X), probabilities)


def test_saving_replaces_all_members_of_an_earlier_save_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, folder = Classifier(members=3), tmp_path / "model"
    classifier.predictors_, classifier.n_channels_in_ = [trained(), trained("flatten"), trained()], 2
    classifier.save(folder)
    classifier.predictors_ = classifier.predictors_[1::-1]
    kept = (classifier.save(folder) / "member0" / "config.json").read_bytes()
    assert sorted(item.name for item in folder.iterdir()) == ["member0", "member1"]

    def save(model: Any, path: Path, *, about: Any) -> Path:
        if path.name == "member1":
            raise OSError("the disk is full")
        return checkpoint.save(model, path, about=about)

    monkeypatch.setattr("tsfm.estimators.base.save", save)
    classifier.predictors_ = classifier.predictors_[::-1]
    with pytest.raises(OSError, match="the disk is full"):
        classifier.save(folder)
    assert (folder / "member0" / "config.json").read_bytes() == kept
    assert [item.name for item in tmp_path.iterdir()] == ["model"]  # no draft stays
    (folder / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds 'notes.txt', which save did not write; name a new folder"):
        classifier.save(folder)


def test_pickled_and_saved_it_answers_the_same(fitted: Classifier, tmp_path: Path) -> None:
    joblib.dump(fitted, tmp_path / "it.joblib")
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "it.joblib")):
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    model = tsfm.load(fitted.save(tmp_path / "model"))
    assert model.about.labels == {"classes": ["fast", "slow"]}
    np.testing.assert_array_equal(model.probabilities(X), fitted.predict_proba(X))
    assert list(model.classify(X)) == list(fitted.predict(X))


def test_equivalent_forms_of_X_give_the_same_probabilities(fitted: Classifier) -> None:
    np.testing.assert_array_equal(fitted.predict_proba(list(X)), fitted.predict_proba(X))
    longer = np.concatenate([1e3 * np.ones((len(X), 2, 9)), X], axis=2)
    np.testing.assert_array_equal(fitted.predict_proba(longer), fitted.predict_proba(X))  # the last steps count
    padded = np.where(np.arange(40) < 11, np.nan, X)
    np.testing.assert_allclose(fitted.predict_proba(X[:, :, 11:]), fitted.predict_proba(padded), atol=1e-6)
    flat = X[:, 0]
    from_2d, from_3d = Classifier(**FEW).fit(flat, NAMES), Classifier(**FEW).fit(flat[:, None], NAMES)
    np.testing.assert_array_equal(from_2d.predict_proba(flat), from_3d.predict_proba(list(flat)))
    assert (from_2d.n_features_in_, hasattr(from_3d, "n_features_in_")) == (40, False)


def test_cases_of_unequal_lengths_with_missing_values_are_learnt() -> None:
    rng = np.random.default_rng(0)
    cases = [case[:, : 24 + i % 16].copy() for i, case in enumerate(X)]
    for case in cases:
        case[rng.random(case.shape) < 0.1] = np.nan
    y = np.array([10, 9])[CODES]  # as text, 10 comes first
    classifier = Classifier(**ENOUGH).fit(cases, y)
    assert classifier.predictors_[0].model.config.context == 39
    assert classifier.score(cases, y) > 0.9


@pytest.mark.parametrize("backbone", ["inverted", "mamba", "patch_transformer"])
def test_every_kind_of_backbone_trains(backbone: str) -> None:
    classifier = Classifier(backbone, **FEW).fit(X, NAMES)
    assert classifier.predictors_[0].model.parts["backbone"].name == backbone
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_overrides_and_max_epochs_are_used_in_training() -> None:
    classifier = Classifier(
        overrides=[*STEPS, "model.patch=10", "model.stride=10"], max_epochs=1, batch_size=40, device="cpu"
    )
    assert classifier.fit(X, NAMES).predictors_[0].model.config.patch == 10
    assert classifier.predictors_[0].about.trained_on["data"]["batch_size"] == 40
    with pytest.raises(ValueError, match=r"model\.widht is not a setting; did you mean 'width'"):
        Classifier(overrides=["model.widht=3"]).fit(X, NAMES)
    with pytest.raises(ValueError, match=r"overrides hold 'backbone=mamba'; choose it by model="):
        Classifier(overrides=["backbone=mamba"]).fit(X, NAMES)


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_a_trained_model_is_adapted_and_itself_unchanged(method: str, tmp_path: Path) -> None:
    base = trained()
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    source = base.save(tmp_path / "base") if method == "full" else base
    classifier = Classifier(source, method=method, device="cpu", overrides=["trainer.max_steps=30"]).fit(X, NAMES)
    adapted = classifier.predictors_[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())
    same = [
        torch.equal(tensor, before[name]) for name, tensor in adapted.model.state_dict().items() if "head" not in name
    ]
    assert all(same) == (method == "head")
    assert adapted.about.trained_on["init"]["from"] in ("base", base.name)
    assert "a" in adapted.about.trained_on["init"]["fingerprints"]
    model = tsfm.load(classifier.save(tmp_path / "model"))
    np.testing.assert_array_equal(model.probabilities(X), classifier.predict_proba(X))


def test_a_probe_of_a_trained_model_predicts_and_pickles_and_is_not_saved(tmp_path: Path) -> None:
    probe = Classifier(trained(), method="probe", device="cpu").fit(X, CODES + 9)
    assert set(probe.predict(X)) == {9, 10}
    assert probe.score(X, CODES + 9) > 0.9
    again = pickle.loads(pickle.dumps(probe))
    np.testing.assert_array_equal(again.predict_proba(X), probe.predict_proba(X))
    with pytest.raises(ValueError, match=r"a probe is not a network.*joblib"):
        probe.save(tmp_path / "model")
    with pytest.raises(NotFittedError):
        clone(probe).predict(X)


def test_rescaled_targets_give_rescaled_predictions(tmp_path: Path) -> None:
    y = X.mean(axis=(1, 2)) + CODES
    regressor, rescaled = (Regressor(**ENOUGH).fit(X, targets) for targets in (y, 1000 * y - 50))
    assert regressor.score(X, y) > 0.5
    np.testing.assert_allclose(rescaled.predict(X), 1000 * regressor.predict(X) - 50, rtol=1e-3, atol=0.1)
    model = tsfm.load(regressor.save(tmp_path / "model"))
    np.testing.assert_allclose(model.regress(X), regressor.predict(X), rtol=1e-12)


def test_a_regression_by_a_trained_model_and_its_probe() -> None:
    y = X.std(axis=(1, 2)) + CODES
    tuned = Regressor(trained(), method="head", device="cpu", max_epochs=1).fit(X, y)
    assert np.isfinite(tuned.predict(X)).all()
    assert Regressor(trained(), method="probe", device="cpu").fit(X, y).score(X, y) > 0.5
