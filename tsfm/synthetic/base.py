"""The base class of generators of synthetic series. N rows, L steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float

MIN_LENGTH = 16  # steps: shorter series hold no season, regime or burst
MAX_MAGNITUDE = 1e5  # a row with larger values is scaled down to it


def check_share(name: str, value: float) -> None:
    """Raise a ValueError unless the setting `name` is between 0 and 1."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}; a share lies between 0 and 1")


def check_range(name: str, low: float, high: float, *, least: float) -> None:
    """Raise a ValueError unless ``least <= low <= high`` and all are finite."""
    if not least <= low <= high < float("inf"):
        raise ValueError(f"{name} is {low} to {high}; expected {least} <= low <= high")


class Generator:
    """A family of synthetic series.

    A subclass is registered with GENERATORS, has a nested Config, and defines `series`.
    """

    @dataclass
    class Config:
        """No settings."""

    def __init__(self, config: Any):
        self.config = config

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """Return raw rows of any scale; `draw` repairs rows that are constant or not finite."""
        raise NotImplementedError(f"{type(self).__name__} defines no series()")

    def draw(self, num: int, length: int, generator: torch.Generator) -> Float[Tensor, "N L"]:
        """Draw finite float32 rows with |value| < 1e6, none of them constant, on the generator's device."""
        check_size(num, length)
        rng = Sampler(generator)
        if not num:
            return torch.zeros(0, length, device=rng.device)
        return repair(self.series(rng, num, length).float(), rng)


def check_size(num: int, length: int) -> None:
    """Raise a ValueError unless `num` rows of `length` steps can be drawn."""
    if num < 0:
        raise ValueError(f"the number of rows is {num}; expected 0 or more")
    if length < MIN_LENGTH:
        raise ValueError(f"a length of {length} is too short for synthetic series; draw {MIN_LENGTH} or more and crop")


def repair(x: Float[Tensor, "N L"], rng: Sampler) -> Float[Tensor, "N L"]:
    """Scale down rows that are too large; replace rows that are constant or not finite by random walks."""
    x = x / (x.abs().amax(-1, keepdim=True) / MAX_MAGNITUDE).clamp_min(1.0)
    spread = x.std(-1, correction=0, keepdim=True)
    valid = torch.isfinite(x).all(-1, keepdim=True) & (spread > 1e-5 * x.abs().amax(-1, keepdim=True)) & (spread > 1e-7)
    if bool(valid.all()):
        return x
    return torch.where(valid, x, rng.normal(*x.shape).cumsum(-1))
