"""Detectors that fit a scikit-learn model to the sub-sequences of a series: PCA, k-means, isolation forest, neighbours.

W windows, F features (channels x steps of a window), L steps.

All are unsupervised: `score` fits them to the whole series that it scores, train part included, and `fit` does nothing,
as in TSB-AD. Settings are those tuned there for one channel (HP_list.py, version 1.5). The default window length is
`find_length_rank` of channel 0. The score of a window is assigned to its middle; the ends repeat the first and the last
score. The published tables of TSB-AD are reproduced if each window is normalised by itself, and IForest and PCA get
single steps; the code of version 1.5 normalises each position of a window over the series for isolation forests and
LOF, and gives 100 steps to IForest and PCA.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from tsfm.bench.baselines.subsequences import Subsequences, WindowConfig, check_counts, normalised
from tsfm.registry import BASELINES

if TYPE_CHECKING:
    from jaxtyping import Float


@BASELINES("sub_pca")
class SubPCA(Subsequences):
    """Sum over components of the distance to the component, divided by its share of variance.

    The distance is to the unit vector of the component, so a window near the mean of all has a low score, whatever its
    shape.

    References
    ----------
    Shyu et al. 2003; PyOD.
    """

    name = "sub_pca"

    @dataclass
    class Config(WindowConfig):
        """Settings of `SubPCA`."""

        components: float = 0.0  # share of variance whose components are kept; 0 keeps all

        def __post_init__(self):
            super().__post_init__()
            if not 0 <= self.components < 1:
                raise ValueError(f"components is {self.components}; give a share of variance below 1, or 0 for all")

    def anomaly_scores(self, windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, " W"]:
        """Return the weighted sums of distances."""
        from scipy.spatial.distance import cdist
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        scaled = StandardScaler().fit_transform(windows)
        scaled = scaled[:, scaled.std(0) > 0]
        if not scaled.size:
            return np.zeros(len(windows))  # nothing varies
        model: Any = PCA(n_components=self.config.components or None, svd_solver="full").fit(scaled)
        share = model.explained_variance_ratio_
        return (cdist(scaled, model.components_[share > 0]) / share[share > 0]).sum(1)


@BASELINES("pca")
class PCADetector(SubPCA):
    """The same on single steps of all channels, with a quarter of the variance (PCA of TSB-AD-M)."""

    name = "pca"

    @dataclass
    class Config(SubPCA.Config):
        """Settings of `PCADetector`."""

        window: int = 1
        components: float = 0.25


@BASELINES("sub_kmeans")
class SubKMeans(Subsequences):
    """Distance of a normalised window to its nearest centre; a step gets the mean over the windows that contain it.

    References
    ----------
    Yairi et al. 2001; k-means of TimeEval; KMeansAD of TSB-AD, where TSB-AD-M has windows of 40 steps.
    """

    name = "sub_kmeans"

    @dataclass
    class Config(WindowConfig):
        """Settings of `SubKMeans`."""

        rank: int = 2
        clusters: int = 10
        seed: int = 0

        def __post_init__(self):
            super().__post_init__()
            check_counts(clusters=self.clusters)

    def anomaly_scores(self, windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, " W"]:
        """Return distances to the nearest centre."""
        from sklearn.cluster import KMeans

        scaled = normalised(windows)
        clusters = min(self.config.clusters, len(np.unique(scaled, axis=0)))
        model = KMeans(n_clusters=clusters, n_init="auto", random_state=self.config.seed).fit(scaled)
        return np.linalg.norm(scaled - model.cluster_centers_[model.labels_], axis=1)

    @override
    def step_scores(self, scores: Float[np.ndarray, " W"], window: int) -> Float[np.ndarray, " L"]:
        """Return for each step the mean score of the windows that contain it."""
        total = np.concatenate([[0.0], np.cumsum(scores)])
        steps = np.arange(1, len(scores) + window)
        start, stop = np.maximum(steps - window, 0), np.minimum(steps, len(scores))
        return (total[stop] - total[start]) / (stop - start)


@BASELINES("sub_iforest")
class SubIForest(Subsequences):
    """Isolation forest on normalised windows (Liu et al. 2008), each tree on one feature."""

    name = "sub_iforest"

    @dataclass
    class Config(WindowConfig):
        """Settings of `SubIForest`."""

        trees: int = 150
        features: float = 0.0  # share of features that a tree gets; 0: one feature
        seed: int = 0

        def __post_init__(self):
            super().__post_init__()
            check_counts(trees=self.trees)
            if not 0 <= self.features <= 1:
                raise ValueError(f"features is {self.features}; give a share up to 1, or 0 for one feature per tree")

    def anomaly_scores(self, windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, " W"]:
        """Return the anomaly scores of an isolation forest."""
        from sklearn.ensemble import IsolationForest

        scaled, features = normalised(windows), self.config.features or 1
        model = IsolationForest(n_estimators=self.config.trees, max_features=features, random_state=self.config.seed)
        return -model.fit(scaled).decision_function(scaled)


@BASELINES("iforest")
class IForest(SubIForest):
    """The same on single steps, as for the published numbers of TSB-AD (TSB-AD-M: 25 trees, features 0.8)."""

    name = "iforest"

    @dataclass
    class Config(SubIForest.Config):
        """Settings of `IForest`."""

        window: int = 1
        trees: int = 200


@BASELINES("sub_knn")
class SubKNN(Subsequences):
    """Distance of a normalised window to the 50th nearest (Ramaswamy et al. 2000)."""

    name = "sub_knn"

    @dataclass
    class Config(WindowConfig):
        """Settings of `SubKNN`."""

        rank: int = 2
        neighbours: int = 50

        def __post_init__(self):
            super().__post_init__()
            check_counts(neighbours=self.neighbours)

    def anomaly_scores(self, windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, " W"]:
        """Return distances to the k-th nearest window."""
        from sklearn.neighbors import NearestNeighbors

        scaled = normalised(windows)
        neighbours = min(self.config.neighbours, len(scaled) - 1)
        return NearestNeighbors(n_neighbors=neighbours).fit(scaled).kneighbors()[0][:, -1]


@BASELINES("sub_lof")
class SubLOF(SubKNN):
    """Local outlier factor of normalised windows (Breunig et al. 2000)."""

    name = "sub_lof"

    @dataclass
    class Config(SubKNN.Config):
        """Settings of `SubLOF`."""

        neighbours: int = 30

    def anomaly_scores(self, windows: Float[np.ndarray, "W F"]) -> Float[np.ndarray, " W"]:
        """Return local outlier factors."""
        from sklearn.neighbors import LocalOutlierFactor

        scaled = normalised(windows)
        neighbours = min(self.config.neighbours, len(scaled) - 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Duplicate values")  # flat stretches are many equal windows
            return -LocalOutlierFactor(n_neighbors=neighbours).fit(scaled).negative_outlier_factor_


@BASELINES("lof")
class LOF(SubLOF):
    """The same on single steps."""

    name = "lof"

    @dataclass
    class Config(SubLOF.Config):
        """Settings of `LOF`."""

        window: int = 1
        neighbours: int = 50
