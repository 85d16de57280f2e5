"""Samples of Gaussian processes with composed kernels. N rows, L steps, M lags or frequencies.

A stationary kernel is drawn exactly by circulant embedding (Dietrich & Newsam, SIAM J. Sci. Comput. 18, 1997): its
covariance over all lags, mirrored, has the FFT as its eigenvectors; O(L log L), no Cholesky. The linear kernel, the
one kernel of KernelSynth that is not stationary, is drawn as what it is: a line, or a line times a sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_share
from tsfm.synthetic.periods import draw_periods
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import coloured_noise, step_index, zscore

if TYPE_CHECKING:
    from jaxtyping import Float


def circulant(rng: Sampler, covariance: Float[Tensor, "N M"], length: int) -> Float[Tensor, "N L"]:
    """Draw samples with the covariance at lags 0..M-1, M > L; negative eigenvalues of the embedding count as 0."""
    num, lags = covariance.shape
    size = 2 * (lags - 1)
    mirrored = torch.cat([covariance, covariance[:, 1:-1].flip(-1)], -1)
    power = torch.fft.rfft(mirrored).real.clamp_min(0.0)
    inner = torch.full_like(power[:1], math.sqrt(size / 2))
    inner[:, 0] = inner[:, -1] = math.sqrt(size)  # these two have no mirror image
    return torch.fft.irfft(rng.fourier(num, lags) * power.sqrt() * inner, n=size)[:, :length]


def stationary(rng: Sampler, lag: Float[Tensor, "1 M"], period: Float[Tensor, "N 1"]) -> Float[Tensor, "N M"]:
    """Draw a kernel per row over the lags (in lengths): periodic, RBF, rational quadratic, Matern 1/2, 3/2, 5/2."""
    num = period.shape[0]
    kind = rng.choose(num, (5.0, 1.5, 1.0, 0.5, 0.7, 0.7))
    scale = rng.log_uniform(num, 1, low=0.02, high=2.0)
    out = torch.empty(num, lag.shape[1], device=rng.device)
    for which in range(6):
        rows = (kind == which).nonzero()[:, 0]
        if not len(rows):
            continue
        r = lag / scale[rows]
        if which == 0:
            width = rng.log_uniform(len(rows), 1, low=0.4, high=2.0)
            k = torch.exp(-2 * (torch.sin(math.pi * lag / period[rows]) / width) ** 2)
        elif which == 1:
            k = torch.exp(-0.5 * r * r)
        elif which == 2:
            alpha = rng.log_uniform(len(rows), 1, low=0.1, high=10.0)
            k = torch.exp(-alpha * torch.log1p(r * r / (2 * alpha)))
        elif which == 3:
            k = torch.exp(-r)
        elif which == 4:
            k = (1 + math.sqrt(3) * r) * torch.exp(-math.sqrt(3) * r)
        else:
            k = (1 + math.sqrt(5) * r + 5 / 3 * r * r) * torch.exp(-math.sqrt(5) * r)
        out[rows] = k
    return out


@GENERATORS("kernel_gp")
class KernelGP(Generator):
    """Zero-mean Gaussian processes of 1 to `most` kernels joined by + or x (KernelSynth, arXiv:2403.07815, app. A.2).

    Two departures: periods come from clocks or are continuous, so that no short list can be learned by heart, and
    length scales are log-uniform in .02 to 2 lengths.
    """

    @dataclass
    class Config:
        """Settings of `KernelGP`."""

        most: int = 5  # kernels in a row
        lines: float = 0.35  # share of rows with a line added or multiplied
        noise: float = 0.3  # share of rows with white noise

        def __post_init__(self) -> None:
            if not 1 <= self.most <= 12:
                raise ValueError(f"most is {self.most}; a row is composed of 1 to 12 kernels")
            check_share("lines", self.lines)
            check_share("noise", self.noise)

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        lags = 2 ** math.ceil(math.log2(length + 1)) + 1
        lag = step_index(lags, rng.device) / length
        count = rng.integers(num, 1, low=1, high=self.config.most)
        covariance = torch.zeros(num, lags, device=rng.device)
        for slot in range(self.config.most):
            rows = (count[:, 0] > slot).nonzero()[:, 0]
            if not len(rows):
                break
            periods = draw_periods(rng, len(rows), length, fits=2.0, off_calendar=0.5, jitter=0.1)
            drawn = periods.gather(1, rng.integers(len(rows), 1, low=0, high=2))
            period = torch.where(drawn > 0, drawn, periods[:, :1]) / length
            k = stationary(rng, lag, period)
            before = covariance[rows]
            joined = (
                before + k if slot == 0 else torch.where(rng.chance(len(rows), 1, rate=0.5), before + k, before * k)
            )
            covariance[rows] = joined
        x = zscore(circulant(rng, covariance, length))
        t = step_index(length, rng.device) / length
        line = rng.normal(num, 1) * t * 3
        times = rng.normal(num, 1) * 0.3 + t  # x(t) (s + t): the product with a linear kernel
        kind = rng.uniform(num, 1)
        x = torch.where(kind < self.config.lines / 2, x + line, torch.where(kind < self.config.lines, x * times, x))
        noisy = rng.chance(num, 1, rate=self.config.noise) * rng.log_uniform(num, 1, low=0.02, high=0.5)
        return x + rng.normal(num, length) * noisy


@GENERATORS("coloured")
class Coloured(Generator):
    """Power-law noise between white and a smooth walk (slopes 0 to 3), one in three with its strength modulated."""

    @dataclass
    class Config:
        """Settings of `Coloured`."""

        steepest: float = 3.0  # of the power spectrum, f^-slope

        def __post_init__(self) -> None:
            if not 0 <= self.steepest <= 6:
                raise ValueError(f"steepest is {self.steepest}; a spectrum falls like f^0 to f^-6")

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        x = coloured_noise(rng, num, length, rng.uniform(num, 1, high=self.config.steepest))
        strength = coloured_noise(rng, num, length, rng.uniform(num, 1, low=1.0, high=3.0))
        return torch.where(rng.chance(num, 1, rate=1 / 3), x * torch.exp(0.7 * strength), x)
