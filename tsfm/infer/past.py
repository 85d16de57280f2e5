"""The past of a batch of series, all of it or every k-th step.

B batch, C channels, K covariates, L past steps, W past and future steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tsfm.infer.strided import split_phases

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class Recent(NamedTuple):
    """The last steps of a past: values with 0 where missing, which are observed, and the covariates."""

    values: Float[Tensor, "B C L"]
    observed: Bool[Tensor, "B C L"]
    known: Float[Tensor, "B K W"] | None


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
    """

    def __init__(self, values: Float[Tensor, "B C L"], known: Float[Tensor, "B K W"] | None, horizon: int):
        self.values, self.known, self.horizon = values, known, horizon
        self.observed = torch.isfinite(values)

    def recent(self, length: int) -> Recent:
        """Return the last `length` steps."""
        first = max(self.values.shape[-1] - length, 0)
        observed = self.observed[..., first:]
        values = torch.where(observed, self.values[..., first:], 0.0)
        return Recent(values, observed, None if self.known is None else self.known[..., first:])

    def phases(self, stride: int, *, horizon: int | None = None) -> Past:
        """Return every `stride`-th step as a series of its own, to be forecast for its part of the horizon."""
        horizon = self.horizon if horizon is None else horizon
        known = None
        if self.known is not None:  # its future gets whole rounds of phases, so that both lose the same oldest steps
            missing = -(self.known.shape[-1] - self.values.shape[-1]) % stride
            known = torch.nn.functional.pad(self.known, (0, missing), value=torch.nan)
            known = split_phases(known, stride)
        return Past(split_phases(self.values, stride), known, -(-horizon // stride))

    def rows(self, index: Tensor) -> Past:
        """Return some of the series."""
        return Past(self.values[index], None if self.known is None else self.known[index], self.horizon)
