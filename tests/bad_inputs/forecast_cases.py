"""Bad inputs of `tsfm forecast` and `tsfm eval`."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.bad_inputs.corruptions import (
    changed_cell,
    changed_table,
    combined,
    item_without_values,
    mixed_time_zones,
    unwritable,
    written,
)
from tests.bad_inputs.workspace import Case

GOOD = "tsfm forecast sales.csv --model run --horizon 3"
BAD = "tsfm forecast bad.csv --model run --horizon 3"
EVAL = "tsfm eval data=store data.dataset=store"


def forecast_is_constant() -> bool:
    """Return whether f.csv forecasts about 7 for both items."""
    predictions = pd.read_csv("f.csv")["predictions"].to_numpy()
    return len(predictions) == 6 and bool((np.abs(predictions - 7) < 0.1).all())


def with_price(rows: pd.DataFrame) -> pd.DataFrame:
    """Add a covariate."""
    return rows.assign(price=1.0)


def short_future(rows: pd.DataFrame) -> pd.DataFrame:
    """Return two of three future steps of item a."""
    timestamps = pd.date_range("2024-01-06", periods=2, freq="h")
    return pd.DataFrame({"item_id": ["a", "a"], "timestamp": timestamps, "price": 1.0})


def folder_named_png(workspace: Path, patch: Any) -> None:
    """Make a folder with the name of a figure."""
    (workspace / "store.png").mkdir()


CASES = [
    Case(
        "no such file to forecast",
        "tsfm forecast nothing.csv --model run --horizon 3",
        ("there is no file nothing.csv; check the path",),
    ),
    Case(
        "an empty file to forecast",
        BAD,
        ("bad.csv is empty; a table needs a header and rows",),
        written("bad.csv", ""),
    ),
    Case(
        "a horizon of 0",
        "tsfm forecast sales.csv --model run --horizon 0",
        ("--horizon is 0; expected at least 1 step",),
    ),
    Case(
        "a negative horizon",
        "tsfm.load('run').predict_df(sales, -3)",
        ("prediction_length is -3; expected at least 1 step",),
    ),
    Case(
        "half a step",
        "tsfm.load('run').predict_df(sales, 2.5)",
        ("prediction_length is 2.5 (float); expected a whole number",),
    ),
    Case(
        "no series at all",
        "tsfm.load('run').predict([], prediction_length=3)",
        ("there are no series; give",),
    ),
    Case(
        "an infinity in an array",
        "tsfm.load('run').predict(np.array([1.0, np.inf, 2.0]), prediction_length=3)",
        ("series 0 holds inf in channel 0, step 1", "set such steps to NaN"),
    ),
    Case(
        "a horizon in words",
        "tsfm forecast sales.csv --model run --horizon day",
        ("argument --horizon: invalid int value: 'day'",),
    ),
    Case(
        "a typo in the target",
        "tsfm.load('run').predict_df(sales, 3, target='taget')",
        ("df has no target column 'taget'; did you mean 'target'?",),
    ),
    Case(
        "a typo in the id column",
        f"{GOOD} --id-column item_di",
        ("sales.csv has no id column 'item_di'; did you mean 'item_id'?",),
    ),
    Case(
        "a quantile level that the model cannot predict",
        f"{GOOD} --quantile-levels 0.9",
        ("quantile levels [0.9] were requested of run; it can predict only 0.5",),
    ),
    Case(
        "a quantile level above 1",
        f"{GOOD} --quantile-levels 1.5",
        ("quantile levels are [1.5]; expected at least one, each in (0, 1)",),
    ),
    Case(
        "an infinity to forecast",
        f"{BAD} --errors raise",
        ("'target' holds inf in row 7 (1 such rows)", "set such steps to NaN"),
        changed_cell(7, "target", np.inf),
    ),
    Case(
        "a decimal comma to forecast",
        f"{BAD} --errors raise",
        ("'target' is", "row 7 holds '12,5'; expected numbers"),
        changed_cell(7, "target", "12,5"),
    ),
    Case(
        "a text that is not a timestamp, to forecast",
        f"{BAD} --errors raise",
        ("'timestamp' in row 7 is 'next tuesday', not a timestamp; expected dates",),
        changed_cell(7, "timestamp", "next tuesday"),
    ),
    Case(
        "mixed time zones to forecast",
        f"{BAD} --errors raise",
        ("rows with and without a time zone are mixed; write the offset from UTC",),
        changed_table(mixed_time_zones),
    ),
    Case(
        "an item without a value",
        f"{BAD} --errors raise",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        changed_table(item_without_values),
    ),
    Case(
        "one step without a frequency",
        BAD,
        ("item 'a' has 1 different timestamp(s): its frequency cannot be inferred; pass --freq, e.g. --freq D",),
        changed_table(lambda rows: rows[:1]),
    ),
    Case(
        "values too large for the model",
        BAD,
        ("run predicted values that are not finite for 2 of 2 series, so there is no result; rescale the series",),
        changed_table(lambda rows: rows.assign(target=3e38)),
    ),
    Case(
        "a constant series",
        f"{BAD} --out f.csv",
        ("wrote 6 rows to f.csv",),
        changed_table(lambda rows: rows.assign(target=7.0)),
        may_create=("f.csv",),
        works=forecast_is_constant,
    ),
    Case(
        "a constant series held out",
        f"{BAD} --holdout --out f.csv",
        ("MASE undefined", "seasonal_naive"),
        changed_table(lambda rows: rows.assign(target=7.0)),
        may_create=("f.csv",),
        works=forecast_is_constant,
    ),
    Case(
        "a future that lacks rows",
        "tsfm forecast bad.csv --model run --horizon 3 --future future.csv",
        (
            "future.csv does not continue item 'a': it lacks 1 of 3 steps, the first is 2024-01-06 02:00:00",
            "give it the steps",
        ),
        combined(changed_table(with_price), changed_table(short_future, file="future.csv")),
    ),
    Case(
        "a holdout longer than the series",
        "tsfm forecast sales.csv --model run --horizon 200 --holdout",
        ("item 'a' has 120 steps; holding out 200 leaves no observed value", "choose a shorter --horizon"),
    ),
    Case(
        "an unknown suffix of the forecast",
        f"{GOOD} --out f.xlsx",
        ("--out f.xlsx ends in .xlsx; expected .csv or .parquet",),
    ),
    Case(
        "a forecast below a file",
        f"{GOOD} --out sales.csv/f.csv",
        ("sales.csv cannot be a folder: sales.csv is a file; choose another place",),
    ),
    Case(
        "a disk that is full when the forecast is written",
        f"{GOOD} --out f.csv",
        ("cannot write f.csv (the disk is full); free some space there",),
        unwritable("f.csv", errno.ENOSPC),
    ),
    Case(
        "a figure in a folder that does not exist",
        f"{GOOD} --out f.csv --plot none/f.png",
        ("no folder 'none' for 'f.png'; make it first",),
    ),
    Case(
        "a figure below a file",
        f"{GOOD} --plot sales.csv/f.png",
        ("no folder 'sales.csv' for 'f.png'; make it first",),
    ),
    Case(
        "a figure in a folder's place",
        f"{GOOD} --plot store.png",
        ("'store.png' is a folder; name a file",),
        folder_named_png,
    ),
    Case("a figure of an unknown kind", f"{GOOD} --plot f.gif", ("'f.gif'; name it with one of .png",)),
    Case(
        "an unknown baseline",
        f"{EVAL} predictor=seasonal_naiv",
        ("no predictor 'seasonal_naiv'", "did you mean 'seasonal_naive'?"),
    ),
    Case(
        "a baseline without context",
        f"{EVAL} predictor=drift",
        ("drift has no context and horizon of its own; give context=336 horizon=96",),
    ),
    Case(
        "a horizon of 0 to score",
        f"{EVAL} predictor=run horizon=0",
        ("horizon is 0; it is a number of steps, at least 1",),
    ),
    Case(
        "a horizon longer than the test part",
        f"{EVAL} predictor=drift context=32 horizon=50",
        ("split 'test': no window of context 32 and horizon 50 fits", "use a shorter horizon"),
    ),
    Case(
        "a quantile level above 1 to score",
        f"{EVAL} predictor=drift context=32 horizon=8 bench.quantile_levels=[2]",
        ("bench.quantile_levels: quantile levels are [2.0]; expected",),
    ),
    Case(
        "a data set without a test part",
        f"{EVAL} predictor=drift context=32 horizon=8 data.split=all",
        ("data.split=all makes no test part to score; choose another data.split",),
    ),
    Case(
        "a result in a file's place",
        f"{EVAL} predictor=drift context=32 horizon=8 out=sales.csv",
        ("sales.csv cannot be a folder", "choose another place"),
    ),
]
