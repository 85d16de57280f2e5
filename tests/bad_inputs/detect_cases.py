"""Bad inputs of `tsfm detect`."""

from __future__ import annotations

import errno

import pandas as pd

from tests.bad_inputs.corruptions import combined, item_without_values, unwritable, written
from tests.bad_inputs.small_models import STEPS, bad, saved_model
from tests.bad_inputs.workspace import Case


def with_score(rows: pd.DataFrame) -> pd.DataFrame:
    """Add a column that is named like one of the result."""
    return rows.assign(score=1.0)


CASES = [
    Case(
        "a forecaster asked to detect",
        "tsfm detect sales.csv --model run",
        ("so it cannot detect; use a model trained with task=detect head=patch_quantiles",),
    ),
    Case(
        "an item without a value to detect",
        "tsfm detect bad.csv --model steps --errors raise",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(item_without_values),
    ),
    Case(
        "another number of channels to detect",
        "tsfm detect sales.csv --model two",
        ("this model was built for 2 channels; found 1: choose as many",),
        saved_model("two", channels=2),
    ),
    Case(
        "an empty frame to detect",
        "tsfm.load('steps').detect_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        STEPS,
    ),
    Case(
        "a level of 1",
        "tsfm detect sales.csv --model steps --level 1",
        ("--level is 1; expected a share of clean steps in (0, 1), such as 0.99",),
        STEPS,
    ),
    Case(
        "too few steps to calibrate",
        "tsfm detect sales.csv --model steps",
        (
            "item 'a', its first 36 steps: 36 clean steps have a score, and a level of 0.99 needs 99",
            "; give --calibration",
        ),
        STEPS,
    ),
    Case(
        "a share of clean steps above 1",
        "tsfm detect sales.csv --model steps --calibration 1.5",
        ("--calibration is 1.5; expected a table of clean rows, a share of each item such as 0.3",),
        STEPS,
    ),
    Case(
        "a share of clean steps of 1",
        "tsfm detect sales.csv --model steps --calibration 1.0",
        ("item 'a', its first step (a share is below 1): 1 clean steps have a score, and a level of 0.99 needs 99",),
        STEPS,
    ),
    Case(
        "infinitely many clean steps",
        "tsfm detect sales.csv --model steps --calibration inf",
        ("--calibration is inf; expected a table of clean rows", "(below 1), or a whole number of first steps"),
        STEPS,
    ),
    Case(
        "as many clean steps as there are",
        "tsfm detect sales.csv --model steps --calibration 120",
        ("item 'a' has 120 steps and --calibration 120 takes its first 120 as clean, which leaves none to score",),
        STEPS,
    ),
    Case(
        "a file of clean rows that does not exist",
        "tsfm detect sales.csv --model steps --calibration clean.csv",
        ("there is no file clean.csv; check the path",),
        STEPS,
    ),
    Case(
        "an empty file to detect",
        "tsfm detect bad.csv --model steps",
        ("bad.csv is empty; a table needs a header and rows",),
        combined(STEPS, written("bad.csv", "")),
    ),
    Case(
        "a column that the scores would overwrite",
        "tsfm detect bad.csv --model steps",
        ("bad.csv has a column 'score' already, and the result needs that name; rename or drop the column",),
        bad(with_score),
    ),
    Case(
        "an unknown score",
        "tsfm.load('steps').detect(sales['target'], score='tails')",
        ("task.score is 'tails'; did you mean 'tail'?",),
        STEPS,
    ),
    Case(
        "a series of one block",
        "tsfm.load('steps').detect(np.arange(5.0))",
        ("series 0 has 5 observed values, and none can be scored from others", "; give a longer series"),
        STEPS,
    ),
    Case(
        "a figure of scores of an unknown kind",
        "tsfm detect sales.csv --model steps --plot f.gif",
        ("'f.gif'; name it with one of .png",),
        STEPS,
    ),
    Case(
        "a disk that is full when the figure is written",
        "tsfm detect sales.csv --model steps --level 0.9 --plot f.png",
        ("cannot write f.png (the disk is full); free some space there",),
        combined(STEPS, unwritable("f.png", errno.ENOSPC)),
    ),
]
