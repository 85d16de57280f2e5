"""Laws of windows: each is what it is step by step, counted as enumerated, and drawn once an epoch by one rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tsfm.data.windows as module
from tsfm.data.collate import pad_batch
from tsfm.data.flat import FlatSeries
from tsfm.data.loader import WindowLoader
from tsfm.data.sampling import ROUNDS, InOrder, Shuffled, WithReplacement, keys, permute
from tsfm.data.splits import table
from tsfm.data.standardize import Standardizer
from tsfm.data.windows import WindowIndex


def series(lengths, *, channels=2, missing=0.0, seed=0) -> FlatSeries:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(channels, length)).astype(np.float32) for length in lengths]
    for array in arrays:
        array[rng.random(array.shape) < missing] = np.nan
    return FlatSeries.from_arrays(arrays, channels=[f"c{c}" for c in range(channels)])


def by_hand(flat: FlatSeries, spans, *, context, horizon, stride, least):
    """(series, start) of every window, by walking all steps."""
    found = []
    for i, span in enumerate(spans):
        targets = [span.target] if span.target else [least]
        if span.stop == 0 or (span.target and span.target - span.first < least):
            continue
        target = targets[0]
        while target + horizon <= span.stop:
            found.append((i, target - context))
            target += stride
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.integers(0, 12),
    st.integers(0, 6),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(0, 12)),
    st.sampled_from(["ratio", "last_horizon", "all"]),
    st.sampled_from([0.0, 0.2]),
    st.booleans(),
)
def test_windows_are_those_found_by_walking_and_are_what_they_are_step_by_step(
    lengths, context, horizon, stride, least, rule, missing, scaled
):
    if context + horizon == 0:
        context = 1
    flat = series(lengths, missing=missing)
    for spans in table(flat.lengths, rule, lookback=context, horizon=max(horizon, 1)).values():
        scaler = Standardizer(("c1",), np.array([0.3]), np.array([1.7])) if scaled else None
        index = WindowIndex(
            flat,
            spans,
            context=context,
            horizon=horizon,
            stride=stride,
            min_context=least,
            channels=["c1"] if scaled else None,
            standardizer=scaler,
        )
        need = context if least is None else min(least, context)
        expected = by_hand(flat, spans, context=context, horizon=horizon, stride=stride, least=need)
        assert len(index) == len(expected) == index.count_by_series.sum()
        assert len(index.skipped) == len(flat) - len({i for i, _ in expected})
        assert all(reason for _, reason in index.skipped)
        if not expected:
            continue
        batch = index.gather(range(len(index)))
        assert batch.key.tolist() == [list(pair) for pair in expected]
        for row, (i, start) in enumerate(expected):
            window = np.full((2, context + horizon), np.nan, dtype=np.float32)
            window[:, max(0, -start) :] = flat.series(i)[:, max(0, start) : start + context + horizon]
            if scaled:
                window = (window[1:] - scaler.loc.astype(np.float32)) / scaler.scale.astype(np.float32)
            assert np.array_equal(batch.observed[row].numpy(), ~np.isnan(window))
            np.testing.assert_allclose(batch.values[row].numpy(), np.nan_to_num(window), rtol=2e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=40), st.integers(1, 30))
def test_the_bucket_table_and_the_search_find_the_same_series(lengths, context):
    flat = series(lengths, channels=1)
    spans = table(flat.lengths, "all", lookback=context)["train"]
    fast = WindowIndex(flat, spans, context=context, horizon=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BUCKETS", 0)
        plain = WindowIndex(flat, spans, context=context, horizon=1)
    assert plain._buckets is None
    numbers = np.arange(len(fast))
    for one, other in zip(fast.locate(numbers), plain.locate(numbers), strict=True):
        assert np.array_equal(one, other)


def test_a_window_number_that_does_not_exist_is_refused():
    flat = series([50])
    index = WindowIndex(flat, table(flat.lengths, "all", lookback=4)["train"], context=4, horizon=2)
    for number in (-1, len(index)):
        with pytest.raises(IndexError, match="this split has 45 windows"):
            index.gather([number])


def test_nothing_is_computed_where_nothing_is_missing():
    flat = series([50])
    index = WindowIndex(flat, table(flat.lengths, "all", lookback=4)["train"], context=4, horizon=2)
    batch = index.gather([3, 1])
    assert batch.observed.stride() == (0, 0, 0)
    assert batch.observed.all()


def test_the_fraction_keeps_the_most_recent_windows():
    flat = series([104], channels=1)
    spans = table(flat.lengths, "all", lookback=4)["train"]
    index = WindowIndex(flat, spans, context=4, horizon=1, fraction=0.05)
    assert index.gather(range(len(index))).key[:, 1].tolist() == [95, 96, 97, 98, 99]


def test_a_wrong_channel_is_named():
    flat = series([20])
    with pytest.raises(ValueError, match=r"no channel 'c2'.*known: c0, c1"):
        WindowIndex(flat, table(flat.lengths, "all", lookback=1)["train"], context=1, horizon=1, channels=["c2"])


# the order of an epoch


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.integers(1, 200), st.integers(4000, 20_000)), st.integers(0, 2**62), st.integers(0, 100))
def test_an_epoch_is_a_permutation(size, seed, epoch):
    order = permute(np.arange(size), size, key=keys(seed, epoch, num=2 * ROUNDS))
    assert np.array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [10**9 + 7, 2**40, 2**40 + 1, 10**15])
def test_places_of_a_huge_epoch_differ_and_are_in_range(size):
    places = np.concatenate([np.arange(100_000), np.arange(size - 100_000, size)])
    order = permute(places, size, key=keys(3, 0, num=2 * ROUNDS))
    assert len(np.unique(order)) == len(places)
    assert order.min() >= 0
    assert order.max() < size
    counts = np.bincount((order / size * 100).astype(int), minlength=100)
    assert ((counts - 2000) ** 2 / 2000).sum() < 170  # chi-square with 99 degrees of freedom: p about 1e-5


@pytest.mark.parametrize("size", [5, 100, 4096, 5000, 66_000])
def test_every_window_is_as_likely_at_every_place(size):
    """Over many seeds each (place, window) pair is alike, and neighbours in place are not neighbours in time."""
    seeds, places = 5000, np.arange(min(size, 100))
    orders = np.stack([permute(places, size, key=keys(seed, 0, num=2 * ROUNDS)) for seed in range(seeds)])
    shown = min(size, 20)  # bins, of widths that differ where shown does not divide size
    expected = seeds * np.diff(-(-np.arange(shown + 1) * size // shown)) / size
    for place in range(shown):
        counts = np.bincount(orders[:, place] * shown // size, minlength=shown)
        assert ((counts - expected) ** 2 / expected).sum() < shown + 6 * np.sqrt(2 * shown)
    if size >= 100:
        steps = np.abs(np.diff(orders, axis=1)).ravel()
        assert abs(steps.mean() / size - 1 / 3) < 0.005  # E|X - Y| of two uniform places
        assert abs((steps < 10).mean() * size - 18) < 100 * (size / len(steps)) ** 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 17), st.integers(1, 4), st.booleans())
def test_ranks_get_disjoint_equally_many_batches_and_together_everything(windows, size, world, drop):
    plans = [Shuffled(windows, size, seed=5, rank=rank, world_size=world, drop_last=drop) for rank in range(world)]
    assert len({len(plan) for plan in plans}) == 1
    drawn = [plan.draw(2, 0, len(plan)) for plan in plans]
    everything = np.concatenate([indices for indices, _ in drawn])
    assert len(np.unique(everything)) == len(everything)
    left = windows - len(everything)
    assert left < (size * world if drop else world)
    if world == 1 and not drop:
        assert left == 0
    for indices, bounds in drawn:
        assert bounds[-1] == len(indices)
        assert (np.diff(bounds)[:-1] == size).all() if len(bounds) > 2 else True


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 17), st.integers(1, 4))
def test_evaluation_has_every_window_once_in_order(windows, size, world):
    drawn = [InOrder(windows, size, rank=rank, world_size=world) for rank in range(world)]
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


PLANS = {
    "epoch": lambda: Shuffled(203, 16, seed=3),
    "random": lambda: WithReplacement([50, 153], 16, 13, seed=3),
    "order": lambda: InOrder(203, 16),
}


def loader(kind: str) -> WindowLoader:
    flat = series([57, 160], channels=1)
    index = WindowIndex(flat, table(flat.lengths, "all", lookback=6)["train"], context=6, horizon=1)
    made = WindowLoader(index, PLANS[kind]())
    made._block = 5  # blocks end within the epoch
    return made


@pytest.mark.parametrize("kind", list(PLANS))
@pytest.mark.parametrize("stop", [0, 1, 4, 5, 12, 13, 17])
def test_a_loader_resumed_at_batch_k_gives_batches_k_and_on(kind, stop):
    whole = loader(kind)
    expected = [(epoch, batch.key.tolist()) for epoch in range(3) for batch in whole]
    begun, resumed = loader(kind), loader(kind)
    assert len(begun) == 13
    drawn = 0
    while drawn < stop:
        for _ in begun:
            drawn += 1
            if drawn == stop:
                break
    state = begun.state_dict()
    assert set(state) == {"seed", "epoch", "position"}
    resumed.load_state_dict(state)
    rest = [batch.key.tolist() for batch in resumed]
    while len(rest) < len(expected) - stop:
        rest += [batch.key.tolist() for batch in resumed]
    assert rest == [key for _, key in expected[stop:]]


def test_epochs_differ_and_follow_from_the_seed():
    one, other = loader("epoch"), loader("epoch")
    first = [batch.key.tolist() for batch in one]
    assert first == [batch.key.tolist() for batch in other]
    assert first != [batch.key.tolist() for batch in one]
    one.set_epoch(0)
    assert first == [batch.key.tolist() for batch in one]


def test_a_state_of_other_data_is_refused():
    with pytest.raises(ValueError, match="batch 99 of an epoch that has 13"):
        loader("epoch").load_state_dict({"seed": 3, "epoch": 0, "position": 99})


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.one_of(st.none(), st.integers(1, 12)))
def test_padding_is_on_the_left_and_unobserved(lengths, length):
    if max(lengths) == 0 and length is None:
        length = 1
    arrays = [np.arange(2 * n, dtype=np.float64).reshape(2, n) for n in lengths]
    batch = pad_batch(arrays, length=length)
    steps = length or max(lengths)
    assert batch.values.shape == (len(arrays), 2, steps)
    for row, array in enumerate(arrays):
        kept = array[:, -steps:]
        assert batch.observed[row].sum() == kept.size
        assert np.array_equal(batch.values[row][batch.observed[row]].numpy(), kept.ravel())


def test_padding_refuses_what_is_not_a_window():
    with pytest.raises(ValueError, match=r"array 1 has shape \(1, 3\); expected \[2 channels"):
        pad_batch([np.zeros((2, 3)), np.zeros((1, 3))])
    with pytest.raises(ValueError, match="array 0, channel 0, step 1 is infinite"):
        pad_batch([np.array([0.0, np.inf]), np.zeros(5)])
    with pytest.raises(ValueError, match="no arrays"):
        pad_batch([])
    assert torch.equal(pad_batch([np.array([1.0, np.nan])]).values, torch.tensor([[[1.0, 0.0]]]))
