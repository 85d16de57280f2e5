"""Scale each window by its visible values. B batch, C channels, T steps.

`fit` reads visible steps alone and returns its State as a value; the module keeps nothing between two calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from tsfm.registry import SCALERS
from tsfm.types import MIN_RELATIVE_SCALE, MIN_SCALE, Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MAX_ARCSINH = 15.0  # predictions are cut there before sinh: sinh(15) is 1.6e6 scales


class State(NamedTuple):
    """The location and the scale of each window and channel."""

    loc: Float[Tensor, "B C 1"]
    scale: Float[Tensor, "B C 1"]

    def without(self, unscaled: Bool[Tensor, "B C"]) -> State:
        """Return the state with location 0 and scale 1 for channels where `unscaled` is True."""
        mask = unscaled[..., None]
        return State(torch.where(mask, 0.0, self.loc), torch.where(mask, 1.0, self.scale))


@dataclass
class ScalerConfig:
    """Settings that every scaler has."""

    arcsinh: bool = False  # compress values many scales from the location (as Toto and Chronos-2 do)


class Scaler(nn.Module):
    """Base class: a subclass computes location and scale in `measure`.

    A subclass sets `equivariant` to False if the forecast of a shifted and multiplied window is not the shifted and
    multiplied forecast.
    """

    Config = ScalerConfig
    equivariant = True

    def __init__(self, config: ScalerConfig, *, grid: Grid):
        del grid  # for scalers with parameters
        super().__init__()
        self.arcsinh = config.arcsinh

    def fit(self, values: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> State:
        """Return location and scale of the visible values, in float32 or float64.

        The scale is at least `MIN_SCALE` and `MIN_RELATIVE_SCALE` times |location|; 0 and 1 if nothing is visible.
        """
        # float32 at least: a bf16 mean of a series around 1000 is off by 4
        values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
        count = visible.sum(dim=-1, keepdim=True)
        loc, scale = self.measure(torch.where(visible, values, 0.0), visible, count.clamp_min(1))
        floor = MIN_RELATIVE_SCALE * loc.abs().clamp_min(torch.finfo(loc.dtype).tiny / MIN_RELATIVE_SCALE)
        scale = torch.where(scale > floor, scale, floor.clamp_min(MIN_SCALE))
        is_empty = count == 0
        return State(torch.where(is_empty, 0.0, loc), torch.where(is_empty, 1.0, scale))

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and scale, `[batch, channels, 1]`.

        Parameters
        ----------
        values
            0 where hidden.
        visible
            Which values are visible.
        count
            Number of visible steps, at least 1.
        """
        raise NotImplementedError

    def apply(self, values: Float[Tensor, "B C T"], state: State) -> Float[Tensor, "B C T"]:
        """Return the scaled values."""
        scaled = (values - state.loc) / state.scale
        return arcsinh(scaled) if self.arcsinh else scaled

    def undo(self, scaled: Float[Tensor, "B C T Q"], state: State) -> Float[Tensor, "B C T Q"]:
        """Return scaled quantiles in the units of the data."""
        if self.arcsinh:
            scaled = torch.sinh(scaled.clamp(-MAX_ARCSINH, MAX_ARCSINH))
        return scaled * state.scale[..., None] + state.loc[..., None]


def arcsinh(x: Tensor) -> Tensor:
    """Return the inverse of sinh, log(x + sqrt(x^2 + 1)); torch's own takes four times as long on a CPU."""
    size = x.abs()
    more = size * (size / (1 + torch.hypot(size, torch.ones_like(size[..., :1]))))
    return torch.copysign(size.log1p() + (more / (1 + size)).log1p(), x)


def spread(deviation: Float[Tensor, "B C T"], count: Tensor) -> Float[Tensor, "B C 1"]:
    """Return the root mean square over `count` steps; divided by the largest value first, else squares overflow."""
    peak = deviation.abs().amax(dim=-1, keepdim=True).clamp_min(torch.finfo(deviation.dtype).tiny)
    return ((deviation / peak).square().sum(dim=-1, keepdim=True) / count).sqrt() * peak


@SCALERS("standard")
class StandardScaler(Scaler):
    """Mean and standard deviation (biased)."""

    @dataclass
    class Config(ScalerConfig):
        """Settings of `StandardScaler`."""

        affine: bool = False  # also RevIN's learned gain and shift per channel (Kim et al. 2022, eq. 3-4)

    def __init__(self, config: Config, *, grid: Grid):
        super().__init__(config, grid=grid)
        if config.affine:
            if grid.channels is None:
                raise ValueError("scaler.affine learns one gain per channel; set model.channels to their number")
            # one axis: parameters with two are weights to the optimiser, which would decay the gain to 0
            self.gain = nn.Parameter(torch.ones(grid.channels))
            self.shift = nn.Parameter(torch.zeros(grid.channels))
        else:
            self.gain = self.shift = None

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation."""
        loc = values.sum(dim=-1, keepdim=True) / count
        return loc, spread(torch.where(visible, values - loc, 0.0), count)

    def apply(self, values: Tensor, state: State) -> Tensor:
        """Return the scaled values, times the gain and plus the shift."""
        scaled = super().apply(values, state)
        if self.gain is None or self.shift is None:
            return scaled
        return scaled * self.gain[:, None] + self.shift[:, None]

    def undo(self, scaled: Tensor, state: State) -> Tensor:
        """Return scaled quantiles in the units of the data."""
        if self.gain is not None and self.shift is not None:
            gain = torch.where(self.gain.abs() > 1e-4, self.gain, 1e-4)
            scaled = (scaled - self.shift[:, None, None]) / gain[:, None, None]
        return super().undo(scaled, state)


@SCALERS("mean")
class MeanScaler(Scaler):
    """Mean absolute value, with location 0 (DeepAR, arXiv:1704.04110, eq. 3)."""

    equivariant = False  # under multiplication only

    @override
    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return zero and the mean absolute value."""
        scale = values.abs().sum(dim=-1, keepdim=True) / count
        return torch.zeros_like(scale), scale


@SCALERS("robust")
class RobustScaler(Scaler):
    """Median and interquartile range; the standard deviation where more than half of the steps are equal."""

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return median and interquartile range."""
        values_or_nan = torch.where(visible, values, torch.nan)
        quartiles = torch.tensor([0.25, 0.5, 0.75], dtype=values.dtype, device=values.device)
        low, loc, high = torch.nanquantile(values_or_nan, quartiles, dim=-1, keepdim=True).nan_to_num()
        fallback = spread(torch.where(visible, values - loc, 0.0), count)
        return loc, torch.where(high > low, high - low, fallback)


@SCALERS("last")
class LastScaler(Scaler):
    """The last visible value, with scale 1 (NLinear, arXiv:2205.13504)."""

    equivariant = False

    @override
    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last visible value and one."""
        steps = torch.arange(values.shape[-1], device=values.device)
        last = torch.where(visible, steps, -1).amax(dim=-1, keepdim=True).clamp_min(0)
        loc = values.gather(-1, last)
        return loc, torch.ones_like(loc)

    def fit(self, values: Tensor, visible: Tensor) -> State:
        """Return the last visible value and one."""
        loc, scale = super().fit(values, visible)
        return State(loc, torch.ones_like(scale))


@SCALERS("none")
class NoScaler(Scaler):
    """No scaling; only sensible for data that is standardised already."""

    equivariant = False

    @override
    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return zero and one."""
        zero = torch.zeros_like(values[..., :1])
        return zero, zero + 1.0
