"""Every form of timestamps is read as what it is, in all versions of pandas, or refused; assumptions are notes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.timestamps.forms import BERLIN, DAYS, FORMS, HOURS, MONTHS, markdown
from tsfm.timestamps.parsing import parse_timestamps


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_read_or_refused(name):
    form = FORMS[name]
    if form.times is None:
        with pytest.raises(ValueError) as error:
            parse_timestamps(form.cells, **form.options)
        assert form.message in str(error.value)
        return
    parsed = parse_timestamps(form.cells, **form.options)
    assert np.array_equal(np.asarray(parsed.index), np.asarray(form.times))
    assert (parsed.index.tz is None) == (form.times.tz is None)
    assert parsed.index.tz is None or parsed.index[0].isoformat() == form.times[0].isoformat()
    assert any(form.message in note for note in parsed.notes) if form.message else True
    assert not parsed.notes or form.message or name == "twelve days, dayfirst="


def test_the_table_of_the_documentation_is_the_table_of_the_tests():
    assert len(FORMS) >= 60
    assert markdown() in (ROOT / "docs" / "timestamps.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.times is not None])
def test_later_blocks_are_read_as_the_first(name):
    """Also a single row, which alone could be read in several ways."""
    form = FORMS[name]
    cells, options = list(form.cells), form.options
    first = parse_timestamps(cells, **options)
    for k in (1, len(cells) - 1):
        assert parse_timestamps(cells[k : k + 1], like=first, **options).values == first.values[k : k + 1]


def test_regular_steps_are_those_of_items():
    """Two items of months, in any order of rows."""
    cells = pd.Series([*MONTHS.strftime("%d/%m/%Y")] * 2).sample(frac=1, random_state=0)
    parsed = parse_timestamps(cells, items=np.arange(48)[cells.index] // 24)
    assert parsed.order == "dmy"


def test_blocks_agree_in_zone_and_kind():
    first = parse_timestamps(DAYS)
    with pytest.raises(ValueError, match="is in the time zone UTC, and an earlier timestamp has no time zone"):
        parse_timestamps(DAYS.tz_localize("UTC"), like=first)
    with pytest.raises(ValueError, match="row 0 and after are numbered steps, and the timestamps before are dates"):
        parse_timestamps([1, 2], like=first)
    again = parse_timestamps(BERLIN.tz_convert("UTC").strftime("%Y-%m-%d %H:%M:%SZ"), like=parse_timestamps(BERLIN))
    assert (again.index == BERLIN).all()
    assert str(again.index.tz) == "Europe/Berlin"


@pytest.mark.parametrize("dtype", ["int64", "Int64", "float64", "int64[pyarrow]", object, str])
def test_years_of_every_dtype(dtype):
    parsed = parse_timestamps(pd.Series(range(1959, 1990)).astype(dtype))
    assert parsed.values[0] == np.datetime64("1959-01-01")
    assert parsed.kind == "years"


@pytest.mark.parametrize(
    "dtype", ["timestamp[us][pyarrow]", "timestamp[ns, Europe/Berlin][pyarrow]", "date32[day][pyarrow]"]
)
def test_arrow_dates(dtype):
    zoned = "Berlin" in dtype
    parsed = parse_timestamps(pd.Series(DAYS.tz_localize("Europe/Berlin") if zoned else DAYS).astype(dtype))
    assert (np.asarray(parsed.index.tz_localize(None)) == np.asarray(DAYS)).all()
    assert (parsed.zone is not None) == zoned


def test_local_times_that_daylight_saving_repeats_are_refused():
    local = BERLIN.strftime("%Y-%m-%d %H:%M")
    with pytest.raises(
        ValueError, match="row 74 is 2024-10-27 02:00:00, which daylight saving in Europe/Berlin repeats"
    ):
        parse_timestamps(local, timezone="Europe/Berlin")
    with pytest.raises(ValueError, match=r"timezone is 'Berlin', not a known time zone"):
        parse_timestamps(local, timezone="Berlin")


@pytest.mark.parametrize(
    ("date_format", "message"), [("%d-%m-%Y", "does not have the date_format"), ("%d/%m", "no year")]
)
def test_a_date_format_that_does_not_fit(date_format, message):
    with pytest.raises(ValueError, match=message):
        parse_timestamps(HOURS.strftime("%d/%m/%Y"), date_format=date_format)


@pytest.mark.parametrize("offset", ["+82:00", "-82:00", "+16:00", "+23:59", "+02:60", "+0275", "+99", "-1630"])
def test_offsets_that_no_place_has_are_refused(offset):
    cells = [*HOURS[:5].strftime("%Y-%m-%d %H:%M+01:00"), f"2024-01-31 05:00{offset}"]
    with pytest.raises(ValueError, match=r"row 5 is '2024-01-31 05:00.*whose offset from UTC is none; expected -15:59"):
        parse_timestamps(cells)
    with pytest.raises(ValueError, match=r"timezone is .*(expected an offset from UTC|not a known time zone)"):
        parse_timestamps(list(HOURS[:5].strftime("%Y-%m-%d %H:%M")), timezone=offset)


@pytest.mark.parametrize("offset", ["+14:00", "-12:00", "+05:45", "-15:56"])
def test_offsets_of_places_are_read(offset):
    parsed = parse_timestamps(list(HOURS[:5].strftime(f"%Y-%m-%d %H:%M{offset}")))
    assert parsed.index[0].isoformat().endswith(offset)
