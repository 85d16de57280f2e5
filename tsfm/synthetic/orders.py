"""Demand as orders at random intervals, over the life of a product. N rows, L steps, K orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.operations import rhythm
from tsfm.synthetic.renewal import gamma_intervals, interval_index
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import step_index

if TYPE_CHECKING:
    from jaxtyping import Float

PACKS = (1.0, 1.0, 1.0, 6.0, 12.0, 24.0)


def life(rng: Sampler, num: int, length: int, *, launch: float, fade: float) -> Float[Tensor, "N L"]:
    """Return a rate of 1 that begins late in a share of the rows and decays to 0 in another."""
    t = step_index(length, rng.device) / length
    first = rng.uniform(num, 1, low=0.05, high=0.6) * rng.chance(num, 1, rate=launch)
    start = (t >= first) * (1 - torch.exp(-(t - first).clamp_min(0) / rng.log_uniform(num, 1, low=1e-3, high=0.2)))
    start = torch.where(first > 0, start, 1.0)
    last = torch.where(rng.chance(num, 1, rate=fade), rng.uniform(num, 1, low=0.3, high=0.9), 2.0)
    return start * torch.exp(-(t - last).clamp_min(0) / rng.log_uniform(num, 1, low=1e-3, high=0.2))


@GENERATORS("orders")
class Orders(Generator):
    """Demand that is ordered: at regular, random or clustered intervals, with counts in packs as sizes.

    Unlike `intermittent`, where each step decides for itself, the next order depends on the time since the last one.
    Mean intervals are drawn about 1.32 and squared variations of sizes about .49, so all four classes of Syntetos,
    Boylan & Croston (JORS 56, 2005) occur. Sizes are 1 + negative binomial. The rate may have a cycle, a launch and
    an end of life, and promotions multiply sizes for some steps.
    """

    @dataclass
    class Config:
        """Settings of `Orders`."""

        dense: float = 0.35  # share of rows with several orders a step, which are one: a mean interval of .2 to 1
        longest: float = 40.0  # largest mean interval of the others in steps, log-uniform from 1
        most_regular: float = 60.0  # largest gamma shape of the intervals, log-uniform from .3
        season: float = 0.4  # share of rows whose rate has a cycle
        launch: float = 0.15  # share of rows that begin late
        fade: float = 0.15  # share of rows that end early
        promotions: float = 0.2  # share of rows with promotions

        def __post_init__(self) -> None:
            check_range("longest", 1.0, self.longest, least=1.0)
            check_range("most_regular", 0.3, self.most_regular, least=0.3)
            for name in ("dense", "season", "launch", "fade", "promotions"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        mean = rng.log_uniform(num, 1, low=1.0, high=max(min(config.longest, length / 8), 1.0))
        often = rng.log_uniform(num, 1, low=0.2, high=1.0)
        mean = torch.where(rng.chance(num, 1, rate=config.dense), often, mean)
        shape = rng.log_uniform(num, 1, low=0.3, high=config.most_regular)
        rate = rhythm(rng, num, length, share=config.season)
        rate = rate * life(rng, num, length, launch=config.launch, fade=config.fade)
        time = (rate / mean).cumsum(-1) + rng.uniform(num, 1)
        unit = torch.ones(num, 1, device=rng.device)
        orders = interval_index(time, gamma_intervals(rng, num, 6 * length + 8, mean=unit, shape=shape))
        happens = torch.nn.functional.pad(orders.diff(dim=-1), (1, 0)) > 0

        dispersion = rng.log_uniform(num, 1, low=0.2, high=20.0)
        typical = rng.log_uniform(num, 1, low=0.3, high=60.0)
        gamma = rng.gamma(dispersion.expand(num, length).contiguous()) / dispersion
        offered = rng.chance(num, length, rate=rng.log_uniform(num, 1, low=0.01, high=0.1))
        offered = offered & rng.chance(num, 1, rate=config.promotions)
        lift = torch.where(offered, rng.uniform(num, 1, low=1.5, high=6.0), 1.0)
        size = 1 + rng.poisson((typical * gamma * lift).clamp_max(1e4))
        demand = torch.where(happens, size, 0.0) * rng.pick(num, PACKS)
        silent = demand.amax(-1, keepdim=True) <= 0
        at = rng.integers(num, 1, low=0, high=length - 1)
        return torch.where(silent & (step_index(length, rng.device) == at), 1.0, demand)
