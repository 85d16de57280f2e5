"""Which observed steps to hide: random points, blocks, both, whole channels, or gaps as they really occur.

B batch, C channels, T steps. Every function gives a mask [B, C, T] that is True where a step is to be hidden; `rate` is
the share of hidden steps, one number for each window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MASKS = ("points", "blocks", "hybrid", "channels", "gaps", "mixed")


def points(shape: torch.Size, rate: Float[Tensor, " B"], generator: torch.Generator | None) -> Bool[Tensor, "B C T"]:
    """Each step by itself with probability `rate` (as TimesNet's imputation protocol draws them)."""
    return _uniform(shape, rate, generator) < rate[:, None, None]


def blocks(
    shape: torch.Size,
    rate: Float[Tensor, " B"],
    generator: torch.Generator | None,
    *,
    length: int,
    aligned: bool = True,
) -> Bool[Tensor, "B C T"]:
    """Blocks of `length` steps, `rate` of them, rounded, in each channel. Aligned blocks end where the window ends,
    as patches do; else each window's grid is shifted by a random number of steps."""
    batch, channels, steps = shape
    num = -(-steps // length) + (0 if aligned else 1)
    order = _uniform((batch, channels, num), rate, generator).argsort(dim=-1).argsort(dim=-1)
    wanted = (rate * num).round().clamp(max=num - 1 if num > 1 else num)
    hidden = (order < wanted[:, None, None]).repeat_interleave(length, dim=-1)
    if aligned:
        return hidden[..., -steps:]
    shift = (_uniform((batch, 1, 1), rate, generator) * length).long()
    places = hidden.shape[-1] - steps - shift + torch.arange(steps, device=rate.device)
    return hidden.gather(-1, places.expand(batch, channels, steps))


def hybrid(
    shape: torch.Size,
    rate: Float[Tensor, " B"],
    generator: torch.Generator | None,
    *,
    length: int,
    aligned: bool = True,
) -> Bool[Tensor, "B C T"]:
    """Blocks and points together: half of the hidden steps lie in whole blocks, the others are single steps drawn from
    what is left, so that a channel hides the same number of steps in every window of a rate (as TSPulse's evaluation
    does, arXiv:2505.13033)."""
    whole = blocks(shape, rate / 2, generator, length=length, aligned=aligned)
    order = (_uniform(shape, rate, generator) + whole).argsort(dim=-1).argsort(dim=-1)  # blocks come last
    missing = (rate * shape[-1]).round()[:, None, None] - whole.sum(dim=-1, keepdim=True)
    return whole | (order < missing)


def channels(shape: torch.Size, rate: Float[Tensor, " B"], generator: torch.Generator | None) -> Bool[Tensor, "B C T"]:
    """Whole channels, `rate` of them, at least one, and never all: the others must tell."""
    batch, num, steps = shape
    if num < 2:
        raise ValueError("task.mask=channels hides whole channels, and the data has one; use points, blocks or hybrid")
    order = _uniform((batch, num, 1), rate, generator).argsort(dim=1).argsort(dim=1)
    wanted = (rate * num).round().clamp(1, num - 1)
    return (order < wanted[:, None, None]).expand(batch, num, steps)


def gaps(observed: Bool[Tensor, "B C T"], generator: torch.Generator | None) -> Bool[Tensor, "B C T"]:
    """What another window of the batch lacks, at the same place: gaps of the length and the pattern that the data
    really has."""
    batch = len(observed)
    device = observed.device
    shift = int(torch.randint(1, max(batch, 2), (1,), generator=generator, device=device)) if batch > 1 else 0
    return ~observed.roll(shift, dims=0)


def _uniform(shape: tuple[int, ...] | torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device)
