"""Losses of each step, by name. B batch, C channels, T steps, Q quantile levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

StepLoss = Callable[[Tensor, Tensor, tuple[float, ...]], Tensor]


def mse(
    prediction: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], _quantile_levels: tuple[float, ...]
) -> Float[Tensor, "*steps"]:
    """Return the squared error of the first quantile."""
    return (prediction[..., 0] - target).square()


def mae(
    prediction: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], _quantile_levels: tuple[float, ...]
) -> Float[Tensor, "*steps"]:
    """Return the absolute error of the first quantile."""
    return (prediction[..., 0] - target).abs()


def huber(
    prediction: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], _quantile_levels: tuple[float, ...]
) -> Float[Tensor, "*steps"]:
    """Return an error of the first quantile that is quadratic up to 1 unit and linear beyond (Huber 1964)."""
    return F.huber_loss(prediction[..., 0], target, reduction="none")


def pinball(
    prediction: Float[Tensor, "*steps Q"], target: Float[Tensor, "*steps"], quantile_levels: tuple[float, ...]
) -> Float[Tensor, "*steps"]:
    """Return the quantile loss, the mean over levels (Koenker & Bassett 1978).

    Twice the loss approaches the CRPS as the levels fill (0, 1).
    """
    level = torch.tensor(quantile_levels, dtype=prediction.dtype, device=prediction.device)
    error = target[..., None] - prediction
    return torch.maximum(level * error, (level - 1) * error).mean(dim=-1)


LOSSES: dict[str, StepLoss] = {"mse": mse, "mae": mae, "huber": huber, "pinball": pinball}
POINT_LOSSES = ("mse", "mae", "huber")


def masked_mean(per_step: Float[Tensor, "B C T"], mask: Bool[Tensor, "B C T"]) -> Float[Tensor, ""]:
    """Return the mean where `mask` is True; 0 if it never is.

    NaN elsewhere has no effect on the value. To keep it out of the gradient too, predictions must be cut off there
    before `per_step` is computed, since 0 * NaN is NaN.
    """
    return torch.where(mask, per_step, 0.0).sum() / mask.sum().clamp_min(1)
