"""Each family keeps its own law: periods, growth of variance, autocorrelation, classes of demand, monotone growth."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.synthetic.test_generators import make_generator, seeded
from tsfm.synthetic.operations import INTERVAL, VARIATION
from tsfm.synthetic.periods import PERIODS
from tsfm.synthetic.processes import roots
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.signals import zscore


def power(x: Tensor) -> Tensor:
    return torch.fft.rfft(x - x.mean(-1, keepdim=True)).abs().square()


def correlation(x: Tensor, lag: int) -> Tensor:
    x = zscore(x)
    return (x[:, lag:] * x[:, :-lag]).mean(-1)


def test_seasonal_rows_repeat_with_a_period_of_the_calendar() -> None:
    x = make_generator("seasonal", noise=0.0, level=0.0, multiplied=0.0, off_calendar=0.0, jitter=0.0).draw(
        200, 2016, seeded()
    )
    listed = {round(period) for calendar in PERIODS for period in calendar[1:] if 2 <= period <= 1008}
    # the longest period of a row holds the shorter ones where it is a whole multiple of them
    best = torch.stack([correlation(x, period) for period in sorted(listed)]).amax(0)
    assert (best > 0.8).float().mean() > 0.9


def test_the_noise_setting_increases_the_noise() -> None:
    """The part of the power above all seasons grows with the noise."""
    quiet = make_generator("seasonal", noise=0.0).draw(200, 1024, seeded())
    loud = make_generator("seasonal", noise=3.0).draw(200, 1024, seeded())
    rough = [(x.diff(dim=-1).square().mean(-1) / x.var(-1)).median() for x in (quiet, loud)]
    assert rough[1] > 2 * rough[0]


def test_multiplied_seasonal_rows_are_positive() -> None:
    assert (make_generator("seasonal", multiplied=1.0).draw(50, 512, seeded()) > 0).all()


def test_daytype_repeats_by_day_and_differs_by_weekday() -> None:
    x = make_generator("daytype", noise=0.0, counts=0.0, off_calendar=0.0, holidays=0.0).draw(300, 2016, seeded())
    days = torch.stack([correlation(x, day) for day in (6, 8, 12, 24, 48, 72, 96, 144, 288)])
    assert (days.amax(0) > 0.5).float().mean() > 0.8
    hourly = x[days.argmax(0) == 3]
    assert len(hourly) > 30
    totals = hourly.unflatten(-1, (84, 24)).sum(-1).diff(dim=-1)  # without the drift
    week, other_lags = correlation(totals, 7), (correlation(totals, 6) + correlation(totals, 8)) / 2
    assert (week > other_lags + 0.05).float().mean() > 0.6  # a fifth of the rows have no weekend


def test_daytype_counts_are_whole_and_not_negative() -> None:
    x = make_generator("daytype", counts=1.0).draw(20, 256, seeded())
    assert torch.equal(x, x.round())
    assert (x >= 0).all()


def test_nights_are_dark() -> None:
    x = make_generator("solar").draw(100, 1024, seeded())
    assert x.min() >= -0.1
    dark = (x.abs() < 1e-6).float().mean(-1)
    assert dark.median() == pytest.approx(0.45, abs=0.15)


def test_waves_have_sharp_lines() -> None:
    """Without noise most of the power of a row sits at one frequency and its harmonics."""
    x = make_generator("waves", noise=0.0).draw(200, 1024, seeded())
    top = power(x).sort(-1, descending=True).values
    assert (top[:, :40].sum(-1) / top.sum(-1)).median() > 0.9


@pytest.mark.parametrize("name", ["seasonal", "daytype", "waves"])
def test_periodic_rows_have_peaks_that_noise_has_not(name: str) -> None:
    def peak(x: Tensor) -> Tensor:
        rest = power(x)[:, 8:]  # beyond trends
        return rest.amax(-1) / rest.mean(-1)

    assert peak(make_generator(name).draw(200, 1024, seeded())).median() > 3 * peak(torch.randn(200, 1024)).median()


def test_the_variance_of_a_random_walk_grows_linearly() -> None:
    x = make_generator("random_walk", drift=0.0, lazy=0.0, geometric=0.0).draw(3000, 400, seeded())
    x = x - x[:, :1]
    spread = [x[:, t].var() / t for t in (25, 100, 399)]
    assert spread[1] == pytest.approx(float(spread[0]), rel=0.15)
    assert spread[2] == pytest.approx(float(spread[0]), rel=0.15)


def test_lazy_walks_stay_where_they_are() -> None:
    x = make_generator("random_walk", lazy=1.0, geometric=0.0).draw(100, 512, seeded())
    assert ((x.diff(dim=-1) == 0).float().mean(-1) > 0.4).all()


def test_random_polynomials_have_their_roots_outside_the_circle() -> None:
    """In z, the backward shift: so the ARMA is stable and invertible."""
    rng = Sampler(seeded())
    polynomial = roots(rng, 500, 3, most=0.95)
    assert torch.equal(polynomial[:, 0], torch.ones(500))
    response = torch.fft.rfft(polynomial, n=8192)
    assert response.abs().min() > (0.05 * 0.28 * 0.46) ** 2
    # Jensen: the mean of log|p| over the circle is log|p(0)| = 0 exactly when no root lies within
    full = torch.cat([response, response[:, 1:-1].conj().flip(-1)], -1)
    assert full.abs().log().mean(-1).abs().max() < 1e-3


def test_arima_is_stationary_when_not_summed() -> None:
    x = make_generator("arima", integrated=(1.0, 0.0, 0.0), seasonal=0.0, radius=0.9).draw(4000, 64, seeded())
    assert x[:, 0].var() == pytest.approx(float(x[:, -1].var()), rel=0.15)  # no run-in from 0
    assert (correlation(x, 1).abs() > 0.3).float().mean() > 0.4
    summed = make_generator("arima", integrated=(0.0, 1.0, 0.0)).draw(300, 512, seeded())
    assert correlation(summed, 1).median() > 0.95


def test_seasonal_arima_remembers_its_season() -> None:
    x = make_generator("arima", integrated=(1.0, 0.0, 0.0), seasonal=1.0).draw(400, 1024, seeded())
    autocorrelation = torch.fft.irfft(power(x))[:, 3:256]
    autocorrelation = autocorrelation / torch.fft.irfft(power(x))[:, :1]
    assert autocorrelation.amax(-1).median() > 0.4


def test_ets_has_trends_and_seasons_only_where_they_are_set() -> None:
    plain = make_generator("ets", trend=0.0, season=0.0, multiplied=0.0).draw(200, 512, seeded())
    seasonal = make_generator("ets", trend=0.0, season=1.0, multiplied=0.0).draw(200, 512, seeded())
    assert peaks(seasonal) > 2 * peaks(plain)
    # simple smoothing is a walk plus noise: its differences are an MA(1), uncorrelated beyond lag 1
    assert correlation(plain.diff(dim=-1), 2).abs().median() < 0.08


def peaks(x: Tensor) -> Tensor:
    rest = power(x)[:, 20:]
    return (rest.amax(-1) / rest.mean(-1)).median()


def test_ou_reverts_to_its_mean() -> None:
    """With one regime and no season the differences are against the level: their correlation is negative."""
    x = make_generator("ou", switching=0.0, season=0.0, drift=0.0).draw(500, 2048, seeded())
    away = zscore(x)[:, :-1]
    pull = (away * x.diff(dim=-1)).mean(-1)
    assert (pull < 0).float().mean() > 0.97
    tight = make_generator("ou", switching=1.0, season=0.0, drift=0.0).draw(500, 2048, seeded())
    assert tight.std(-1).median() > x.std(-1).median()  # two means are wider apart than one


def test_volatility_clusters_and_returns_do_not() -> None:
    returns = make_generator("volatility", prices=0.0).draw(600, 2048, seeded())
    returns = returns[(returns < 0).any(-1)]  # the others are their sizes
    assert len(returns) > 200
    assert correlation(returns, 1).abs().median() < 0.05
    assert correlation(returns.abs(), 1).median() > 0.07


@pytest.mark.parametrize("kind", range(4), ids=["smooth", "erratic", "intermittent", "lumpy"])
def test_demand_falls_into_its_class(kind: int) -> None:
    odds = tuple(float(k == kind) for k in range(4))
    x = make_generator("intermittent", classes=odds).draw(300, 4096, seeded())
    assert (x >= 0).all()
    interval = x.shape[1] / (x > 0).sum(-1)
    sizes = torch.where(x > 0, x, math.nan)
    mean = sizes.nanmean(-1)
    variation = ((sizes - mean[:, None]) ** 2).nanmean(-1) / mean**2
    assert ((interval > INTERVAL) == (kind >= 2)).float().mean() > 0.95
    assert ((variation > VARIATION) == (kind % 2 == 1)).float().mean() > 0.8  # estimated from as few as 100 sizes


def test_counts_are_whole() -> None:
    x = make_generator("counts").draw(50, 256, seeded())
    assert torch.equal(x, x.round())
    assert x.min() >= 0


def test_bursts_rise_at_once_and_fall_slowly() -> None:
    x = zscore(make_generator("bursts", zeros=0.0, clipped=0.0, quantised=0.0).draw(300, 2048, seeded()))
    moves = x.diff(dim=-1)
    assert (moves.amax(-1) > -moves.amin(-1)).float().mean() > 0.8
    assert (x.pow(3).mean(-1) > 0.5).float().mean() > 0.9  # skewed to the right
    assert (make_generator("bursts").draw(100, 512, seeded()) >= 0).all()


def test_sensors_show_few_values_and_repeat() -> None:
    coarse = make_generator("sensors", coarse=1.0, stuck=0.0).draw(50, 1024, seeded())
    assert max(len(row.unique()) for row in coarse) <= 400
    stuck = make_generator("sensors", coarse=0.0, stuck=1.0, clipped=0.0).draw(50, 1024, seeded())
    assert ((stuck.diff(dim=-1) == 0).float().mean(-1) > 0.3).all()


def test_steps_are_flat_between_jumps() -> None:
    x = make_generator("steps", noise=0.0).draw(200, 1024, seeded())
    assert ((x.diff(dim=-1).abs() < 1e-6).float().mean(-1) > 0.9).float().mean() > 0.55  # not counters, not seasonal


def test_bent_lines_have_few_bends() -> None:
    x = make_generator("piecewise_trend", noise=0.0, season=0.0).draw(200, 1024, seeded())
    bends = x.diff(n=2, dim=-1).abs() > 1e-4
    assert (bends.float().mean(-1) < 0.05).float().mean() > 0.6  # the others are exponentiated


def test_spikes_return_with_their_period() -> None:
    x = make_generator("spikes", noise=0.0, periodic=1.0).draw(200, 2048, seeded())
    autocorrelation = torch.fft.irfft(power(x))
    best = autocorrelation[:, 12:400].amax(-1) / autocorrelation[:, 0]
    assert (best > 0.5).float().mean() > 0.75


def test_growth_is_monotone_but_for_product_cycles() -> None:
    x = make_generator("growth", noise=0.0, walk=0.0, season=0.0).draw(500, 512, seeded())
    move = x.diff(dim=-1)
    monotone = (move >= -1e-6).all(-1) | (move <= 1e-6).all(-1)
    assert monotone.float().mean() == pytest.approx(0.93, abs=0.05)  # a tenth are Bass curves; few of them fall at once
    assert (x >= 0).all()


def test_oscillators_turn() -> None:
    x = make_generator("oscillators", noise=0.0).draw(200, 1024, seeded())
    top = power(x).sort(-1, descending=True).values
    assert (top[:, :60].sum(-1) / top.sum(-1)).median() > 0.9


def test_gaussian_processes_are_centred_and_as_rough_as_their_kernels() -> None:
    smooth = make_generator("kernel_gp", noise=0.0, lines=0.0).draw(400, 512, seeded())
    noisy = make_generator("kernel_gp", noise=1.0, lines=0.0).draw(400, 512, seeded())
    assert correlation(smooth, 1).median() > 0.9
    assert correlation(noisy, 1).median() < correlation(smooth, 1).median()
    assert smooth.sign().mean().abs() < 0.1
