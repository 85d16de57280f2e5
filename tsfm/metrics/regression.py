"""How well one number per case was told. N cases. Sums run in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def _pair(truth: object, told: object) -> tuple[np.ndarray, np.ndarray]:
    truth, told = np.asarray(truth, np.float64), np.asarray(told, np.float64)
    if truth.shape != told.shape or truth.ndim != 1:
        raise ValueError(f"truth has shape {truth.shape} and told {told.shape}; expected one number per case in both")
    if not len(truth):
        raise ValueError("there is no case to score; give at least one")
    for name, values in (("truth", truth), ("told", told)):
        if not np.isfinite(values).all():
            first = int(np.argmin(np.isfinite(values)))
            raise ValueError(f"{name} holds {values[first]} at case {first}; a case is not scored in part, mend it")
    return truth, told


def rmse(truth: Float[np.ndarray, " N"], told: Float[np.ndarray, " N"]) -> float:
    """Root of the mean squared error, in the units of the target: the score of the TSER archive."""
    truth, told = _pair(truth, told)
    return float(np.sqrt(np.mean((told - truth) ** 2)))


def mae(truth: Float[np.ndarray, " N"], told: Float[np.ndarray, " N"]) -> float:
    """Mean absolute error, in the units of the target."""
    truth, told = _pair(truth, told)
    return float(np.mean(np.abs(told - truth)))


def r2(truth: Float[np.ndarray, " N"], told: Float[np.ndarray, " N"]) -> float:
    """1 - squared error over that of the mean of `truth`, the coefficient of determination. Where `truth` does not vary
    it is 1 if all was told exactly and else 0, as in scikit-learn."""
    truth, told = _pair(truth, told)
    error, spread = float(np.sum((truth - told) ** 2)), float(np.sum((truth - truth.mean()) ** 2))
    return 1 - error / spread if spread > 0 else float(error == 0)
