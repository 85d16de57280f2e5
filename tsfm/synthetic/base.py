"""What every generator of made-up series is. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tsfm.synthetic.rng import Dice

if TYPE_CHECKING:
    from jaxtyping import Float

SHORTEST = 16  # steps: no season, regime or burst fits into less
LARGEST = 1e5  # a row that goes beyond is scaled down to it


def check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}; a share lies between 0 and 1")


def check_range(name: str, low: float, high: float, *, least: float) -> None:
    if not least <= low <= high < float("inf"):
        raise ValueError(f"{name} is {low} to {high}; expected {least} <= low <= high")


class Generator:
    """A family of series. A subclass is registered with GENERATORS, has a Config, and defines `series`."""

    @dataclass
    class Config:
        """No settings."""

    def __init__(self, config: Any):
        self.config = config

    def series(self, dice: Dice, num: int, length: int) -> Float[Tensor, "N L"]:
        """Raw rows: any scale; what is not finite or constant is healed by `draw`."""
        raise NotImplementedError(f"{type(self).__name__} defines no series()")

    def draw(self, num: int, length: int, generator: torch.Generator) -> Float[Tensor, "N L"]:
        """Finite float32 rows, |value| < 1e6, none of them constant, on the generator's device."""
        check_size(num, length)
        dice = Dice(generator)
        if not num:
            return torch.zeros(0, length, device=dice.device)
        return heal(self.series(dice, num, length).float(), dice)


def check_size(num: int, length: int) -> None:
    if num < 0:
        raise ValueError(f"{num} rows are asked for; expected 0 or more")
    if length < SHORTEST:
        raise ValueError(f"a length of {length} is too short for made-up series; ask for {SHORTEST} or more and crop")


def heal(x: Float[Tensor, "N L"], dice: Dice) -> Float[Tensor, "N L"]:
    """Rows that are too large are scaled down; rows that are constant or not finite become random walks."""
    x = x / (x.abs().amax(-1, keepdim=True) / LARGEST).clamp_min(1.0)
    spread = x.std(-1, correction=0, keepdim=True)
    good = torch.isfinite(x).all(-1, keepdim=True) & (spread > 1e-5 * x.abs().amax(-1, keepdim=True)) & (spread > 1e-7)
    if bool(good.all()):
        return x
    return torch.where(good, x, dice.normal(*x.shape).cumsum(-1))
