"""Series without gaps and windows of them."""

import numpy as np
import pytest

from tsfm.ensemble.panel import Panel, Windows, fill_gaps, observed_windows, spread_windows


def windows(*positions):
    series, origins = zip(*positions, strict=True)
    return Windows(np.array(series), np.array(origins))


def test_gaps_are_filled_in_the_past_and_stay_in_the_future():
    panel = Panel([np.array([1.0, np.nan, 3.0, np.nan, 5.0])])
    assert panel.past(windows((0, 3)), 3).tolist() == [[1.0, 2.0, 3.0]]
    np.testing.assert_array_equal(panel.future(windows((0, 2)), 3), [[3.0, np.nan, 5.0]])


def test_a_short_past_begins_with_copies_of_its_first_value():
    assert Panel([np.arange(5.0) + 1]).past(windows((0, 2)), 4).tolist() == [[1.0, 1.0, 1.0, 2.0]]


def test_filling_does_not_look_past_the_last_observed_step():
    assert fill_gaps(np.array([1.0, 2.0, np.nan, np.nan])).tolist() == [1.0, 2.0, 2.0, 2.0]
    assert fill_gaps(np.array([np.nan, np.nan])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("max_windows", [3, 7, 100])
def test_windows_are_spread_over_all_series_and_stay_in_their_bounds(max_windows):
    first, last = np.array([2, 5, 4]), np.array([10, 4, 8])  # the second series has none
    spread = spread_windows(first, last, max_windows=max_windows)
    assert len(spread) == min(max_windows, 9 + 5)
    assert set(spread.series) == {0, 2}
    assert (spread.origin >= first[spread.series]).all()
    assert (spread.origin <= last[spread.series]).all()


def test_windows_without_observed_steps_are_found():
    values = np.r_[np.arange(10.0), np.full(10, np.nan), np.arange(5.0)]
    positions = windows((0, 5), (0, 12), (0, 20))
    usable = observed_windows(Panel([values]), positions, horizon=3, recent=4)
    assert usable.tolist() == [True, False, False]


def test_the_scale_of_a_constant_series_is_positive():
    assert Panel([np.zeros(5), np.full(5, 1e6)]).spread.min() > 0
