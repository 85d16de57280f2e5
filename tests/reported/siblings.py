"""The kinds of reported faults of reading, and the tests that try siblings of each input.

`python -m tests.reported.siblings` prints the table of docs/reported.md: pytest counts the parametrised cases of these
tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from typing import NamedTuple

from tests.conftest import ROOT

SNIPPETS = "tests/reported/test_snippets.py"


class Kind(NamedTuple):
    """What was read wrongly, and the test functions with siblings as file::function."""

    title: str
    tests: tuple[str, ...]


TIMES, FRAMES, STORE = "tests/infer/test_frame_times.py::", "tests/infer/test_reading_columns.py::", "tests/store/"
FORMS, INGEST = "tests/timestamps/test_parsing.py::test_a_form_is_read_or_refused", "tests/store/test_ingest.py::"
TABLE, HEADER = "tests/store/test_read_table.py::", "tests/store/test_header.py::"
KINDS = {
    "G1": Kind("dates with the day first", (f"{TIMES}test_day_first_and_month_first", FORMS)),
    "G2": Kind("text without a date", (FORMS, f"{TIMES}test_times_without_a_date_are_refused")),
    "G3": Kind("business months, quarters and years", (f"{TIMES}test_calendars_are_continued",)),
    "G4": Kind("local days in a store", (f"{INGEST}test_local_days_are_on_a_local_grid", f"{TIMES}test_time_zones")),
    "G5": Kind(
        "held-out steps in their time zone",
        ("tests/commands/test_forecast.py::test_held_out_steps_keep_their_time_zone",),
    ),
    "G6": Kind(
        "one reader of files", (f"{TABLE}test_every_dialect_gives_the_same_table_and_the_same_store",
                                f"{TABLE}test_every_ending", f"{TABLE}test_items_keep_their_names"),
    ),
    "G7": Kind("columns in two levels",
         (f"{FRAMES}test_columns_of_two_levels", f"{FRAMES}test_what_is_wrong_is_named")),
    "G8": Kind("numbers of every type", (f"{FRAMES}test_every_kind_of_number_is_a_target_and_a_covariate",)),
    "G9": Kind("columns that are not used", (f"{FRAMES}test_a_column_that_is_not_used_is_not_read",)),
    "G10": Kind("levels of a million and more", (f"{FRAMES}TestHighLevels::test_forecasts",)),
    "G11": Kind(
        "jitter and sampling rates",
        ("tests/timestamps/test_jitter.py::test_rows_near_a_grid_are_on_their_steps",
         "tests/timestamps/test_jitter.py::test_edges_of_months_that_are_early_or_late_keep_their_edge",
         "tests/timestamps/test_jitter.py::test_irregular_rows_are_refused"),
    ),
    "G12": Kind("sparse series with a frequency", (f"{TIMES}test_jitter_and_sparse_series_with_a_frequency",)),
    "G13": Kind("`fit_df` takes what `predict_df` takes",
         ("tests/test_column_choice.py::test_another_layout_is_the_same",)),
    "G14": Kind(
        "offsets that change, a future in another zone",
        (f"{TIMES}test_offsets_that_change_with_daylight_saving",
         f"{TIMES}test_a_future_in_another_zone_is_converted"),
    ),
    "G15": Kind(
        "frequencies, closed days and hours",
        (f"{TIMES}test_frequencies_as_objects_and_durations", f"{TIMES}test_calendars_are_continued",
         "tests/timestamps/test_sessions.py::test_open_hours_are_found_and_continued"),
    ),
    "G16": Kind("outer levels and bounds", ("tests/infer/test_bounds.py::*", "tests/infer/test_quantiles.py::*")),
    "G17": Kind("known covariates gain", ("tests/infer/test_covariate_ridge.py::*",)),
    "G18": Kind(
        "messages, frames of other libraries",
        (f"{FRAMES}test_names_that_are_numbers", "tests/infer/test_foreign_frames.py::*"),
    ),
    "G19": Kind(
        "whole numbers as time, no time at all",
        (f"{TIMES}test_numbered_steps_come_back_as_numbers", f"{TIMES}test_years",
         "tests/test_column_choice.py::test_numbers_that_count_periods_are_the_time",
         "tests/test_column_choice.py::test_without_a_time_column_rows_are_numbered",
         "tests/test_column_choice.py::test_a_file_without_a_time_column"),
    ),
    "G20": Kind("one bad item", ("tests/infer/test_failed_items.py::*",)),
    "G21": Kind("names and layouts of columns", (f"{FRAMES}test_every_form_is_read", f"{FRAMES}test_a_wide_frame*")),
    "G22": Kind(
        "dialects, encodings, worksheets",
        (f"{TABLE}test_every_dialect_gives_the_same_table_and_the_same_store", f"{TABLE}test_encodings_are_found",
         "tests/store/test_sheets.py::*"),
    ),
    "G23": Kind("rows with too few or too many cells",
         (f"{TABLE}test_damage_is_named", "tests/store/test_quotes.py::*")),
    "G24": Kind(
        "the caller's names and types come back",
        (f"{FRAMES}TestNamesAndKinds::*", "tests/infer/test_frame_kinds.py::*"),
    ),
    "G25": Kind("files without a header", (f"{HEADER}*",)),
    "G26": Kind(
        "containers as cells",
        (f"{FRAMES}test_cells_that_are_containers", f"{INGEST}test_an_item_that_is_no_name_is_an_error",
         "tests/store/test_damaged_text.py::test_a_damaged_header_of_series_is_refused"),
    ),
    "G27": Kind(
        "hostile sizes, NUL characters",
        ("tests/store/test_nested_and_hostile_files.py::*", f"{TABLE}test_a_packed*", f"{TABLE}test_many_columns",
         "tests/test_column_choice.py::test_item_ids_with_a_nul_character"),
    ),
    "P5": Kind("levels in float32", (f"{FRAMES}TestHighLevels::*", "tests/infer/test_level.py::*")),
}  # fmt: skip


def collected() -> list[str]:
    """Return the ids of all cases of the tests above, the slow ones too."""
    files = sorted({test.partition("::")[0] for kind in KINDS.values() for test in kind.tests} | {SNIPPETS})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return [line for line in done.stdout.splitlines() if "::" in line]


def matches(case: str, test: str) -> bool:
    """Return whether a case belongs to a test function; * stands for any end of a name."""
    name = case.partition("[")[0]
    return name.startswith(test[:-1]) if test.endswith("*") else name == test


def counts(cases: list[str]) -> dict[str, tuple[int, int]]:
    """Return for each kind the number of reported inputs that are tests, and of siblings."""
    snippets: Counter[str] = Counter()
    for case in cases:
        if case.startswith(SNIPPETS):
            name = case.rpartition("::")[2].partition("[")[0]
            snippets.update(number.upper() for number in re.findall(r"(?<=_)[gp]\d+(?=_)", name))
    siblings = {
        kind: sum(any(matches(case, test) for test in tests) for case in cases) for kind, (_, tests) in KINDS.items()
    }
    return {kind: (snippets[kind], siblings[kind]) for kind in KINDS}


def markdown(numbers: dict[str, tuple[int, int]]) -> str:
    """Return the table of the documentation."""
    lines = [
        "| kind | what was read wrongly | reported inputs | siblings | tests of siblings |",
        "|---|---|---|---|---|",
    ]
    for kind, (title, tests) in KINDS.items():
        names = ", ".join(f"`{test.removeprefix('tests/')}`" for test in tests)
        lines.append(f"| {kind} | {title} | {numbers[kind][0]} | {numbers[kind][1]} | {names} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(counts(collected())))
