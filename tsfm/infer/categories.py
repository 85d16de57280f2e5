"""Covariates with categories, such as the name of a promotion, as columns of zeros and ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tsfm.infer.columns import Columns

MAX_CATEGORIES = 20  # a column with more is an id or a text, not a covariate


def encode_categories(df: Columns, future: Columns, *, notes: list[str]) -> tuple[Columns, Columns]:
    """Return both frames with a column of zeros and ones for each category, in place of columns of categories.

    The categories are those of `df`, without the most frequent one, which is 0 in all columns like a category that
    only `future` has. A missing value is missing in all of them. Only columns that both frames have are encoded.
    """
    past_frame, future_frame = df.frame, future.frame
    own_columns = {df.item, df.timestamp, *df.targets, future.item, future.timestamp}
    for name in past_frame.columns:
        if name in own_columns or name not in future_frame.columns or not _has_categories(df.column(name)):
            continue
        categories = [*past_frame[name].value_counts().index]
        if not 2 <= len(categories) <= MAX_CATEGORIES:
            continue
        baseline, others = categories[0], sorted(map(str, categories[1:]))
        columns = {other: f"{name}={other}" for other in others}
        if any(column in past_frame.columns for column in columns.values()):
            continue
        past_frame, future_frame = (_encode(frame, name, columns) for frame in (past_frame, future_frame))
        notes.append(f"df: {name!r} has categories; each but {str(baseline)!r} is a covariate of its own, 0 or 1")
    return replace(df, frame=past_frame), replace(future, frame=future_frame)


def _has_categories(column: pd.Series) -> bool:
    """Return whether a column holds text or pandas categories, and not numbers as text."""
    dtype = column.dtype
    if not (
        isinstance(dtype, pd.CategoricalDtype)
        or pd.api.types.is_object_dtype(dtype)
        or pd.api.types.is_string_dtype(dtype)
    ):
        return False
    observed = column.dropna()
    if not all(isinstance(value, str) for value in observed.unique()):
        return False
    return bool(np.isnan(np.asarray(pd.to_numeric(observed.astype(object), errors="coerce"), np.float64)).any())


def _encode(frame: pd.DataFrame, name: str, columns: dict[str, str]) -> pd.DataFrame:
    """Return the frame with indicator columns in place of the column `name`; NaN where it is missing."""
    values = frame[name].astype(object)
    missing = values.isna().to_numpy()
    indicators = {
        column: np.where(missing, np.nan, (values == category).to_numpy(float)) for category, column in columns.items()
    }
    return frame.drop(columns=name).assign(**indicators)
