"""Means of several series, and channels that follow each other: more variety from the series of a corpus.

B rows or windows, R real and S synthetic rows, C channels, T steps of a window. NaN where a step is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_DELAY = 16  # steps by which a channel may follow another


def zscore_rows(rows: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return each row less its mean over its standard deviation, over observed values; a constant row becomes 0."""
    observed = ~rows.isnan()
    count = observed.sum(dim=-1, keepdim=True).clamp_min(1)
    values = torch.where(observed, rows, 0.0).double()
    mean = values.sum(dim=-1, keepdim=True) / count
    centred = torch.where(observed, values - mean, 0.0)
    std = (centred.square().sum(dim=-1, keepdim=True) / count).sqrt()
    return torch.where(observed, centred / torch.where(std > 1e-6 * mean.abs(), std, 1.0), torch.nan).float()


def mix_rows(rows: Float[Tensor, "B T"], rate: float, generator: torch.Generator) -> Float[Tensor, "B T"]:
    """Replace a share of the rows by a weighted mean of the row and two others (TSMixup, arXiv:2403.07815)."""
    num = len(rows)
    if not rate or num < 3:
        return rows
    # Dirichlet(3/2), as there, by normalized gammas: a gamma of shape 3/2 is half a chi-square of three degrees
    normals = torch.randn(num, 3, 3, generator=generator)
    weights = normals.square().sum(dim=-1) / 2
    weights = weights / weights.sum(dim=-1, keepdim=True)
    others = torch.randint(num, (num, 2), generator=generator)
    stack = torch.stack([rows, rows[others[:, 0]], rows[others[:, 1]]], dim=1)
    mean = (torch.where(~stack.isnan(), stack, 0.0) * weights[..., None]).sum(dim=1)
    replaced = (torch.rand(num, generator=generator) < rate)[:, None] & ~rows.isnan()
    return torch.where(replaced, mean, rows)


def blend_rows(
    real: Float[Tensor, "R T"], synthetic: Float[Tensor, "S T"], rate: float, generator: torch.Generator
) -> Float[Tensor, "R T"]:
    """Replace a share of the real rows by a weighted mean of the row and a synthetic one; missing steps stay missing.

    Both are z-scored; the weights are those of `mix_rows`, Dirichlet(3/2).
    """
    if not rate or not len(synthetic):
        return real
    num = len(real)
    weights = torch.randn(num, 2, 3, generator=generator).square().sum(dim=-1)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    other = synthetic[torch.randint(len(synthetic), (num,), generator=generator)]
    mean = weights[:, :1] * real + weights[:, 1:] * other
    return torch.where(torch.rand(num, 1, generator=generator) < rate, mean, real)


def couple_channels(windows: Float[Tensor, "B C T"], rate: float, generator: torch.Generator) -> Float[Tensor, "B C T"]:
    """Add to every channel of a share of the windows another channel, up to 16 steps later, with a weight in [-1, 1].

    Chronos-2 makes multivariate series of univariate ones in this way (arXiv:2510.15821, section 4).
    """
    num, channels, steps = windows.shape
    leader = torch.randint(channels, (num, channels), generator=generator)
    delay = torch.randint(MAX_DELAY + 1, (num, channels, 1), generator=generator)
    weight = torch.rand(num, channels, 1, generator=generator) * 2 - 1
    source = windows.gather(1, leader[..., None].expand_as(windows))
    source = source.gather(-1, (torch.arange(steps) - delay).clamp_min(0))
    mixed = windows + weight * source.nan_to_num(0.0)
    chosen = torch.rand(num, 1, 1, generator=generator) < rate
    return torch.where(chosen, mixed, windows)
