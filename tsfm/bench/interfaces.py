"""Interfaces of baselines: imputers, learners of labelled cases, and anomaly detectors.

Forecasting baselines are subclasses of `tsfm.infer.predictor.Predictor`. All kinds are in the registry BASELINES;
each protocol scores one kind. B windows, C channels, T steps of a window, L steps of a series, N cases, M classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


class Imputer(ABC):
    """Fills missing values of windows; it learns nothing."""

    name: str

    @abstractmethod
    def impute(self, values: Float[np.ndarray, "B C T"], *, season_length: int = 1) -> Float[np.ndarray, "B C T"]:
        """Return the windows with every NaN filled; other values are unchanged.

        Parameters
        ----------
        values
            NaN is missing.
        season_length
            Steps of a season of the data.
        """


class CaseLearner(ABC):
    """Learns labels (text) or numbers of whole series.

    Cases are arrays [channels, time] with one number of channels and any lengths; NaN is missing.
    """

    name: str
    regresses: bool = False  # learns numbers, not labels

    @abstractmethod
    def fit(self, cases: Sequence[np.ndarray], labels: np.ndarray) -> CaseLearner:
        """Learn from the training cases and return itself.

        Parameters
        ----------
        cases
            Arrays [channels, time].
        labels
            [cases]; floats are numbers to regress, anything else is a class.
        """

    @abstractmethod
    def predict(self, cases: Sequence[np.ndarray]) -> np.ndarray:
        """Return labels [cases], of the kind given to `fit`."""

    def predict_proba(self, cases: Sequence[np.ndarray]) -> Float[np.ndarray, "N M"] | None:
        """Return probabilities of the sorted classes; None if the method has none."""
        del cases
        return None


class SeriesDetector(ABC):
    """Scores every step of a series; higher is more anomalous."""

    name: str
    threshold: float | None = None  # of its own; steps with higher scores are anomalous

    @property
    def learns(self) -> bool:
        """Return whether the detector has a `fit` of its own."""
        return type(self).fit is not SeriesDetector.fit

    def fit(self, train: Float[np.ndarray, "C L"]) -> SeriesDetector:
        """Learn from a part without anomalies and return itself; a method that does not learn does nothing."""
        del train
        return self

    @abstractmethod
    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """Return one finite number per step."""
