"""Random walks whose drift is as large as their steps: short yearly, quarterly and monthly series. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import segment_index, white

if TYPE_CHECKING:
    from jaxtyping import Float

SEASONS, SEASON_ODDS = (1.0, 4.0, 12.0), (0.5, 0.2, 0.3)


@GENERATORS("drift_walk")
class DriftWalk(Generator):
    """A walk with strong drift, few breaks of the drift, a fixed season of 4 or 12 and noise of measurement.

    The drift is .1 to 3 standard deviations of a step (`random_walk`: at most .1 or so), as in yearly series of the M
    competitions, where the last slope matters more than the last value. A share is exponentiated.
    """

    @dataclass
    class Config:
        """Settings of `DriftWalk`."""

        strongest: float = 3.0  # largest drift in standard deviations of a step, log-uniform from .1
        breaks: float = 4.0  # largest mean number of new drifts, log-uniform from .2
        season: float = 0.7  # share of rows with a season, where its length is above 1
        noise: float = 0.3  # share of rows with noise of measurement
        geometric: float = 0.4  # share of rows that are exp of a walk

        def __post_init__(self) -> None:
            check_range("strongest", 0.1, self.strongest, least=0.1)
            check_range("breaks", 0.2, self.breaks, least=0.2)
            for name in ("season", "noise", "geometric"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        breaks = rng.log_uniform(num, 1, low=0.2, high=config.breaks)
        segment = segment_index(rng, num, length, breaks / length)
        strength = rng.log_uniform(num, 1, low=0.1, high=config.strongest)
        sign = torch.where(rng.chance(num, 1, rate=0.75), 1.0, -1.0)
        drift = strength * sign * (1 + rng.normal(num, int(segment.max()) + 1) * rng.uniform(num, 1, high=1.5))
        drift[:, 0] = (strength * sign)[:, 0]
        walk = (white(rng, num, length) + drift.gather(1, segment)).cumsum(-1)
        lag = torch.tensor(SEASONS, device=rng.device)[rng.choose(num, SEASON_ODDS)][:, None].long()
        seasonal = (lag > 1) & rng.chance(num, 1, rate=config.season)
        shape = rng.normal(num, int(max(SEASONS))) * rng.log_uniform(num, 1, low=0.5, high=10.0) * seasonal
        noise = rng.normal(num, length) * rng.uniform(num, 1, high=2.0) * rng.chance(num, 1, rate=config.noise)
        x = walk + shape.gather(1, torch.arange(length, device=rng.device)[None] % lag) + noise
        x = x - x[:, :1]
        largest = x.abs().amax(-1, keepdim=True).clamp_min(1e-6)
        grown = torch.exp(x / largest * rng.log_uniform(num, 1, low=0.05, high=2.0))
        return torch.where(rng.chance(num, 1, rate=config.geometric), grown, x)
