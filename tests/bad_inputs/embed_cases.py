"""Bad inputs of `tsfm embed`."""

from __future__ import annotations

import errno

from tests.bad_inputs.corruptions import combined, item_without_values, unwritable
from tests.bad_inputs.small_models import STEPS, THREE_CHANNELS, bad
from tests.bad_inputs.workspace import Case

CASES = [
    Case(
        "a baseline asked to embed",
        "tsfm embed sales.csv --model seasonal_naive",
        ("'seasonal_naive' is a baseline, and `tsfm embed` needs a trained model; give the directory",),
    ),
    Case(
        "an item without a value to embed",
        "tsfm embed bad.csv --model steps --errors raise",
        ("item 'b' has no observed value in 'target'; drop the item or fill it",),
        bad(item_without_values),
    ),
    Case(
        "another number of channels to embed",
        "tsfm embed sales.csv --model three",
        ("this model was built for 3 channels; found 1: choose as many",),
        THREE_CHANNELS,
    ),
    Case(
        "an empty frame to embed",
        "tsfm.load('steps').embed_df(sales[:0])",
        ("df is empty (0 rows, 3 columns); give at least one row",),
        STEPS,
    ),
    Case(
        "a layer that the model does not have",
        "tsfm embed sales.csv --model steps --layer 9",
        ("--layer is 9; steps has the layers 0 to 3, or -1 for the last",),
        STEPS,
    ),
    Case(
        "an unknown pooling",
        "tsfm.load('steps').embed(np.arange(9.0), pool='median')",
        ("pool is 'median'; did you mean 'mean'?",),
        STEPS,
    ),
    Case(
        "a disk that is full when the vectors are written",
        "tsfm embed sales.csv --model steps --out f.csv",
        ("cannot write f.csv (the disk is full); free some space there",),
        combined(STEPS, unwritable("f.csv", errno.ENOSPC)),
    ),
]
