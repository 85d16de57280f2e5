"""Bad inputs of `tsfm classify`, and of models that were trained for another task."""

from __future__ import annotations

import pandas as pd

from tests.bad_inputs.corruptions import item_without_values
from tests.bad_inputs.small_models import CLASSES, bad, saved_model
from tests.bad_inputs.workspace import Case

CASES = [
    Case(
        "a forecaster asked to classify",
        "tsfm classify sales.csv --model run",
        ("run was trained for task=forecast, so it cannot classify; train one with task=classify",),
    ),
    Case(
        "a classifier asked to forecast",
        "tsfm forecast sales.csv --model classes --horizon 3",
        ("classes was trained for task=classify and predicts a label for a whole series, so it cannot forecast; use",),
        CLASSES,
    ),
    Case(
        "a classifier asked to forecast a holdout",
        "tsfm forecast sales.csv --model classes --horizon 3 --holdout",
        ("so it cannot forecast; use its classify",),
        CLASSES,
    ),
    Case(
        "a classifier asked for numbers",
        "tsfm.load('classes').regress(np.arange(9.0))",
        ("classes was trained for task=classify, so it cannot regress; use its classify",),
        CLASSES,
    ),
    Case(
        "a model without a horizon asked to forecast",
        "tsfm forecast sales.csv --model still --horizon 3",
        ("still was trained for task=impute and has no horizon, so it cannot forecast; use a model trained",),
        saved_model("still", context=64, horizon=0),
    ),
    Case(
        "an item without a value to classify",
        "tsfm classify bad.csv --model classes --errors raise",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(item_without_values, with_model=CLASSES),
    ),
    Case(
        "another number of channels to classify",
        "tsfm classify sales.csv --model two",
        ("this model was built for 2 channels; found 1: choose as many",),
        saved_model("two", labels=True, channels=2),
    ),
    Case(
        "cases of different channels",
        "tsfm.load('classes').probabilities([np.ones(9), np.ones((2, 9))])",
        ("series have different channel counts [1, 2]; give each count by itself",),
        CLASSES,
    ),
    Case(
        "an empty frame to classify",
        "tsfm.load('classes').classify_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        CLASSES,
    ),
    Case("no case at all", "tsfm.load('classes').classify([])", ("there are no series; give at least one",), CLASSES),
    Case(
        "an infinity in a case",
        "tsfm.load('classes').classify(np.array([1.0, np.inf, 2.0]))",
        ("series 0 holds inf in channel 0, step 1", "set such steps to NaN"),
        CLASSES,
    ),
    Case(
        "plain numbers in a list",
        "print(tsfm.load('classes').classify([1.0, 2.0, float('nan'), 3.0]).shape)",
        ("(1,)",),
        CLASSES,
        works=lambda: True,
    ),
    Case(
        "series of unequal lengths",
        "print(tsfm.load('classes').classify([np.arange(9.0), np.arange(200.0), np.arange(3.0)]).shape)",
        ("(3,)",),
        CLASSES,
        works=lambda: True,
    ),
    Case(
        "no column of labels to classify",
        "tsfm classify sales.csv --model classes --out l.csv",
        ("labelled 2 items", "wrote 2 rows to l.csv"),
        CLASSES,
        may_create=("l.csv",),
        works=lambda: pd.read_csv("l.csv")["label"].notna().all(),
    ),
]
