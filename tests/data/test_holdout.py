"""Laws of what training never sees of a corpus series."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tsfm.data.holdout import held_out, usual_horizon


@pytest.mark.parametrize("horizon", [1, 8, 48])
def test_a_horizon_and_a_tenth_are_held_out_and_at_most_half(horizon: int) -> None:
    for length in range(1500):
        kept = held_out(length, horizon)
        assert kept <= length // 2
        if length >= 2 * horizon:
            assert kept >= horizon
        if length >= 2:
            assert kept >= min(length / 10, length // 2)
        assert kept <= max(horizon, length / 10 + 1)


def test_a_longer_series_never_loses_more_of_what_is_trained() -> None:
    trained = [length - held_out(length, 48) for length in range(2000)]
    assert all(later >= earlier for earlier, later in pairwise(trained))


@pytest.mark.parametrize(("length", "horizon"), [(-1, 8), (10, 0)])
def test_lengths_that_cannot_be_are_refused(length: int, horizon: int) -> None:
    with pytest.raises(ValueError, match="expected a length of at least 0"):
        held_out(length, horizon)


def test_the_usual_horizon_does_not_depend_on_the_multiple_or_the_anchor() -> None:
    assert usual_horizon("15min") == usual_horizon("min") == usual_horizon("h") == 48
    assert usual_horizon("W-THU") == usual_horizon("W") == 8
    assert usual_horizon("QS-OCT") == usual_horizon("QE") == 8
