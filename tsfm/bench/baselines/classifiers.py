"""Learners of labelled cases that stand in every table: 1-NN by two distances, MiniRocket and catch22.

N cases, C channels, T steps, M classes. Cases are evened out as bench/evened.py says. Float labels are numbers to
regress. What is needed of aeon, scipy and scikit-learn is imported where it is used.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from tsfm.bench.equal_length import EqualLength, check_unequal, without_gaps, z_normalised
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Float

logger = logging.getLogger("tsfm")
ALPHAS = np.logspace(-3, 3, 10)  # ridge strengths that MiniRocket chooses from (its published code)
WINDOWS = tuple(percent / 100 for percent in range(21))  # of the length, that a learned DTW window is chosen from


def aeon_part(module: str, part: str) -> Any:
    """A class or function of aeon, or an error that says how to install it."""
    try:
        return getattr(importlib.import_module(f"aeon.{module}"), part)
    except ImportError as error:
        raise ImportError(
            f"{part} comes from aeon, which cannot be imported ({error}); "
            "pip install -c constraints.txt 'tsfm-platform[bench]'"
        ) from error


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@dataclass
class NearestConfig:
    """`normalize` takes the mean and the scale from each channel of each case. Null: where one channel has classes, and
    not where several channels or a number to regress make the level tell something: so it was done for the published
    values of each archive (DataSummary.csv of UCR; tsml-eval's 1NN-DTW-D of UEA, and its 1NN-ED of TSER)."""

    normalize: Optional[bool] = None  # noqa: UP045
    unequal: str = "pad"  # pad: zeros at the end of shorter cases; resample: stretch them

    def __post_init__(self):
        check_unequal(self.unequal)


class Nearest(EqualLength):
    """The label of the nearest training case, the first of several equally near."""

    def learn(self, cases: Float[np.ndarray, "N C T"], labels: np.ndarray) -> None:
        asked = self.config.normalize
        self._normalize = asked if asked is not None else self.channels == 1 and not self.regresses
        self._known, self._labels = self._normalized(cases), labels

    def tell(self, cases: Float[np.ndarray, "N C T"]) -> np.ndarray:
        return self._labels[self.distances(self._normalized(cases)).argmin(1)]

    def _normalized(self, cases: np.ndarray) -> np.ndarray:
        return z_normalised(cases) if self._normalize else cases

    def distances(self, cases: Float[np.ndarray, "N C T"]) -> Float[np.ndarray, "N N"]:
        """From each case to each training case."""
        raise NotImplementedError


@BASELINES("nn_euclidean")
class NearestEuclidean(Nearest):
    """1-NN by Euclidean distance over all channels and steps."""

    name = "nn_euclidean"

    @dataclass
    class Config(NearestConfig):
        """See NearestConfig."""

    def distances(self, cases):
        from scipy.spatial.distance import cdist

        return cdist(cases.reshape(len(cases), -1), self._known.reshape(len(self._known), -1), "sqeuclidean")


@BASELINES("nn_dtw")
class NearestWarped(Nearest):
    """1-NN by dynamic time warping, channels warped together (DTW-D, Shokoohi-Yekta et al. 2017), through aeon."""

    name = "nn_dtw"

    @dataclass
    class Config(NearestConfig):
        window: float = 1.0  # of the length that a step may be warped by (Sakoe & Chiba 1978); 1: any
        learn: bool = False  # choose the window from 0, 1, ..., 20 % by leave-one-out on the training cases

        def __post_init__(self):
            super().__post_init__()
            if not 0 <= self.window <= 1:
                raise ValueError(f"window is {self.window}; it is a fraction of the length, 0 to 1")

    def learn(self, cases, labels):
        super().learn(cases, labels)
        self.window = self.config.window
        if self.config.learn:
            wrong = [self._left_out(window) for window in WINDOWS]
            self.window = WINDOWS[int(np.argmin(wrong))]  # of several equally good ones the narrowest

    def _left_out(self, window: float) -> float:
        """The error when each training case is told by the others: a share, or squares for numbers."""
        apart = self._warped(self._known, None, window)
        np.fill_diagonal(apart, np.inf)
        told = self._labels[apart.argmin(1)]
        return float(np.mean((told - self._labels) ** 2) if self.regresses else np.mean(told != self._labels))

    def distances(self, cases):
        return self._warped(cases, self._known, self.window)

    @staticmethod
    def _warped(cases: np.ndarray, others: np.ndarray | None, window: float) -> np.ndarray:
        pairwise = aeon_part("distances", "dtw_pairwise_distance")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba's remarks on its own casts
            return pairwise(cases, others, window=None if window == 1 else window)


@BASELINES("minirocket")
class MiniRocket(EqualLength):
    """Ridge on about 10,000 shares of positive values of fixed convolutions (Dempster, Schmidt & Webb,
    arXiv:2012.08791), through aeon; features scaled to deviation 1, strength of the ridge cross-validated."""

    name = "minirocket"

    @dataclass
    class Config:
        features: int = 10_000
        unequal: str = "pad"  # pad: zeros at the end of shorter cases; resample: stretch them
        seed: int = 0

        def __post_init__(self):
            check_unequal(self.unequal)
            if self.features < 84:
                raise ValueError(f"features is {self.features}; MiniRocket has 84 convolutions, so at least 84")

    def learn(self, cases, labels):
        from sklearn.linear_model import RidgeClassifierCV, RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        transform = aeon_part("transformations.collection.convolution_based", "MiniRocket")
        self._transform = transform(n_kernels=self.config.features, random_state=self.config.seed)
        features = self._transform.fit_transform(self._long_enough(cases))
        ridge = RidgeCV(alphas=ALPHAS) if self.regresses else RidgeClassifierCV(alphas=ALPHAS)
        self._ridge = make_pipeline(StandardScaler(with_mean=False), ridge).fit(features, labels)

    def tell(self, cases):
        return self._ridge.predict(self._transform.transform(self._long_enough(cases)))

    @staticmethod
    def _long_enough(cases: np.ndarray) -> np.ndarray:
        """Zeros at the end of cases shorter than a convolution, which has 9 steps."""
        short = max(9 - cases.shape[-1], 0)
        return np.pad(cases, ((0, 0), (0, 0), (0, short))).astype(np.float32)


@BASELINES("catch22")
class Catch22(EqualLength):
    """A random forest on 22 characteristics of each channel, its mean and its deviation (Lubba et al.,
    arXiv:1901.10200), through aeon. Cases keep their own lengths; gaps are interpolated."""

    name = "catch22"

    @dataclass
    class Config:
        trees: int = 200
        seed: int = 0

        def __post_init__(self):
            if self.trees < 1:
                raise ValueError(f"trees is {self.trees}; a forest needs at least 1")

    def even(self, cases: Sequence[np.ndarray]) -> Any:
        super().even(cases)  # for its checks
        return [without_gaps(case) for case in cases]

    def learn(self, cases, labels):
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        part = aeon_part("transformations.collection.feature_based", "Catch22")
        self._transform = part(catch24=True, outlier_norm=True, replace_nans=True)
        forest = RandomForestRegressor if self.regresses else RandomForestClassifier
        self._forest = forest(self.config.trees, random_state=self.config.seed)
        self._forest.fit(self._features(cases), labels)

    def _features(self, cases: Any) -> np.ndarray:
        return np.nan_to_num(np.asarray(self._transform.fit_transform(cases), dtype=np.float32))

    def tell(self, cases):
        return self._forest.predict(self._features(cases))

    def predict_proba(self, cases):
        return None if self.regresses else self._forest.predict_proba(self._features(self.even(cases)))  # type: ignore
