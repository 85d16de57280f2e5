"""Convex weights of the members of an ensemble, from their quantiles in a back-test.

Quantiles are averaged level by level (Vincent averaging; Lichtendahl, Grushka-Cockayne and Winkler 2013; with learned
weights: arXiv:2103.00083). The weights minimize the pinball loss of the average plus their divergence from prior
weights, which counts less the more windows without overlap there are. All quantiles ascend, so that the average does.

M members, W windows, H horizon, Q quantile levels, S observed steps of all windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_STEPS = 32  # of a window, evenly spread
NUM_ITERATIONS = 60
PRIOR = {"network": 0.6, "ridge": 0.2, "analogues": 0.2, "smoothing": 1.2, "theta": 0.6}
USUAL = 0.2  # weight of a member that the prior does not know, relative to the others
STEP_SIZE = 0.3  # change of the logarithm of a weight in the first iteration


@dataclass(frozen=True)
class WeightSettings:
    """How weights are found.

    Attributes
    ----------
    prior
        Weights by the names of the network and the members, relative to each other; others have `USUAL`.
    shrinkage
        Strength of the prior, relative to the loss; infinite: the weights are those of the prior.

    Examples
    --------
    >>> WeightSettings().prior_weights(["network", "ridge"]).round(2).tolist()
    [0.75, 0.25]
    """

    prior: Mapping[str, float] = field(default_factory=lambda: dict(PRIOR))
    shrinkage: float = 0.1

    def prior_weights(self, names: Sequence[str]) -> Float[np.ndarray, " M"]:
        """Return the prior weights of members, which sum to 1."""
        weights = np.array([self.prior.get(name, USUAL) for name in names])
        return weights / weights.sum()


def pinball(
    actual: Float[np.ndarray, "*shape"],
    quantiles: Float[np.ndarray, "*shape Q"],
    quantile_levels: Float[np.ndarray, " Q"],
) -> Float[np.ndarray, "*shape Q"]:
    """Return the pinball loss of each level."""
    error = actual[..., None] - quantiles
    return np.maximum(quantile_levels * error, (quantile_levels - 1) * error)


def fit_weights(
    members: Float[np.ndarray, "M W H Q"],
    actual: Float[np.ndarray, "W H"],
    *,
    scale: Float[np.ndarray, " W"],
    quantile_levels: tuple[float, ...],
    names: Sequence[str],
    num_independent: float,
    settings: WeightSettings,
) -> Float[np.ndarray, " M"]:
    """Return the weights of members, by exponentiated gradient steps (Kivinen and Warmuth 1997).

    Parameters
    ----------
    members
        Quantiles of each member in the windows of the back-test.
    actual
        NaN is missing.
    scale
        By which the loss of a window is divided.
    names
        Of the members, for the prior.
    num_independent
        Windows that would fit without overlap: the back-test says as much as so many.
    """
    prior = settings.prior_weights(names)
    if np.isinf(settings.shrinkage):
        return prior
    steps = np.unique(np.linspace(0, actual.shape[1] - 1, min(actual.shape[1], MAX_STEPS)).astype(int))
    y = actual[:, steps] / scale[:, None]
    observed = np.isfinite(y)
    y = y[observed]  # [S]
    quantiles = (members[:, :, steps] / scale[None, :, None, None])[:, observed]  # [M, S, Q]
    of_level, shrinkage = np.asarray(quantile_levels), settings.shrinkage / np.sqrt(max(num_independent, 1.0))
    unit = max(float(pinball(y, np.tensordot(prior, quantiles, 1), of_level).mean()), np.finfo(np.float32).tiny)
    weights, best = prior.copy(), (np.inf, prior)
    for iteration in range(NUM_ITERATIONS):
        average = np.tensordot(weights, quantiles, 1)
        divergence = np.log(np.maximum(weights, 1e-12)) - np.log(prior)
        loss = float(pinball(y, average, of_level).mean()) / unit + shrinkage * float(weights @ divergence)
        if loss < best[0]:
            best = loss, weights
        slope = np.where(y[:, None] > average, -of_level, 1 - of_level)
        gradient = np.einsum("msq,sq->m", quantiles, slope) / slope.size / unit + shrinkage * divergence
        gradient -= weights @ gradient
        size = np.abs(gradient).max()
        rate = STEP_SIZE / np.sqrt(1 + iteration / 10) * min(1.0, 20 * size) / max(size, 1e-12)
        logits = np.log(np.maximum(weights, 1e-12)) - rate * gradient
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
    return best[1]
