"""The oracle of the fuzzer takes a difference for announced only where a note says just this difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fuzz.announced import announced
from tests.fuzz.content import Content, Item, LongTable, Reading, Row
from tests.fuzz.csv_style import CsvStyle
from tests.fuzz.plain_csv import plain_contents

DAYS = np.arange("2024-01-01", "2024-01-09", dtype="M8[D]").astype("M8[us]")
VALUES = np.arange(8.0)[:, None]
NOTE = "2 timestamps were moved to the D grid, by at most 3 h"


def content(*moves: int, **changed: object) -> Content:
    """Return eight days, the first of them moved by some hours."""
    times = DAYS.copy()
    times[: len(moves)] += np.array(moves, "m8[h]")
    return replace(Content({"a": Item(times, VALUES)}), **changed)  # type: ignore[arg-type]


def reading(*notes: str, values: np.ndarray = VALUES, zoned: bool = False) -> Reading:
    return Reading({"a": (DAYS, values.T.astype(np.float32))}, {"a": "D"}, list(notes), zoned=zoned)


def test_a_reading_without_a_difference_needs_no_note() -> None:
    assert announced([content()], reading()) is None


@pytest.mark.parametrize(
    ("moves", "notes", "is_announced"),
    [
        ((1, 3), [NOTE], True),
        ((1, 3), [], False),
        ((1, 3), ["numbers such as 1617148800 are read as seconds since 1970 (UTC)", "not used: price"], False),
        ((1, 4), [NOTE], False),  # farther than the note says
        ((1,), [NOTE], False),  # fewer
        ((1, 2, 3), [NOTE], False),  # more
    ],
)  # fmt: skip
def test_moved_timestamps_are_as_many_and_as_near_as_the_note_says(
    moves: tuple[int, ...], notes: list[str], is_announced: bool
) -> None:
    assert (announced([content(*moves)], reading(*notes)) is None) == is_announced


def test_a_value_at_another_step_is_never_announced() -> None:
    swapped = VALUES[[1, 0, *range(2, 8)]]
    assert announced([content()], reading(NOTE, "x.csv is not UTF-8 and was read as", values=swapped)) is not None


@pytest.mark.parametrize("zoned", [True, False])
def test_a_time_zone_is_neither_lost_nor_invented(zoned: bool) -> None:
    assert announced([content(zoned=zoned)], reading(zoned=zoned)) is None
    assert announced([content(zoned=zoned)], reading(zoned=not zoned)) is not None


def test_a_content_with_notes_needs_each_of_them() -> None:
    other = content(notes=("not UTF-8", "not used.*price"))
    assert announced([other], reading("x is not UTF-8", "not used: price")) is None
    assert announced([other], reading("x is not UTF-8")) is not None
    assert announced([other], reading("not used: other", "x is not UTF-8")) is not None


TABLE = LongTable([Row("a", DAYS[0], [1.0, 2.0])], ["target", "price"], "D")
STYLE = CsvStyle(names=["id", "time", "target", "price"], order=["id", "time", "target", "price"])


def contents_of(rows: str, **style: str) -> tuple[Content | None, list[tuple[str, ...]]]:
    data = f"id,time,target,price\n{rows}".encode("cp1252")
    strict, others = plain_contents(data, replace(STYLE, **style), TABLE)  # type: ignore[arg-type]
    return strict, [other.notes for other in others]


def test_a_covariate_that_is_not_numeric_has_to_be_named() -> None:
    strict, notes = contents_of("a,2024-01-01 00:00:00,1,x\n")
    assert strict is None
    assert notes
    assert all("not used, because not numeric: (.*, )?price(,|$)" in needed for needed in notes)


def test_a_target_that_is_not_numeric_has_no_reading() -> None:
    assert contents_of("a,2024-01-01 00:00:00,x,1\n") == (None, [])


def test_latin_1_has_to_be_announced() -> None:
    strict, notes = contents_of("ä,2024-01-01 00:00:00,1,2\n")
    assert strict is None
    assert notes
    assert all("is not UTF-8 and was read as" in note for note in notes)
