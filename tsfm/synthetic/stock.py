"""Levels that fall with use and are refilled: stock, tanks, batteries, accounts. N rows, L steps, K refills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.operations import rhythm
from tsfm.synthetic.renewal import interval_index, interval_start
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import white

if TYPE_CHECKING:
    from jaxtyping import Float


@GENERATORS("stock")
class Stock(Generator):
    """An irregular sawtooth: the level falls by a seasonal and random use, and a refill lifts it at once.

    The (s, S) policy of inventory theory (Arrow, Harris & Marschak, Econometrica 19, 1951): a refill comes when a
    quantity is used up. The quantity is fixed or random; some rows are upside down (a load that builds up and is
    emptied) and some are whole units.
    """

    @dataclass
    class Config:
        """Settings of `Stock`."""

        most: float = 60.0  # mean number of refills, log-uniform from 3
        fixed: float = 0.5  # share of rows with one quantity
        season: float = 0.6  # share of rows whose use has a cycle
        filling: float = 0.3  # share of rows that rise slowly and fall at once
        units: float = 0.3  # share of rows in whole units
        noise: float = 0.05  # most noise, in quantities

        def __post_init__(self) -> None:
            check_range("most", 3.0, self.most, least=3.0)
            check_range("noise", 0.0, self.noise, least=0.0)
            for name in ("fixed", "season", "filling", "units"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        refills = rng.log_uniform(num, 1, low=3.0, high=max(min(config.most, length / 6), 3.0))
        use = rhythm(rng, num, length, share=config.season)
        shape = rng.log_uniform(num, 1, low=0.3, high=30.0)
        use = use * rng.gamma(shape.expand(num, length).contiguous()) / shape
        used = (use / use.mean(-1, keepdim=True) * refills / length).cumsum(-1) + rng.uniform(num, 1)
        spread = rng.uniform(num, 1, low=0.05, high=0.5) * ~rng.chance(num, 1, rate=config.fixed)
        quantities = torch.exp(spread * rng.normal(num, int(4 * config.most) + 8)).clamp(0.3, 4.0)
        index = interval_index(used, quantities)
        since = used - interval_start(index, quantities)
        full = torch.where(
            rng.chance(num, 1, rate=0.5), torch.nn.functional.pad(quantities, (0, 1)).gather(1, index), 1.0
        )
        reserve = rng.uniform(num, 1, high=1.0)
        level = reserve + full - since
        low, high = level.amin(-1, keepdim=True), level.amax(-1, keepdim=True)
        level = torch.where(rng.chance(num, 1, rate=config.filling), low + high - level, level)
        level = level + white(rng, num, length) * config.noise * rng.uniform(num, 1) ** 2
        unit = 1 / rng.log_uniform(num, 1, low=5.0, high=100.0)
        return torch.where(rng.chance(num, 1, rate=config.units), (level / unit).round(), level)
