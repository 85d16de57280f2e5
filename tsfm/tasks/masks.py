"""Random masks of steps to hide: points, blocks, both, whole channels, or gaps as they occur in the data.

B batch, C channels, T steps. Every function returns `[batch, channels, time]`, True where a step is hidden; `rate` is
the share of hidden steps of each window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MASKS = ("points", "blocks", "hybrid", "channels", "gaps", "mixed")


def points(shape: torch.Size, rate: Float[Tensor, " B"], generator: torch.Generator | None) -> Bool[Tensor, "B C T"]:
    """Return single steps, each hidden with probability `rate` (as in TimesNet's imputation protocol)."""
    return _uniform(shape, rate, generator) < rate[:, None, None]


def blocks(
    shape: torch.Size,
    rate: Float[Tensor, " B"],
    generator: torch.Generator | None,
    *,
    length: int,
    aligned: bool = True,
) -> Bool[Tensor, "B C T"]:
    """Return hidden blocks of `length` steps in each channel, `rate` of all blocks, rounded.

    Aligned blocks form a grid that ends with the window, as patches do; else the grid of each window is shifted by a
    random number of steps.
    """
    batch, channels, steps = shape
    num = -(-steps // length) + (0 if aligned else 1)
    order = _uniform((batch, channels, num), rate, generator).argsort(dim=-1).argsort(dim=-1)
    num_hidden = (rate * num).round().clamp(max=num - 1 if num > 1 else num)
    hidden = (order < num_hidden[:, None, None]).repeat_interleave(length, dim=-1)
    if aligned:
        return hidden[..., -steps:]
    shift = (_uniform((batch, 1, 1), rate, generator) * length).long()
    index = hidden.shape[-1] - steps - shift + torch.arange(steps, device=rate.device)
    return hidden.gather(-1, index.expand(batch, channels, steps))


def hybrid(
    shape: torch.Size,
    rate: Float[Tensor, " B"],
    generator: torch.Generator | None,
    *,
    length: int,
    aligned: bool = True,
) -> Bool[Tensor, "B C T"]:
    """Return blocks and points together.

    Half of the hidden steps are whole blocks, the others are single steps drawn from the rest, so that every channel
    hides the same number of steps at the same rate (as in TSPulse's evaluation, arXiv:2505.13033).
    """
    whole = blocks(shape, rate / 2, generator, length=length, aligned=aligned)
    order = (_uniform(shape, rate, generator) + whole).argsort(dim=-1).argsort(dim=-1)  # blocks come last
    num_points = (rate * shape[-1]).round()[:, None, None] - whole.sum(dim=-1, keepdim=True)
    return whole | (order < num_points)


def channels(shape: torch.Size, rate: Float[Tensor, " B"], generator: torch.Generator | None) -> Bool[Tensor, "B C T"]:
    """Return whole channels, `rate` of them, at least one and never all: they are predicted from the others.

    Raises
    ------
    ValueError
        If there is one channel.
    """
    batch, num, steps = shape
    if num < 2:
        raise ValueError("task.mask=channels hides whole channels, and the data has one; use points, blocks or hybrid")
    order = _uniform((batch, num, 1), rate, generator).argsort(dim=1).argsort(dim=1)
    num_hidden = (rate * num).round().clamp(1, num - 1)
    return (order < num_hidden[:, None, None]).expand(batch, num, steps)


def gaps(observed: Bool[Tensor, "B C T"], generator: torch.Generator | None) -> Bool[Tensor, "B C T"]:
    """Return the missing steps of another window of the batch: gaps with the lengths and patterns of the data."""
    batch = len(observed)
    device = observed.device
    shift = int(torch.randint(1, max(batch, 2), (1,), generator=generator, device=device)) if batch > 1 else 0
    return ~observed.roll(shift, dims=0)


def _uniform(shape: tuple[int, ...] | torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device)
