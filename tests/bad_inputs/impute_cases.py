"""Bad inputs of `tsfm impute`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.bad_inputs.corruptions import changed_cell, combined, item_without_values
from tests.bad_inputs.small_models import CLASSES, STEPS, bad, saved_model
from tests.bad_inputs.workspace import Case


def long_gap(rows: pd.DataFrame) -> None:
    """Remove more values than the model reads."""
    rows.loc[20:95, "target"] = np.nan


def with_flag_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Add columns that are named like the flags of imputed rows."""
    rows.loc[7, "target"] = np.nan
    return rows.assign(price_imputed="yes", was_imputed=True)


def targets_as_text(file: str) -> pd.Series:
    """Return the targets of a file as they are written."""
    return pd.read_csv(file, dtype=str)["target"]


CASES = [
    Case(
        "a forecaster asked to impute",
        "tsfm impute sales.csv --model run",
        ("run was trained for task=forecast and its head predicts its horizon only (flatten), so it cannot impute",),
    ),
    Case(
        "a classifier asked to impute",
        "tsfm impute sales.csv --model classes",
        ("its head predicts a label for a whole series, so it cannot impute; use a model trained with task=impute",),
        CLASSES,
    ),
    Case(
        "a typo in a model to impute with",
        "tsfm impute sales.csv --model rum",
        ("no model 'rum': neither a folder nor a bundled model",),
    ),
    Case(
        "an item without a value to impute",
        "tsfm impute bad.csv --model steps --errors raise",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(item_without_values),
    ),
    Case(
        "a gap longer than the model sees",
        "tsfm impute bad.csv --model steps --errors raise",
        ("item 'a' has no observed value in 'target' within the 64 steps around its missing steps", "; end the series"),
        bad(long_gap),
    ),
    Case(
        "another number of channels to impute",
        "tsfm.load('two').impute(np.r_[np.nan, np.arange(9.0)])",
        ("this model was built for 2 channels; found 1: choose as many",),
        saved_model("two", channels=2),
    ),
    Case(
        "an empty frame to impute",
        "tsfm.load('steps').impute_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        STEPS,
    ),
    Case(
        "an infinity to impute",
        "tsfm impute bad.csv --model steps --errors raise",
        ("'target' holds inf in row 7 (1 such rows)", "set such steps to NaN"),
        combined(STEPS, changed_cell(7, "target", np.inf)),
    ),
    Case(
        "a typo in the target to impute",
        "tsfm impute sales.csv --model steps --target taget",
        ("sales.csv has no target column 'taget'; did you mean 'target'?",),
        STEPS,
    ),
    Case(
        "a quantile level to impute that the model cannot predict",
        "tsfm impute sales.csv --model steps --quantile-levels 0.99",
        ("quantile levels [0.99] were requested of steps; it can predict 0.1 to 0.9",),
        STEPS,
    ),
    Case(
        "integers to fill that no float holds",
        "tsfm.load('steps').impute_df(sales.assign(target=pd.array([None, *[2**53 + 1] * 239], dtype='Int64')))",
        (
            "df: target column 'target' holds 9007199254740993 in row 1, an integer beyond 2**53",
            "; subtract a constant",
        ),
        STEPS,
    ),
    Case(
        "an unknown suffix of the table",
        "tsfm impute sales.csv --model steps --out f.xlsx",
        ("--out f.xlsx ends in .xlsx; expected .csv or .parquet",),
        STEPS,
    ),
    Case(
        "a file where the folder of the table is wanted",
        "tsfm impute missing.csv --model steps --out sales.csv/f.csv",
        ("sales.csv cannot be a folder: sales.csv is a file; choose another place",),
        STEPS,
    ),
    Case(
        "a folder where the table is wanted",
        "tsfm impute missing.csv --model steps --out f.csv",
        ("--out f.csv is a folder; name a file for the table",),
        combined(STEPS, lambda workspace, patch: (workspace / "f.csv").mkdir()),
    ),
    Case(
        "a column of the user that is named like a flag",
        "tsfm impute bad.csv --model steps",
        ("filled 1 of 240 values of target\n", "2024-01-01 07:00:00"),
        bad(with_flag_columns),
        works=lambda: True,
    ),
    Case(
        "nothing missing to impute",
        "tsfm impute sales.csv --model steps --out f.csv",
        ("filled 0 of 240 values of target",),
        STEPS,
        may_create=("f.csv",),
        works=lambda: targets_as_text("f.csv").equals(targets_as_text("sales.csv")),
    ),
]
