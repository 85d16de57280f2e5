"""Laws of cutting: every step is kept once, from the window in which it lies farthest from a border."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import tiny
from tsfm.infer.series_input import read_series
from tsfm.infer.windows import last_windows, sliding_windows, window_batches


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=4), window=st.integers(1, 40), parts=st.integers(1, 5)
)
def test_every_step_is_kept_once_where_most_is_seen_around_it(lengths: list[int], window: int, parts: int) -> None:
    tiles = sliding_windows(lengths, window_length=window, stride=max(1, window // parts))
    for series, length in enumerate(lengths):
        mine = np.flatnonzero(tiles.series == series)
        kept = np.concatenate([np.arange(tiles.begin[w], tiles.stop[w]) for w in mine])
        assert kept.tolist() == list(range(length))
        if length < window:
            assert tiles.first[mine].tolist() == [length - window]
            continue
        assert tiles.first[mine].min() == 0
        assert tiles.first[mine].max() == length - window
        steps = np.arange(length)[:, None]
        room = np.minimum(steps - tiles.first[mine], tiles.first[mine] + window - 1 - steps)  # negative: outside
        for place, w in enumerate(mine):
            own = slice(tiles.begin[w], tiles.stop[w])
            assert (room[own, place] == room[own].max(1)).all()


def test_strides_beyond_the_window_would_leave_steps_out() -> None:
    with pytest.raises(ValueError, match="stride is 9; expected 1 to 8 steps"):
        sliding_windows([30], window_length=8, stride=9)


@pytest.mark.parametrize("kind", ["quantiles", "flatten"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_windows_hold_their_steps(kind: str, batch_size: int) -> None:
    model = tiny("patch_transformer", kind)
    parts = [np.random.default_rng(i).normal(size=(2, n)).astype(np.float32) for i, n in enumerate((5, 64, 150, 11))]
    tiles = sliding_windows([part.shape[1] for part in parts], window_length=64, stride=32)
    seen = []
    for places, windows in window_batches(parts, tiles, model=model, batch_size=batch_size):
        assert model.fixed_length <= (windows.shape[-1] == 64)
        assert windows.shape[-1] % model.config.patch == 0
        for place, row in zip(places, windows, strict=True):
            one, first, _ = tiles.location(place)
            steps = parts[one][:, max(first, 0) : first + 64]
            np.testing.assert_array_equal(row[:, -steps.shape[1] :], steps)
            assert np.isnan(row[:, : -steps.shape[1]]).all()
            seen.append(place)
    assert sorted(seen) == list(range(len(tiles)))


def test_the_newest_window_ends_with_the_series() -> None:
    tiles = last_windows([5, 64, 150], window_length=64)
    assert (tiles.first + 64).tolist() == [5, 64, 150]
    assert tiles.location(2) == (2, 86, slice(86, 150))


def test_answers_come_back_in_the_form_of_the_question() -> None:
    line, pair = np.zeros(7), np.zeros((2, 7))
    for series, shape in ((line, (7,)), (pair, (2, 7)), (np.zeros((3, 2, 7)), (3, 2, 7))):
        found = read_series(series)
        assert found.restore(found.arrays).shape == shape
    found = read_series([line, np.zeros(4), np.zeros((1, 5))])
    assert [one.shape for one in found.restore(found.arrays)] == [(7,), (4,), (1, 5)]
    with pytest.raises(ValueError, match=r"different channel counts \[1, 2\]; give each count by itself"):
        read_series([line, pair])
