"""How a covariate acts on a target: shapes of a response, lags, interactions; and components of a target.

N rows, T steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.synthetic.covariate_signals import NUM_LEVELS, PERIODS, Signals
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import step_index

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MAX_LAG = 24  # steps by which an effect follows its cause
RESPONSE_WEIGHTS = (0.5, 0.25, 0.25)  # linear, saturating, threshold
TABLE_RATE = 0.7  # share of coded signals whose levels have effects of any order
MIN_TREND_WIDTH = 5  # steps of a moving average
MAX_HARMONICS = 4  # Fourier terms of a seasonal component


def draw_lags(rng: Sampler, num: int, *, shortest: int = 0) -> Int[Tensor, "N 1"]:
    """Draw lags: `shortest` in half of the rows, log-uniform up to `MAX_LAG` in the others."""
    lag = rng.log_uniform(num, 1, low=1.0, high=MAX_LAG + 1.0).long().clamp_max(MAX_LAG)
    return torch.where(rng.chance(num, 1, rate=0.5), shortest, lag)


def shift(x: Float[Tensor, "N T"], lag: Int[Tensor, "N 1"]) -> Float[Tensor, "N T"]:
    """Return each row `lag` steps later, or earlier where it is negative; the missing end mirrors the row."""
    last = x.shape[-1] - 1
    source = (step_index(x.shape[-1], x.device).long() - lag).abs()
    return x.gather(1, torch.where(source > last, 2 * last - source, source))


def standardize(
    x: Float[Tensor, "N T"], observed: Bool[Tensor, "N T"]
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N 1"]]:
    """Return each row with mean 0 and standard deviation 1 over the observed steps, and its standard deviation.

    A row that is constant over the observed steps becomes 0, with standard deviation 0. Steps that are not observed
    are scaled alike; where they are NaN they become 0.
    """
    count = observed.sum(dim=-1, keepdim=True).clamp_min(1)
    values = torch.where(x.isnan(), 0.0, x).double()
    mean = torch.where(observed, values, 0.0).sum(dim=-1, keepdim=True) / count
    centred = values - mean
    std = (torch.where(observed, centred, 0.0).square().sum(dim=-1, keepdim=True) / count).sqrt()
    varies = std > 1e-6 * mean.abs().clamp_min(1e-6)
    scaled = torch.where(varies & ~x.isnan(), centred / torch.where(varies, std, 1.0), 0.0)
    return scaled.float(), torch.where(varies, std, 0.0).float()


def respond(rng: Sampler, signals: Signals) -> Float[Tensor, "N T"]:
    """Draw the response to each signal, before any lag.

    It is linear, saturating (a hyperbolic tangent) or a step at a threshold; most calendar and category signals have
    an effect of their own for each level instead. A missing value acts like the mean of its row.
    """
    num = len(signals.values)
    x, _ = standardize(signals.values, ~signals.values.isnan())
    slope, threshold = rng.uniform(num, 1, low=0.7, high=3.0), rng.uniform(num, 1, low=-0.8, high=1.2)
    shapes = torch.stack([x, torch.tanh(slope * x), (x > threshold).float()], dim=1)
    response = shapes[torch.arange(num, device=x.device), rng.choose(num, RESPONSE_WEIGHTS)]
    table = rng.normal(num, NUM_LEVELS).gather(1, signals.level)
    uses_table = signals.is_coded[:, None] & rng.chance(num, 1, rate=TABLE_RATE)
    return torch.where(uses_table, table, response)


def interact(rng: Sampler, signals: Signals) -> Float[Tensor, "N T"]:
    """Draw the effect of each signal times a weekday pattern, or one of another period: a factor for each phase."""
    num, length = signals.values.shape
    x, _ = standardize(signals.values, ~signals.values.isnan())
    period = rng.pick(num, PERIODS)
    phase = (step_index(length, rng.device) + (rng.uniform(num, 1) * period).floor()) % period
    return rng.uniform(num, NUM_LEVELS, high=2.0).gather(1, phase.long()) * x


def draw_components(rng: Sampler, target: Float[Tensor, "N T"]) -> Float[Tensor, "N T"]:
    """Return one component of each target: a smoothed trend, a seasonal component, or a copy plus noise.

    CITRAS-FM pre-trains with covariates made of components of the target (arXiv:2606.10798). The copy is up to
    `MAX_LAG` steps early, as a leading indicator is. No step is missing.
    """
    num, length = target.shape
    trend = moving_average(target, rng.log_uniform(num, 1, low=MIN_TREND_WIDTH, high=length / 4).long())
    filled = torch.where(target.isnan(), trend, target)
    seasonal = strongest_harmonics(filled - trend, rng.integers(num, 1, low=1, high=MAX_HARMONICS))
    _, std = standardize(filled, torch.ones_like(filled, dtype=torch.bool))
    noise = rng.normal(num, length) * std * rng.log_uniform(num, 1, low=0.05, high=1.0)
    copy = shift(filled, -draw_lags(rng, num)) + noise
    kind = rng.integers(num, low=0, high=2)
    return torch.stack([trend, seasonal, copy], dim=1)[torch.arange(num, device=target.device), kind]


def moving_average(x: Float[Tensor, "N T"], width: Int[Tensor, "N 1"]) -> Float[Tensor, "N T"]:
    """Return centred means over about `width` steps of a row, fewer at its ends; NaN are left out, 0 if all are."""
    length, at = x.shape[-1], step_index(x.shape[-1], x.device).long()
    first, stop = (at - width // 2).clamp_min(0), (at + width // 2 + 1).clamp_max(length)
    observed = ~x.isnan()
    total, count = (
        torch.nn.functional.pad(summand.double().cumsum(dim=-1), (1, 0))
        for summand in (torch.where(observed, x, 0.0), observed)
    )
    num_observed = (count.gather(1, stop) - count.gather(1, first)).clamp_min(1)
    return ((total.gather(1, stop) - total.gather(1, first)) / num_observed).float()


def strongest_harmonics(x: Float[Tensor, "N T"], count: Int[Tensor, "N 1"]) -> Float[Tensor, "N T"]:
    """Return the sum of the `count` Fourier terms of each row that have the largest amplitude, the mean left out."""
    spectrum = torch.fft.rfft(x)
    amplitude = spectrum.abs()
    amplitude[:, 0] = -math.inf
    order = amplitude.argsort(dim=-1, descending=True, stable=True)
    is_kept = torch.zeros_like(amplitude, dtype=torch.bool)
    is_kept.scatter_(1, order, torch.arange(amplitude.shape[-1], device=x.device) < count)
    return torch.fft.irfft(torch.where(is_kept, spectrum, 0.0), n=x.shape[-1])
