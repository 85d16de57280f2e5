"""Laws of windows: they are counted and cut as their definition says, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsfm.data.windows as module
from tsfm.data.flat import FlatSeries
from tsfm.data.splits import split_all
from tsfm.data.standardize import Standardizer
from tsfm.data.windows import WindowIndex


def series(lengths, *, channels=2, missing=0.0, seed=0) -> FlatSeries:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(channels, length)).astype(np.float32) for length in lengths]
    for array in arrays:
        array[rng.random(array.shape) < missing] = np.nan
    return FlatSeries.from_arrays(arrays, channels=[f"c{c}" for c in range(channels)])


def enumerate_windows(flat: FlatSeries, spans, *, context, horizon, stride, min_context):
    """(series, start) of every window, step by step."""
    windows = []
    for i, span in enumerate(spans):
        targets = [span.target] if span.target else [min_context]
        if span.stop == 0 or (span.target and span.target - span.first < min_context):
            continue
        target = targets[0]
        while target + horizon <= span.stop:
            windows.append((i, target - context))
            target += stride
    return windows


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
def test_windows_are_counted_and_cut_as_step_by_step(
    lengths, context, horizon, stride, min_context, rule, missing, scaled
):
    if context + horizon == 0:
        context = 1
    flat = series(lengths, missing=missing)
    for spans in split_all(flat.lengths, rule, lookback=context, horizon=max(horizon, 1)).values():
        scaler = Standardizer(("c1",), np.array([0.3]), np.array([1.7])) if scaled else None
        index = WindowIndex(
            flat,
            spans,
            context=context,
            horizon=horizon,
            stride=stride,
            min_context=min_context,
            channels=["c1"] if scaled else None,
            standardizer=scaler,
        )
        need = context if min_context is None else min(min_context, context)
        expected = enumerate_windows(flat, spans, context=context, horizon=horizon, stride=stride, min_context=need)
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
    spans = split_all(flat.lengths, "all", lookback=context)["train"]
    fast = WindowIndex(flat, spans, context=context, horizon=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BUCKETS", 0)
        plain = WindowIndex(flat, spans, context=context, horizon=1)
    assert plain._buckets is None
    numbers = np.arange(len(fast))
    for buckets, search in zip(fast.locate(numbers), plain.locate(numbers), strict=True):
        assert np.array_equal(buckets, search)


def test_a_window_number_that_does_not_exist_is_refused():
    flat = series([50])
    index = WindowIndex(flat, split_all(flat.lengths, "all", lookback=4)["train"], context=4, horizon=2)
    for number in (-1, len(index)):
        with pytest.raises(IndexError, match="this split has 45 windows"):
            index.gather([number])


def test_nothing_is_computed_where_nothing_is_missing():
    flat = series([50])
    index = WindowIndex(flat, split_all(flat.lengths, "all", lookback=4)["train"], context=4, horizon=2)
    batch = index.gather([3, 1])
    assert batch.observed.stride() == (0, 0, 0)
    assert batch.observed.all()


def test_the_fraction_keeps_the_most_recent_windows():
    flat = series([104], channels=1)
    spans = split_all(flat.lengths, "all", lookback=4)["train"]
    index = WindowIndex(flat, spans, context=4, horizon=1, fraction=0.05)
    assert index.gather(range(len(index))).key[:, 1].tolist() == [95, 96, 97, 98, 99]


def test_a_wrong_channel_is_named():
    flat = series([20])
    with pytest.raises(ValueError, match=r"no channel 'c2'.*known: c0, c1"):
        WindowIndex(flat, split_all(flat.lengths, "all", lookback=1)["train"], context=1, horizon=1, channels=["c2"])
