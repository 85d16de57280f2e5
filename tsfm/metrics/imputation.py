"""Errors of imputed values on the hidden steps, as sums and counts so that batches add up.

B windows, C channels, T steps. Visible values that are copied back would flatter a mean over all steps: they do not
count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass
class ImputationScore:
    """MSE and MAE over the wanted steps (TimesNet, arXiv:2210.02186, table 4), independent of the batches."""

    squared_error: float = 0.0
    absolute_error: float = 0.0
    num_wanted: int = 0
    windows: int = 0

    def update(
        self,
        y_true: Float[np.ndarray, "B C T"],
        y_pred: Float[np.ndarray, "B C T"],
        wanted: Bool[np.ndarray, "B C T"],
    ) -> None:
        """Add windows: true values, imputed values, and True where a step was hidden and is to be scored."""
        y_true, y_pred, wanted = np.asarray(y_true), np.asarray(y_pred), np.asarray(wanted)
        if not y_true.shape == y_pred.shape == wanted.shape or wanted.dtype != bool:
            raise ValueError(
                f"y_true, y_pred and wanted have the shapes {y_true.shape}, {y_pred.shape}, {wanted.shape} and wanted "
                f"is {wanted.dtype}; expected one shape, and booleans"
            )
        target, imputed = y_true[wanted].astype(np.float64), y_pred[wanted].astype(np.float64)
        for name, values in (("y_true", target), ("y_pred", imputed)):
            if not np.isfinite(values).all():
                first = tuple(int(i) for i in np.argwhere(wanted)[int(np.argmin(np.isfinite(values)))])
                hint = "only observed steps can be scored" if name == "y_true" else "an imputer fills every wanted step"
                raise ValueError(f"{name} is not finite at the wanted step {first}; {hint}")
        error = imputed - target
        self.squared_error += float(np.sum(error**2))
        self.absolute_error += float(np.sum(np.abs(error)))
        self.num_wanted += int(wanted.sum())
        self.windows += len(y_true)

    def result(self) -> dict[str, float]:
        """Return mse, mae, and the numbers of scored steps and windows that they are means over."""
        if not self.num_wanted:
            raise ValueError(f"no step of {self.windows} windows was to be imputed; hide some, with a rate above 0")
        return {
            "mse": self.squared_error / self.num_wanted,
            "mae": self.absolute_error / self.num_wanted,
            "steps_scored": self.num_wanted,
            "windows": self.windows,
        }
