"""Laws of series from the user: their form comes back, and batches have similar lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.infer.series_input import length_batches, read_series


@given(lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=60), size=st.integers(1, 16))
def test_batches_have_every_series_once_and_bounded_padding(lengths: list[int], size: int) -> None:
    array = np.array(lengths)
    batches = list(length_batches(array, batch_size=size, num_channels=3))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for indices in batches:
        longest, shortest = array[indices].max(), array[indices].min()
        assert len(indices) <= size
        assert shortest >= min(longest / 1.5, longest - 64)


def test_results_have_the_form_of_the_input() -> None:
    line, pair = np.zeros(7), np.zeros((2, 7))
    for series, shape in ((line, (7,)), (pair, (2, 7)), (np.zeros((3, 2, 7)), (3, 2, 7))):
        data = read_series(series)
        assert data.restore(data.arrays).shape == shape
    data = read_series([line, np.zeros(4), np.zeros((1, 5))])
    assert [series.shape for series in data.restore(data.arrays)] == [(7,), (4,), (1, 5)]
    with pytest.raises(ValueError, match=r"different channel counts \[1, 2\]; give each count by itself"):
        read_series([line, pair])


@given(st.integers(1, 4), st.integers(1, 30))
def test_an_array_is_read_as_the_list_of_its_rows(num: int, steps: int) -> None:
    """Two axes are series and steps, three are series, channels and steps; results have the form of the input."""
    values = np.random.default_rng(0).normal(size=(num, 2, steps))
    for stack in (values, values[:, 0], values[:1]):
        read, listed = read_series(stack), read_series(list(stack))
        assert len(read.arrays) == len(stack)
        assert all(np.array_equal(a, b) for a, b in zip(read.arrays, listed.arrays, strict=True))
        assert read.restore(read.arrays).shape == stack.shape
        assert np.array_equal(read.restore(read.arrays), np.stack(listed.restore(listed.arrays)))
