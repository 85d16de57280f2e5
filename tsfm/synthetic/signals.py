"""Building blocks of the generators: scans, cycles, coloured noise, slow curves.

N rows, L steps, K knots, R phases.

No loop runs over series, and none over steps: recursions are prefix scans by doubling, filters and Gaussian processes
go through the FFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PHASES = 512  # points of one stored cycle


def zscore(x: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Scale each row to mean 0 and standard deviation 1; a constant row becomes 0."""
    x = x - x.mean(-1, keepdim=True)
    return x / x.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-8)  # torch.std takes four times as long


def step_index(length: int, device: torch.device) -> Float[Tensor, "1 L"]:
    """Return 0, 1, ..., length - 1 as float32."""
    return torch.arange(length, device=device, dtype=torch.float32)[None]


def prefix_scan(
    values: Float[Tensor, "N L"], decay: Float[Tensor, "N 1"] | Float[Tensor, "N L"]
) -> Float[Tensor, "N L"]:
    """Compute ``y_t = decay_t y_{t-1} + values_t`` with ``y_{-1} = 0`` in log2(L) passes.

    References
    ----------
    Hillis & Steele, "Data parallel algorithms", CACM 29, 1986.
    """
    y, width = values.clone(), 1
    while width < y.shape[-1]:
        a = decay if decay.shape[-1] == 1 else decay[:, width:]
        y[:, width:] += a * y[:, :-width]
        decay = decay * decay if decay.shape[-1] == 1 else F.pad(a * decay[:, :-width], (width, 0))
        width *= 2
    return y


def lagged_sum(values: Float[Tensor, "N L"], lag: Int[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """Compute ``y_t = y_{t-lag} + values_t``: one random walk for each phase of the season of a row."""
    y, length = values, values.shape[-1]
    at = torch.arange(length, device=values.device)[None]
    lag = lag.clamp_min(1)
    while bool((lag < length).any()):
        before = at - lag
        y = y + torch.where(before >= 0, y.gather(1, before.clamp_min(0)), 0.0)
        lag = lag * 2
    return y


def autoregressive(noise: Float[Tensor, "N L"], keep: Float[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """Return an AR(1) process of unit variance, driven by white noise of unit variance."""
    driven = noise * (1 - keep * keep).clamp_min(1e-6).sqrt()
    driven[:, 0] = noise[:, 0]
    return prefix_scan(driven, keep)


def interpolate_knots(knots: Float[Tensor, "N K"], length: int) -> Float[Tensor, "N L"]:
    """Return straight lines through evenly spaced knots; the outer knots are the first and the last step."""
    at = torch.linspace(0, knots.shape[-1] - 1, length, device=knots.device)
    low = at.long().clamp_max(knots.shape[-1] - 2)
    a = knots[:, low]
    return a + (at - low) * (knots[:, low + 1] - a)


def slow_curve(rng: Sampler, num: int, length: int, *, knots: int = 6) -> Float[Tensor, "N L"]:
    """Draw a slow curve of about unit size through random knots."""
    return interpolate_knots(rng.normal(num, knots), length)


def read_cycle(table: Float[Tensor, "N R"], phase: Float[Tensor, "N L"]) -> Float[Tensor, "N L"]:
    """Interpolate a cyclic table at the given phases; a phase of 1 is a full cycle."""
    closed = torch.cat([table, table[:, :1]], -1)
    x = (phase - phase.floor()) * table.shape[-1]
    index = x.long().clamp_(0, table.shape[-1] - 1)
    low = closed.gather(1, index)
    return low + (x - index) * (closed.gather(1, index + 1) - low)


def random_cycles(
    rng: Sampler, num: int, *, most: int = 12, fall: tuple[float, float] = (0.3, 2.0)
) -> Float[Tensor, f"N {PHASES}"]:
    """Draw cycles of unit standard deviation.

    Fourier sums of 1 to `most` harmonics h whose sizes decrease like h^-p, with p from the range `fall`.
    """
    h = torch.arange(PHASES // 2 + 1, device=rng.device, dtype=torch.float32)[None]
    count = (rng.uniform(num, 1) ** 1.5 * most).ceil().clamp_min(1)  # few harmonics are common
    size = h.clamp_min(1) ** -rng.uniform(num, 1, low=fall[0], high=fall[1])
    size = torch.where((h >= 1) & (h <= count), size, 0.0)
    return zscore(torch.fft.irfft(rng.fourier(num, PHASES // 2 + 1) * size, n=PHASES))


def coloured_noise(rng: Sampler, num: int, length: int, slope: Float[Tensor, "N 1"]) -> Float[Tensor, "N L"]:
    """Draw z-scored noise whose power decreases like f^-slope (0 white, 1 pink, 2 random walk).

    References
    ----------
    Timmer & Koenig, "On generating power law noise", A&A 300, 1995.
    """
    size = 2 * length
    f = torch.arange(size // 2 + 1, device=rng.device, dtype=torch.float32)[None]
    amplitude = torch.where(f > 0, f.clamp_min(1) ** (-slope / 2), 0.0)
    return zscore(torch.fft.irfft(rng.fourier(num, size // 2 + 1) * amplitude, n=size)[:, :length])


def white(rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
    """Draw white noise of about unit size: normal for most rows, Student's t or Laplace for the others."""
    x = rng.normal(num, length)
    kind = rng.uniform(num)
    heavy, sharp = ((low < kind) & (kind <= low + 0.15) for low in (0.7, 0.85))
    if count := int(heavy.sum()):
        x[heavy] = rng.student(count, length, freedom=rng.uniform(count, 1, low=2.5, high=6.0)).clamp(-25, 25)
    if count := int(sharp.sum()):
        x[sharp] = rng.laplace(count, length)
    return x


def outliers(rng: Sampler, num: int, length: int, *, most: float = 0.01) -> Float[Tensor, "N L"]:
    """Draw sparse jumps of size 2 to 8: up to a share `most` of the steps, in a third of the rows."""
    rate = rng.uniform(num, 1, high=most) * rng.chance(num, 1, rate=0.35)
    size = rng.sign(num, 1) * rng.uniform(num, length, low=2.0, high=8.0)
    return torch.where(rng.chance(num, length, rate=rate), size, 0.0)


def segment_index(rng: Sampler, num: int, length: int, rate: Float[Tensor, "N 1"]) -> Int[Tensor, "N L"]:
    """Draw the index of the segment of each step: a new segment begins with probability `rate`."""
    begins = rng.chance(num, length, rate=rate)
    begins[:, 0] = False
    return begins.cumsum(-1)


def latest_true(begins: Tensor) -> Int[Tensor, "N L"]:
    """Return the index of the latest True up to each step of [N, L]; 0 before the first."""
    at = torch.arange(begins.shape[-1], device=begins.device)[None]
    return torch.where(begins, at, 0).cummax(-1).values
