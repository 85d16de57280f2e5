"""Exponential smoothing with multiplicative errors, trends and seasons. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import lagged_sum, prefix_scan

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SEASONS, SEASON_ODDS = (1.0, 4.0, 12.0, 7.0, 24.0, 52.0), (0.25, 0.2, 0.35, 0.1, 0.05, 0.05)


def additive_trend(
    errors: Float[Tensor, "N L"], slope: Tensor, alpha: Tensor, beta: Tensor, phi: Tensor
) -> Float[Tensor, "N L"]:
    """Return l_{t-1} + phi b_{t-1} of ETS(M,Ad,.), from l_0 = 1 and b_0 = `slope`; settings are `[N, 1]`.

    l_t = (l_{t-1} + phi b_{t-1})(1 + alpha e_t) and b_t = phi b_{t-1} + beta (l_{t-1} + phi b_{t-1}) e_t are linear in
    (l, b), so the products of their 2 x 2 matrices are prefix products by doubling.
    """
    phi = phi.expand_as(errors)
    a, c = 1 + alpha * errors, beta * errors
    matrix = torch.stack([a, phi * a, c, phi * (1 + c)], 0)
    width, length = 1, errors.shape[-1]
    while width < length:
        new, old = matrix[..., width:], matrix[..., :-width]
        product = [new[0] * old[0] + new[1] * old[2], new[0] * old[1] + new[1] * old[3]]
        product += [new[2] * old[0] + new[3] * old[2], new[2] * old[1] + new[3] * old[3]]
        matrix = torch.cat([matrix[..., :width], torch.stack(product, 0)], -1)
        width *= 2
    level = matrix[0] + matrix[1] * slope
    trend = matrix[2] + matrix[3] * slope
    fitted = level + phi * trend
    return torch.cat([1 + phi[:, :1] * slope, fitted[:, :-1]], -1)


def multiplicative_trend(
    errors: Float[Tensor, "N L"], growth: Tensor, alpha: Tensor, beta: Tensor, phi: Tensor
) -> Float[Tensor, "N L"]:
    """Return log(l_{t-1} b_{t-1}^phi) of ETS(M,Md,.), from l_0 = 1 and log b_0 = `growth`; settings are `[N, 1]`.

    l_t = l_{t-1} b_{t-1}^phi (1 + alpha e_t) and b_t = b_{t-1}^phi (1 + beta e_t) are sums in logarithms.
    """
    pushed = torch.log1p(beta * errors)
    pushed[:, :1] += phi * growth
    slope = prefix_scan(pushed, phi)  # log b_t
    before = phi * torch.cat([growth.expand(len(errors), 1), slope[:, :-1]], -1)
    moved = torch.log1p(alpha * errors)
    return before.cumsum(-1) + moved.cumsum(-1) - moved


def multiplicative_season(
    rng: Sampler, errors: Float[Tensor, "N L"], lag: Int[Tensor, "N 1"], gamma: Tensor, size: Tensor
) -> Float[Tensor, "N L"]:
    """Return log s_{t-m} of s_t = s_{t-m} (1 + gamma e_t), from random seasonal factors of mean logarithm 0."""
    num, length = errors.shape
    first = rng.normal(num, int(max(SEASONS)))
    used = torch.arange(first.shape[1], device=first.device)[None] < lag
    first = (first - (first * used).sum(-1, keepdim=True) / lag) * size
    moved = torch.log1p(gamma * errors)
    phase = torch.arange(length, device=first.device)[None] % lag
    return first.gather(1, phase) + lagged_sum(moved, lag) - moved


@GENERATORS("ets_multiplicative")
class EtsMultiplicative(Generator):
    """Short business series: exponential smoothing with relative errors, ETS(M, N/A/Ad/M/Md, N/M).

    Hyndman, Koehler, Ord & Snyder, Forecasting with Exponential Smoothing (2008), table 2.3, for yearly, quarterly,
    monthly and a few faster seasons. `ets` draws additive errors and exponentials of them; here the size of errors and
    season follows the level, and a trend is drawn against the noise, so that 20 to 200 steps show it.
    """

    @dataclass
    class Config:
        """Settings of `EtsMultiplicative`."""

        error: float = 0.15  # largest standard deviation of the relative error, log-uniform from .003
        trend: float = 0.75  # share of rows with a trend
        multiplied: float = 0.4  # share of trends that are multiplicative
        damped: float = 0.5  # share of trends that are damped, phi between .8 and .98
        season: float = 0.75  # share of rows with a season, where its length is above 1

        def __post_init__(self) -> None:
            check_range("error", 0.003, self.error, least=0.003)
            for name in ("trend", "multiplied", "damped", "season"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        alpha = rng.uniform(num, 1) ** 2
        beta = alpha * rng.log_uniform(num, 1, low=0.001, high=0.2) * rng.chance(num, 1, rate=config.trend)
        gamma = (1 - alpha) * rng.log_uniform(num, 1, low=0.005, high=0.4)
        sigma = rng.log_uniform(num, 1, low=0.003, high=config.error)
        sigma = torch.minimum(sigma, 1.2 / (alpha.clamp_min(0.05) * length**0.5))  # a level that wanders by e^1.2
        errors = (rng.normal(num, length) * sigma).clamp(-0.7, 0.7)
        damped = rng.chance(num, 1, rate=config.damped)
        phi = torch.where(damped, rng.uniform(num, 1, low=0.8, high=0.98), 1.0)
        beta = torch.where(damped, beta, beta.clamp_max(4.0 / length))  # an undamped slope walks too
        num_growing = torch.where(damped, phi / (1 - phi), float(length)).clamp_max(length)
        sign = torch.where(rng.chance(num, 1, rate=0.7), 1.0, -0.6)
        total = sign * rng.log_uniform(num, 1, low=0.05, high=1.5) * rng.chance(num, 1, rate=config.trend)
        added = additive_trend(errors, total / num_growing, alpha, beta, phi).clamp_min(1e-3).log()
        grown = multiplicative_trend(errors, total / num_growing, alpha, beta, phi)
        x = torch.where(rng.chance(num, 1, rate=config.multiplied), grown, added)
        lag = rng.choose(num, SEASON_ODDS)
        lag = torch.tensor(SEASONS, device=rng.device)[lag][:, None].long()
        seasonal = rng.chance(num, 1, rate=config.season) & (lag > 1) & (3 * lag <= length)
        season = multiplicative_season(rng, errors, lag, gamma, rng.log_uniform(num, 1, low=0.02, high=0.5))
        x = x + torch.where(seasonal, season, 0.0) + torch.log1p(errors)
        return torch.exp(x.clamp(-12, 12)) * rng.log_uniform(num, 1, low=10.0, high=1000.0)
