"""Laws of the distances of trajectories: zero for equal ones, invariances, and the order of near and far systems."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tsfm.metrics.dynamics import spectral_distance, state_space_divergence


@cache
def lorenz(steps: int, *, warm_up: int = 1000, step: float = 0.02) -> np.ndarray:
    """Lorenz 1963 by midpoint steps, [steps, 3]."""

    def slope(x: float, y: float, z: float) -> tuple[float, float, float]:
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    state, states = (1.0, 1.0, 20.0), []
    for _ in range(warm_up + steps):
        half = slope(*(value + step / 2 * change for value, change in zip(state, slope(*state), strict=True)))
        state = tuple(value + step * change for value, change in zip(state, half, strict=True))
        states.append(state)
    return np.array(states[warm_up:])


def limit_cycle(steps: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(steps) / 37
    return np.stack([10 * np.cos(angle), 10 * np.sin(angle), 25 + 8 * np.sin(2 * angle)], 1)


def test_two_stretches_of_an_attractor_are_nearer_than_a_limit_cycle() -> None:
    whole = lorenz(20_000)
    first, second, cycle = whole[:10_000], whole[10_000:], limit_cycle(10_000)
    same, other = state_space_divergence(first, second), state_space_divergence(first, cycle)
    assert 0 < same < 0.7  # 0.5 for the flow of the suite, which samples the attractor more evenly
    assert other > 5
    assert spectral_distance(first, second) < 0.1 < 0.5 < spectral_distance(first, cycle)


@pytest.mark.parametrize("drop_edges", [False, True])
def test_a_trajectory_is_at_distance_0_from_itself(drop_edges: bool) -> None:
    x = lorenz(20_000)[:1500]
    assert state_space_divergence(x, x, drop_edges=drop_edges) == 0
    assert state_space_divergence(x, x[::-1], drop_edges=drop_edges) == 0  # geometry has no order in time
    assert spectral_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_scale_level_and_time_shift_do_not_matter_to_the_spectral_distance() -> None:
    x, y = lorenz(20_000)[:2000], limit_cycle(2000)
    moved = 7 * np.roll(x, 123, axis=0) - 40
    assert spectral_distance(x, moved) == pytest.approx(0, abs=1e-6)
    assert spectral_distance(x, y) == pytest.approx(spectral_distance(moved, y), abs=1e-6)
    assert spectral_distance(x, y) == pytest.approx(spectral_distance(y, x))


def test_distances_are_those_of_known_distributions() -> None:
    """Two bins with shares 1/2, 1/2 and 1/4, 3/4; two pure tones without smoothing share no frequency."""
    true, predicted = np.array([[0.0], [1.0]] * 2), np.array([[0.0], [1.0], [1.0], [1.0]])
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert state_space_divergence(true, predicted, bins=2, smoothing=1e-12) == pytest.approx(expected)
    time = np.arange(400)[:, None] * 2 * np.pi / 400
    assert spectral_distance(np.sin(20 * time), np.sin(90 * time), smoothing_std=0) == pytest.approx(1)
    near = spectral_distance(np.sin(20 * time), np.sin(24 * time))
    assert near < spectral_distance(np.sin(20 * time), np.sin(90 * time))


def test_points_outside_the_range_count_unless_edges_are_dropped() -> None:
    x = lorenz(20_000)[:1000]
    stray = np.concatenate([x, np.full((1000, 3), 500.0)])
    assert state_space_divergence(x, stray) == pytest.approx(np.log(2), abs=0.01)
    assert state_space_divergence(x, stray, drop_edges=True) == pytest.approx(0, abs=1e-9)
    lowest = x.copy()
    lowest[:300] = x.min(0)
    assert state_space_divergence(x, lowest, drop_edges=True) < state_space_divergence(x, lowest)


def test_a_constant_forecast_is_far_and_finite() -> None:
    x = lorenz(20_000)[:1000]
    constant = np.broadcast_to(x.mean(0), x.shape)
    assert 5 < state_space_divergence(x, constant) < 20
    assert 0.1 < spectral_distance(x, constant) <= 1


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        (np.zeros(5), np.zeros((5, 1)), r"y_true has the shape \(5,\); expected \[steps, states\]"),
        (np.zeros((5, 2)), np.zeros((5, 3)), "2 states and y_pred 3"),
        (np.zeros((5, 1)), np.full((5, 1), np.nan), "y_pred has values that are missing"),
    ],
)
@pytest.mark.wrong_shapes
def test_wrong_trajectories_are_refused(y_true: np.ndarray, y_pred: np.ndarray, message: str) -> None:
    for metric in (state_space_divergence, spectral_distance):
        with pytest.raises(ValueError, match=message):
            metric(y_true, y_pred)


@pytest.mark.wrong_shapes
def test_what_cannot_be_computed_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(50, 8))
    with pytest.raises(ValueError, match="fewer bins or fewer states"):
        state_space_divergence(x, x)
    with pytest.raises(ValueError, match="at least 2 bins"):
        state_space_divergence(x[:, :1], x[:, :1], bins=1)
    with pytest.raises(ValueError, match="cut the longer"):
        spectral_distance(x, x[:40])
    with pytest.raises(ValueError, match="0 or more"):
        spectral_distance(x, x, smoothing_std=-1)
