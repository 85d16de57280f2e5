"""Learners of labelled cases: 1-NN by two distances, MiniRocket and catch22.

N cases, R training cases, C channels, T steps, M classes. Cases are brought to one length as `tsfm.bench.equal_length`
describes. Float labels are numbers to regress. aeon, scipy and scikit-learn are imported where they are used.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from typing_extensions import override

from tsfm.bench.equal_length import EqualLength, check_unequal, without_gaps, z_normalised
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Float

logger = logging.getLogger("tsfm")
ALPHAS = np.logspace(-3, 3, 10)  # ridge strengths that MiniRocket chooses from (its published code)
WINDOWS = tuple(percent / 100 for percent in range(21))  # of the length, that a learned DTW window is chosen from


def import_from_aeon(module: str, name: str) -> Any:
    """Return a class or function of a module of aeon.

    Raises
    ------
    ImportError
        If aeon cannot be imported; the message says how to install it.
    """
    try:
        return getattr(importlib.import_module(f"aeon.{module}"), name)
    except ImportError as error:
        raise ImportError(
            f"{name} comes from aeon, which cannot be imported ({error}); "
            "pip install -c constraints.txt 'tsfm-platform[bench]'"
        ) from error


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@dataclass
class NearestConfig:
    """Settings of 1-NN.

    `normalize` removes the mean and the scale of each channel of each case. Null: where there is one channel and labels
    are classes; with several channels, or numbers to regress, the level can carry information. The published values of
    each archive were computed so (DataSummary.csv of UCR; tsml-eval's 1NN-DTW-D of UEA, and its 1NN-ED of TSER).
    """

    normalize: Optional[bool] = None  # noqa: UP045
    unequal: str = "pad"  # pad: zeros at the end of shorter cases; resample: stretch them

    def __post_init__(self):
        check_unequal(self.unequal)


class Nearest(EqualLength):
    """The label of the nearest training case, the first of several equally near."""

    def fit_equal(self, cases: Float[np.ndarray, "N C T"], labels: np.ndarray) -> None:
        """Store the training cases."""
        requested = self.config.normalize
        self._normalize = requested if requested is not None else self.channels == 1 and not self.regresses
        self._known, self._labels = self._normalized(cases), labels

    @override
    def predict_equal(self, cases: Float[np.ndarray, "N C T"]) -> np.ndarray:
        """Return the labels of the nearest training cases."""
        return self._labels[self.distances(self._normalized(cases)).argmin(1)]

    def _normalized(self, cases: np.ndarray) -> np.ndarray:
        return z_normalised(cases) if self._normalize else cases

    @abstractmethod
    def distances(self, cases: Float[np.ndarray, "N C T"]) -> Float[np.ndarray, "N R"]:
        """Return the distance from each case to each training case."""


@BASELINES("nn_euclidean")
class NearestEuclidean(Nearest):
    """1-NN by Euclidean distance over all channels and steps."""

    name = "nn_euclidean"

    @dataclass
    class Config(NearestConfig):
        """See NearestConfig."""

    def distances(self, cases: Float[np.ndarray, "N C T"]) -> Float[np.ndarray, "N R"]:
        """Return squared Euclidean distances."""
        from scipy.spatial.distance import cdist

        return cdist(cases.reshape(len(cases), -1), self._known.reshape(len(self._known), -1), "sqeuclidean")


@BASELINES("nn_dtw")
class NearestWarped(Nearest):
    """1-NN by dynamic time warping, channels warped together (DTW-D, Shokoohi-Yekta et al. 2017), through aeon."""

    name = "nn_dtw"

    @dataclass
    class Config(NearestConfig):
        """Settings of `NearestWarped`."""

        window: float = 1.0  # of the length that a step may be warped by (Sakoe & Chiba 1978); 1: any
        learn: bool = False  # choose the window from 0, 1, ..., 20 % by leave-one-out on the training cases

        def __post_init__(self):
            super().__post_init__()
            if not 0 <= self.window <= 1:
                raise ValueError(f"window is {self.window}; it is a fraction of the length, 0 to 1")

    @override
    def fit_equal(self, cases: Float[np.ndarray, "N C T"], labels: np.ndarray) -> None:
        """Store the training cases; with `learn` also choose the window."""
        super().fit_equal(cases, labels)
        self.window = self.config.window
        if self.config.learn:
            wrong = [self._left_out(window) for window in WINDOWS]
            self.window = WINDOWS[int(np.argmin(wrong))]  # of several equally good ones the narrowest

    def _left_out(self, window: float) -> float:
        """Leave-one-out error on the training cases: error rate, or mean squared error of numbers."""
        apart = self._warped(self._known, None, window)
        np.fill_diagonal(apart, np.inf)
        y_pred = self._labels[apart.argmin(1)]
        return float(np.mean((y_pred - self._labels) ** 2) if self.regresses else np.mean(y_pred != self._labels))

    def distances(self, cases: Float[np.ndarray, "N C T"]) -> Float[np.ndarray, "N R"]:
        """Return DTW distances."""
        return self._warped(cases, self._known, self.window)

    @staticmethod
    def _warped(cases: np.ndarray, others: np.ndarray | None, window: float) -> np.ndarray:
        pairwise = import_from_aeon("distances", "dtw_pairwise_distance")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba warns about casts of its own
            return pairwise(cases, others, window=None if window == 1 else window)


@BASELINES("minirocket")
class MiniRocket(EqualLength):
    """Ridge on about 10,000 shares of positive values of fixed convolutions, through aeon.

    Features are scaled to deviation 1, and the strength of the ridge is cross-validated.

    References
    ----------
    Dempster, Schmidt & Webb, arXiv:2012.08791.
    """

    name = "minirocket"

    @dataclass
    class Config:
        """Settings of MiniRocket."""

        features: int = 10_000
        unequal: str = "pad"  # pad: zeros at the end of shorter cases; resample: stretch them
        seed: int = 0

        def __post_init__(self):
            check_unequal(self.unequal)
            if self.features < 84:
                raise ValueError(f"features is {self.features}; MiniRocket has 84 convolutions, so at least 84")

    def fit_equal(self, cases: Float[np.ndarray, "N C T"], labels: np.ndarray) -> None:
        """Fit the transform and the ridge."""
        from sklearn.linear_model import RidgeClassifierCV, RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        transform = import_from_aeon("transformations.collection.convolution_based", "MiniRocket")
        self._transform = transform(n_kernels=self.config.features, random_state=self.config.seed)
        features = self._transform.fit_transform(self._long_enough(cases))
        ridge = RidgeCV(alphas=ALPHAS) if self.regresses else RidgeClassifierCV(alphas=ALPHAS)
        self._ridge = make_pipeline(StandardScaler(with_mean=False), ridge).fit(features, labels)

    def predict_equal(self, cases: Float[np.ndarray, "N C T"]) -> np.ndarray:
        """Return the predictions of the ridge."""
        return self._ridge.predict(self._transform.transform(self._long_enough(cases)))

    @staticmethod
    def _long_enough(cases: np.ndarray) -> np.ndarray:
        """Pad cases shorter than a convolution, which has 9 steps, with zeros at the end."""
        short = max(9 - cases.shape[-1], 0)
        return np.pad(cases, ((0, 0), (0, 0), (0, short))).astype(np.float32)


@BASELINES("catch22")
class Catch22(EqualLength):
    """A random forest on 22 characteristics of each channel, its mean and its deviation, through aeon.

    Cases keep their own lengths; gaps are interpolated.

    References
    ----------
    Lubba et al., arXiv:1901.10200.
    """

    name = "catch22"

    @dataclass
    class Config:
        """Settings of catch22."""

        trees: int = 200
        seed: int = 0

        def __post_init__(self):
            if self.trees < 1:
                raise ValueError(f"trees is {self.trees}; a forest needs at least 1")

    @override
    def equalize(self, cases: Sequence[np.ndarray]) -> Any:
        """Return checked cases without gaps, a list of [channels, steps]."""
        super().equalize(cases)  # for its checks
        return [without_gaps(case) for case in cases]

    def fit_equal(self, cases: Any, labels: np.ndarray) -> None:
        """Fit the forest to the features of the cases."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        transform = import_from_aeon("transformations.collection.feature_based", "Catch22")
        self._transform = transform(catch24=True, outlier_norm=True, replace_nans=True)
        forest = RandomForestRegressor if self.regresses else RandomForestClassifier
        self._forest = forest(self.config.trees, random_state=self.config.seed)
        self._forest.fit(self._features(cases), labels)

    def _features(self, cases: Any) -> np.ndarray:
        return np.nan_to_num(np.asarray(self._transform.fit_transform(cases), dtype=np.float32))

    def predict_equal(self, cases: Any) -> np.ndarray:
        """Return the predictions of the forest."""
        return self._forest.predict(self._features(cases))

    @override
    def predict_proba(self, cases: Sequence[np.ndarray]) -> Float[np.ndarray, "N M"] | None:
        """Return the probabilities of the sorted classes; None if labels are numbers."""
        return None if self.regresses else self._forest.predict_proba(self._features(self.equalize(cases)))  # type: ignore
