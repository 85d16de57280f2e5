"""Trains of equal pulses at nearly regular or clustered times: beats, scans, jobs. N rows, L steps, K beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.renewal import alternating_states, interval_index, interval_start
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import autoregressive, read_cycle, slow_curve, step_index, white, zscore

if TYPE_CHECKING:
    from jaxtyping import Float

POINTS = 256  # stored phases of a beat


def motifs(rng: Sampler, num: int) -> Float[Tensor, "N 256"]:
    """Draw waveforms of 1 to 5 bumps of either sign, narrow or wide (McSharry et al., IEEE TBME 50, 2003)."""
    at = torch.arange(POINTS, device=rng.device)[None] / POINTS
    count = rng.integers(num, 1, low=1, high=5)
    total = torch.zeros(num, POINTS, device=rng.device)
    for k in range(5):
        distance = (at - rng.uniform(num, 1)).abs()
        distance = torch.minimum(distance, 1 - distance)
        width = rng.log_uniform(num, 1, low=0.008, high=0.15)
        height = rng.normal(num, 1) * (count > k)
        total += height * torch.exp(-0.5 * (distance / width) ** 2)
    return zscore(total)


@GENERATORS("pulses")
class Pulses(Generator):
    """One waveform again and again: intervals vary a little and slowly, beats differ in size, some are missed.

    `spikes` has exact periods or none; here the period drifts, as of a heart or a machine, and in a share of the rows
    the train comes in clusters with silence between.
    """

    @dataclass
    class Config:
        """Settings of `Pulses`."""

        jitter: float = 0.25  # largest variation of the intervals, log-uniform from .003
        noise: float = 0.3  # most noise, in sizes of the waveform
        missed: float = 0.2  # share of rows that miss up to a tenth of the beats
        clusters: float = 0.25  # share of rows in clusters

        def __post_init__(self) -> None:
            check_range("jitter", 0.003, self.jitter, least=0.003)
            check_range("noise", 0.0, self.noise, least=0.0)
            for name in ("missed", "clusters"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        period = rng.log_uniform(num, 1, low=min(8.0, length / 3), high=max(length / 6, 8.0))
        count = int(length / min(8.0, length / 3) * 3) + 4
        jitter = rng.log_uniform(num, 1, low=0.003, high=config.jitter)
        wander = autoregressive(rng.normal(num, count), rng.uniform(num, 1, high=0.98))
        intervals = period * torch.exp(jitter * wander).clamp(0.4, 2.5)
        t = step_index(length, rng.device) + rng.uniform(num, 1) * intervals[:, :1]
        index = interval_index(t, intervals)
        beat = torch.nn.functional.pad(intervals, (0, 1), value=1.0).gather(1, index)
        phase = ((t - interval_start(index, intervals)) / beat).clamp(0, 1 - 1e-6)
        size = torch.exp(rng.normal(num, count + 1) * rng.uniform(num, 1, high=0.3))
        missed = rng.chance(num, count + 1, rate=rng.uniform(num, 1, high=0.1)) & rng.chance(num, 1, rate=config.missed)
        table = motifs(rng, num)
        rest = table.median(-1, keepdim=True).values
        x = (read_cycle(table, phase) - rest) * torch.where(missed, 0.0, size).gather(1, index)
        x = x * (self.trains(rng, period, length) | ~rng.chance(num, 1, rate=config.clusters))
        x = x + slow_curve(rng, num, length, knots=8) * rng.uniform(num, 1, high=1.0) * rng.chance(num, 1, rate=0.4)
        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.7))
        return x + noise * config.noise * rng.uniform(num, 1) ** 2

    def trains(self, rng: Sampler, period: Float[Tensor, "N 1"], length: int) -> Tensor:
        """Return the steps inside a cluster of 2 to 20 beats."""
        on = period * rng.log_uniform(len(period), length // 16 + 2, low=2.0, high=20.0)
        off = period * rng.log_uniform(len(period), length // 16 + 2, low=2.0, high=20.0)
        return alternating_states(rng, length, on=on, off=off)[0]
