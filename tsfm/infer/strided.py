"""Strided forecasts of series with long seasons: every k-th step as a series of its own.

A day of 15-minute steps has 96 of them, and a context of 1,056 steps is eleven days; as every fourth step it is six
weeks. Nothing is left out: each of the k phases is forecast by itself, and interleaved they are the whole horizon.

B series, C channels, L past steps, H horizon, Q quantile levels, k stride, N = B k phases,
M steps of a phase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

MIN_SEASON_LENGTH = 96  # steps from which on a strided forecast helps: chosen on series of the corpus; 48 does not help
MIN_SEASONS = 2  # seasons that a past must hold, else a stride adds nothing to the plain forecast


def is_worthwhile(observed: Bool[Tensor, "B C L"], *, season_length: int) -> Bool[Tensor, " B"]:
    """Return for which series the past, from its first observed step on, is long enough for a strided forecast."""
    num_steps = observed.any(dim=1).cummax(dim=-1).values.sum(dim=-1)
    return (num_steps >= MIN_SEASONS * season_length) & (season_length >= MIN_SEASON_LENGTH)


def split_phases(
    values: Shaped[Tensor, "B C L"], stride: int, *, fill: float = float("nan")
) -> Shaped[Tensor, "N C M"]:
    """Return each phase as a series of its own; the phase of the first future step comes first.

    `fill` is put before the oldest step so that all phases have the same length. No step is cut: how many would be
    depends on the longest series of the batch.
    """
    padded = pad(values, (-values.shape[-1] % stride, 0), value=fill)
    return rearrange(padded, "b c (l k) -> (b k) c l", k=stride)


def interleave(quantiles: Float[Tensor, "N C M Q"], stride: int, *, horizon: int) -> Float[Tensor, "B C H Q"]:
    """Return forecasts of all phases as one forecast of `horizon` steps: the inverse of `split_phases`."""
    return rearrange(quantiles, "(b k) c h q -> b c (h k) q", k=stride)[..., :horizon, :]


def all_phases_observed(observed: Bool[Tensor, "N C M"], stride: int) -> Bool[Tensor, "B C"]:
    """Return whether every phase of a channel has an observed value; hourly values on a grid of minutes have not."""
    return count_observed(observed, stride) > 0


def count_observed(observed: Bool[Tensor, "N C M"], stride: int) -> Int[Tensor, "B C"]:
    """Return the observed steps of the phase of each channel that has the fewest."""
    return rearrange(observed.sum(dim=-1), "(b k) c -> b k c", k=stride).amin(dim=1)
