"""A weighted mixture of all generators, with convex mixes of their series. N rows, L steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from tsfm.messages import did_you_mean
from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_share, check_size
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import zscore

if TYPE_CHECKING:
    from jaxtyping import Float

# Seasonal, stochastic and operational series weigh most: bursts and trends are what synthetic series add to real ones.
WEIGHTS = {
    "seasonal": 4.0,
    "daytype": 4.0,
    "solar": 0.5,
    "waves": 0.5,
    "kernel_gp": 2.0,
    "coloured": 0.5,
    "random_walk": 1.0,
    "arima": 1.5,
    "ets": 2.0,
    "ou": 1.0,
    "volatility": 0.7,
    "intermittent": 1.0,
    "bursts": 1.5,
    "counts": 1.0,
    "sensors": 1.0,
    "steps": 0.7,
    "piecewise_trend": 1.0,
    "spikes": 0.7,
    "growth": 1.0,
    "oscillators": 0.7,
    "chaos": 0.4,
    "scm": 1.0,
}


@dataclass
class GeneratorMixtureConfig:
    """Weights and settings of the generators, and of mixes of their series."""

    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))  # generator -> weight; 0 leaves one out
    settings: dict[str, Any] = field(default_factory=dict)  # generator -> its settings that are not the defaults
    mix: float = 0.15  # share of rows that are replaced by a convex mix of rows (TSMixup, arXiv:2403.07815)
    most: int = 3  # rows in a mix, 2 to that many
    concentration: float = 1.5  # of the mix's Dirichlet weights
    moving: float = 0.0  # share of mixes whose weights move over time (TempoPFN, arXiv:2510.25502: half)

    def __post_init__(self) -> None:
        if not self.weights or not all(0 <= weight < float("inf") for weight in self.weights.values()):
            raise ValueError(f"weights is {self.weights}; expected a weight of 0 or more for each generator")
        if not sum(self.weights.values()):
            raise ValueError("all weights are 0; give one generator a weight above 0")
        known = GENERATORS.names()
        for key, names in (("weights", self.weights), ("settings", self.settings)):
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"{key} names an unknown generator {unknown[0]!r}; {did_you_mean(unknown[0], known)}")
        for name, settings in self.settings.items():
            if not isinstance(settings, Mapping):
                raise ValueError(f"settings.{name} is {settings}; expected settings by name, such as noise: 0.1")
            try:
                GENERATORS.config({"name": name, **settings})
            except (ValueError, TypeError) as error:
                raise ValueError(f"settings.{name}: {error}") from None
        for name in ("mix", "moving"):
            check_share(name, getattr(self, name))
        if not 2 <= self.most <= 10:
            raise ValueError(f"most is {self.most}; a mix has 2 to 10 rows")
        if not self.concentration > 0:
            raise ValueError(f"concentration is {self.concentration}; expected a number above 0")


class GeneratorMixture:
    """Draws z-scored rows of all generators, in random order.

    A generator has a fixed cost of up to 0.2 s a call (chaos): draw a thousand rows at once rather than ten.
    """

    def __init__(self, config: GeneratorMixtureConfig | None = None):
        self.config = config or GeneratorMixtureConfig()
        self.generators: list[tuple[Generator, float]] = [
            (GENERATORS.build(GENERATORS.config({"name": name, **self.config.settings.get(name, {})})), weight)
            for name, weight in self.config.weights.items()
            if weight > 0
        ]

    def draw(self, num: int, length: int, generator: torch.Generator) -> Float[torch.Tensor, "N L"]:
        """Draw finite float32 rows of mean 0 and standard deviation 1, on the generator's device."""
        check_size(num, length)
        rng = Sampler(generator)
        if not num:
            return torch.zeros(0, length, device=rng.device)
        counts = torch.bincount(
            rng.choose(num, [weight for _, weight in self.generators]), minlength=len(self.generators)
        )
        drawn = [
            family.draw(count, length, generator)
            for (family, _), count in zip(self.generators, counts.tolist(), strict=True)
            if count
        ]
        rows = zscore(torch.cat(drawn))
        rows = rows[torch.randperm(num, generator=generator, device=rng.device)]
        return self.mixed(rng, rows) if self.config.mix > 0 else rows

    def mixed(self, rng: Sampler, rows: Float[torch.Tensor, "N L"]) -> Float[torch.Tensor, "N L"]:
        """Replace a share of the rows by a z-scored weighted mean of itself and other rows."""
        num, most = rows.shape[0], self.config.most
        chosen = rng.chance(num, rate=self.config.mix).nonzero()[:, 0]
        count = len(chosen)
        if not count:
            return rows
        share = rng.shares(count, most, concentration=self.config.concentration)
        used = torch.arange(most, device=rng.device)[None] < rng.integers(count, 1, low=2, high=most)
        share = share * used / (share * used).sum(-1, keepdim=True)
        other = rng.integers(count, most, low=0, high=num - 1)
        other[:, 0] = chosen
        mean = torch.einsum("nk,nkl->nl", share, rows[other])
        if self.config.moving > 0:
            moves = rng.chance(count, 1, rate=self.config.moving)
            mean = torch.where(moves, self.moving_mean(rng, rows[other], used), mean)
        spread = mean.std(-1, correction=0, keepdim=True)
        out = rows.clone()
        out[chosen] = torch.where(spread > 1e-3, zscore(mean), rows[chosen])  # opposite rows may cancel
        return out

    def moving_mean(self, rng: Sampler, rows: Float[torch.Tensor, "N K L"], used: torch.Tensor) -> torch.Tensor:
        """Mix rows with Dirichlet weights that are drawn at 2 to 5 times and lie on lines between them, `[N, L]`."""
        num, most, length = rows.shape
        knots = 5
        shares = [rng.shares(num, most, concentration=self.config.concentration) * used for _ in range(knots)]
        table = torch.stack(shares, -1).flatten(0, 1)
        count = rng.integers(num, 1, low=2, high=knots)
        position = torch.linspace(0, 1, length, device=rng.device) * (count - 1)
        position = position.repeat_interleave(most, 0)
        low = position.long().clamp_max(knots - 2)
        left, right = table.gather(1, low), table.gather(1, low + 1)
        weights = (left + (position - low) * (right - left)).unflatten(0, (num, most))
        return (weights * rows).sum(1) / weights.sum(1).clamp_min(1e-6)
