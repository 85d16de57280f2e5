"""Scale each window by what is visible. B batch, C channels, T steps.

`fit` looks at visible steps alone and hands its State back as a value; nothing stays on the module between two calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from tsfm.registry import SCALERS
from tsfm.types import MIN_RELATIVE_SCALE, MIN_SCALE, Grid

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LIMIT = 15.0  # largest arcsinh value undone: sinh(15) is 1.6e6 scales away


class State(NamedTuple):
    loc: Float[Tensor, "B C 1"]
    scale: Float[Tensor, "B C 1"]

    def kept(self, unscaled: Bool[Tensor, "B C"]) -> State:
        """The state that leaves these channels in their own units."""
        own = unscaled[..., None]
        return State(torch.where(own, 0.0, self.loc), torch.where(own, 1.0, self.scale))


@dataclass
class ScalerConfig:
    arcsinh: bool = False  # compress what lies many scales away (as Toto and Chronos-2 do)


class Scaler(nn.Module):
    """Base: subclasses say how loc and scale are found; apply and undo are the same for all."""

    Config = ScalerConfig
    equivariant = True  # a window shifted and stretched is forecast shifted and stretched

    def __init__(self, config: ScalerConfig, *, grid: Grid):
        super().__init__()
        self.arcsinh = config.arcsinh

    def fit(self, values: Float[Tensor, "B C T"], visible: Bool[Tensor, "B C T"]) -> State:
        # float32 at least: a bf16 mean of a series around 1000 is off by 4
        values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
        count = visible.sum(dim=-1, keepdim=True)
        loc, scale = self.measure(torch.where(visible, values, 0.0), visible, count.clamp_min(1))
        floor = MIN_RELATIVE_SCALE * loc.abs().clamp_min(torch.finfo(loc.dtype).tiny / MIN_RELATIVE_SCALE)
        scale = torch.where(scale > floor, scale, floor.clamp_min(MIN_SCALE))
        nothing = count == 0
        return State(torch.where(nothing, 0.0, loc), torch.where(nothing, 1.0, scale))

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def apply(self, values: Float[Tensor, "B C T"], state: State) -> Float[Tensor, "B C T"]:
        scaled = (values - state.loc) / state.scale
        return arcsinh(scaled) if self.arcsinh else scaled

    def undo(self, scaled: Float[Tensor, "B C T Q"], state: State) -> Float[Tensor, "B C T Q"]:
        if self.arcsinh:
            scaled = torch.sinh(scaled.clamp(-LIMIT, LIMIT))
        return scaled * state.scale[..., None] + state.loc[..., None]


def arcsinh(x: Tensor) -> Tensor:
    """The inverse of sinh, log(size + root(size^2 + 1)): torch's own takes four times as long on a CPU."""
    size = x.abs()
    more = size * (size / (1 + torch.hypot(size, torch.ones_like(size[..., :1]))))
    return torch.copysign(size.log1p() + (more / (1 + size)).log1p(), x)


def spread(deviation: Float[Tensor, "B C T"], count: Tensor) -> Float[Tensor, "B C 1"]:
    """Root of the mean square over `count` steps; the squares of values beyond 1e19 would leave float32."""
    peak = deviation.abs().amax(dim=-1, keepdim=True).clamp_min(torch.finfo(deviation.dtype).tiny)
    return ((deviation / peak).square().sum(dim=-1, keepdim=True) / count).sqrt() * peak


@SCALERS("standard")
class StandardScaler(Scaler):
    """Mean and standard deviation (biased). With `affine`, RevIN's learned gain and shift per channel
    (Kim et al. 2022, eq. 3-4) on top."""

    @dataclass
    class Config(ScalerConfig):
        affine: bool = False

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
        loc = values.sum(dim=-1, keepdim=True) / count
        return loc, spread(torch.where(visible, values - loc, 0.0), count)

    def apply(self, values: Tensor, state: State) -> Tensor:
        scaled = super().apply(values, state)
        if self.gain is None or self.shift is None:
            return scaled
        return scaled * self.gain[:, None] + self.shift[:, None]

    def undo(self, scaled: Tensor, state: State) -> Tensor:
        if self.gain is not None and self.shift is not None:
            gain = torch.where(self.gain.abs() > 1e-4, self.gain, 1e-4)
            scaled = (scaled - self.shift[:, None, None]) / gain[:, None, None]
        return super().undo(scaled, state)


@SCALERS("mean")
class MeanScaler(Scaler):
    """Divide by the mean absolute value and keep zero at zero (DeepAR, arXiv:1704.04110, eq. 3)."""

    equivariant = False  # stretched yes, shifted no

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        scale = values.abs().sum(dim=-1, keepdim=True) / count
        return torch.zeros_like(scale), scale


@SCALERS("robust")
class RobustScaler(Scaler):
    """Median and interquartile range; the standard deviation where more than half of the steps are equal."""

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        known = torch.where(visible, values, torch.nan)
        levels = torch.tensor([0.25, 0.5, 0.75], dtype=values.dtype, device=values.device)
        low, loc, high = torch.nanquantile(known, levels, dim=-1, keepdim=True).nan_to_num()
        fallback = spread(torch.where(visible, values - loc, 0.0), count)
        return loc, torch.where(high > low, high - low, fallback)


@SCALERS("last")
class LastScaler(Scaler):
    """Subtract the last visible value; the unit stays (NLinear, arXiv:2205.13504)."""

    equivariant = False

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        steps = torch.arange(values.shape[-1], device=values.device)
        last = torch.where(visible, steps, -1).amax(dim=-1, keepdim=True).clamp_min(0)
        loc = values.gather(-1, last)
        return loc, torch.ones_like(loc)

    def fit(self, values: Tensor, visible: Tensor) -> State:
        loc, scale = super().fit(values, visible)
        return State(loc, torch.ones_like(scale))


@SCALERS("none")
class NoScaler(Scaler):
    """Leave the window in its own units; only sensible for data standardised beforehand."""

    equivariant = False

    def measure(self, values: Tensor, visible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        zero = torch.zeros_like(values[..., :1])
        return zero, zero + 1.0
