"""Classifier and Regressor keep scikit-learn's contract, and are the models that the one trainer makes."""

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
    one = kind("mamba", overrides=overrides, members=3, seed=7)
    assert one.get_params()["overrides"] is overrides
    assert vars(one) == one.get_params()
    again = clone(one)
    assert again.get_params() == one.get_params()
    assert clone(one.set_params(seed=8)).seed == 8
    assert "members=3" in repr(one)
    assert (one.name, one.regresses) == ("mamba", kind is Regressor)


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
def test_labels_come_back_in_their_kind_whatever_their_order_as_text(labels: tuple) -> None:
    y = np.array(labels)[CODES]
    one = Classifier(trained(), method="probe", device="cpu").fit(X, y)
    found = one.predict(X)
    assert found.dtype == y.dtype
    assert (found == y).mean() > 0.9
    np.testing.assert_array_equal(one.classes_, np.unique(y))


def test_the_same_seed_gives_the_same_answers_and_leaves_the_generators_alone() -> None:
    before, folders = torch.random.get_rng_state(), set(Path(tempfile.gettempdir()).glob("tsfm-*"))
    one, two, other = (Classifier(**FEW, seed=seed).fit(X, NAMES).predict_proba(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert torch.equal(before, torch.random.get_rng_state())
    assert set(Path(tempfile.gettempdir()).glob("tsfm-*")) <= folders


def test_members_have_seeds_of_their_own_and_are_averaged(tmp_path: Path) -> None:
    both = Classifier(**FEW, seed=1, members=2).fit(X, NAMES)
    alone = [Classifier(**FEW, seed=seed).fit(X, NAMES).predict_proba(X) for seed in (1, 2)]
    np.testing.assert_allclose(both.predict_proba(X), np.mean(alone, axis=0), atol=1e-12)
    both.save(tmp_path / "model")
    for name, one in zip(("member0", "member1"), alone, strict=True):
        np.testing.assert_array_equal(tsfm.load(tmp_path / "model" / name).probabilities(X), one)


def test_members_replace_those_of_an_earlier_save_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, place = Classifier(members=3), tmp_path / "model"
    one.predictors_, one.n_channels_in_ = [trained(), trained("flatten"), trained()], 2
    one.save(place)
    one.predictors_ = one.predictors_[1::-1]
    kept = (one.save(place) / "member0" / "config.json").read_bytes()
    assert sorted(item.name for item in place.iterdir()) == ["member0", "member1"]

    def save(model: Any, path: Path, *, about: Any) -> Path:
        if path.name == "member1":
            raise OSError("the disk is full")
        return checkpoint.save(model, path, about=about)

    monkeypatch.setattr("tsfm.estimators.base.save", save)
    one.predictors_ = one.predictors_[::-1]
    with pytest.raises(OSError, match="the disk is full"):
        one.save(place)
    assert (place / "member0" / "config.json").read_bytes() == kept
    assert [item.name for item in tmp_path.iterdir()] == ["model"]  # no draft stays
    (place / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds 'notes.txt', which save did not write; name a new folder"):
        one.save(place)


def test_pickled_and_saved_it_answers_the_same(fitted: Classifier, tmp_path: Path) -> None:
    joblib.dump(fitted, tmp_path / "it.joblib")
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "it.joblib")):
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    model = tsfm.load(fitted.save(tmp_path / "model"))
    assert model.about.labels == {"classes": ["fast", "slow"]}
    np.testing.assert_array_equal(model.probabilities(X), fitted.predict_proba(X))
    assert list(model.classify(X)) == list(fitted.predict(X))


def test_forms_of_X_are_one(fitted: Classifier) -> None:
    np.testing.assert_array_equal(fitted.predict_proba(list(X)), fitted.predict_proba(X))
    longer = np.concatenate([1e3 * np.ones((len(X), 2, 9)), X], axis=2)
    np.testing.assert_array_equal(fitted.predict_proba(longer), fitted.predict_proba(X))  # the last steps count
    padded = np.where(np.arange(40) < 11, np.nan, X)
    np.testing.assert_allclose(fitted.predict_proba(X[:, :, 11:]), fitted.predict_proba(padded), atol=1e-6)
    flat = X[:, 0]
    one, two = Classifier(**FEW).fit(flat, NAMES), Classifier(**FEW).fit(flat[:, None], NAMES)
    np.testing.assert_array_equal(one.predict_proba(flat), two.predict_proba(list(flat)))
    assert (one.n_features_in_, hasattr(two, "n_features_in_")) == (40, False)


def test_unequal_lengths_and_gaps_are_learnt() -> None:
    rng = np.random.default_rng(0)
    cases = [case[:, : 24 + i % 16].copy() for i, case in enumerate(X)]
    for case in cases:
        case[rng.random(case.shape) < 0.1] = np.nan
    y = np.array([10, 9])[CODES]  # as text, 10 comes first
    one = Classifier(**ENOUGH).fit(cases, y)
    assert one.predictors_[0].model.config.context == 39
    assert one.score(cases, y) > 0.9


@pytest.mark.parametrize("backbone", ["inverted", "mamba", "patch_transformer"])
def test_any_backbone_of_ours(backbone: str) -> None:
    one = Classifier(backbone, **FEW).fit(X, NAMES)
    assert one.predictors_[0].model.parts["backbone"].name == backbone
    assert np.isfinite(one.predict_proba(X)).all()


def test_overrides_and_max_epochs_reach_the_run() -> None:
    one = Classifier(overrides=[*STEPS, "model.patch=10", "model.stride=10"], max_epochs=1, batch_size=40, device="cpu")
    assert one.fit(X, NAMES).predictors_[0].model.config.patch == 10
    assert one.predictors_[0].about.trained_on["data"]["batch_size"] == 40
    with pytest.raises(ValueError, match=r"model\.widht is not a setting; did you mean 'width'"):
        Classifier(overrides=["model.widht=3"]).fit(X, NAMES)
    with pytest.raises(ValueError, match=r"overrides hold 'backbone=mamba'; choose it by model="):
        Classifier(overrides=["backbone=mamba"]).fit(X, NAMES)


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_a_trained_model_is_adapted_and_stays_as_it_is(method: str, tmp_path: Path) -> None:
    base = trained()
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    place = base.save(tmp_path / "base") if method == "full" else base
    one = Classifier(place, method=method, device="cpu", overrides=["trainer.max_steps=30"]).fit(X, NAMES)
    found = one.predictors_[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())
    same = [
        torch.equal(tensor, before[name]) for name, tensor in found.model.state_dict().items() if "head" not in name
    ]
    assert all(same) == (method == "head")
    assert found.about.trained_on["init"]["from"] in ("base", base.name)
    assert "a" in found.about.trained_on["init"]["fingerprints"]
    model = tsfm.load(one.save(tmp_path / "model"))
    np.testing.assert_array_equal(model.probabilities(X), one.predict_proba(X))


def test_a_probe_of_a_trained_model(tmp_path: Path) -> None:
    one = Classifier(trained(), method="probe", device="cpu").fit(X, CODES + 9)
    assert set(one.predict(X)) == {9, 10}
    assert one.score(X, CODES + 9) > 0.9
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.predict_proba(X), one.predict_proba(X))
    with pytest.raises(ValueError, match=r"a probe is not a network.*joblib"):
        one.save(tmp_path / "model")
    with pytest.raises(NotFittedError):
        clone(one).predict(X)


def test_a_regression_follows_its_units(tmp_path: Path) -> None:
    y = X.mean(axis=(1, 2)) + CODES
    one, two = (Regressor(**ENOUGH).fit(X, targets) for targets in (y, 1000 * y - 50))
    assert one.score(X, y) > 0.5
    np.testing.assert_allclose(two.predict(X), 1000 * one.predict(X) - 50, rtol=1e-3, atol=0.1)
    model = tsfm.load(one.save(tmp_path / "model"))
    np.testing.assert_allclose(model.regress(X), one.predict(X), rtol=1e-12)


def test_a_regression_by_a_trained_model_and_its_probe() -> None:
    y = X.std(axis=(1, 2)) + CODES
    tuned = Regressor(trained(), method="head", device="cpu", max_epochs=1).fit(X, y)
    assert np.isfinite(tuned.predict(X)).all()
    assert Regressor(trained(), method="probe", device="cpu").fit(X, y).score(X, y) > 0.5
