"""Seasonal series and their lag features, for the tests of the season search, the features and the skip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tsfm.model.fill import interpolate
from tsfm.model.lag_features import LagFeatures, compute_lag_features

STEPS = 512


def wave(period: float, *, steps: int = STEPS, seed: int = 0) -> Tensor:
    """A shape of this period with two harmonics, at a random phase."""
    phase = 2 * math.pi * torch.rand(3, generator=torch.Generator().manual_seed(seed))
    angle = 2 * math.pi * torch.arange(steps, dtype=torch.float64) / period
    return (torch.sin(angle + phase[0]) + 0.5 * torch.sin(2 * angle + phase[1]) + 0.2 * torch.sin(3 * angle)).float()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_mask(*shape: int, rate: float = 0.8, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate


def windows(*, steps: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return [4, 2, steps] noisy waves with gaps and a hidden end, and which steps are visible."""
    rows = torch.stack([wave(6 + 4 * i, steps=steps, seed=seed + i) for i in range(8)])
    rows = rows + 0.2 * noise(8, steps, seed=seed)
    visible = random_mask(8, steps, rate=0.9, seed=seed)
    visible[:, -steps // 4 :] = False
    return rows.unflatten(0, (4, 2)), visible.unflatten(0, (4, 2))


def lag_features(values: Tensor, visible: Tensor, *, num_lags: int = 2) -> LagFeatures:
    line = interpolate(torch.where(visible, values, 0.0), visible)
    return compute_lag_features(values, visible, interpolated=line, num_lags=num_lags)
