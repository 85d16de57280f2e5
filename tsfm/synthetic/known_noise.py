"""Periodic signals with noise, with anomalies in their past, and radio channels. N windows, L past steps, T steps.

The noise of the future is known by its variance; anomalies, bursts and dropped steps disturb the past only, as in
SynTSBench (arXiv:2510.20273: the first 80 % of a series) and CSI-4CAST (noise on the history).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.known_base import (
    KnownKind,
    KnownWindows,
    WindowSize,
    normal,
    split_window,
    uniform,
    with_noise,
)
from tsfm.synthetic.known_patterns import repeat_cycle, sine_cycle
from tsfm.synthetic.rng import Sampler

if TYPE_CHECKING:
    from jaxtyping import Float

PERIODS = (24, 60)
SEASON = math.lcm(*PERIODS)
DISTURBED = 0.8  # share of a window, from its start, that has anomalies
BASE_SNR = 20  # decibels, of the kinds whose difficulty is not the noise
PHASE_STD = 0.3  # radians


def noise_variance(snr: float) -> float:
    """Return the variance of noise on a signal of unit power, for a signal-to-noise ratio in decibels."""
    return 10 ** (-snr / 10)


def draw_noisy(snr: float, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return two sines of unit power together, with white noise."""
    clean = repeat_cycle(sine_cycle(rng, size.num, PERIODS), size)
    return with_noise(clean, size, rng, variance=noise_variance(snr))


def _disturbed_steps(size: WindowSize) -> int:
    return min(size.context, int(DISTURBED * size.steps))


def point_anomalies(share: float, rng: Sampler, size: WindowSize) -> Float[Tensor, "N 1 L"]:
    """Draw single steps that are 1 to 2 too high or too low, in the first 80 % of the window."""
    steps = _disturbed_steps(size)
    out = torch.zeros(size.num, 1, size.context, dtype=torch.float64)
    height = uniform(rng, size.num, 1, steps, low=1.0, high=2.0) * rng.sign(size.num, 1, steps)
    out[..., :steps] = height * rng.chance(size.num, 1, steps, rate=share)
    return out


def pulse_anomalies(count: int, rng: Sampler, size: WindowSize) -> Float[Tensor, "N 1 L"]:
    """Draw rectangles of 10 to 30 steps that are 1 to 2 high or deep, in the first 80 % of the window."""
    steps = _disturbed_steps(size)
    at = torch.arange(size.context)
    width = rng.integers(size.num, count, 1, low=10, high=30)
    start = (uniform(rng, size.num, count, 1) * (steps - width).clamp_min(1)).long()
    height = uniform(rng, size.num, count, 1, low=1.0, high=2.0) * rng.sign(size.num, count, 1)
    return (height * ((at >= start) & (at < (start + width).clamp_max(steps)))).sum(1, keepdim=True)


def draw_points(share: float, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return two sines with little noise, and point anomalies in the past."""
    clean = repeat_cycle(sine_cycle(rng, size.num, PERIODS), size)
    past = clean[..., : size.context] + point_anomalies(share, rng, size)
    return with_noise(clean, size, rng, variance=noise_variance(BASE_SNR), past=past)


def draw_pulses(count: int, rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return two sines with little noise, and pulses in the past."""
    clean = repeat_cycle(sine_cycle(rng, size.num, PERIODS), size)
    past = clean[..., : size.context] + pulse_anomalies(count, rng, size)
    return with_noise(clean, size, rng, variance=noise_variance(BASE_SNR), past=past)


def radio_channel(rng: Sampler, size: WindowSize) -> Float[Tensor, "N 2 T"]:
    """Draw real and imaginary part of a channel of two rotating paths; the power of each part is 1."""
    time = torch.arange(size.steps) % SEASON
    total = torch.zeros(size.num, size.steps, dtype=torch.complex128)
    power = torch.zeros(size.num, 1, dtype=torch.float64)
    for period in PERIODS:
        amplitude, phase = uniform(rng, size.num, 1, low=0.5), uniform(rng, size.num, 1)
        turn = 2 * math.pi * ((time % period) / period + phase)
        total += torch.polar(amplitude.expand_as(turn).contiguous(), turn)
        power += amplitude.square() / 2
    total = total / power.sqrt()
    return torch.stack([total.real, total.imag], 1)


def draw_csi_gaussian(rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return a radio channel with white noise of 10 dB."""
    return with_noise(radio_channel(rng, size), size, rng, variance=noise_variance(10))


def draw_csi_phase(rng: Sampler, size: WindowSize) -> KnownWindows:
    """Return a radio channel whose phase is off by a normal angle at each step, a new one each time.

    With E exp(i d) = exp(-s^2 / 2) for d ~ N(0, s^2), the mean of the noisy channel is the clean one, shrunk.
    """
    clean = torch.complex(*radio_channel(rng, size).unbind(1))
    turned = clean * torch.polar(torch.ones_like(clean.real), PHASE_STD * normal(rng, *clean.shape))
    keep = math.exp(-(PHASE_STD**2) / 2)
    double_angle = (clean * clean).real * keep**4  # |h|^2 cos(2 angle) exp(-2 s^2)
    squares = torch.stack([clean.abs().square() + double_angle, clean.abs().square() - double_angle], 1) / 2
    mean = keep * torch.stack([clean.real, clean.imag], 1)
    variance = (squares - mean.square())[..., size.context :]
    return split_window(
        torch.stack([turned.real, turned.imag], 1), size, forecast=mean[..., size.context :], variance=variance
    )


def draw_csi_burst(rng: Sampler, size: WindowSize, *, count: int = 8, width: int = 10) -> KnownWindows:
    """Return a radio channel with bursts of noise in the past, under bell-shaped envelopes, and little noise."""
    clean = radio_channel(rng, size)
    centre = uniform(rng, size.num, count, 1, high=size.context)
    bell = torch.exp(-0.5 * ((torch.arange(size.context) - centre) / (width / 4)).square()).sum(1, keepdim=True)
    past = clean[..., : size.context] + 2 * bell * normal(rng, size.num, 2, size.context)
    return with_noise(clean, size, rng, variance=noise_variance(BASE_SNR), past=past)


def draw_csi_drop(rng: Sampler, size: WindowSize, *, rate: float = 0.1) -> KnownWindows:
    """Return a radio channel with little noise; a tenth of the past steps are 0 in both parts."""
    windows = with_noise(radio_channel(rng, size), size, rng, variance=noise_variance(BASE_SNR))
    kept = ~rng.chance(size.num, 1, size.context, rate=rate)
    return KnownWindows(windows.context * kept, windows.future, windows.forecast, windows.variance, windows.scored)


SNRS = {"snr_30": 30, "snr_20": 20, "snr_10": 10, "snr_0": 0, "snr_minus_10": -10}
CSI = {
    "csi_gaussian": draw_csi_gaussian,
    "csi_phase": draw_csi_phase,
    "csi_burst": draw_csi_burst,
    "csi_drop": draw_csi_drop,
}

KINDS = (
    *(
        KnownKind(name, "noise", partial(draw_noisy, snr), season=SEASON, min_context=SEASON)
        for name, snr in SNRS.items()
    ),
    *(KnownKind(name, "noise", draw, season=SEASON, min_context=SEASON) for name, draw in CSI.items()),
    *(
        KnownKind(
            f"points_{share}_percent", "anomalies", partial(draw_points, share / 100), season=SEASON, min_context=SEASON
        )
        for share in (1, 5)
    ),
    *(
        KnownKind(f"pulses_{count}", "anomalies", partial(draw_pulses, count), season=SEASON, min_context=SEASON)
        for count in (5, 20)
    ),
)
