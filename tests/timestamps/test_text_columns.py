"""Columns of text are read by a fast path; the parser of single cells defines what it may return."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timestamps.forms import FORMS
from tsfm.timestamps import parsing
from tsfm.timestamps.parsing import parse_timestamps

TEXT_FORMS = [name for name, form in FORMS.items() if all(isinstance(cell, str) for cell in form.cells)]
COLUMNS = {
    "object": lambda cells: pd.Series(list(cells), dtype=object),
    "arrow": lambda cells: pd.Series(pd.arrays.ArrowExtensionArray(pa.array(cells, pa.string()))),
    "large arrow": lambda cells: pd.Series(pd.arrays.ArrowExtensionArray(pa.array(cells, pa.large_string()))),
    "chunks": lambda cells: pd.Series(
        pd.arrays.ArrowExtensionArray(pa.chunked_array([cells[:2], cells[2:]], pa.string()))
    ),
    "string": lambda cells: pd.Series(cells, dtype="string"),
    "category": lambda cells: pd.Series(cells, dtype=object).astype("category"),
}


def outcome(column, **options):
    """Return what is read, or the message of the error."""
    try:
        return parse_timestamps(column, **options)
    except ValueError as error:
        return str(error)


def defined(cells, **options):
    """Return the outcome of the parser of single cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "text_array", lambda series: None)
        return outcome(pd.Series(list(cells), dtype=object), **options)


def check_same(parsed, expected):
    if isinstance(expected, str):
        assert parsed == expected
        return
    assert parsed.values.dtype == expected.values.dtype
    assert np.array_equal(parsed.values, expected.values)
    empty = np.array([], "M8[us]")
    assert dataclasses.replace(parsed, values=empty) == dataclasses.replace(expected, values=empty)


@pytest.mark.parametrize("name", TEXT_FORMS)
def test_every_form_of_text_is_read_as_its_cells_are(name):
    form = FORMS[name]
    expected = defined(form.cells, **form.options)
    for column in COLUMNS.values():
        check_same(outcome(column(form.cells), **form.options), expected)
    if not isinstance(expected, str):  # as a later block of the same file
        later = defined(form.cells[1:], like=expected, **form.options)
        check_same(outcome(COLUMNS["arrow"](form.cells[1:]), like=expected, **form.options), later)


CELLS = ["2024-01-31", "2024-01-31 10:20", "2024-01-31T10:20:30.5", "2024-01-31 10:20:30.123456789", " 2024-01-31"]
CELLS += [
    "2024-01-31  10:20",
    "2024-02-30",
    "2024-01-31T24:00",
    "2024-1-31",
    "2024-01",
    "2024",
    "20240131",
    "0001-01-01",
]
CELLS += ["2024-01-31 10:20Z", "2024-01-31T10:20+01:00", "31/01/2024", "01/02/2024", "2024-01-31T10", "9999-12-31"]
CELLS += ["2024-01-31T1020", "2024-01-31 10:20:60", "-2024-01-31", "nan", "?", "\ud800", "2024-01-31\n", "١٩٩٩-01-01"]


@settings(max_examples=100, deadline=None)
@given(
    cells=st.lists(st.sampled_from(CELLS), min_size=1, max_size=4),
    options=st.sampled_from([{}, {"dayfirst": True}, {"timezone": "Asia/Tokyo"}, {"date_format": "%Y-%m-%d"}]),
)
def test_mixtures_of_cells_are_read_or_refused_as_one_by_one(cells, options):
    check_same(outcome(pd.Series(cells, dtype=object), **options), defined(cells, **options))


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "Europe/Berlin", "+05:00"])
@pytest.mark.parametrize("offset", ["", "Z", "+01:00"])
@pytest.mark.parametrize("cell", ["0001-01-01 12:00", "9999-12-31 12:00"])
def test_timestamps_at_the_ends_of_the_calendar_are_refused_in_a_zone(cell, offset, zone):
    with pytest.raises(ValueError, match=f"row 1 is {cell[:10]}.*, too far from now for"):
        parse_timestamps([f"2020-01-01 00:00{offset}", cell + offset], timezone=zone)
    kept = parse_timestamps([f"2020-01-01 00:00{offset}", cell + offset])
    assert kept.format(1).startswith(cell)


def test_the_days_next_to_the_ends_of_the_calendar_are_read_in_every_zone():
    for zone in ("Asia/Tokyo", "America/New_York", "+12:00"):
        parsed = parse_timestamps(["9999-12-30 23:00", "0001-01-02 01:00"], timezone=zone)
        assert [parsed.format(row)[:16] for row in (0, 1)] == ["9999-12-30 23:00", "0001-01-02 01:00"]
