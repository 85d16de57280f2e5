"""Errors of filled values on the steps that were asked for, as sums and counts so that batches add up.

B windows, C channels, T steps. What was visible and copied back would flatter a mean over all steps: it is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass
class ImputationScore:
    """MSE and MAE over asked steps (TimesNet, arXiv:2210.02186, table 4), whatever the batches."""

    squares: float = 0.0
    sizes: float = 0.0
    asked: int = 0
    windows: int = 0

    def update(
        self,
        target: Float[np.ndarray, "B C T"],
        filled: Float[np.ndarray, "B C T"],
        asked: Bool[np.ndarray, "B C T"],
    ) -> None:
        """Add windows: their true values, what they were filled with, and True where a step was hidden and wanted."""
        target, filled, asked = np.asarray(target), np.asarray(filled), np.asarray(asked)
        if not target.shape == filled.shape == asked.shape or asked.dtype != bool:
            raise ValueError(
                f"target, filled and asked have the shapes {target.shape}, {filled.shape}, {asked.shape} and asked is "
                f"{asked.dtype}; expected one shape, and booleans"
            )
        true, told = target[asked].astype(np.float64), filled[asked].astype(np.float64)
        for name, values in (("target", true), ("filled", told)):
            if not np.isfinite(values).all():
                first = tuple(int(i) for i in np.argwhere(asked)[int(np.argmin(np.isfinite(values)))])
                hint = "ask for observed steps alone" if name == "target" else "an imputer fills every step asked for"
                raise ValueError(f"{name} is not finite at the asked step {first}; {hint}")
        error = told - true
        self.squares += float(np.sum(error**2))
        self.sizes += float(np.sum(np.abs(error)))
        self.asked += int(asked.sum())
        self.windows += len(target)

    def result(self) -> dict[str, float]:
        """mse, mae, and how many steps of how many windows they are over."""
        if not self.asked:
            raise ValueError(f"no step of {self.windows} windows was asked for; hide some, with a rate above 0")
        return {
            "mse": self.squares / self.asked,
            "mae": self.sizes / self.asked,
            "asked": self.asked,
            "windows": self.windows,
        }
