"""What the generators are made of: scans, cycles, coloured noise, slow curves. N rows, L steps, K knots, R phases.

No loop runs over series, and none over steps: recursions are prefix scans by doubling, filters and Gaussian processes
go through the FFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tsfm.synthetic.rng import Dice

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PHASES = 512  # points of one stored cycle


def zscore(x: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Zero mean and unit spread per row; a row without spread becomes 0."""
    x = x - x.mean(-1, keepdim=True)
    return x / x.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-8)  # torch.std takes four times as long


def steps(length: int, device: torch.device) -> Float[Tensor, "1 L"]:
    return torch.arange(length, device=device, dtype=torch.float32)[None]


def scan(values: Float[Tensor, "N L"], decay: Float[Tensor, "N 1"] | Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """y_t = decay_t y_{t-1} + values_t with y_{-1} = 0, by doubling (Hillis & Steele, CACM 1986): log2(L) passes."""
    y, width = values.clone(), 1
    while width < y.shape[-1]:
        a = decay if decay.shape[-1] == 1 else decay[:, width:]
        y[:, width:] += a * y[:, :-width]
        decay = decay * decay if decay.shape[-1] == 1 else F.pad(a * decay[:, :-width], (width, 0))
        width *= 2
    return y


def lagged_sum(values: Float[Tensor, "N L"], lag: Int[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """y_t = y_{t-lag} + values_t: one random walk for each season of a row."""
    y, length = values, values.shape[-1]
    at = torch.arange(length, device=values.device)[None]
    lag = lag.clamp_min(1)
    while bool((lag < length).any()):
        before = at - lag
        y = y + torch.where(before >= 0, y.gather(1, before.clamp_min(0)), 0.0)
        lag = lag * 2
    return y


def autoregressive(noise: Float[Tensor, "N L"], keep: Float[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """AR(1) with unit variance from its first step on, driven by white noise of unit variance."""
    driven = noise * (1 - keep * keep).clamp_min(1e-6).sqrt()
    driven[:, 0] = noise[:, 0]
    return scan(driven, keep)


def curve(knots: Float[Tensor, "N K"], length: int) -> Float[Tensor, "N L"]:
    """Straight lines through evenly spaced knots; the first and last knot are the first and last step."""
    at = torch.linspace(0, knots.shape[-1] - 1, length, device=knots.device)
    low = at.long().clamp_max(knots.shape[-1] - 2)
    a = knots[:, low]
    return a + (at - low) * (knots[:, low + 1] - a)


def slow(dice: Dice, num: int, length: int, *, knots: int = 6) -> Float[Tensor, "N L"]:
    """A slow curve of about unit size through random knots."""
    return curve(dice.normal(num, knots), length)


def read(table: Float[Tensor, "N R"], phase: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """A cyclic table read between its points; a phase of 1 is a full turn."""
    closed = torch.cat([table, table[:, :1]], -1)
    x = (phase - phase.floor()) * table.shape[-1]
    index = x.long().clamp_(0, table.shape[-1] - 1)
    low = closed.gather(1, index)
    return low + (x - index) * (closed.gather(1, index + 1) - low)


def cycles(
    dice: Dice, num: int, *, most: int = 12, fall: tuple[float, float] = (0.3, 2.0)
) -> Float[Tensor, f"N {PHASES}"]:
    """Random cycles of unit spread: Fourier sums of 1 to `most` harmonics whose sizes fall like h^-p, p from `fall`."""
    h = torch.arange(PHASES // 2 + 1, device=dice.device, dtype=torch.float32)[None]
    count = (dice.uniform(num, 1) ** 1.5 * most).ceil().clamp_min(1)  # few harmonics are common
    size = h.clamp_min(1) ** -dice.uniform(num, 1, low=fall[0], high=fall[1])
    size = torch.where((h >= 1) & (h <= count), size, 0.0)
    return zscore(torch.fft.irfft(dice.fourier(num, PHASES // 2 + 1) * size, n=PHASES))


def coloured(dice: Dice, num: int, length: int, slope: Float[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """Noise whose power falls like f^-slope (0 white, 1 pink, 2 a walk), z-scored (Timmer & Koenig, A&A 300, 1995)."""
    size = 2 * length
    f = torch.arange(size // 2 + 1, device=dice.device, dtype=torch.float32)[None]
    amplitude = torch.where(f > 0, f.clamp_min(1) ** (-slope / 2), 0.0)
    return zscore(torch.fft.irfft(dice.fourier(num, size // 2 + 1) * amplitude, n=size)[:, :length])


def white(dice: Dice, num: int, length: int) -> Float[Tensor, "N L"]:
    """White noise of about unit size: normal for most rows, Student's t or Laplace for the others."""
    x = dice.normal(num, length)
    kind = dice.uniform(num)
    heavy, sharp = ((low < kind) & (kind <= low + 0.15) for low in (0.7, 0.85))
    if count := int(heavy.sum()):
        x[heavy] = dice.student(count, length, freedom=dice.uniform(count, 1, low=2.5, high=6.0)).clamp(-25, 25)
    if count := int(sharp.sum()):
        x[sharp] = dice.laplace(count, length)
    return x


def outliers(dice: Dice, num: int, length: int, *, most: float = 0.01) -> Float[Tensor, "N L"]:
    """Sparse jumps of 2 to 8: a share of up to `most` of the steps, in a third of the rows."""
    rate = dice.uniform(num, 1, high=most) * dice.chance(num, 1, rate=0.35)
    size = dice.sign(num, 1) * dice.uniform(num, length, low=2.0, high=8.0)
    return torch.where(dice.chance(num, length, rate=rate), size, 0.0)


def segments(dice: Dice, num: int, length: int, rate: Float[Tensor, "N 1"]) -> Int[Tensor, "N L"]:
    """The number of the segment each step is in: a new one begins with probability `rate`."""
    begins = dice.chance(num, length, rate=rate)
    begins[:, 0] = False
    return begins.cumsum(-1)


def latest(begins: Tensor) -> Int[Tensor, "N L"]:
    """Index of the latest True up to each step of [N, L]; 0 before the first."""
    at = torch.arange(begins.shape[-1], device=begins.device)[None]
    return torch.where(begins, at, 0).cummax(-1).values
