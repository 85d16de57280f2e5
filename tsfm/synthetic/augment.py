"""Random changes to series that are still plausible series. N rows, L steps; NaN is a missing step.

Each change meets each row independently with its own probability, in the order of the settings. NaN stay NaN; time
reversal and warping carry them along, gaps add some.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.base import check_share
from tsfm.synthetic.rng import Dice
from tsfm.synthetic.signals import curve, steps

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass
class AugmentConfig:
    """Probabilities. Amplitude, censoring and spikes are TiRex's three (arXiv:2505.23719, section 3)."""

    warp: float = 0.1  # time runs up to a third faster and slower
    reverse: float = 0.05  # time runs backwards
    flip: float = 0.2  # the sign changes
    amplitude: float = 0.3  # times a line through 2 to 6 knots between .5 and 1.5
    trend: float = 0.1  # a line of up to 2 standard deviations from end to end
    shift: float = 0.1  # 1 to 3 jumps of the level of up to 2 standard deviations
    spike: float = 0.05  # a jump of 2 to 8 standard deviations at every so many steps
    noise: float = 0.15  # white noise of up to .3 standard deviations
    censor: float = 0.15  # clipped above its quantile .85 to .99, or below the mirrored one
    quantise: float = 0.1  # rounded to 4 to 64 values over its range
    points: float = 0.1  # up to a fifth of the steps go missing
    blocks: float = 0.1  # 1 to 3 gaps of up to an eighth of the length each

    def __post_init__(self) -> None:
        for item in fields(self):
            check_share(item.name, getattr(self, item.name))


def moments(x: Float[Tensor, "N L"]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [N, 1] of what is observed; a row of nothing has 0 and 1."""
    seen = ~torch.isnan(x)
    count = seen.sum(-1, keepdim=True).clamp_min(1)
    mean = torch.where(seen, x, 0.0).sum(-1, keepdim=True) / count
    off = torch.where(seen, x - mean, 0.0)
    spread = (off.square().sum(-1, keepdim=True) / count).sqrt()
    return mean, torch.where(spread > 0, spread, 1.0)


class Augment:
    """Calls are pure: the input is not changed, and one generator state gives one result."""

    def __init__(self, config: AugmentConfig | None = None):
        self.config = config or AugmentConfig()

    def __call__(self, values: Float[Tensor, "N L"], generator: torch.Generator) -> Float[Tensor, "N L"]:
        if values.ndim != 2 or not values.is_floating_point():
            raise ValueError(
                f"values are {values.dtype} of shape {tuple(values.shape)}; augmenting takes floats [rows, steps]"
            )
        if values.device.type != generator.device.type:
            raise ValueError(f"values are on {values.device}, the generator on {generator.device}; use one device")
        dice, out = Dice(generator), values.clone()
        if values.shape[1] < 2:
            return out
        for item in fields(self.config):
            rate = getattr(self.config, item.name)
            rows = dice.chance(values.shape[0], rate=rate).nonzero()[:, 0] if rate > 0 else ()
            if len(rows):
                out[rows] = CHANGES[item.name](dice, out[rows])
        return out


def warp(dice: Dice, x: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Reads the row at a pace that moves between 3/4 and 4/3; from its first to its last step. NaN spreads to both
    sides of a gap's edge."""
    pace = curve(dice.log_uniform(x.shape[0], 5, low=0.75, high=4 / 3), x.shape[1])
    at = torch.nn.functional.pad(pace[:, 1:].cumsum(-1), (1, 0))
    at = at / at[:, -1:] * (x.shape[1] - 1)
    low = at.long().clamp(max=x.shape[1] - 2)
    u = at - low
    a, b = x.gather(1, low), x.gather(1, low + 1)
    return torch.where(u < 1e-4, a, torch.where(u > 1 - 1e-4, b, a + u * (b - a)))


def reverse(dice: Dice, x: Tensor) -> Tensor:
    return x.flip(-1)


def flip(dice: Dice, x: Tensor) -> Tensor:
    return -x


def amplitude(dice: Dice, x: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """The size about the mean changes; a row that never was negative is scaled about 0 and stays so."""
    num, length = x.shape
    knots = dice.integers(num, 1, low=2, high=6)
    heights = dice.uniform(num, 6, low=0.5, high=1.5)
    place = steps(length, dice.device) / (length - 1) * (knots - 1)
    low = place.long().minimum(knots - 2)
    a, b = heights.gather(1, low), heights.gather(1, low + 1)
    mean, _ = moments(x)
    negative = (x < 0).any(-1, keepdim=True)
    centre = torch.where(negative, mean, 0.0)
    return centre + (x - centre) * (a + (place - low) * (b - a)).to(x.dtype)


def trend(dice: Dice, x: Tensor) -> Tensor:
    _, spread = moments(x)
    line = steps(x.shape[1], dice.device) / (x.shape[1] - 1) - 0.5
    return x + spread * line * dice.uniform(x.shape[0], 1, low=-2.0, high=2.0)


def shift(dice: Dice, x: Tensor) -> Tensor:
    num, length = x.shape
    _, spread = moments(x)
    at = dice.integers(num, 3, low=1, high=length - 1)
    size = dice.uniform(num, 3, low=-2.0, high=2.0) * (
        torch.arange(3, device=x.device)[None] < dice.integers(num, 1, low=1, high=3)
    )
    jumps = torch.zeros(num, length, device=x.device).scatter_add(1, at, size)
    return x + spread * jumps.cumsum(-1)


def spike(dice: Dice, x: Tensor) -> Tensor:
    num, length = x.shape
    _, spread = moments(x)
    period = dice.log_uniform(num, 1, low=min(8.0, length), high=max(length / 2, 8.0)).round()
    there = (steps(length, dice.device) + (dice.uniform(num, 1) * period).floor()) % period == 0
    return x + spread * there * dice.sign(num, 1) * dice.uniform(num, 1, low=2.0, high=8.0)


def noise(dice: Dice, x: Tensor) -> Tensor:
    _, spread = moments(x)
    return x + spread * dice.normal(*x.shape) * dice.uniform(x.shape[0], 1, high=0.3)


def quantile(x: Float[Tensor, "N L"], share: Float[Tensor, "N 1"]) -> Float[Tensor, "N 1"]:
    """Of the observed steps, each row its own share; NaN if nothing is observed."""
    ordered = x.sort(-1).values  # NaN come last
    count = (~torch.isnan(x)).sum(-1, keepdim=True)
    return ordered.gather(1, ((count - 1).clamp_min(0) * share).round().long())


def censor(dice: Dice, x: Tensor) -> Tensor:
    share = dice.uniform(x.shape[0], 1, low=0.85, high=0.99)
    above = dice.chance(x.shape[0], 1, rate=0.5)
    border = quantile(x, torch.where(above, share, 1 - share))
    return torch.where(above, torch.minimum(x, border), torch.maximum(x, border))


def quantise(dice: Dice, x: Tensor) -> Tensor:
    low = x.nan_to_num(math.inf).amin(-1, keepdim=True)
    high = x.nan_to_num(-math.inf).amax(-1, keepdim=True)
    unit = (high - low) / (dice.log_uniform(x.shape[0], 1, low=4.0, high=64.0).round() - 1)
    return torch.where(unit > 0, low + ((x - low) / unit).round() * unit, x)


def _without(x: Tensor, gone: Bool[Tensor, "N L"]) -> Tensor:
    """NaN where it goes; a row that would lose everything stays."""
    left = torch.where(gone, math.nan, x)
    return torch.where(torch.isnan(left).all(-1, keepdim=True), x, left)


def points(dice: Dice, x: Tensor) -> Tensor:
    return _without(x, dice.chance(*x.shape, rate=dice.uniform(x.shape[0], 1, high=0.2)))


def blocks(dice: Dice, x: Tensor) -> Tensor:
    num, length = x.shape
    at = steps(length, dice.device)
    gone = torch.zeros_like(x, dtype=torch.bool)
    for k in range(3):
        size = dice.log_uniform(num, 1, low=1.0, high=max(length / 8, 1.0)).round()
        first = (dice.uniform(num, 1) * (length - size + 1)).floor()
        there = (at >= first) & (at < first + size)
        gone |= there if k == 0 else there & dice.chance(num, 1, rate=0.4)
    return _without(x, gone)


CHANGES = {
    change.__name__: change
    for change in (warp, reverse, flip, amplitude, trend, shift, spike, noise, censor, quantise, points, blocks)
}
