"""Laws of windows: every step is kept once, from the window in which it is farthest from the borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import tiny
from tsfm.infer.windows import last_windows, sliding_windows, window_batches


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    window=st.integers(1, 40),
    num_strides=st.integers(1, 5),
)
def test_every_step_is_kept_once_where_most_context_is_around_it(
    lengths: list[int], window: int, num_strides: int
) -> None:
    plan = sliding_windows(lengths, window_length=window, stride=max(1, window // num_strides))
    for series, length in enumerate(lengths):
        mine = np.flatnonzero(plan.series == series)
        kept = np.concatenate([np.arange(plan.begin[w], plan.stop[w]) for w in mine])
        assert kept.tolist() == list(range(length))
        if length < window:
            assert plan.first[mine].tolist() == [length - window]
            continue
        assert plan.first[mine].min() == 0
        assert plan.first[mine].max() == length - window
        steps = np.arange(length)[:, None]
        room = np.minimum(steps - plan.first[mine], plan.first[mine] + window - 1 - steps)  # negative: outside
        for index, w in enumerate(mine):
            own = slice(plan.begin[w], plan.stop[w])
            assert (room[own, index] == room[own].max(1)).all()


def test_strides_beyond_the_window_would_leave_steps_out() -> None:
    with pytest.raises(ValueError, match="stride is 9; expected 1 to 8 steps"):
        sliding_windows([30], window_length=8, stride=9)


@pytest.mark.parametrize("kind", ["quantiles", "flatten"])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_windows_hold_their_steps(kind: str, batch_size: int) -> None:
    model = tiny("patch_transformer", kind)
    arrays = [np.random.default_rng(i).normal(size=(2, n)).astype(np.float32) for i, n in enumerate((5, 64, 150, 11))]
    plan = sliding_windows([array.shape[1] for array in arrays], window_length=64, stride=32)
    seen = []
    for indices, windows in window_batches(arrays, plan, model=model, batch_size=batch_size):
        assert model.fixed_length <= (windows.shape[-1] == 64)
        assert windows.shape[-1] % model.config.patch == 0
        for index, row in zip(indices, windows, strict=True):
            series, first, _ = plan.location(index)
            steps = arrays[series][:, max(first, 0) : first + 64]
            np.testing.assert_array_equal(row[:, -steps.shape[1] :], steps)
            assert np.isnan(row[:, : -steps.shape[1]]).all()
            seen.append(index)
    assert sorted(seen) == list(range(len(plan)))


def test_the_newest_window_ends_with_the_series() -> None:
    plan = last_windows([5, 64, 150], window_length=64)
    assert (plan.first + 64).tolist() == [5, 64, 150]
    assert plan.location(2) == (2, 86, slice(86, 150))
