"""A linear model on the frozen embeddings of a trained network: how much of the answer is there already.

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

from tsfm.estimators.fitting import begin
from tsfm.estimators.portable import Portable
from tsfm.estimators.probe_features import looks
from tsfm.estimators.validation import as_cases, as_labels, as_numbers
from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float

TASKS = ("classify", "regress")
LOOKS = "looks"  # the pool that is no pool of one layer
STRENGTHS = np.logspace(-3, 3, 7)  # C of the logistic regression
PENALTIES = np.logspace(-3, 5, 17)  # alpha of the ridge, in units of one standardised feature
STRONG = np.logspace(-1, 5, 10)  # alpha of the ridge over many more features than cases


class Probe(Portable):
    """A linear model on the standardised, pooled tokens of a network that learns nothing here.

    pool=mean, last, max: logistic regression (classify) or ridge (regress) on the tokens of one layer. pool=looks:
    ridge on several looks at each case and several layers at once (`tsfm.estimators.probe_features`), which tells
    more and knows no probabilities; of the classes, the nearest to a regression on -1 and 1 (RidgeClassifierCV).

    model: a trained model (directory, bundled name, or what `tsfm.load` gives); pool: how its tokens become one vector
    per channel (`ModelPredictor.embed`), the channels lie side by side. layers: those to choose among, "auto" for all;
    layer and strength are chosen by cross-validation on the training cases (ridge: leaving one out).
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
        for name in ("linear_", "layer_", "predictor_"):  # of an earlier fit
            vars(self).pop(name, None)
        if self.task not in TASKS:
            raise ValueError(f"task is {self.task!r}; {did_you_mean(str(self.task), list(TASKS))}")
        start = begin(self.model, device=self.device)
        if start.predictor is None:
            raise ValueError(f"a probe looks into a trained model, and {self.model!r} is a backbone without weights")
        cases = as_cases(X)
        targets = as_numbers(y, len(cases)) if self.task == "regress" else as_labels(y, len(cases))[1]
        self.predictor_, self.n_channels_in_ = start.predictor, len(cases[0])
        self.units_ = units(cases) if not start.predictor.model.scaler.equivariant else (0.0, 1.0)
        layers = [LOOKS] if self.pool == LOOKS else self._layers()
        found = {layer: self._search(self._features(cases, layer), targets) for layer in layers}
        self.layer_ = max(found, key=lambda layer: found[layer][0])  # the first of those that are equal
        self.score_, self.linear_ = found[self.layer_]
        if self.task == "classify":
            self.classes_ = as_labels(y, len(cases))[0]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """[N] classes or numbers."""
        read = self._linear(X, "predict")
        return self.classes_[read] if self.task == "classify" else read

    def predict_proba(self, X: Any) -> Float[np.ndarray, "N M"]:
        """Probabilities of `classes_`."""
        if self.task != "classify" or self.pool == LOOKS:
            what = "of numbers" if self.task != "classify" else "by ridge (pool=looks)"
            raise AttributeError(f"a probe {what} has no probabilities; use predict")
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
        wrong = [layer for layer in chosen if not -num <= layer < num]
        if wrong or not chosen:
            raise ValueError(f"layers is {self.layers!r}; this model has the layers 0 to {num - 1}")
        return sorted({layer % num for layer in chosen})

    def _features(self, cases: list[np.ndarray], layer: int | str) -> Float[np.ndarray, "N F"]:
        loc, scale = self.units_
        cases = [(case - loc) / scale for case in cases]
        if isinstance(layer, str):
            return looks(self.predictor_, cases)
        vectors = np.stack([np.asarray(one) for one in self.predictor_.embed(cases, pool=self.pool, layer=layer)])
        return vectors.reshape(len(cases), -1).astype(np.float64)

    def _search(self, features: np.ndarray, targets: np.ndarray) -> tuple[float, Pipeline]:
        """The score on held-out training cases of the best strength, and the linear model with it on all of them."""
        if self.task == "regress" or self.pool == LOOKS:
            ridge = RidgeCV(PENALTIES) if self.task == "regress" else RidgeClassifierCV(STRONG)
            pipe = make_pipeline(StandardScaler(), ridge).fit(features, targets)
            return float(np.asarray(ridge.best_score_)), pipe
        pipe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
        folds = min(self.folds, int(np.bincount(targets).max()))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*least populated class.*")
            warnings.filterwarnings("ignore", message=".*failed to converge.*")
            if folds < 2:  # one case of each class: nothing to hold out
                return 0.0, pipe.fit(features, targets)
            split = StratifiedKFold(folds, shuffle=True, random_state=self.seed)
            search = GridSearchCV(pipe, {"logisticregression__C": STRENGTHS}, scoring="accuracy", cv=split)
            search.fit(features, targets)
        return float(search.best_score_), search.best_estimator_


def units(cases: list[Float[np.ndarray, "C L"]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel over all cases, for a model that does not scale what it is shown."""
    whole = np.concatenate(cases, axis=1).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel that nobody observed
        loc, scale = np.nanmean(whole, axis=1, keepdims=True), np.nanstd(whole, axis=1, keepdims=True)
    return np.nan_to_num(loc), np.where(scale > 0, scale, 1.0)
