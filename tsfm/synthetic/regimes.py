"""Processes whose law changes: mean reversion with regimes, clustered volatility. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_share
from tsfm.synthetic.periods import draw_periods
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import prefix_scan, random_cycles, read_cycle, slow_curve, step_index, white, zscore

if TYPE_CHECKING:
    from jaxtyping import Float


@GENERATORS("ou")
class OrnsteinUhlenbeck(Generator):
    """Mean reversion that switches between a tight and a loose regime, with moving and seasonal means.

    The laws of the parameters are those of TempoPFN (arXiv:2510.25502, app. C): theta U(1, 5), mu N(-2, 1), sigma
    lognormal(ln .3, .3) against theta U(.05, .5), mu N(2, 1), sigma lognormal(ln 1.5, .5). The exact transition over a
    step is used, not Euler's; a step is log-uniform in .003 to .3 rather than .01, for fast and slow rows.
    """

    @dataclass
    class Config:
        """Settings of `OrnsteinUhlenbeck`."""

        switching: float = 0.6  # share of rows with two regimes
        season: float = 0.5  # share of rows with a seasonal mean
        drift: float = 0.5  # share of rows with a slowly moving mean

        def __post_init__(self) -> None:
            for name in ("switching", "season", "drift"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        leave = rng.log_uniform(num, 1, low=1.0 / length, high=0.15) * rng.chance(num, 1, rate=config.switching)
        first = rng.integers(num, 1, low=0, high=1)
        loose = (rng.chance(num, length, rate=leave).cumsum(-1) + first) % 2 == 1
        between = [
            torch.where(loose, wild, calm)
            for calm, wild in (
                (rng.uniform(num, 1, low=1.0, high=5.0), rng.uniform(num, 1, low=0.05, high=0.5)),
                (rng.normal(num, 1) - 2, rng.normal(num, 1) + 2),
                (0.3 * torch.exp(0.3 * rng.normal(num, 1)), 1.5 * torch.exp(0.5 * rng.normal(num, 1))),
            )
        ]
        theta, mean, sigma = between
        period = draw_periods(rng, num, length, fits=3.0, off_calendar=0.3, jitter=0.2)[:, :1]
        turn = read_cycle(
            random_cycles(rng, num, most=4), step_index(length, rng.device) / period + rng.uniform(num, 1)
        )
        mean = mean + turn * rng.uniform(num, 1, high=2.0) * rng.chance(num, 1, rate=config.season)
        mean = mean + 2 * slow_curve(rng, num, length) * rng.chance(num, 1, rate=config.drift)
        keep = torch.exp(-theta * rng.log_uniform(num, 1, low=0.003, high=0.3))
        shock = sigma * ((1 - keep * keep) / (2 * theta)).sqrt() * rng.normal(num, length)
        pushed = (1 - keep) * mean + shock
        pushed[:, 0] = mean[:, 0] + shock[:, 0]
        return prefix_scan(pushed, keep)


@GENERATORS("volatility")
class Volatility(Generator):
    """Returns whose size clusters, GARCH(1,1) or stochastic volatility, and the prices they make.

    GARCH (Bollerslev, J. Econometrics 31, 1986): s_t = w + (a z_{t-1}^2 + b) s_{t-1}, a linear recursion in s, so it
    is one scan. Stochastic volatility (Taylor 1986): the logarithm of s is an AR(1).
    """

    @dataclass
    class Config:
        """Settings of `Volatility`."""

        prices: float = 0.6  # share of rows that are prices, the others are returns or their sizes
        persistence: float = 0.98  # the largest a + b

        def __post_init__(self) -> None:
            check_share("prices", self.prices)
            if not 0 < self.persistence < 1:
                raise ValueError(f"persistence is {self.persistence}; a stationary GARCH has 0 < a + b < 1")

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        z = white(rng, num, length).clamp(-6, 6)
        total = 1 - rng.log_uniform(num, 1, low=1 - self.config.persistence, high=0.5)
        a = total * rng.uniform(num, 1, low=0.05, high=0.3)
        keep = torch.cat([torch.zeros_like(z[:, :1]), (a * z * z + total - a)[:, :-1]], -1)
        pushed = (1 - total).expand(num, length).clone()
        pushed[:, 0] = 1.0
        garch = prefix_scan(pushed, keep).clamp_max(1e4)
        stay = 1 - rng.log_uniform(num, 1, low=0.003, high=0.2)
        walk = prefix_scan(rng.normal(num, length) * (1 - stay * stay).sqrt(), stay)
        stochastic = torch.exp(2 * rng.uniform(num, 1, low=0.3, high=1.0) * walk)
        returns = z * torch.where(rng.chance(num, 1, rate=0.5), garch, stochastic).sqrt()
        price = returns.cumsum(-1) + rng.normal(num, 1) * 0.03 * step_index(length, rng.device)
        price = torch.exp(zscore(price) * rng.log_uniform(num, 1, low=0.03, high=0.6))
        kind = rng.uniform(num, 1)
        rest = 1 - self.config.prices
        return torch.where(kind < rest / 2, returns, torch.where(kind < rest, returns.abs(), price))
