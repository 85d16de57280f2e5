"""Metrics of one predicted number per case. N cases. Sums run in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsfm.metrics.metric import register_metric

if TYPE_CHECKING:
    from jaxtyping import Float

register_metric("rmse", "lower")
register_metric("r2", "higher")


def _checked_pair(y_true: object, y_pred: object) -> tuple[np.ndarray, np.ndarray]:
    y_true, y_pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    if y_true.shape != y_pred.shape or y_true.ndim != 1:
        raise ValueError(
            f"y_true has shape {y_true.shape} and y_pred {y_pred.shape}; expected one number for each case in both"
        )
    if not len(y_true):
        raise ValueError("there is no case to score; give at least one")
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        if not np.isfinite(values).all():
            first = int(np.argmin(np.isfinite(values)))
            raise ValueError(f"{name} holds {values[first]} at case {first}; expected finite numbers: fix that case")
    return y_true, y_pred


def rmse(y_true: Float[np.ndarray, " N"], y_pred: Float[np.ndarray, " N"]) -> float:
    """Compute the root of the mean squared error, in the units of the target: the score of the TSER archive."""
    y_true, y_pred = _checked_pair(y_true, y_pred)
    return float(np.sqrt(np.mean((y_pred - y_true) ** 2)))


def mae(y_true: Float[np.ndarray, " N"], y_pred: Float[np.ndarray, " N"]) -> float:
    """Compute the mean absolute error, in the units of the target."""
    y_true, y_pred = _checked_pair(y_true, y_pred)
    return float(np.mean(np.abs(y_pred - y_true)))


def r2(y_true: Float[np.ndarray, " N"], y_pred: Float[np.ndarray, " N"]) -> float:
    """Compute the coefficient of determination.

    Where `y_true` does not vary it is 1 if every prediction is exact and 0 otherwise, as in scikit-learn.
    """
    y_true, y_pred = _checked_pair(y_true, y_pred)
    error, spread = float(np.sum((y_true - y_pred) ** 2)), float(np.sum((y_true - y_true.mean()) ** 2))
    return 1 - error / spread if spread > 0 else float(error == 0)
