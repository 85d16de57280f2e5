"""Random tensors from one torch.Generator, on its device. N rows, K columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

TINY = 1e-12  # smallest uniform number whose logarithm is taken


class Sampler:
    """Random draws from one torch.Generator; everything random in this package comes from here."""

    def __init__(self, generator: torch.Generator):
        self.generator = generator
        self.device = generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw from the uniform distribution on [low, high)."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Draw from [low, high] so that the logarithm is uniform."""
        return self.uniform(*shape, low=math.log(low), high=math.log(max(high, low))).exp()

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def sign(self, *shape: int) -> Tensor:
        """Draw -1 or 1 with equal probability."""
        return torch.where(self.chance(*shape, rate=0.5), 1.0, -1.0)

    def chance(self, *shape: int, rate: float | Tensor) -> Bool[Tensor, "*shape"]:
        """Draw True with probability `rate`, which may be a tensor that broadcasts to the shape."""
        return torch.rand(shape, generator=self.generator, device=self.device) < rate

    def integers(self, *shape: int, low: int, high: int) -> Int[Tensor, "*shape"]:
        """Draw integers from `low` to `high`, both included."""
        return torch.randint(low, high + 1, shape, generator=self.generator, device=self.device)

    def choose(self, num: int, weights: Sequence[float] | Tensor) -> Int[Tensor, " N"]:
        """Draw an index per row; the weights are one list for all rows, or a row of K weights for each."""
        odds = torch.as_tensor(weights, dtype=torch.float32, device=self.device)
        total = odds.expand(num, -1).cumsum(-1)
        return torch.searchsorted(total, self.uniform(num, 1) * total[:, -1:], right=True).clamp_(
            max=odds.shape[-1] - 1
        )[:, 0]

    def pick(self, num: int, values: Sequence[float]) -> Float[Tensor, "N 1"]:
        """Draw one of the values for each row, all equally likely."""
        table = torch.tensor(values, dtype=torch.float32, device=self.device)
        return table[self.integers(num, 1, low=0, high=len(values) - 1)]

    def student(self, *shape: int, freedom: float | Tensor) -> Tensor:
        """Draw from Student's t by the polar method (Bailey, Math. Comp. 62, 1994), without rejection."""
        u = self.uniform(*shape).clamp_min(TINY)
        size = (freedom * (u ** (-2.0 / freedom) - 1.0)).sqrt()
        return size * torch.cos(2 * math.pi * self.uniform(*shape))

    def laplace(self, *shape: int) -> Tensor:
        """Draw from the Laplace distribution of unit variance."""
        u = self.uniform(*shape, low=-1.0)
        return -torch.sign(u) * torch.log((1 - u.abs()).clamp_min(1e-7)) / math.sqrt(2.0)

    def gamma(self, shape_parameter: Tensor) -> Tensor:
        """Draw from the gamma distribution of scale 1."""
        return torch._standard_gamma(shape_parameter, generator=self.generator)  # noqa: SLF001  Gamma takes no generator

    def poisson(self, rate: Tensor) -> Tensor:
        """Draw from the Poisson distribution."""
        return torch.poisson(rate, generator=self.generator)

    def shares(self, num: int, among: int, *, concentration: float) -> Float[Tensor, "N K"]:
        """Draw from the Dirichlet distribution: non-negative, sum 1."""
        drawn = self.gamma(torch.full((num, among), concentration, device=self.device)).clamp_min(TINY)
        return drawn / drawn.sum(-1, keepdim=True)

    def fourier(self, num: int, count: int) -> Tensor:
        """Draw complex normal numbers [num, count] with unit variance of the real and the imaginary part."""
        return torch.complex(self.normal(num, count), self.normal(num, count))
