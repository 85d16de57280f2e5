"""The linear probe: strength and layer from the training cases alone, the network untouched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.estimators.small import trained, waves
from tsfm.estimators.probe import LOGISTIC_STRENGTHS, RIDGE_PENALTIES, Probe

X, CODES = waves()


def test_it_is_sklearns_logistic_regression_on_standardised_embeddings() -> None:
    base = trained()
    probe = Probe(base, layers=[1], device="cpu").fit(X, CODES)
    features = base.embed(X, layer=1).reshape(len(X), -1).astype(np.float64)
    strength = probe.linear_[-1].C
    assert strength in LOGISTIC_STRENGTHS
    same = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000)).fit(features, CODES)
    np.testing.assert_allclose(probe.predict_proba(X), same.predict_proba(features), atol=1e-8)


def test_it_is_sklearns_ridge_on_standardised_embeddings() -> None:
    base, y = trained(), X.std(axis=(1, 2))
    probe = Probe(base, "regress", layers=-1, pool="last", device="cpu").fit(X, y)
    features = base.embed(X, layer=-1, pool="last").reshape(len(X), -1).astype(np.float64)
    strength = probe.linear_[-1].alpha_
    assert strength in RIDGE_PENALTIES
    same = make_pipeline(StandardScaler(), Ridge(alpha=strength)).fit(features, y)
    np.testing.assert_allclose(probe.predict(X), same.predict(features), rtol=1e-6)


@pytest.mark.parametrize(("task", "y"), [("classify", CODES), ("regress", X.std(axis=(1, 2)))])
def test_the_layer_is_the_best_of_the_layers_on_the_training_cases(task: str, y: np.ndarray) -> None:
    base = trained()
    each = [Probe(base, task, layers=layer, device="cpu").fit(X, y).score_ for layer in range(base.model.num_layers)]
    probe = Probe(base, task, device="cpu").fit(X, y)
    assert probe.score_ == pytest.approx(max(each))
    assert probe.layer_ == int(np.argmax(each))


def test_the_network_is_not_touched() -> None:
    base = trained()
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    Probe(base, device="cpu").fit(X, CODES)
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())


def test_a_model_without_a_scaler_gets_standardized_cases() -> None:
    base = trained(backbone="patch_transformer")
    plain = type(base)(base.model, name="plain")
    plain.model.scaler.equivariant = False
    probe, rescaled = (Probe(plain, layers=1, device="cpu").fit(values, CODES) for values in (X, 50 * X + 9))
    np.testing.assert_allclose(probe.predict_proba(X), rescaled.predict_proba(50 * X + 9), atol=1e-3)


def test_a_refit_that_fails_leaves_nothing_of_the_earlier_fit() -> None:
    probe = Probe(trained(), layers=1, device="cpu").fit(X, CODES)
    with pytest.raises(ValueError, match=r"this model has the layers"):
        probe.set_params(layers=9).fit(X, CODES)
    with pytest.raises(NotFittedError):
        probe.predict(X)


def test_one_case_of_each_class_is_enough() -> None:
    probe = Probe(trained(), device="cpu").fit(X[:2], ["b", "a"])
    assert list(probe.predict(X[:2])) == ["b", "a"]
    assert clone(probe).get_params().keys() == probe.get_params().keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "forecast"}, r"task is 'forecast'; .*known: classify, regress"),
        ({"layers": "all"}, r"layers is 'all'; expected 'auto', or numbers from 0 to 3"),
        ({"layers": [9]}, r"layers is \[9\]; this model has the layers 0 to 3"),
        ({"pool": "sum"}, r"pool is 'sum'"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Probe(trained(), **settings).fit(X, CODES)
    with pytest.raises(ValueError, match=r"'mixer' is a backbone without weights"):
        Probe("mixer").fit(X, CODES)
    with pytest.raises(AttributeError, match="has no probabilities"):
        Probe(trained(), "regress").predict_proba(X)
