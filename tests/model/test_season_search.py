"""Laws of the season search: which lags are found."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.model.seasonal_series import STEPS, noise, random_mask, wave
from tsfm.model.season_search import find_seasonal_lags


def search(row: Tensor, visible: Tensor | None = None) -> tuple[list[int], list[float]]:
    visible = torch.ones_like(row, dtype=torch.bool) if visible is None else visible
    lags, strength = find_seasonal_lags(row[None], visible[None])
    return lags[0].tolist(), strength[0].tolist()


@pytest.mark.parametrize("period", [5, 7, 12, 24, 37, 48, 96, 168])
@pytest.mark.parametrize("rough", [0.0, 0.5])
def test_a_planted_period_is_found(period: int, rough: float) -> None:
    row = wave(period, seed=period) + rough * noise(STEPS, seed=period)
    lags, strengths = search(row)
    assert all(abs(lag % period) <= 1 or abs(lag % period - period) <= 1 for lag in lags), lags
    assert abs(lags[0] - period) <= max(1, period // 20), lags
    assert all(strength > 0.4 for strength in strengths)


@pytest.mark.parametrize("slope", [-0.05, 0.05])
def test_a_trend_neither_hides_nor_creates_a_period(slope: float) -> None:
    trend = slope * torch.arange(STEPS)
    assert search(wave(24) + trend)[0][0] == search(wave(24))[0][0] == 24
    assert max(search(trend + 1e-3 * noise(STEPS))[1]) < 0.4


def test_of_two_periods_the_short_one_and_the_best_one_are_found() -> None:
    day = wave(24, steps=1344)
    week = day * (1 + 0.8 * torch.sin(2 * math.pi * torch.arange(1344) / 168 + 1))
    lags, strength = search(week + 0.1 * noise(1344))
    assert lags == [24, 168]
    assert strength[1] >= strength[0]


def test_gaps_do_not_change_the_lag() -> None:
    row = wave(24) + 0.2 * noise(STEPS)
    for rate in (0.9, 0.6):
        assert search(row, random_mask(STEPS, rate=rate))[0][0] == 24


def test_a_period_that_is_visible_less_than_twice_is_not_found() -> None:
    assert all(2 * lag <= 150 for lag in search(wave(100, steps=150))[0])


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_strong_season(seed: int) -> None:
    assert max(search(noise(STEPS, seed=seed))[1]) < 0.25


@pytest.mark.parametrize("start", [0, 600])
def test_the_lags_of_a_row_do_not_depend_on_longer_rows_of_the_batch(start: int) -> None:
    """A short row cannot show two seasons of a lag that a long row can, wherever its visible part begins."""
    long = wave(100, steps=900) + 0.1 * noise(900)
    visible = torch.ones(2, 900, dtype=torch.bool)
    visible[1] = False
    visible[1, start : start + 150] = True  # 1.5 seasons
    lags, strength = find_seasonal_lags(torch.stack([long, long]), visible)
    assert lags[0].tolist() == [100, 100]
    assert (2 * lags[1] <= 150).all()
    alone = visible[1]
    expected_lags, expected_strength = find_seasonal_lags(long[None, alone], torch.ones(1, 150, dtype=torch.bool))
    assert torch.equal(lags[1:], expected_lags)
    torch.testing.assert_close(strength[1:], expected_strength, rtol=1e-3, atol=1e-3)
