"""Load of sources that are active for heavy-tailed times: traffic, jobs. N rows, L steps, S sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.operations import rhythm
from tsfm.synthetic.renewal import alternating_states
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import prefix_scan, white

if TYPE_CHECKING:
    from jaxtyping import Float


@GENERATORS("sessions")
class Sessions(Generator):
    """The sum of a few on/off sources whose durations follow Pareto laws, over a floor.

    Tails between 1 and 2 make the sum long-range dependent (Willinger, Taqqu, Sherman & Wilson, IEEE/ACM Trans.
    Networking 5, 1997). Active sources fluctuate, so a burst is a plateau of activity and not a decaying shot.
    """

    @dataclass
    class Config:
        """Settings of `Sessions`."""

        sources: int = 4  # most sources
        heaviest: float = 1.1  # smallest tail exponent of a duration, the largest is 1.9
        noise: float = 0.6  # most spread of an active source, in logarithms
        season: float = 0.4  # share of rows whose size has a cycle
        counts: float = 0.25  # share of rows in whole units

        def __post_init__(self) -> None:
            if not 1 <= self.sources <= 8:
                raise ValueError(f"sources is {self.sources}; expected 1 to 8 sources")
            check_range("heaviest", self.heaviest, 1.9, least=1.0)
            check_range("noise", 0.0, self.noise, least=0.0)
            for name in ("season", "counts"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config, sources = self.config, self.config.sources
        active = self.active(rng, num * sources, length).unflatten(0, (num, sources))
        used = torch.arange(sources, device=rng.device)[None] < rng.integers(num, 1, low=1, high=sources)
        power = torch.exp(rng.normal(num, sources)) * used
        x = torch.einsum("nsl,ns->nl", active, power)
        spread = config.noise * rng.uniform(num, 1)
        x = x * torch.exp(spread * white(rng, num, length).clamp(-4, 4) - spread * spread / 2)
        x = x * rhythm(rng, num, length, share=config.season)
        keep = torch.exp(-1 / rng.log_uniform(num, 1, low=1.0, high=20.0))
        queued = prefix_scan(x * (1 - keep), keep)  # a server with memory smooths its load
        x = torch.where(rng.chance(num, 1, rate=0.3), queued, x)
        x = x + rng.log_uniform(num, 1, low=0.01, high=1.0) * (1 + 0.1 * white(rng, num, length)).clamp_min(0.0)
        counts = rng.poisson((x * rng.log_uniform(num, 1, low=1.0, high=50.0)).clamp_max(1e5))
        return torch.where(rng.chance(num, 1, rate=config.counts), counts, x)

    def active(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """Return 1 where each source is on; durations on and off are Pareto, cut at the length."""
        count = length // 4 + 2
        tail = rng.uniform(num, 1, low=self.config.heaviest, high=1.9)
        durations = []
        for most in (length / 10, length / 5):
            least = rng.log_uniform(num, 1, low=2.0, high=max(most, 2.0))
            u = rng.uniform(num, count).clamp_min(1e-6)
            durations.append((least * torch.exp(-u.log() / tail)).clamp_max(4.0 * length))
        on, _ = alternating_states(rng, length, on=durations[0], off=durations[1])
        return on.float()
