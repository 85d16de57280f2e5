"""Laws of the signals and effects of synthesized covariates."""

from __future__ import annotations

import pytest
import torch

from tsfm.synthetic.covariate_effects import (
    MAX_LAG,
    draw_components,
    draw_lags,
    interact,
    moving_average,
    respond,
    shift,
    standardize,
    strongest_harmonics,
)
from tsfm.synthetic.covariate_signals import Signals, calendar_patterns, categories, draw_signals, promotions
from tsfm.synthetic.rng import Sampler

NUM, SIZE = 400, 96


def sampler(seed: int = 0) -> Sampler:
    return Sampler(torch.Generator().manual_seed(seed))


def noise(seed: int = 1) -> torch.Tensor:
    return torch.randn(NUM, SIZE, generator=torch.Generator().manual_seed(seed))


def plain(x: torch.Tensor) -> Signals:
    return Signals(x, torch.zeros_like(x, dtype=torch.long), torch.zeros(len(x), dtype=torch.bool))


def test_promotions_are_0_or_1_at_5_to_20_percent_of_the_steps() -> None:
    x = promotions(sampler(), 500, 2000)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert 0.11 < x.mean() < 0.14
    assert (x.mean(-1) < 0.3).all()


def test_calendar_patterns_are_periodic_and_categories_are_few_numbers() -> None:
    x, phase = calendar_patterns(sampler(), NUM, SIZE)
    period = phase.amax(-1) + 1
    assert set(period.tolist()) == {4, 5, 7, 12, 24}
    for row, length in zip(x, period.tolist(), strict=True):
        torch.testing.assert_close(row[length:], row[:-length], atol=1e-5, rtol=0)
    codes = categories(sampler(), NUM, SIZE)
    assert set(codes.unique().tolist()) == set(range(6))


def test_signals_are_the_series_or_a_synthetic_one_without_missing_steps() -> None:
    series = noise() + 100
    series[:, ::4] = torch.nan
    signals = draw_signals(sampler(), series)
    is_series = signals.values.isnan().any(-1)
    assert torch.equal(signals.values[is_series].nan_to_num(), series[is_series].nan_to_num())
    assert 0.2 < is_series.float().mean() < 0.4
    assert (signals.level[~signals.is_coded] == 0).all()
    assert 0.1 < signals.is_coded.float().mean() < 0.3


@pytest.mark.parametrize("lag", [0, 3, -3])
def test_a_shift_moves_every_step(lag: int) -> None:
    x = noise()
    shifted = shift(x, torch.full((NUM, 1), lag))
    inner = slice(max(lag, 0), SIZE + min(lag, 0))
    source = slice(max(-lag, 0), SIZE - max(lag, 0))
    assert torch.equal(shifted[:, inner], x[:, source])
    assert draw_lags(sampler(), 1000).unique().tolist() == list(range(MAX_LAG + 1))
    assert draw_lags(sampler(), 1000, shortest=1).min() == 1


def test_standardized_rows_have_unit_variance_over_the_observed_steps() -> None:
    x, observed = noise() * 1e5 + 1e6, noise(2) > 0
    scaled, std = standardize(x, observed)
    assert (std > 0).all()
    seen = torch.where(observed, scaled, torch.nan)
    torch.testing.assert_close(seen.nanmean(-1), torch.zeros(NUM), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.square().nanmean(-1), torch.ones(NUM), atol=1e-4, rtol=0)
    scaled, std = standardize(torch.full((2, SIZE), 3.0), torch.ones(2, SIZE, dtype=torch.bool))
    assert (scaled == 0).all()
    assert (std == 0).all()


def test_responses_are_finite_functions_of_the_signal_at_the_same_step() -> None:
    x = noise().sort(-1).values
    response = respond(sampler(), plain(x))
    assert (response.diff(dim=-1) >= -1e-6).all()  # linear, saturating and threshold responses increase
    drawn = draw_signals(sampler(), noise())
    coded = respond(sampler(), drawn)
    for row in drawn.is_coded.nonzero()[:50, 0].tolist():
        for level in drawn.level[row].unique().tolist():
            assert coded[row][drawn.level[row] == level].unique().numel() <= 2  # a sine may differ at equal phases


def test_interactions_vanish_where_the_signal_is_at_its_mean() -> None:
    x = noise()
    x[:, 5] = torch.nan
    effect = interact(sampler(), plain(x))
    assert torch.isfinite(effect).all()
    assert (effect[:, 5] == 0).all()


def test_moving_averages_and_harmonics_agree_with_their_definitions() -> None:
    x = noise()
    x[:, 7] = torch.nan
    mean = moving_average(x, torch.full((NUM, 1), 5))
    torch.testing.assert_close(mean[:, 8], x[:, 6:11].nanmean(-1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mean[:, 0], x[:, :3].mean(-1), atol=1e-5, rtol=1e-5)
    wave = torch.sin(2 * torch.pi * 8 * torch.arange(SIZE) / SIZE)[None]
    harmonics = strongest_harmonics(wave + 5, torch.tensor([[1]]))
    torch.testing.assert_close(harmonics, wave, atol=1e-4, rtol=0)


def test_components_are_finite_also_where_the_target_is_missing() -> None:
    x = noise().cumsum(-1)
    x[::2, 10:30] = torch.nan
    x[3] = torch.nan
    x[4] = 2.0
    assert torch.isfinite(draw_components(sampler(), x)).all()
