"""Laws of events: intervals and states, switched loads, sessions, jumps of the level, orders, refills and beats."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.synthetic.test_generators import make_generator, seeded
from tests.synthetic.test_laws import correlation, power
from tsfm.synthetic.operations import INTERVAL, VARIATION
from tsfm.synthetic.renewal import alternating_states, gamma_intervals, interval_index, interval_start
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.sessions import Sessions


def test_intervals_end_where_their_sum_says() -> None:
    intervals = torch.tensor([[2.0, 3.0, 1.0], [0.5, 0.5, 9.0]])
    index = interval_index(torch.arange(8.0)[None], intervals)
    assert index.tolist() == [[0, 0, 1, 1, 1, 2, 3, 3], [0, 2, 2, 2, 2, 2, 2, 2]]
    assert interval_start(index, intervals)[0].tolist() == [0, 0, 2, 2, 2, 5, 6, 6]


@pytest.mark.parametrize("shape", [0.5, 1.0, 20.0])
def test_gamma_intervals_have_their_mean_and_variation(shape: float) -> None:
    drawn = gamma_intervals(
        Sampler(seeded()), 50, 2000, mean=torch.full((50, 1), 7.0), shape=torch.full((50, 1), shape)
    )
    assert drawn.mean() == pytest.approx(7.0, rel=0.03)
    assert drawn.var() / drawn.mean() ** 2 == pytest.approx(1 / shape, rel=0.1)


def test_states_last_as_long_as_they_should() -> None:
    on, off = torch.full((40, 30), 3.0), torch.full((40, 30), 5.0)
    state, since = alternating_states(Sampler(seeded()), 80, on=on, off=off)
    assert torch.equal(state[:, 8:], state[:, :-8])
    assert state.float().mean() == pytest.approx(3 / 8)
    assert since[state].max() == 2
    assert since[~state].max() == 4
    assert state[:, 0].float().std() > 0  # the first step lies anywhere in a cycle


def test_machines_are_on_or_off_and_nothing_between() -> None:
    quiet = {"noise": 0.0, "inrush": 0.0}
    x = make_generator("duty_cycle", machines=1, scheduled=0.0, **quiet).draw(200, 1024, seeded())
    assert {len(row.unique()) for row in x} == {2}
    assert max(len(row.unique()) for row in make_generator("duty_cycle", **quiet).draw(50, 1024, seeded())) <= 8
    changes = (x.diff(dim=-1) != 0).float().mean(-1)
    assert changes.max() <= 0.6
    assert changes.median() < 0.2


def test_regular_machines_turn_with_a_period_and_others_do_not() -> None:
    def sharpness(**settings: float) -> float:
        x = make_generator("duty_cycle", machines=1, scheduled=0.0, noise=0.0, inrush=0.0, **settings).draw(
            300, 1024, seeded()
        )
        rest = power(x)[:, 8:]
        return float((rest.amax(-1) / rest.sum(-1)).median())

    assert sharpness(regular=1.0) > 3 * sharpness(regular=0.0)


def test_scheduled_machines_rest_at_the_same_time_of_each_day() -> None:
    x = make_generator("duty_cycle", scheduled=1.0, noise=0.0, inrush=0.0, machines=1).draw(200, 1344, seeded())
    off = (x == x.amin(-1, keepdim=True)).float()
    rests = torch.stack([off[:, : 1344 // day * day].unflatten(-1, (-1, day)).mean(1).amax(-1) for day in (24, 48, 96)])
    assert ((rests.amax(0) > 0.999).float().mean()) > 0.4


def hurst(x: Tensor, small: int = 8, large: int = 128) -> Tensor:
    """1 + half the slope of log variance of means of m steps against log m."""
    variances = [x[:, : x.shape[1] // m * m].unflatten(1, (-1, m)).mean(-1).var(-1) for m in (small, large)]
    return 1 + torch.log(variances[1] / variances[0]) / (2 * math.log(large / small))


def test_sessions_are_long_range_dependent() -> None:
    sessions = make_generator("sessions")
    assert isinstance(sessions, Sessions)
    active = sessions.active(Sampler(seeded()), 400, 8192)
    assert set(active.unique().tolist()) == {0.0, 1.0}
    moving = active[active.std(-1) > 0]
    assert len(moving) > 350
    assert hurst(moving).nanmedian() > 0.7
    assert hurst(torch.randn(200, 8192, generator=seeded())).median() < 0.55
    assert (make_generator("sessions").draw(100, 512, seeded()) >= 0).all()


def test_the_season_goes_on_at_once_after_a_jump() -> None:
    """Without noise a row differs from itself one period earlier only where the two sides have different levels."""
    for kinds in ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)):
        x = make_generator("level_shift", noise=0.0, kinds=kinds, most=3.0).draw(300, 1024, seeded())
        same = torch.stack([((x[:, p:] - x[:, :-p]).abs() < 1e-2).float().mean(-1) for p in range(3, 257)])
        assert (same.amax(0) > 0.4).float().mean() > 0.75


def test_visits_end_at_the_level_they_left() -> None:
    x = make_generator("level_shift", noise=0.0, kinds=(0.0, 0.0, 0.0, 1.0)).draw(200, 1024, seeded())
    floor = (x == x.amin(-1, keepdim=True)).float().mean(-1)
    closed = floor[floor > 0.01]
    assert len(closed) > 120
    assert closed.median() < 0.4


def test_orders_fall_into_all_four_classes() -> None:
    x = make_generator("orders").draw(1000, 1024, seeded())
    assert (x >= 0).all()
    assert torch.equal(x, x.round())
    interval = x.shape[1] / (x > 0).sum(-1)
    sizes = torch.where(x > 0, x, math.nan)
    mean = sizes.nanmean(-1)
    variation = ((sizes - mean[:, None]) ** 2).nanmean(-1) / mean**2
    shares = torch.bincount(2 * (interval > INTERVAL) + (variation > VARIATION), minlength=4) / 1000
    assert shares.min() > 0.05


def test_regular_orders_come_in_time() -> None:
    """The variation of the intervals is far below that of a coin thrown at each step."""

    def variation(most_regular: float) -> Tensor:
        settings = {
            "dense": 0.0,
            "season": 0.0,
            "launch": 0.0,
            "fade": 0.0,
            "longest": 40.0,
            "most_regular": most_regular,
        }
        rows = make_generator("orders", **settings).draw(300, 4096, seeded())
        gaps = [(row > 0).nonzero()[:, 0].diff().float() for row in rows]
        return torch.stack([gap.std() / gap.mean() for gap in gaps if len(gap) > 20 and gap.mean() > 8])

    assert (variation(60.0) < 0.5).float().mean() > 0.3
    assert variation(0.3).median() > 0.9


def test_launched_products_have_no_demand_before() -> None:
    x = make_generator("orders", launch=1.0, fade=0.0, season=0.0, dense=1.0).draw(200, 512, seeded())
    first = (x > 0).float().argmax(-1)
    assert first.min() >= 20
    assert first.max() <= 400


def test_stock_falls_slowly_and_is_refilled_at_once() -> None:
    x = make_generator("stock", noise=0.0, units=0.0, filling=0.0).draw(300, 1024, seeded())
    moves = x.diff(dim=-1)
    assert (moves > 0).float().mean(-1).max() < 0.2
    assert (moves.amax(-1) > -2 * moves.amin(-1)).float().mean() > 0.7
    turned = make_generator("stock", noise=0.0, units=0.0, filling=1.0).draw(300, 1024, seeded())
    assert (turned.diff(dim=-1) < 0).float().mean(-1).max() < 0.2


def test_beats_return_and_their_jitter_spreads_the_spectrum() -> None:
    def line(jitter: float) -> Tensor:
        x = make_generator("pulses", noise=0.0, missed=0.0, clusters=0.0, jitter=jitter).draw(300, 2048, seeded())
        top = power(x)[:, 16:].sort(-1, descending=True).values
        return top[:, :20].sum(-1) / top.sum(-1)

    assert line(0.003).median() > 1.2 * line(0.6).median()
    x = make_generator("pulses", noise=0.0, missed=0.0, clusters=0.0, jitter=0.003).draw(200, 2048, seeded())
    best = torch.stack([correlation(x, lag) for lag in range(8, 342)]).amax(0)
    assert (best > 0.5).float().mean() > 0.8
