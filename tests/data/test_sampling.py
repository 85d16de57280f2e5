"""Laws of sampling: an epoch is a permutation, processes share it, random draws have the weights of their series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.data.sampling import ROUNDS, InOrder, Shuffled, WithReplacement, permute, random_uint64


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.integers(1, 200), st.integers(4000, 20_000)), st.integers(0, 2**62), st.integers(0, 100))
def test_an_epoch_is_a_permutation(size, seed, epoch):
    order = permute(np.arange(size), size, key=random_uint64(seed, epoch, num=2 * ROUNDS))
    assert np.array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [10**9 + 7, 2**40, 2**40 + 1, 10**15])
def test_positions_of_a_huge_epoch_differ_and_are_in_range(size):
    positions = np.concatenate([np.arange(100_000), np.arange(size - 100_000, size)])
    order = permute(positions, size, key=random_uint64(3, 0, num=2 * ROUNDS))
    assert len(np.unique(order)) == len(positions)
    assert order.min() >= 0
    assert order.max() < size
    counts = np.bincount((order / size * 100).astype(int), minlength=100)
    assert ((counts - 2000) ** 2 / 2000).sum() < 170  # chi-square with 99 degrees of freedom: p about 1e-5


@pytest.mark.parametrize("size", [5, 100, 4096, 5000, 66_000])
def test_every_window_is_equally_likely_at_every_position(size):
    """Over many seeds; windows at neighbouring positions are not neighbours in time."""
    seeds, positions = 5000, np.arange(min(size, 100))
    orders = np.stack([permute(positions, size, key=random_uint64(seed, 0, num=2 * ROUNDS)) for seed in range(seeds)])
    num_bins = min(size, 20)  # their widths differ where num_bins does not divide size
    expected = seeds * np.diff(-(-np.arange(num_bins + 1) * size // num_bins)) / size
    for position in range(num_bins):
        counts = np.bincount(orders[:, position] * num_bins // size, minlength=num_bins)
        assert ((counts - expected) ** 2 / expected).sum() < num_bins + 6 * np.sqrt(2 * num_bins)
    if size >= 100:
        steps = np.abs(np.diff(orders, axis=1)).ravel()
        assert abs(steps.mean() / size - 1 / 3) < 0.005  # E|X - Y| of two uniform positions
        assert abs((steps < 10).mean() * size - 18) < 100 * (size / len(steps)) ** 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 17), st.integers(1, 4), st.booleans())
def test_processes_get_disjoint_equally_many_batches_and_together_everything(windows, size, world_size, drop):
    plans = [
        Shuffled(windows, size, seed=5, rank=rank, world_size=world_size, drop_last=drop) for rank in range(world_size)
    ]
    assert len({len(plan) for plan in plans}) == 1
    drawn = [plan.draw(2, 0, len(plan)) for plan in plans]
    everything = np.concatenate([indices for indices, _ in drawn])
    assert len(np.unique(everything)) == len(everything)
    left = windows - len(everything)
    assert left < (size * world_size if drop else world_size)
    if world_size == 1 and not drop:
        assert left == 0
    for indices, bounds in drawn:
        assert bounds[-1] == len(indices)
        assert (np.diff(bounds)[:-1] == size).all() if len(bounds) > 2 else True


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 17), st.integers(1, 4))
def test_evaluation_has_every_window_once_in_order(windows, size, world_size):
    drawn = [InOrder(windows, size, rank=rank, world_size=world_size) for rank in range(world_size)]
    together = np.concatenate([plan.draw(0, 0, len(plan))[0] for plan in drawn])
    assert np.array_equal(together, np.arange(windows))


@pytest.mark.parametrize(("temperature", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 0.9)])
def test_temperature_weighs_series(temperature, share):
    plan = WithReplacement([100, 0, 900, 0], 1000, 50, temperature=temperature, seed=1)
    drawn, _ = plan.draw(0, 0, 50)
    assert drawn.min() >= 0
    assert drawn.max() < 1000
    assert abs((drawn >= 100).mean() - share) < 0.01
    within = np.bincount((drawn[drawn >= 100] - 100) // 90, minlength=10)
    assert (np.abs(within / within.mean() - 1) < 0.06).all()


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_that_draw_with_replacement_draw_batches_of_their_own(world_size):
    """Together they draw what one process would draw in `world_size` times as many batches, none of them twice."""
    counts, num_batches = [50, 0, 3000], 7
    alone = WithReplacement(counts, 16, num_batches * world_size, seed=4)
    plans = [
        WithReplacement(counts, 16, num_batches, seed=4, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    expected = alone.draw(2, 0, len(alone))[0].reshape(num_batches, world_size, 16)
    for rank, plan in enumerate(plans):
        windows, bounds = plan.draw(2, 0, num_batches)
        assert np.array_equal(windows.reshape(num_batches, 16), expected[:, rank])
        assert np.array_equal(bounds, 16 * np.arange(num_batches + 1))
        for first in range(num_batches):  # any part of an epoch is what the whole epoch has there
            assert np.array_equal(plan.draw(2, first, first + 1)[0], expected[first, rank])
    assert len({tuple(batch) for batch in expected.reshape(-1, 16).tolist()}) == num_batches * world_size


def test_epochs_and_seeds_draw_different_windows_with_replacement():
    drawn = {
        tuple(WithReplacement([50, 3000], 16, 4, seed=seed).draw(epoch, 0, 4)[0])
        for seed in (0, 1)
        for epoch in range(3)
    }
    assert len(drawn) == 6


def test_a_process_without_windows_to_evaluate_has_one_batch_without_any():
    plans = [InOrder(2, 4, rank=rank, world_size=5) for rank in range(5)]
    assert [len(plan) for plan in plans] == [1] * 5
    drawn = [plan.draw(0, 0, 1) for plan in plans]
    assert [windows.tolist() for windows, _ in drawn if len(windows)] == [[0], [1]]
    assert all(bounds.tolist() == [0, len(windows)] for windows, bounds in drawn)
    assert len(InOrder(0, 4, world_size=2)) == 0
