"""Losses over wanted steps, by name. B batch, C channels, T steps, Q quantile levels.

Each takes reads[*steps, Q], targets[*steps] and the levels, and gives one number per step [*steps].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

StepLoss = Callable[[Tensor, Tensor, tuple[float, ...]], Tensor]


def mse(read: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], quantile_levels: tuple[float, ...]) -> Tensor:
    return (read[..., 0] - target).square()


def mae(read: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], quantile_levels: tuple[float, ...]) -> Tensor:
    return (read[..., 0] - target).abs()


def huber(
    read: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], quantile_levels: tuple[float, ...]
) -> Tensor:
    """Quadratic within 1 unit of the target, linear beyond (Huber 1964)."""
    return F.huber_loss(read[..., 0], target, reduction="none")


def pinball(
    read: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], quantile_levels: tuple[float, ...]
) -> Tensor:
    """Quantile loss, mean over levels (Koenker & Bassett 1978); twice it tends to the CRPS as levels fill (0, 1)."""
    level = torch.tensor(quantile_levels, dtype=read.dtype, device=read.device)
    error = target[..., None] - read
    return torch.maximum(level * error, (level - 1) * error).mean(dim=-1)


LOSSES: dict[str, StepLoss] = {"mse": mse, "mae": mae, "huber": huber, "pinball": pinball}
POINT_LOSSES = ("mse", "mae", "huber")


def masked_mean(per_step: Float[Tensor, "B C T"], wanted: Bool[Tensor, "B C T"]) -> Tensor:
    """Mean over wanted steps; 0 when none is. A NaN beside the wanted steps does not touch the value; to keep it out
    of the gradient too, the reads there must be cut off before `per_step` is computed: 0 * NaN is NaN."""
    return torch.where(wanted, per_step, 0.0).sum() / wanted.sum().clamp_min(1)
