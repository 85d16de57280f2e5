"""What a baseline does, as its base class says: impute, learn labelled cases, or score a series for anomalies.

Forecasting baselines are `tsfm.infer.predictor.Predictor`s. All kinds are registered in BASELINES, trained models stand
behind the same faces, and a protocol asks for the kind it scores. B windows, C channels, T steps of a window, L of a
series, N cases, M classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


class Imputer(ABC):
    """Fills what is missing in windows; it learns nothing."""

    name: str

    @abstractmethod
    def impute(self, values: Float[np.ndarray, "B C T"], *, season: int = 1) -> Float[np.ndarray, "B C T"]:
        """The windows with every NaN filled; the other values come back as they are."""


class CaseLearner(ABC):
    """Learns labels (text) or numbers of whole series, `Sequence` of [C, L] arrays of any lengths; NaN is missing."""

    name: str
    regresses: bool = False  # learns numbers, not labels

    @abstractmethod
    def fit(self, cases: Sequence[np.ndarray], labels: np.ndarray) -> CaseLearner:
        """Learn from the training cases; returns itself."""

    @abstractmethod
    def predict(self, cases: Sequence[np.ndarray]) -> np.ndarray:
        """[N] labels of the kind given to `fit`."""

    def predict_proba(self, cases: Sequence[np.ndarray]) -> Float[np.ndarray, "N M"] | None:
        """Probabilities of the sorted classes, where the method has any."""
        del cases
        return None


class SeriesDetector(ABC):
    """Scores every step of a series: higher is stranger."""

    name: str

    def fit(self, train: Float[np.ndarray, "C L"]) -> SeriesDetector:
        """Learn from a stretch taken to be normal; methods that need none do nothing. Returns itself."""
        del train
        return self

    @abstractmethod
    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """One finite number per step."""
