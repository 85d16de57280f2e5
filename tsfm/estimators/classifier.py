"""Classifier and Regressor: labels and numbers of whole series, with scikit-learn's interface.

    Classifier("mixer").fit(X, y).predict(X_new)             from random weights
    Classifier("my_model", method="lora").fit(X, y)          from a trained model

N cases, C channels, L steps, M classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from tsfm.estimators.base import CaseEstimator, mean
from tsfm.estimators.validation import as_cases, as_labels, as_numbers

if TYPE_CHECKING:
    from jaxtyping import Float


class Classifier(ClassifierMixin, CaseEstimator):
    """Tells the class of a series.

    model: a backbone, trained from random weights, or a trained model (directory, bundled name, or what `tsfm.load`
        gives), adapted by `method`: full | head | lora | probe (a linear model on its frozen embeddings).
    experiment, overrides: the recipe, an experiment of conf/ and settings as on the command line; None: the own one.
    members: networks that are trained, with the seeds seed, seed + 1, ...; their answers are averaged.
    max_epochs, batch_size: None leaves them to the recipe, whose number of steps is an upper bound.
    device: auto | cpu | cuda | mps.

    X: an array [cases, channels, length] or [cases, length], or a list of [channels, length] arrays of any lengths.
        NaN is a value nobody observed. A case longer than those of the training keeps its last steps.
    y: labels of one kind (text, whole numbers, booleans); `predict` answers in that kind, and `classes_` are sorted.
    """

    kind = "classify"

    def fit(self, X: Any, y: Any) -> Classifier:
        cases = as_cases(X)
        classes, codes = as_labels(y, len(cases))
        # a name for each class whose order as text is that of the classes
        names = np.array([str(name) for name in classes], dtype=object)
        if len(set(names.tolist())) < len(names):
            raise ValueError(f"y holds different labels that read alike: {', '.join(sorted(names))}; make them text")
        self._fit(X, cases, names[codes])
        self.classes_ = classes
        self._places = np.argsort(np.argsort(names.astype(str)))  # of the classes among their names in order
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "N M"]:
        """Probabilities of `classes_`, the mean over the members."""
        cases = self._check(X)
        if self.method == "probe":
            found = self.probe_.predict_proba(cases)
        else:
            found = mean([one.probabilities(cases) for one in self.predictors_])
        return found[:, self._places]

    def predict(self, X: Any) -> np.ndarray:
        """[N] the likeliest class of each case."""
        share = self.predict_proba(X)
        return self.classes_[share.argmax(axis=1)]


class Regressor(RegressorMixin, CaseEstimator):
    """Tells a number that belongs to a series; parameters and X as for Classifier.

    y: numbers; they are standardised for training, and `predict` answers in their units.
    """

    kind = "regress"

    def fit(self, X: Any, y: Any) -> Regressor:
        cases = as_cases(X)
        self._fit(X, cases, as_numbers(y, len(cases)))
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " N"]:
        """[N] numbers, the mean over the members."""
        cases = self._check(X)
        if self.method == "probe":
            return self.probe_.predict(cases)
        return mean([one.regress(cases) for one in self.predictors_])
