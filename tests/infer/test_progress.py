"""The progress bar of predict_df."""

from __future__ import annotations

import io
import sys

import numpy as np
import pandas as pd
import pytest

from tsfm.bench.predictors import find_predictor
from tsfm.infer import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def panel(num_items=5):
    days = pd.date_range("2024-01-01", periods=10, freq="D")
    rows = [
        pd.DataFrame({"item_id": f"s{i}", "timestamp": days, "target": np.arange(10.0) + i}) for i in range(num_items)
    ]
    return pd.concat(rows)


@pytest.mark.parametrize(
    ("terminal", "delay", "argument", "is_shown"),
    [
        (False, 0, None, False),
        (False, 0, True, True),
        (True, 0, None, True),
        (True, 60, None, False),
        (True, 0, False, False),
    ],
)
def test_the_bar_is_shown_where_it_is_requested_or_seen_for_long(monkeypatch, terminal, delay, argument, is_shown):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "DELAY", delay)
    forecast = find_predictor("seasonal_naive").predict_df(panel(), 2, batch_size=2, progress=argument)
    assert len(forecast) == 10
    assert ("5/5" in stream.getvalue() or "0/5" in stream.getvalue()) == is_shown


def test_all_series_are_counted_and_those_of_a_second_pass(monkeypatch):
    bars = []

    class Counting(progress.SeriesProgress):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            bars.append(self)

    monkeypatch.setattr("tsfm.infer.dataframe_forecast.SeriesProgress", Counting)
    find_predictor("seasonal_naive").predict_df(panel(7), 2, batch_size=2, progress=False)
    week = panel(3)  # ten days hold one season and less than two
    week["target"] = np.tile(np.arange(7.0), 5)[: len(week)]
    find_predictor("tsfm-mini").predict_df(week, 2, progress=True)
    assert bars[0].done == 7
    assert bars[1].done == bars[1]._bar.total >= 3


def test_another_argument_is_refused():
    with pytest.raises(ValueError, match="progress is 'yes'"):
        find_predictor("seasonal_naive").predict_df(panel(), 2, progress="yes")
