"""Series that serve as covariates: noise, random walks, promotions, calendar patterns, categories.

N rows, T steps. All are functions of a sampler; rows of all kinds are drawn at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import autoregressive, step_index, zscore

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SERIES, WHITE, WALK, PROMOTION, CALENDAR, CATEGORY = range(6)
SIGNAL_WEIGHTS = (0.3, 0.15, 0.15, 0.2, 0.1, 0.1)  # in this order
PROMOTION_RATE = (0.05, 0.2)  # share of steps with a promotion
PERIODS = (4.0, 5.0, 7.0, 7.0, 7.0, 12.0, 24.0)  # steps of a calendar pattern; most often a week of days
NUM_LEVELS = 24  # largest number of levels of a coded signal
MAX_CATEGORIES = 6
MAX_RUN = 14  # longest run of steps that have the same promotion or category


class Signals(NamedTuple):
    """Values `[rows, time]`, NaN where missing; and of coded signals the level of each step, 0 for the others."""

    values: Float[Tensor, "N T"]
    level: Int[Tensor, "N T"]
    is_coded: Bool[Tensor, " N"]


def draw_signals(rng: Sampler, series: Float[Tensor, "N T"]) -> Signals:
    """Draw one signal for each row: the given series itself, or one of the five other kinds.

    Parameters
    ----------
    rng
        On the device of `series`.
    series
        `[rows, time]`, NaN where missing; the row of a signal of the kind `SERIES`.
    """
    num, length = series.shape
    kind = rng.choose(num, SIGNAL_WEIGHTS)
    white = rng.normal(num, length)
    calendar, phase = calendar_patterns(rng, num, length)
    category = categories(rng, num, length)
    kinds = (series, white, random_walks(rng, num, length), promotions(rng, num, length), calendar, category.float())
    values = torch.stack(kinds, dim=1)[torch.arange(num, device=series.device), kind]
    level = torch.where((kind == CALENDAR)[:, None], phase, category)
    is_coded = (kind == CALENDAR) | (kind == CATEGORY)
    return Signals(values, torch.where(is_coded[:, None], level, 0), is_coded)


def random_walks(rng: Sampler, num: int, length: int) -> Float[Tensor, "N T"]:
    """Draw z-scored random walks, and in half of the rows stationary first-order autoregressions."""
    noise = rng.normal(num, length)
    stationary = autoregressive(noise, rng.uniform(num, 1, low=0.5, high=0.98))
    return zscore(torch.where(rng.chance(num, 1, rate=0.5), noise.cumsum(dim=-1), stationary))


def promotions(rng: Sampler, num: int, length: int) -> Float[Tensor, "N T"]:
    """Draw series of 0 and 1 that are 1 at 5 to 20 % of the steps: single steps, or in half of the rows runs."""
    active = rng.chance(num, length, rate=rng.uniform(num, 1, low=PROMOTION_RATE[0], high=PROMOTION_RATE[1]))
    return active.float().gather(1, run_index(rng, num, length))


def categories(rng: Sampler, num: int, length: int) -> Int[Tensor, "N T"]:
    """Draw one of 2 to 6 categories for each step, by its number; in half of the rows for runs of steps."""
    count = rng.integers(num, 1, low=2, high=MAX_CATEGORIES)
    drawn = (rng.uniform(num, length) * count).long().clamp_max(MAX_CATEGORIES - 1)
    return drawn.gather(1, run_index(rng, num, length))


def run_index(rng: Sampler, num: int, length: int) -> Int[Tensor, "N T"]:
    """Draw the index of the run of each step; runs of a row are equally long, 1 step in half of the rows."""
    run = torch.where(rng.chance(num, 1, rate=0.5), 1, rng.integers(num, 1, low=2, high=MAX_RUN))
    offset = (rng.uniform(num, 1) * run).long()
    return (step_index(length, rng.device).long() + offset) // run


def calendar_patterns(rng: Sampler, num: int, length: int) -> tuple[Float[Tensor, "N T"], Int[Tensor, "N T"]]:
    """Draw periodic series and the phase of each step.

    They are the number of the phase (such as a day of the week) in half of the rows; in the others 1 in the last
    phases of a period (such as weekends) and 0 elsewhere, or a sine.
    """
    period = rng.pick(num, PERIODS)
    phase = (step_index(length, rng.device) + (rng.uniform(num, 1) * period).floor()) % period
    is_last = (phase >= period - rng.integers(num, 1, low=1, high=2)).float()
    sine = torch.sin(2 * torch.pi * phase / period)
    form = rng.uniform(num, 1)
    return torch.where(form < 0.5, phase, torch.where(form < 0.75, is_last, sine)), phase.long()
