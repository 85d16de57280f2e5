"""Laws of splits: no target step in two parts, contexts reach back by the lookback, the field's published counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.data.splits import RULES, holdout_length, split_all, split_series, typical_horizon


def windows(span, *, context: int, horizon: int) -> int:
    return span.stop - span.first - context - horizon + 1


@st.composite
def laid_out(draw):
    rule = draw(st.sampled_from(RULES))
    lookback, horizon = draw(st.integers(0, 400)), draw(st.integers(1, 60))
    number = draw(st.integers(1, 4))
    least = {"ett_hour": 14400, "ett_minute": 57600, "ratio": 10, "last_horizon": horizon * (number + 1) + 1, "all": 1}
    length = least[rule] + draw(st.integers(0, 5000))
    shares = draw(st.sampled_from([(0.7, 0.1, 0.2), (0.6, 0.2, 0.2), (0.8, 0.2, 0.0), (1.0, 0.0, 0.0)]))
    return length, rule, {"lookback": lookback, "ratios": shares, "horizon": horizon, "windows": number}


@given(laid_out())
def test_no_target_step_is_in_two_splits_and_contexts_reach_back(case):
    length, rule, kwargs = case
    spans = split_series(length, rule, **kwargs)
    owner = np.zeros(length, dtype=int)
    for span in spans.values():
        assert 0 <= span.first <= span.target <= span.stop <= length
        owner[span.target : span.stop] += 1
        assert span.first == max(0, span.target - kwargs["lookback"])
    assert owner.max() == 1
    used = int(owner.sum())
    assert owner[:used].all()  # parts follow one another without a gap
    if not rule.startswith("ett"):
        assert used == length


@given(laid_out(), st.integers(1, 40))
def test_the_length_an_error_asks_for_is_enough_and_one_step_less_is_not(case, cut):
    _, rule, kwargs = case
    with pytest.raises(ValueError, match="needs a series of") as caught:
        split_series(0, rule, **kwargs)
    least = int(str(caught.value).split("series of ")[1].split()[0])
    split_series(least, rule, **kwargs)
    with pytest.raises(ValueError, match=f"found {least - 1};"):
        split_series(least - 1, rule, **kwargs)


@pytest.mark.parametrize(
    ("length", "rule", "lookback", "horizon", "counts"),
    [
        (17420, "ett_hour", 336, 96, (8209, 2785, 2785)),  # ETTh1 as published
        (17420, "ett_hour", 336, 720, (7585, 2161, 2161)),
        (69680, "ett_minute", 336, 96, (34129, 11425, 11425)),
        (7588, "ratio", 336, 96, (4880, 665, 1422)),  # exchange
        (966, "ratio", 104, 24, (549, 74, 170)),  # ili: 676, 97, 193 rows
        (52696, "ratio", 336, 96, (36456, 5175, 10444)),  # weather: 36887, 5270, 10539 rows
    ],
)
def test_published_window_counts(length, rule, lookback, horizon, counts):
    spans = split_series(length, rule, lookback=lookback)
    assert tuple(windows(spans[s], context=lookback, horizon=horizon) for s in ("train", "val", "test")) == counts


def test_the_last_horizon_is_test_and_the_one_before_validation():
    spans = split_series(100, "last_horizon", lookback=20, horizon=6, windows=3)
    assert (spans["test"].target, spans["test"].stop) == (82, 100)
    assert (spans["val"].target, spans["val"].stop) == (76, 82)
    assert (spans["train"].first, spans["train"].stop) == (0, 76)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_a_table_is_the_borders_of_each_series(lengths):
    spans = split_all(np.array(lengths), "last_horizon", lookback=5, horizon=7)
    for i, length in enumerate(lengths):
        if length < 15:
            assert i in spans["test"].reasons
            assert spans["test"].stop[i] == 0
        else:
            expected = split_series(length, "last_horizon", lookback=5, horizon=7)
            assert all(list(spans[split])[i] == expected[split] for split in spans)


def test_wrong_rules_and_ratios_are_named():
    with pytest.raises(ValueError, match="did you mean 'ett_hour'"):
        split_series(100, "ett_hours", lookback=1)
    with pytest.raises(ValueError, match="sum to 1"):
        split_series(100, "ratio", lookback=1, ratios=(0.7, 0.2, 0.2))
    with pytest.raises(ValueError, match="at least 1"):
        split_series(100, "last_horizon", lookback=1)
    with pytest.raises(ValueError, match="needs a series of 14400 steps, found 9000"):
        split_series(9000, "ett_hour", lookback=336)


@pytest.mark.parametrize("horizon", [1, 8, 48])
def test_a_horizon_and_a_tenth_are_held_out_and_at_most_half(horizon: int) -> None:
    for length in range(1500):
        kept = holdout_length(length, horizon)
        assert kept <= length // 2
        if length >= 2 * horizon:
            assert kept >= horizon
        if length >= 2:
            assert kept >= min(length / 10, length // 2)
        assert kept <= max(horizon, length / 10 + 1)


def test_a_longer_series_never_loses_more_of_what_is_trained() -> None:
    trained = [length - holdout_length(length, 48) for length in range(2000)]
    assert all(later >= earlier for earlier, later in pairwise(trained))


@pytest.mark.parametrize(("length", "horizon"), [(-1, 8), (10, 0)])
def test_lengths_that_cannot_be_are_refused(length: int, horizon: int) -> None:
    with pytest.raises(ValueError, match="expected a length of at least 0"):
        holdout_length(length, horizon)


def test_the_typical_horizon_does_not_depend_on_the_multiple_or_the_anchor() -> None:
    assert typical_horizon("15min") == typical_horizon("min") == typical_horizon("h") == 48
    assert typical_horizon("W-THU") == typical_horizon("W") == 8
    assert typical_horizon("QS-OCT") == typical_horizon("QE") == 8
