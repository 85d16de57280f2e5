"""What is found for many items at once is what is found for each alone."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from tsfm.timestamps.frequency import infer_freq, make_timestamps, parse_freq
from tsfm.timestamps.grid import as_times
from tsfm.timestamps.panel_frequency import PanelFrequencies, constant_steps
from tsfm.timestamps.panels import PanelTimes
from tsfm.timestamps.timezones import local_times, naive_utc, regular_timestamps, restore_timezone

FREQS = [
    "s",
    "15min",
    "h",
    "6h",
    "36h",
    "D",
    "2D",
    "3D",
    "4D",
    "7D",
    "14D",
    "15D",
    "28D",
    "30D",
    "365D",
    "B",
    "C-1111110",
]
FREQS += ["MS", "ME", "QS", "YS", "BME", "SMS-15", "WOM-3FRI", "30Hz", "W-SUN"]
ZONES = [None, "UTC", "Europe/Berlin"]


def panel(zone, *, unit="us", seed=0, gaps=0.0):
    """Return the timestamps of items of all frequencies and several lengths, and their bounds."""
    rng, items = np.random.default_rng(seed), []
    for freq in FREQS:
        for length in (1, 2, 3, 5, 40):
            start = np.datetime64("2023-02-01", "us") + np.timedelta64(int(rng.integers(0, 50)), "D")
            times = make_timestamps(make_timestamps(start, freq, 1)[0], freq, length)
            times = times[rng.random(length) >= gaps] if gaps else times
            items.append(times if len(times) else make_timestamps(start, freq, 1))
    if unit == "us":
        items = [times.astype("M8[us]") for times in items]
    bounds = np.append(0, np.cumsum([len(times) for times in items]))
    index = pd.DatetimeIndex(np.concatenate(items))
    if zone is not None:
        index = index.tz_localize(zone, ambiguous=np.ones(len(index), bool), nonexistent="shift_forward")
    return index, bounds


def outcome(infer, *args, **options):
    try:
        return infer(*args, **options)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("unit", ["us", "ns"])
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("steps", [False, True])
def test_the_frequency_of_an_item_does_not_depend_on_the_others(zone, unit, gaps, steps):
    index, bounds = panel(zone, unit=unit, gaps=gaps)
    local = local_times(index)
    frequencies = PanelFrequencies(local, bounds)
    for i in range(len(bounds) - 1):
        alone = outcome(infer_freq, local[bounds[i] : bounds[i + 1]], item=str(i), steps=steps)
        assert outcome(frequencies.infer, i, item=str(i), steps=steps) == alone


def test_constant_steps_are_those_within_items():
    index, bounds = panel(None, gaps=0.2)
    times = local_times(index)
    steps = [np.diff(times[low:high].astype(np.int64)) for low, high in itertools.pairwise(bounds)]
    expected = [int(x[0]) if len(x) > 1 and len(np.unique(x)) == 1 else 0 for x in steps]
    assert constant_steps(times, bounds).tolist() == expected


@pytest.mark.parametrize("unit", ["us", "ns"])
@pytest.mark.parametrize("zone", ZONES)
def test_the_steps_after_many_items_are_those_after_each(zone, unit):
    index, bounds = panel(zone, unit=unit)
    times, freqs = PanelTimes(index, bounds), np.repeat(FREQS, 5).tolist()
    regular = [times.regular(i, freq) for i, freq in enumerate(freqs)]
    lengths = np.diff(bounds)
    after = times.after(
        [stamps[0] for stamps, _ in regular],
        lengths,
        freqs,
        np.array([utc for _, utc in regular]),
        horizon=3,
        unit=unit,
    )
    for i, freq in enumerate(freqs):
        alone, utc = regular_timestamps(index[bounds[i] : bounds[i + 1]], freq)
        assert regular[i][1] == utc
        assert regular[i][0].dtype == alone.dtype
        assert np.array_equal(regular[i][0], alone)
        expected = restore_timezone(
            make_timestamps(alone[0], freq, lengths[i] + 3)[lengths[i] :], index.tz, absolute=utc, unit=unit
        )
        assert after[i].index.dtype == expected.dtype
        assert after[i].index.equals(expected)
        assert np.array_equal(after[i].utc, naive_utc(expected))
    assert np.array_equal(times.utc, as_times(naive_utc(index)))
    complete = []
    for (alone, _), freq in zip(regular, freqs, strict=True):
        step = parse_freq(freq)
        equal = (np.diff(alone.astype("M8[us]").astype(np.int64)) == step.micros).all()
        complete.append(len(alone) > 2 and step.has_whole_micros and bool(equal) and unit == "us")
    assert any(complete) == (unit == "us")
    assert times.without_gaps(freqs, np.array([utc for _, utc in regular])).tolist() == complete
