"""Arrays of unequal length into one Batch. B windows, C channels, L steps of one, T of the longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from tsfm.types import Batch

if TYPE_CHECKING:
    from jaxtyping import Float


def pad_batch(arrays: Sequence[Float[np.ndarray, "... _"]], *, length: int | None = None) -> Batch:
    """Windows that end together: a shorter array is one whose first steps nobody observed, NaN is unobserved too.

    Arrays are [C, L] or [L]; `length` fixes T, and of a longer array the most recent steps are kept.
    """
    if not arrays:
        raise ValueError("no arrays to put into a batch; give at least one")
    rows = [np.atleast_2d(np.asarray(array)) for array in arrays]
    for place, row in enumerate(rows):
        if row.ndim != 2 or len(row) != len(rows[0]):
            raise ValueError(f"array {place} has shape {row.shape}; expected [{len(rows[0])} channels, steps]")
    steps = max(row.shape[1] for row in rows) if length is None else length
    if steps < 1:
        raise ValueError(f"the batch would have {steps} steps; give arrays, or a length, of at least one")
    values = np.full((len(rows), len(rows[0]), steps), np.nan, dtype=np.float32)
    for place, row in enumerate(rows):
        kept = row[:, -steps:]
        values[place, :, steps - kept.shape[1] :] = kept
    if np.isinf(values).any():
        place, channel, step = np.argwhere(np.isinf(values))[0]
        step -= steps - min(rows[place].shape[1], steps)
        raise ValueError(
            f"array {place}, channel {channel}, step {step} is infinite in float32; replace it, or use NaN for a value "
            "nobody observed"
        )
    return as_batch(torch.from_numpy(values))


def as_batch(values: torch.Tensor, key: torch.Tensor | None = None, role: torch.Tensor | None = None) -> Batch:
    """A batch of values [B, C, T] in which NaN is a step nobody observed; the tensor is used, not copied."""
    observed = ~torch.isnan(values)
    return Batch(values.masked_fill_(~observed, 0.0), observed, key=key, role=role)
