"""Classifier and Regressor: labels and numbers of whole series, with scikit-learn's interface.

    Classifier("mixer").fit(X, y).predict(X_new)             from random weights
    Classifier("my_model", method="lora").fit(X, y)          from a trained model

N cases, C channels, L steps, M classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from tsfm.estimators.base import CaseEstimator, average
from tsfm.estimators.validation import as_cases, as_labels, as_numbers

if TYPE_CHECKING:
    from jaxtyping import Float


class Classifier(ClassifierMixin, CaseEstimator):
    """A classifier of whole series with the interface of scikit-learn.

    Parameters
    ----------
    model
        The name of a backbone, trained from random weights; or a trained model (directory, bundled name, or what
        `tsfm.load` returns), adapted by `method`.
    experiment, overrides
        The recipe: an experiment of conf/, and settings as on the command line. None takes the default recipe.
    method
        "full", "head", "lora", or "probe" (a linear model on frozen embeddings).
    members
        Number of networks, trained with the seeds seed, seed + 1, ...; their probabilities are averaged.
    max_epochs, batch_size
        None takes those of the recipe, whose number of steps is an upper bound.
    device
        "auto", "cpu", "cuda" or "mps".

    Notes
    -----
    `X` is an array [cases, channels, steps] or [cases, steps], or a list of [channels, steps] arrays of any lengths.
    NaN is a missing value. A case longer than those of the training keeps its last steps. `y` holds labels of one type
    (text, integers, booleans); `predict` returns that type, and `classes_` are sorted.

    Examples
    --------
    >>> from tsfm import Classifier
    >>> Classifier("tsfm-mini", method="probe").method
    'probe'
    """

    kind = "classify"

    def fit(self, X: Any, y: Any) -> Classifier:
        """Fit labels `y` [N] of the cases `X`; returns itself."""
        cases = as_cases(X)
        classes, codes = as_labels(y, len(cases))
        # a name for each class whose order as text is that of the classes
        names = np.array([str(name) for name in classes], dtype=object)
        if len(set(names.tolist())) < len(names):
            raise ValueError(f"y holds different labels with the same text: {', '.join(sorted(names))}; make them text")
        self._fit(X, cases, names[codes])
        self.classes_ = classes
        self._class_index = np.argsort(np.argsort(names.astype(str)))  # index of each class among the sorted names
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "N M"]:
        """Return probabilities [cases, classes] in the order of `classes_`, averaged over the members."""
        cases = self._check(X)
        if self.method == "probe":
            probabilities = self.probe_.predict_proba(cases)
        else:
            probabilities = average([predictor.probabilities(cases) for predictor in self.predictors_])
        return probabilities[:, self._class_index]

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each case."""
        share = self.predict_proba(X)
        return self.classes_[share.argmax(axis=1)]


class Regressor(RegressorMixin, CaseEstimator):
    """A regressor of one number per series; parameters and `X` as for `Classifier`.

    `y` holds numbers. They are standardized for training, and `predict` returns them in their own units.
    """

    kind = "regress"

    def fit(self, X: Any, y: Any) -> Regressor:
        """Fit numbers `y` [N] of the cases `X`; returns itself."""
        cases = as_cases(X)
        self._fit(X, cases, as_numbers(y, len(cases)))
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " N"]:
        """Return one number per case, averaged over the members."""
        cases = self._check(X)
        if self.method == "probe":
            return self.probe_.predict(cases)
        return average([predictor.regress(cases) for predictor in self.predictors_])
