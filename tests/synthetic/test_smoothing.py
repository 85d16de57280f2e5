"""Multiplicative exponential smoothing against its recursion, and walks whose drift is seen in twenty steps."""

from __future__ import annotations

import torch

from tests.synthetic.test_generators import make_generator, seeded
from tests.synthetic.test_laws import correlation
from tsfm.synthetic.rng import Sampler
from tsfm.synthetic.smoothing import additive_trend, multiplicative_season, multiplicative_trend


def settings(rng: Sampler, num: int) -> tuple[torch.Tensor, ...]:
    alpha, beta = rng.uniform(num, 1), rng.uniform(num, 1, high=0.2)
    return rng.normal(num, 1) * 0.02, alpha, beta, rng.uniform(num, 1, low=0.8, high=1.0)


def test_additive_trends_are_the_recursion_of_the_book() -> None:
    """Hyndman et al. (2008), table 2.3, column M, row A_d: the matrices give what the loop gives."""
    rng = Sampler(seeded())
    errors = 0.05 * rng.normal(6, 77)
    slope, alpha, beta, phi = settings(rng, 6)
    level, trend, expected = torch.ones(6, 1), slope, []
    for t in range(77):
        fitted = level + phi * trend
        expected.append(fitted)
        error = errors[:, t : t + 1]
        level, trend = fitted * (1 + alpha * error), phi * trend + beta * fitted * error
    fitted = additive_trend(errors, slope, alpha, beta, phi)
    assert torch.allclose(fitted, torch.cat(expected, -1), rtol=1e-4)


def test_multiplicative_trends_are_the_recursion_of_the_book() -> None:
    rng = Sampler(seeded())
    errors = 0.05 * rng.normal(6, 77)
    growth, alpha, beta, phi = settings(rng, 6)
    level, trend, expected = torch.ones(6, 1), growth.exp(), []
    for t in range(77):
        fitted = level * trend**phi
        expected.append(fitted)
        error = errors[:, t : t + 1]
        level, trend = fitted * (1 + alpha * error), trend**phi * (1 + beta * error)
    fitted = multiplicative_trend(errors, growth, alpha, beta, phi).exp()
    assert torch.allclose(fitted, torch.cat(expected, -1), rtol=1e-4)


def test_seasonal_factors_follow_their_recursion() -> None:
    rng = Sampler(seeded())
    errors, lag = 0.1 * rng.normal(4, 60), torch.tensor([[4], [12], [7], [1]])
    gamma = rng.uniform(4, 1, high=0.4)
    fitted = multiplicative_season(rng, errors, lag, gamma, torch.ones(4, 1))
    for row, m in enumerate(lag[:, 0].tolist()):
        assert fitted[row, :m].sum().abs() < 1e-5  # factors of mean logarithm 0
        following = fitted[row, :-m] + torch.log1p(gamma[row] * errors[row, :-m])
        assert torch.allclose(fitted[row, m:], following, atol=1e-5)


def test_errors_grow_with_the_level() -> None:
    x = make_generator("ets_multiplicative", season=0.0, trend=1.0, multiplied=1.0, damped=0.0).draw(600, 400, seeded())
    assert (x > 0).all()
    size = x.diff(n=2, dim=-1).abs().unflatten(-1, (2, -1)).mean(-1)
    mean = x[:, 2:].unflatten(-1, (2, -1)).mean(-1)
    grown = mean[:, 1] > 2 * mean[:, 0]
    assert grown.sum() > 30
    assert (size[grown, 1] > size[grown, 0]).float().mean() > 0.95


def test_short_series_show_their_season() -> None:
    x = make_generator("ets_multiplicative", season=1.0, error=0.01).draw(400, 120, seeded()).log().diff(dim=-1)
    best = torch.stack([correlation(x, lag) for lag in (4, 7, 12, 24)]).amax(0)
    assert (best > 0.5).float().mean() > 0.5  # a quarter of the rows are yearly
    none = make_generator("ets_multiplicative", season=0.0, error=0.01).draw(400, 120, seeded()).log().diff(dim=-1)
    assert (torch.stack([correlation(none, lag) for lag in (4, 7, 12, 24)]).amax(0) > 0.5).float().mean() < 0.1


def test_a_drift_is_seen_in_twenty_steps() -> None:
    """The last value plus the mean step beats the last value alone, over 6 steps after 20."""
    quiet = {"season": 0.0, "noise": 0.0, "geometric": 0.0, "breaks": 0.2}

    def gain(name: str, **values: float) -> float:
        x = make_generator(name, **values).draw(2000, 26, seeded())
        past, future = x[:, :20], x[:, 20:]
        steps = torch.arange(1, 7)
        slope = (past[:, -1:] - past[:, :1]) / 19
        naive = (future - past[:, -1:]).abs().mean(-1)
        drift = (future - past[:, -1:] - slope * steps).abs().mean(-1)
        return float((drift < naive).float().mean())

    assert gain("drift_walk", **quiet) > 0.65
    assert gain("random_walk", lazy=0.0, geometric=0.0) < 0.55
