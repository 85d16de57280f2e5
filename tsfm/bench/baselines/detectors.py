"""Detectors that fit a scikit-learn model to the sub-sequences of a series: PCA, k-means, isolation forest, neighbours.

All are unsupervised: `score` fits them to the whole series that it scores, train part included, and `fit` does nothing,
as TSB-AD runs them. Settings are those it tuned for one channel (HP_list.py, 1.5). The window, where none is given, is
`find_length_rank` of channel 0. A window's score stands at its middle, the ends repeat the first and the last. Its
published tables come out with each window normalised by itself and with single steps for IForest and PCA; the code of
1.5 normalises the places of a window over the series for isolation forests and LOF, and takes 100 steps for those two.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsfm.bench.baselines.subsequences import Subsequences, WindowConfig, at_least_one, normalised
from tsfm.registry import BASELINES


@BASELINES("sub_pca")
class SubPCA(Subsequences):
    """Sum over components of the distance to the component over its share of variance (Shyu et al. 2003; PyOD).

    The distance is to the component's unit vector: a window near the mean of all is normal to it, whatever its shape.
    """

    name = "sub_pca"

    @dataclass
    class Config(WindowConfig):
        components: float = 0.0  # share of variance whose components are kept; 0 keeps all

        def __post_init__(self):
            super().__post_init__()
            if not 0 <= self.components < 1:
                raise ValueError(f"components is {self.components}; give a share of variance below 1, or 0 for all")

    def strangeness(self, windows):
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
        window: int = 1
        components: float = 0.25


@BASELINES("sub_kmeans")
class SubKMeans(Subsequences):
    """Distance of a normalised window to its nearest centre; a step takes the mean of the windows that hold it
    (Yairi et al. 2001; TimeEval's k-means, KMeansAD of TSB-AD: in -M on windows of 40 steps)."""

    name = "sub_kmeans"

    @dataclass
    class Config(WindowConfig):
        rank: int = 2
        clusters: int = 10
        seed: int = 0

        def __post_init__(self):
            super().__post_init__()
            at_least_one(clusters=self.clusters)

    def strangeness(self, windows):
        from sklearn.cluster import KMeans

        scaled = normalised(windows)
        clusters = min(self.config.clusters, len(np.unique(scaled, axis=0)))
        model = KMeans(n_clusters=clusters, n_init="auto", random_state=self.config.seed).fit(scaled)
        return np.linalg.norm(scaled - model.cluster_centers_[model.labels_], axis=1)

    def lay_out(self, scores, window):
        total = np.concatenate([[0.0], np.cumsum(scores)])
        steps = np.arange(1, len(scores) + window)
        start, stop = np.maximum(steps - window, 0), np.minimum(steps, len(scores))
        return (total[stop] - total[start]) / (stop - start)


@BASELINES("sub_iforest")
class SubIForest(Subsequences):
    """Isolation forest on normalised windows (Liu et al. 2008), each tree on one of their numbers."""

    name = "sub_iforest"

    @dataclass
    class Config(WindowConfig):
        trees: int = 150
        features: float = 0.0  # share of a window's numbers that a tree sees; 0: one number
        seed: int = 0

        def __post_init__(self):
            super().__post_init__()
            at_least_one(trees=self.trees)
            if not 0 <= self.features <= 1:
                raise ValueError(f"features is {self.features}; give a share up to 1, or 0 for one number a tree")

    def strangeness(self, windows):
        from sklearn.ensemble import IsolationForest

        scaled, features = normalised(windows), self.config.features or 1
        model = IsolationForest(n_estimators=self.config.trees, max_features=features, random_state=self.config.seed)
        return -model.fit(scaled).decision_function(scaled)


@BASELINES("iforest")
class IForest(SubIForest):
    """The same on single steps (IForest of TSB-AD: its published numbers come out so; -M: 25 trees, features 0.8)."""

    name = "iforest"

    @dataclass
    class Config(SubIForest.Config):
        window: int = 1
        trees: int = 200


@BASELINES("sub_knn")
class SubKNN(Subsequences):
    """Distance of a normalised window to the 50th nearest (Ramaswamy et al. 2000)."""

    name = "sub_knn"

    @dataclass
    class Config(WindowConfig):
        rank: int = 2
        neighbours: int = 50

        def __post_init__(self):
            super().__post_init__()
            at_least_one(neighbours=self.neighbours)

    def strangeness(self, windows):
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
        neighbours: int = 30

    def strangeness(self, windows):
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
        window: int = 1
        neighbours: int = 50
