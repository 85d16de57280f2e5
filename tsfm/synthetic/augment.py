"""Random changes that keep series plausible. N rows, L steps; NaN is a missing step.

Each change is applied to each row independently with its own probability, in the order of the settings. NaN stay NaN:
time reversal and warping move them, gaps add more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.base import check_share
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import interpolate_knots, step_index

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


RETIMING = ("warp", "reverse")  # changes of the time of values


@dataclass
class AugmentConfig:
    """Probabilities. Amplitude, censoring and spikes are TiRex's three (arXiv:2505.23719, section 3)."""

    warp: float = 0.1  # time runs up to a third faster and slower
    reverse: float = 0.05  # time runs backwards
    flip: float = 0.2  # the sign changes
    amplitude: float = 0.3  # times a line through 2 to 6 knots between .5 and 1.5
    trend: float = 0.1  # a line of up to 2 standard deviations from end to end
    shift: float = 0.1  # 1 to 3 jumps of the level of up to 2 standard deviations
    spike: float = 0.05  # a jump of 2 to 8 standard deviations in regular intervals
    noise: float = 0.15  # white noise of up to .3 standard deviations
    censor: float = 0.15  # clipped above its quantile .85 to .99, or below the mirrored one
    quantise: float = 0.1  # rounded to 4 to 64 values over its range
    points: float = 0.1  # up to a fifth of the steps go missing
    blocks: float = 0.1  # 1 to 3 gaps of up to an eighth of the length each

    def __post_init__(self) -> None:
        for item in fields(self):
            check_share(item.name, getattr(self, item.name))


def moments(x: Float[Tensor, "N L"]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [N, 1] of the observed steps; 0 and 1 where none is observed."""
    observed = ~torch.isnan(x)
    count = observed.sum(-1, keepdim=True).clamp_min(1)
    mean = torch.where(observed, x, 0.0).sum(-1, keepdim=True) / count
    deviation = torch.where(observed, x - mean, 0.0)
    spread = (deviation.square().sum(-1, keepdim=True) / count).sqrt()
    return mean, torch.where(spread > 0, spread, 1.0)


class Augment:
    """Applies random changes to series.

    The input is not modified, and one generator state gives one result.
    """

    def __init__(self, config: AugmentConfig | None = None):
        self.config = config or AugmentConfig()

    def __call__(self, values: Float[Tensor, "N L"], generator: torch.Generator) -> Float[Tensor, "N L"]:
        """Return changed rows; `values` must be floats [rows, steps] on the generator's device."""
        return self.apply(values, generator)[0]

    def apply(
        self, values: Float[Tensor, "N L"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "N L"], Bool[Tensor, " N"]]:
        """Return changed rows, and of which of them the time was changed, so that timestamps do not apply."""
        if values.ndim != 2 or not values.is_floating_point():
            raise ValueError(
                f"values are {values.dtype} of shape {tuple(values.shape)}; augmenting takes floats [rows, steps]"
            )
        if values.device.type != generator.device.type:
            raise ValueError(f"values are on {values.device}, the generator on {generator.device}; use one device")
        rng, out = Sampler(generator), values.clone()
        retimed = torch.zeros(len(values), dtype=torch.bool, device=values.device)
        if values.shape[1] < 2:
            return out, retimed
        for item in fields(self.config):
            rate = getattr(self.config, item.name)
            rows = rng.chance(values.shape[0], rate=rate).nonzero()[:, 0] if rate > 0 else ()
            if len(rows):
                out[rows] = CHANGES[item.name](rng, out[rows])
                if item.name in RETIMING:
                    retimed[rows] = True
        return out, retimed


def warp(rng: Sampler, x: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Resample time at a pace that varies between 3/4 and 4/3; NaN spread to both sides of the edge of a gap."""
    pace = interpolate_knots(rng.log_uniform(x.shape[0], 5, low=0.75, high=4 / 3), x.shape[1])
    at = torch.nn.functional.pad(pace[:, 1:].cumsum(-1), (1, 0))
    at = at / at[:, -1:] * (x.shape[1] - 1)
    low = at.long().clamp(max=x.shape[1] - 2)
    u = at - low
    a, b = x.gather(1, low), x.gather(1, low + 1)
    return torch.where(u < 1e-4, a, torch.where(u > 1 - 1e-4, b, a + u * (b - a)))


def reverse(_rng: Sampler, x: Tensor) -> Tensor:
    """Reverse time."""
    return x.flip(-1)


def flip(_rng: Sampler, x: Tensor) -> Tensor:
    """Change the sign."""
    return -x


def amplitude(rng: Sampler, x: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Multiply deviations from the mean by a line; a row without negative values is scaled about 0 and stays so."""
    num, length = x.shape
    knots = rng.integers(num, 1, low=2, high=6)
    heights = rng.uniform(num, 6, low=0.5, high=1.5)
    position = step_index(length, rng.device) / (length - 1) * (knots - 1)
    low = position.long().minimum(knots - 2)
    a, b = heights.gather(1, low), heights.gather(1, low + 1)
    mean, _ = moments(x)
    negative = (x < 0).any(-1, keepdim=True)
    centre = torch.where(negative, mean, 0.0)
    return centre + (x - centre) * (a + (position - low) * (b - a)).to(x.dtype)


def trend(rng: Sampler, x: Tensor) -> Tensor:
    """Add a straight line."""
    _, spread = moments(x)
    line = step_index(x.shape[1], rng.device) / (x.shape[1] - 1) - 0.5
    return x + spread * line * rng.uniform(x.shape[0], 1, low=-2.0, high=2.0)


def shift(rng: Sampler, x: Tensor) -> Tensor:
    """Add 1 to 3 jumps of the level."""
    num, length = x.shape
    _, spread = moments(x)
    at = rng.integers(num, 3, low=1, high=length - 1)
    size = rng.uniform(num, 3, low=-2.0, high=2.0) * (
        torch.arange(3, device=x.device)[None] < rng.integers(num, 1, low=1, high=3)
    )
    jumps = torch.zeros(num, length, device=x.device).scatter_add(1, at, size)
    return x + spread * jumps.cumsum(-1)


def spike(rng: Sampler, x: Tensor) -> Tensor:
    """Add a spike in regular intervals."""
    num, length = x.shape
    _, spread = moments(x)
    period = rng.log_uniform(num, 1, low=min(8.0, length), high=max(length / 2, 8.0)).round()
    at_spike = (step_index(length, rng.device) + (rng.uniform(num, 1) * period).floor()) % period == 0
    return x + spread * at_spike * rng.sign(num, 1) * rng.uniform(num, 1, low=2.0, high=8.0)


def noise(rng: Sampler, x: Tensor) -> Tensor:
    """Add white noise."""
    _, spread = moments(x)
    return x + spread * rng.normal(*x.shape) * rng.uniform(x.shape[0], 1, high=0.3)


def quantile(x: Float[Tensor, "N L"], share: Float[Tensor, "N 1"]) -> Float[Tensor, "N 1"]:
    """Return the quantile of the observed steps at each row's own share; NaN if nothing is observed."""
    ordered = x.sort(-1).values  # NaN come last
    count = (~torch.isnan(x)).sum(-1, keepdim=True)
    return ordered.gather(1, ((count - 1).clamp_min(0) * share).round().long())


def censor(rng: Sampler, x: Tensor) -> Tensor:
    """Clip values above or below a quantile."""
    share = rng.uniform(x.shape[0], 1, low=0.85, high=0.99)
    above = rng.chance(x.shape[0], 1, rate=0.5)
    border = quantile(x, torch.where(above, share, 1 - share))
    return torch.where(above, torch.minimum(x, border), torch.maximum(x, border))


def quantise(rng: Sampler, x: Tensor) -> Tensor:
    """Round to a few evenly spaced values."""
    low = x.nan_to_num(math.inf).amin(-1, keepdim=True)
    high = x.nan_to_num(-math.inf).amax(-1, keepdim=True)
    unit = (high - low) / (rng.log_uniform(x.shape[0], 1, low=4.0, high=64.0).round() - 1)
    return torch.where(unit > 0, low + ((x - low) / unit).round() * unit, x)


def _without(x: Tensor, removed: Bool[Tensor, "N L"]) -> Tensor:
    """Set steps to NaN; a row that would lose every step stays."""
    remaining = torch.where(removed, math.nan, x)
    return torch.where(torch.isnan(remaining).all(-1, keepdim=True), x, remaining)


def points(rng: Sampler, x: Tensor) -> Tensor:
    """Remove single steps."""
    return _without(x, rng.chance(*x.shape, rate=rng.uniform(x.shape[0], 1, high=0.2)))


def blocks(rng: Sampler, x: Tensor) -> Tensor:
    """Remove 1 to 3 blocks of steps."""
    num, length = x.shape
    at = step_index(length, rng.device)
    removed = torch.zeros_like(x, dtype=torch.bool)
    for k in range(3):
        size = rng.log_uniform(num, 1, low=1.0, high=max(length / 8, 1.0)).round()
        first = (rng.uniform(num, 1) * (length - size + 1)).floor()
        in_block = (at >= first) & (at < first + size)
        removed |= in_block if k == 0 else in_block & rng.chance(num, 1, rate=0.4)
    return _without(x, removed)


CHANGES = {
    change.__name__: change
    for change in (warp, reverse, flip, amplitude, trend, shift, spike, noise, censor, quantise, points, blocks)
}
