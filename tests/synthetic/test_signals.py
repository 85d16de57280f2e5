"""The tools against their definitions: scans against loops, spectra and covariances against what they promise."""

from __future__ import annotations

import pytest
import torch

from tsfm.synthetic import periods, signals
from tsfm.synthetic.gaussian import circulant
from tsfm.synthetic.rng import Sampler


@pytest.fixture
def rng() -> Sampler:
    return Sampler(torch.Generator().manual_seed(0))


@pytest.mark.parametrize("length", [1, 2, 37, 256])
@pytest.mark.parametrize("varying", [False, True])
def test_scan_is_the_recursion(rng: Sampler, length: int, varying: bool) -> None:
    values = rng.normal(5, length)
    decay = rng.uniform(5, length if varying else 1, low=-0.9, high=1.0)
    expected, y = [], torch.zeros(5)
    for t in range(length):
        y = decay[:, t if varying else 0] * y + values[:, t]
        expected.append(y)
    assert torch.allclose(signals.prefix_scan(values, decay), torch.stack(expected, -1), atol=1e-4)


def test_lagged_sum_is_the_recursion(rng: Sampler) -> None:
    values, lag = rng.normal(4, 50), torch.tensor([[1], [3], [12], [70]])
    expected = values.clone()
    for row, k in enumerate(lag[:, 0].tolist()):
        for t in range(k, 50):
            expected[row, t] += expected[row, t - k]
    assert torch.allclose(signals.lagged_sum(values, lag), expected, atol=1e-4)


def test_autoregressive_noise_has_unit_variance_from_the_first_step(rng: Sampler) -> None:
    keep = torch.full((4000, 1), 0.9)
    x = signals.autoregressive(rng.normal(4000, 60), keep)
    assert torch.allclose(x.var(0), torch.ones(60), atol=0.12)
    assert (x[:, 1:] * x[:, :-1]).mean() == pytest.approx(0.9, abs=0.03)


def test_a_curve_goes_through_its_knots(rng: Sampler) -> None:
    knots = rng.normal(3, 5)
    drawn = signals.interpolate_knots(knots, 41)
    assert torch.allclose(drawn[:, ::10], knots, atol=1e-5)
    assert torch.allclose(drawn[:, 5], (knots[:, 0] + knots[:, 1]) / 2, atol=1e-5)


def test_a_cycle_repeats_and_is_read_between_its_points(rng: Sampler) -> None:
    table = signals.random_cycles(rng, 3)
    phase = torch.arange(100)[None].expand(3, -1) / 20
    x = signals.read_cycle(table, phase)
    assert torch.allclose(x[:, :20], x[:, 20:40], atol=1e-3)
    half = signals.read_cycle(table, torch.full((3, 1), 0.5 / signals.PHASES))
    assert torch.allclose(half[:, 0], (table[:, 0] + table[:, 1]) / 2, atol=1e-5)
    assert torch.allclose(signals.read_cycle(table, torch.zeros(3, 1))[:, 0], table[:, 0])
    near_end = signals.read_cycle(table, torch.full((3, 1), 1 - 0.5 / signals.PHASES))
    assert torch.allclose(near_end[:, 0], (table[:, -1] + table[:, 0]) / 2, atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_coloured_noise_has_its_slope(rng: Sampler, slope: float) -> None:
    x = signals.coloured_noise(rng, 400, 1024, torch.full((400, 1), slope))
    window = torch.hann_window(1024)
    power = torch.fft.rfft(x * window).abs().square().mean(0)[4:256]
    f = torch.arange(4, 256).log()
    fitted = ((f - f.mean()) * (power.log() - power.log().mean())).sum() / (f - f.mean()).square().sum()
    assert fitted == pytest.approx(-slope, abs=0.15)


@pytest.mark.parametrize("width", [4.0, 20.0])
def test_circulant_embedding_gives_the_covariance(rng: Sampler, width: float) -> None:
    lag = torch.arange(129.0)
    covariance = torch.exp(-0.5 * (lag / width) ** 2)
    x = circulant(rng, covariance.expand(8000, -1), 100)
    for k in (0, 3, 15, 60):
        estimate = (x[:, k:] * x[:, : 100 - k]).mean()
        assert estimate == pytest.approx(float(covariance[k]), abs=0.05)
    assert torch.allclose(x.var(0), torch.ones(100), atol=0.12)  # as much at the ends as in the middle


def test_zscore_of_a_constant_is_zero() -> None:
    x = signals.zscore(torch.stack([torch.full((32,), 5.0), torch.arange(32.0)]))
    assert torch.equal(x[0], torch.zeros(32))
    assert x[1].std(correction=0) == pytest.approx(1.0, abs=1e-4)


def test_latest_and_segments(rng: Sampler) -> None:
    begins = torch.tensor([[False, False, True, False, True, False]])
    assert signals.latest_true(begins).tolist() == [[0, 0, 2, 2, 4, 4]]
    segment = signals.segment_index(rng, 500, 200, torch.full((500, 1), 0.05))
    assert (segment[:, 0] == 0).all()
    assert (segment.diff(dim=-1) >= 0).all()
    assert segment[:, -1].float().mean() == pytest.approx(0.05 * 199, rel=0.05)


def test_student_has_the_tails_of_its_freedom(rng: Sampler) -> None:
    """Variance v / (v - 2); and the probability beyond 4.604 at 4 degrees is 1 % (table of t)."""
    x = rng.student(200_000, freedom=4.0)
    assert (x.abs() > 4.604).float().mean() == pytest.approx(0.01, rel=0.1)
    assert rng.student(200_000, freedom=10.0).var() == pytest.approx(10 / 8, rel=0.05)


def test_shares_and_choices(rng: Sampler) -> None:
    shares = rng.shares(1000, 3, concentration=1.5)
    assert torch.allclose(shares.sum(-1), torch.ones(1000), atol=1e-5)
    assert torch.allclose(shares.mean(0), torch.full((3,), 1 / 3), atol=0.03)
    frequencies = torch.bincount(rng.choose(20_000, (1.0, 0.0, 3.0)), minlength=3) / 20_000
    assert torch.allclose(frequencies, torch.tensor([0.25, 0.0, 0.75]), atol=0.02)
    of_rows = rng.choose(2, torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    assert of_rows.tolist() == [0, 1]


@pytest.mark.parametrize("length", [16, 64, 500, 4096])
def test_periods_fit_into_the_length(rng: Sampler, length: int) -> None:
    drawn = periods.draw_periods(rng, 2000, length, fits=3.0, off_calendar=0.3, jitter=0.1)
    assert (drawn[:, 0] >= 3.0 * (1 - 0.12)).all()
    assert (drawn[:, 0] <= length / 3 * 1.13).all()
    assert (drawn[:, 1:] * 2 <= length).all()
    both = (drawn[:, 0] > 0) & (drawn[:, 1] > 0)
    assert (drawn[both, 1] > drawn[both, 0]).all()


def test_periods_are_mostly_those_of_calendars(rng: Sampler) -> None:
    drawn = periods.draw_periods(rng, 4000, 2048, fits=3.0, off_calendar=0.3, jitter=0.1)
    pairs = {tuple(pair) for pair in drawn[:, :2].round().int().tolist()}
    assert {(24, 168), (96, 672), (48, 336), (7, 30), (4, 0), (12, 0)} <= pairs
    listed = torch.tensor([calendar[1] for calendar in periods.PERIODS])
    near = (drawn[:, :1] - listed).abs().amin(-1) < 1e-3
    assert near.float().mean() == pytest.approx(0.63, abs=0.05)


@pytest.mark.parametrize("length", [24, 64, 2048])
def test_a_day_fits_often_enough(rng: Sampler, length: int) -> None:
    steps_a_day = periods.draw_day_length(rng, 1000, length, least=4.0, off_calendar=0.2)
    assert (steps_a_day >= 4).all()
    assert (steps_a_day * 4 <= length + 2).all()  # a day off the calendar is rounded to whole steps
    listed = (steps_a_day == torch.tensor(periods.DAYS)).any(-1)
    assert listed.float().mean() > 0.75
