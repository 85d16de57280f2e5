"""Loads that switch on and off: machines, thermostats, pumps. N rows, L steps, K cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.base import Generator, check_range, check_share
from tsfm.synthetic.periods import draw_day_length
from tsfm.synthetic.renewal import alternating_states
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import autoregressive, step_index, white

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def working_time(rng: Sampler, num: int, length: int) -> Bool[Tensor, "N L"]:
    """Return the steps between two times of the day, on all days or on five of seven."""
    day = draw_day_length(rng, num, length, least=4.0, off_calendar=0.1)
    days = step_index(length, rng.device) / day + rng.integers(num, 1, low=0, high=6) + rng.uniform(num, 1)
    phase = days - days.floor()
    open_day = (days.floor() % 7 < 5) | rng.chance(num, 1, rate=0.5)
    return (phase < rng.uniform(num, 1, low=0.3, high=0.75)) & open_day


@GENERATORS("duty_cycle")
class DutyCycle(Generator):
    """Sums of up to three machines that are either on or off, with a duty that drifts from cycle to cycle.

    Durations are regular, as of a thermostat, or random; a share of the rows runs in working time only. Between the
    states there is nothing: a mean forecast is a value that never occurs.
    """

    @dataclass
    class Config:
        """Settings of `DutyCycle`."""

        noise: float = 0.15  # most noise while a machine is on, in units of its power
        machines: int = 3  # most machines
        regular: float = 0.4  # share of rows whose durations vary by a few percent only
        scheduled: float = 0.35  # share of rows that run in working time
        inrush: float = 0.25  # share of rows whose power is higher after switching on

        def __post_init__(self) -> None:
            check_range("noise", 0.0, self.noise, least=0.0)
            if not 1 <= self.machines <= 6:
                raise ValueError(f"machines is {self.machines}; expected 1 to 6 machines")
            for name in ("regular", "scheduled", "inrush"):
                check_share(name, getattr(self, name))

    def series(self, rng: Sampler, num: int, length: int) -> Float[Tensor, "N L"]:
        """See `Generator.series`."""
        config = self.config
        inrush = rng.uniform(num, 1, low=0.3, high=2.0) * rng.chance(num, 1, rate=config.inrush)
        total = torch.zeros(num, length, device=rng.device)
        for k in range(config.machines):
            on, since = self.states(rng, num, length)
            power = rng.log_uniform(num, 1, low=0.3, high=1.0) if k else torch.ones(num, 1, device=rng.device)
            power = power * (rng.chance(num, 1, rate=0.4) if k else 1.0)
            total += on * power * (1 + inrush * torch.exp(-since / 2))
        gate = working_time(rng, num, length) | ~rng.chance(num, 1, rate=config.scheduled)
        total = total * gate
        noise = autoregressive(white(rng, num, length), rng.uniform(num, 1, high=0.8))
        noise = noise * config.noise * rng.uniform(num, 1) ** 2
        always = rng.chance(num, 1, rate=0.2)
        base = rng.uniform(num, 1, high=0.5) * rng.chance(num, 1, rate=0.5)
        return base + total + noise * ((total > 0) | always)

    def states(self, rng: Sampler, num: int, length: int) -> tuple[Tensor, Tensor]:
        """Return whether one machine is on, and the steps since its state began."""
        shortest = 4.0
        count = int(length / shortest) + 2
        period = rng.log_uniform(num, 1, low=shortest, high=max(length / 6, shortest))
        regular = rng.chance(num, 1, rate=self.config.regular)
        jitter = torch.where(regular, rng.uniform(num, 1, high=0.04), rng.log_uniform(num, 1, low=0.1, high=0.8))
        drift = autoregressive(rng.normal(num, count), rng.uniform(num, 1, low=0.5, high=0.99))
        odds = rng.normal(num, 1) + drift * rng.uniform(num, 1, high=1.0)
        duty = torch.sigmoid(odds).clamp(0.05, 0.95)
        lengths = [period * share * torch.exp(jitter * rng.normal(num, count)) for share in (duty, 1 - duty)]
        return alternating_states(rng, length, on=lengths[0], off=lengths[1])
