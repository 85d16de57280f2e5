"""Timestamps of the kind that a DataFrame has."""

from __future__ import annotations

import contextlib
from typing import Any

import pandas as pd


def like_timestamps(times: pd.DatetimeIndex, dtype: Any) -> Any:
    """Return timestamps as periods, or of a dtype of Arrow, where those of the DataFrame are."""
    if isinstance(dtype, pd.PeriodDtype):
        return times.to_period(dtype.freq)
    if isinstance(dtype, pd.ArrowDtype):
        with contextlib.suppress(ValueError, NotImplementedError, TypeError):
            return pd.Series(times).astype(dtype)
    return times
