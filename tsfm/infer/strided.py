"""Every k-th step of a long season: a second look at a series, in which a context reaches k times as far back.

B series, C channels, L past steps, H horizon, Q quantile levels, k steps from one to the next of a phase,
N = B k phases, M steps of a phase.
A day of 15-minute steps is 96 of them, and a context of 1,056 eleven days; of every fourth step it holds six weeks.
Nothing is lost: each of the k phases is forecast by itself, and together they are the whole horizon again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einops import rearrange
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Shaped

LONG = 96  # steps of a season from which on a second look pays: chosen on sets of the corpus, where 48 does not
CYCLES = 2  # seasons that a past must hold, else it shows no more than the first look does


def pays(observed: Bool[Tensor, "B C L"], *, season: int) -> Bool[Tensor, " B"]:
    """Of which series the past, from its first observed step on, is worth a second look."""
    steps = observed.any(dim=1).cummax(dim=-1).values.sum(dim=-1)
    return (steps >= CYCLES * season) & (season >= LONG)


def phases(values: Shaped[Tensor, "B C L"], every: int) -> Shaped[Tensor, "N C M"]:
    """Each phase as a series of its own, the phase of the first step ahead first."""
    steps = values.shape[-1] // every * every
    return rearrange(values[..., values.shape[-1] - steps :], "b c (l k) -> (b k) c l", k=every)


def together(reads: Float[Tensor, "N C M Q"], every: int, *, horizon: int) -> Float[Tensor, "B C H Q"]:
    """The inverse of `phases` for what was forecast, cut to the horizon."""
    return rearrange(reads, "(b k) c h q -> b c (h k) q", k=every)[..., :horizon, :]


def shown(observed: Bool[Tensor, "N C M"], every: int) -> Bool[Tensor, "B C"]:
    """Whether every phase of a channel shows something: hourly values on a grid of minutes have silent phases."""
    return rearrange(observed.any(dim=-1), "(b k) c -> b k c", k=every).all(dim=1)
