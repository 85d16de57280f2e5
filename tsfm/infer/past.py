"""The past of a batch of series, all of it or every k-th step.

B batch, C channels, K covariates, L past steps, W past and future steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tsfm.infer.strided import split_phases
from tsfm.types import NO_TIMESTAMP

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Recent(NamedTuple):
    """The last steps of a past: values with 0 where missing, which are observed, the covariates, the timestamps."""

    values: Float[Tensor, "B C L"]
    observed: Bool[Tensor, "B C L"]
    known: Float[Tensor, "B K W"] | None
    timestamps: Int[Tensor, "B W"] | None


class Past:
    """Past values with NaN where missing, covariates of the past and the future, and the number of steps to forecast.

    Parameters
    ----------
    values
        `[batch, channels, time]`.
    known
        `[batch, covariates, time]`, from the first step of `values` on; NaN where unknown.
    horizon
        Steps to forecast.
    timestamps
        `[batch, time]`, of the same steps as `known`, in seconds since 1970.
    """

    def __init__(
        self,
        values: Float[Tensor, "B C L"],
        known: Float[Tensor, "B K W"] | None,
        horizon: int,
        timestamps: Int[Tensor, "B W"] | None = None,
    ):
        self.values, self.known, self.horizon, self.timestamps = values, known, horizon, timestamps
        self.observed = torch.isfinite(values)

    def recent(self, length: int) -> Recent:
        """Return the last `length` steps."""
        first = max(self.values.shape[-1] - length, 0)
        observed = self.observed[..., first:]
        values = torch.where(observed, self.values[..., first:], 0.0)
        known, timestamps = (x if x is None else x[..., first:] for x in (self.known, self.timestamps))
        return Recent(values, observed, known, timestamps)

    def with_horizon(self, horizon: int) -> Past:
        """Return the same past with another horizon."""
        return Past(self.values, self.known, horizon, self.timestamps)

    def phases(self, stride: int, *, horizon: int | None = None) -> Past:
        """Return every `stride`-th step as a series of its own, to be forecast for its part of the horizon."""
        horizon = self.horizon if horizon is None else horizon
        num_past = self.values.shape[-1]

        def split(x: Tensor, fill: float) -> Tensor:
            """Split past and future, which gets whole rounds of phases, so that both get the same steps before them."""
            missing = -(x.shape[-1] - num_past) % stride
            return split_phases(torch.nn.functional.pad(x, (0, missing), value=fill), stride, fill=fill)

        known = None if self.known is None else split(self.known, torch.nan)
        timestamps = None if self.timestamps is None else split(self.timestamps[:, None], NO_TIMESTAMP)[:, 0]
        return Past(split_phases(self.values, stride), known, -(-horizon // stride), timestamps)

    def rows(self, index: Tensor) -> Past:
        """Return some of the series."""
        known, timestamps = (x if x is None else x[index] for x in (self.known, self.timestamps))
        return Past(self.values[index], known, self.horizon, timestamps)
