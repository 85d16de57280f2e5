"""A router: how the weights of the members differ between the windows of a forecast.

A regression, fitted once on held-out ends of the corpus (`scripts/fit_router.py`), predicts from the members' quantiles
and the size of the problem how a member's loss compares with that of the network. It moves the weights that the
back-test found for the whole panel, window by window; in a window like those of the back-test they stay as they are.

W windows, H horizon, Q quantile levels, M members without the network, F features, P products of features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FILE = Path(__file__).parent / "router.json"
STRENGTH = 4.0  # by which the predicted logarithm of a loss moves that of a weight
LIMIT = 3.0  # standard deviations at which a feature is cut
SMALLEST = 1e-6  # relative to the spread of a series


@dataclass(frozen=True)
class Router:
    """Predicts the logarithm of each member's loss, relative to that of the network.

    Attributes
    ----------
    names
        The members beside the network, in order.
    center, width
        Mean and standard deviation of each feature.
    coefficients
        Of 1, the features and the products of two.
    """

    names: tuple[str, ...]
    center: Float[np.ndarray, " F"]
    width: Float[np.ndarray, " F"]
    coefficients: Float[np.ndarray, "P M"]

    def relative_loss(self, features: Float[np.ndarray, "W F"]) -> Float[np.ndarray, "W M"]:
        """Return the predictions."""
        return products(features, self.center, self.width) @ self.coefficients

    def route(
        self,
        weights: Float[np.ndarray, " M1"],
        features: Float[np.ndarray, "W F"],
        usual: Float[np.ndarray, " M"],
    ) -> Float[np.ndarray, "W M1"]:
        """Return the weights of each window, the network first.

        Parameters
        ----------
        weights
            Of the whole panel.
        usual
            Mean prediction in the windows of the back-test.
        """
        shift = STRENGTH * (self.relative_loss(features) - usual)
        logits = np.log(np.maximum(weights, 1e-12)) - np.pad(shift, ((0, 0), (1, 0)))
        moved = np.exp(logits - logits.max(axis=1, keepdims=True))
        return moved / moved.sum(axis=1, keepdims=True)


def describe_windows(
    quantiles: Float[np.ndarray, "M1 W H Q"],
    *,
    quantile_levels: Sequence[float] | Float[np.ndarray, " Q"],
    spread: Float[np.ndarray, " W"],
    num_past: Int[np.ndarray, " W"],
    season_length: int,
) -> Float[np.ndarray, "W F"]:
    """Return the features of windows: sizes, the widths of the members' intervals, and how far their medians differ.

    Parameters
    ----------
    quantiles
        Of the network first, then of the members.
    spread
        The scale of the series of each window.
    num_past
        Steps before each window.
    """
    low, middle, high = (int(np.abs(np.asarray(quantile_levels) - level).argmin()) for level in (0.1, 0.5, 0.9))
    median = quantiles[..., middle] / spread[:, None]
    width = (quantiles[..., high] - quantiles[..., low]).mean(axis=-1) / spread
    horizon = quantiles.shape[2]

    def log(values: Float[np.ndarray, " W"]) -> Float[np.ndarray, " W"]:
        return np.log(np.maximum(values, 0.0) + SMALLEST)

    steps = np.maximum(num_past, 1)
    columns = [np.log(steps), np.full(len(steps), np.log(horizon)), np.full(len(steps), np.log(season_length))]
    columns += [np.log(steps / horizon), np.log(steps / season_length), *(log(each) for each in width)]
    pairs = list(combinations(median, 2))
    columns += [log(np.abs(first - second).mean(axis=-1)) for first, second in pairs]
    columns += [log(each) - log(width[0]) for each in width[1:]]
    columns.append(log(np.abs(median[0] - median[0][:, :1]).mean(axis=-1)))
    return np.nan_to_num(np.stack(columns, axis=1))


def products(
    features: Float[np.ndarray, "W F"], center: Float[np.ndarray, " F"], width: Float[np.ndarray, " F"]
) -> Float[np.ndarray, "W P"]:
    """Return 1, the standardized features, and the products of each two of them.

    Examples
    --------
    >>> products(np.array([[2.0, 5.0]]), center=np.zeros(2), width=np.array([1.0, 5.0])).tolist()
    [[1.0, 2.0, 1.0, 4.0, 2.0, 1.0]]
    """
    z = np.clip((features - center) / width, -LIMIT, LIMIT)
    rows, columns = np.triu_indices(z.shape[1])
    return np.concatenate([np.ones((len(z), 1)), z, z[:, rows] * z[:, columns]], axis=1)


def fit_router(
    names: Sequence[str],
    features: Float[np.ndarray, "W F"],
    relative_loss: Float[np.ndarray, "W M"],
    *,
    weight: Float[np.ndarray, " W"],
    strength: float = 0.05,
) -> Router:
    """Return a router fitted by a weighted ridge regression.

    Parameters
    ----------
    relative_loss
        Logarithm of each member's loss, less that of the network.
    weight
        Of each window.
    strength
        Of the ridge; the constant is not penalized.
    """
    share = weight / weight.sum()
    center = share @ features
    width = np.sqrt(share @ (features - center) ** 2) + SMALLEST
    columns = products(features, center, width)
    penalty = strength * np.eye(columns.shape[1])
    penalty[0, 0] = 0.0
    moments = (columns * share[:, None]).T
    return Router(tuple(names), center, width, np.linalg.solve(moments @ columns + penalty, moments @ relative_loss))


def as_json(router: Router) -> str:
    """Return the text of a router, to be read by `from_json`."""
    arrays = {key: np.round(getattr(router, key), 6).tolist() for key in ("center", "width", "coefficients")}
    return json.dumps({"names": router.names, **arrays})


def from_json(text: str) -> Router:
    """Return the router of a text."""
    values: Mapping[str, list] = json.loads(text)
    arrays = (np.asarray(values[key], np.float64) for key in ("center", "width", "coefficients"))
    return Router(tuple(values["names"]), *arrays)


@cache
def bundled_router() -> Router:
    """Return the router that comes with the package."""
    return from_json(FILE.read_text(encoding="utf-8"))
