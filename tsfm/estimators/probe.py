"""A linear model on the frozen embeddings of a trained network.

N cases, C channels, L steps, D width, F = C x D features, M classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from tsfm.estimators.devices import DeviceEstimator
from tsfm.estimators.fitting import find_starting_point
from tsfm.estimators.probe_features import probe_features
from tsfm.estimators.validation import as_cases, as_labels, as_numbers
from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float

TASKS = ("classify", "regress")
VIEWS = "views"  # the value of `pool` for features of several views and layers
LOGISTIC_STRENGTHS = np.logspace(-3, 3, 7)  # C of the logistic regression
RIDGE_PENALTIES = np.logspace(-3, 5, 17)  # alpha of the ridge, in units of one standardized feature
VIEW_PENALTIES = np.logspace(-1, 5, 10)  # alpha of the ridge over many more features than cases


class Probe(DeviceEstimator):
    """A linear model on the standardized, pooled tokens of a frozen network.

    Parameters
    ----------
    model
        A trained model: directory, bundled name, or what `tsfm.load` returns.
    task
        "classify" or "regress".
    pool
        "mean", "last" or "max": logistic regression (classify) or ridge (regress) on the tokens of one layer, pooled to
        a vector per channel (`ModelPredictor.embed`). "views": ridge on several views of each case and several layers
        at once (`tsfm.estimators.probe_features`), which is more accurate and has no probabilities.
    layers
        Layers to choose from; "auto" for all. Layer and strength are chosen by cross-validation on the training cases
        (ridge: leave-one-out).
    folds
        Of the cross-validation.
    """

    def __init__(
        self,
        model: Any,
        task: str = "classify",
        *,
        pool: str = "mean",
        layers: str | int | Sequence[int] = "auto",
        folds: int = 5,
        seed: int = 0,
        device: str = "auto",
    ):
        self.model = model
        self.task = task
        self.pool = pool
        self.layers = layers
        self.folds = folds
        self.seed = seed
        self.device = device

    def fit(self, X: Any, y: Any) -> Probe:
        """Fit labels or numbers `y` [N] of the cases `X` (see `Classifier`); returns itself."""
        for name in ("linear_", "layer_", "predictor_"):  # of an earlier fit
            vars(self).pop(name, None)
        if self.task not in TASKS:
            raise ValueError(f"task is {self.task!r}; {did_you_mean(str(self.task), list(TASKS))}")
        start = find_starting_point(self.model, device=self.device)
        if start.predictor is None:
            raise ValueError(f"a probe needs a trained model, and {self.model!r} is a backbone without weights")
        cases = as_cases(X)
        targets = as_numbers(y, len(cases)) if self.task == "regress" else as_labels(y, len(cases))[1]
        self.predictor_, self.n_channels_in_ = start.predictor, len(cases[0])
        self.units_ = channel_units(cases) if not start.predictor.model.scaler.equivariant else (0.0, 1.0)
        layers = [VIEWS] if self.pool == VIEWS else self._layers()
        searches = {layer: self._search(self._features(cases, layer), targets) for layer in layers}
        self.layer_ = max(searches, key=lambda layer: searches[layer][0])  # the first of equal scores
        self.score_, self.linear_ = searches[self.layer_]
        if self.task == "classify":
            self.classes_ = as_labels(y, len(cases))[0]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return one class or number per case."""
        prediction = self._linear(X, "predict")
        return self.classes_[prediction] if self.task == "classify" else prediction

    def predict_proba(self, X: Any) -> Float[np.ndarray, "N M"]:
        """Return probabilities [cases, classes] in the order of `classes_`."""
        if self.task != "classify" or self.pool == VIEWS:
            kind = "for regression" if self.task != "classify" else "with pool='views'"
            raise AttributeError(f"a probe {kind} has no probabilities; use predict")
        return self._linear(X, "predict_proba")

    def _linear(self, X: Any, method: str) -> np.ndarray:
        check_is_fitted(self, "linear_")
        cases = as_cases(X, channels=self.n_channels_in_)
        return getattr(self.linear_, method)(self._features(cases, self.layer_))

    def _layers(self) -> list[int]:
        num = self.predictor_.model.num_layers
        if isinstance(self.layers, str):
            if self.layers != "auto":
                raise ValueError(f"layers is {self.layers!r}; expected 'auto', or numbers from 0 to {num - 1}")
            return list(range(num))
        chosen = [int(layer) for layer in np.atleast_1d(np.asarray(self.layers))]
        invalid = [layer for layer in chosen if not -num <= layer < num]
        if invalid or not chosen:
            raise ValueError(f"layers is {self.layers!r}; this model has the layers 0 to {num - 1}")
        return sorted({layer % num for layer in chosen})

    def _features(self, cases: list[np.ndarray], layer: int | str) -> Float[np.ndarray, "N F"]:
        loc, scale = self.units_
        cases = [(case - loc) / scale for case in cases]
        if isinstance(layer, str):
            return probe_features(self.predictor_, cases)
        vectors = np.stack([np.asarray(vector) for vector in self.predictor_.embed(cases, pool=self.pool, layer=layer)])
        return vectors.reshape(len(cases), -1).astype(np.float64)

    def _search(self, features: np.ndarray, targets: np.ndarray) -> tuple[float, Pipeline]:
        """Return the best score on held-out training cases, and the linear model of that strength fitted on all."""
        if self.task == "regress" or self.pool == VIEWS:
            ridge = RidgeCV(RIDGE_PENALTIES) if self.task == "regress" else RidgeClassifierCV(VIEW_PENALTIES)
            pipe = make_pipeline(StandardScaler(), ridge).fit(features, targets)
            return float(np.asarray(ridge.best_score_)), pipe
        pipe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
        folds = min(self.folds, int(np.bincount(targets).max()))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*least populated class.*")
            warnings.filterwarnings("ignore", message=".*failed to converge.*")
            if folds < 2:  # one case of each class: none can be held out
                return 0.0, pipe.fit(features, targets)
            split = StratifiedKFold(folds, shuffle=True, random_state=self.seed)
            search = GridSearchCV(pipe, {"logisticregression__C": LOGISTIC_STRENGTHS}, scoring="accuracy", cv=split)
            search.fit(features, targets)
        return float(search.best_score_), search.best_estimator_


def channel_units(cases: list[Float[np.ndarray, "C _"]]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel over all cases, for a model without scaler."""
    whole = np.concatenate(cases, axis=1).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel without observed values
        loc, scale = np.nanmean(whole, axis=1, keepdims=True), np.nanstd(whole, axis=1, keepdims=True)
    return np.nan_to_num(loc), np.where(scale > 0, scale, 1.0)
