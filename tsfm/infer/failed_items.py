"""DataFrame verbs that go on without the items that cannot be used. H horizon.

    @takes_options
    @tolerates_failed_items(add_forecast_rows)
    def predict_df(self, df, ...): ...

A verb raises `ItemErrors`; the rows of these items are left out, the verb runs again, and the items get rows of NaN and
a warning (errors="warn"), or neither rows nor a warning (errors="skip").
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from tsfm.infer.columns import find_columns
from tsfm.infer.item_errors import ItemErrors
from tsfm.messages import format_id, warn_of_failed_items
from tsfm.store.read_options import FRAME_NAMES, ReadSettings, read_settings

Verb = TypeVar("Verb", bound=Callable[..., Any])
logger = logging.getLogger("tsfm")
MAX_NAMED = 5  # items that a warning names


@dataclass
class FailedItems:
    """The items that were left out.

    Attributes
    ----------
    reasons
        Of each, by its id.
    timestamps
        The steps to forecast, where known.
    order
        The ids of all items, in the order of the DataFrame.
    is_kept
        [rows] whether the row is of an item that was used.
    """

    reasons: dict[Any, str] = field(default_factory=dict)
    timestamps: dict[Any, Any] = field(default_factory=dict)
    order: list[Any] = field(default_factory=list)
    is_kept: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def without(self, df: pd.DataFrame, error: ItemErrors, settings: ReadSettings) -> pd.DataFrame:
        """Return the rows of `df` of the items that are not in the error, nor in an earlier one.

        Raises
        ------
        ItemErrors
            When no such row is left, or the items of the error are not in `df`.
        """
        columns = find_columns(df, **settings.columns, label="df", notes=[])
        if columns.item is None:
            raise error
        ids = columns.frame[columns.item]
        reasons = {**self.reasons, **error.reasons}
        is_kept = ~ids.isin(list(reasons)).to_numpy()
        if not is_kept.any() or len(reasons) == len(self.reasons):
            raise error
        self.reasons, self.is_kept = reasons, is_kept
        self.timestamps.update(error.timestamps)
        self.order = list(pd.unique(ids))
        return df.loc[is_kept]

    def describe(self, errors: str) -> str:
        """Return the text of the warning."""
        named = [_named(name, reason) for name, reason in list(self.reasons.items())[:MAX_NAMED]]
        more = f"; and {len(self.reasons) - MAX_NAMED} more" if len(self.reasons) > MAX_NAMED else ""
        fate = "are left out" if errors == "skip" else "have no result (NaN)"
        return f"{len(self.reasons)} of {len(self.order)} items {fate}. {'; '.join(named)}{more}"


Restore = Callable[[pd.DataFrame, pd.DataFrame, FailedItems], pd.DataFrame]  # result, df, failed -> result with all


def tolerates_failed_items(restore: Restore) -> Callable[[Verb], Verb]:
    """Let a verb of a DataFrame go on without the items that raise `ItemErrors`, as its option `errors` says.

    Parameters
    ----------
    restore
        Adds rows of the failed items to the result.
    """

    def decorate(verb: Any) -> Any:
        @functools.wraps(verb)
        def tolerant(self: Any, df: Any, *args: Any, **options: Any) -> Any:
            settings = settings_of(options)
            out, failed = without_failed_items(lambda rows: verb(self, rows, *args, **options), df, settings)
            return finish(out, df, failed, restore, settings.errors)

        return tolerant

    return decorate


def settings_of(options: Mapping[str, Any]) -> ReadSettings:
    """Return the settings of reading among the options of a verb."""
    return read_settings({name: value for name, value in options.items() if name in FRAME_NAMES})


def without_failed_items(
    read: Callable[[pd.DataFrame], Any], df: pd.DataFrame, settings: ReadSettings
) -> tuple[Any, FailedItems]:
    """Return what `read` returns for the rows of the items that it can use, and the other items.

    Raises
    ------
    ItemErrors
        With errors="raise", or where no item can be used.
    """
    failed, rows = FailedItems(), df
    while True:
        try:
            return read(rows), failed
        except ItemErrors as error:
            if settings.errors == "raise":
                raise
            rows = failed.without(df, error, settings)


def finish(out: Any, df: Any, failed: FailedItems, restore: Restore, errors: str) -> Any:
    """Return the result with rows of the failed items, and warn, as `errors` says."""
    if not failed.reasons:
        return out
    note, attrs = failed.describe(errors), dict(out.attrs)
    if errors == "warn":
        out = restore(out, df, failed)
        warn_of_failed_items(note)
    else:
        logger.info(note)
    attrs["announcements"] = [*attrs.get("announcements", []), note]
    attrs["failed_items"] = {str(name): reason for name, reason in failed.reasons.items()}
    out.attrs.update(attrs)
    return out


def add_forecast_rows(out: pd.DataFrame, df: pd.DataFrame, failed: FailedItems) -> pd.DataFrame:
    """Return forecasts with rows of NaN for the failed items; timestamps are NaT where they are not known."""
    del df
    frame: Any = out
    id_name, time_name = out.columns[:2]
    targets: list[Any] = list(pd.unique(frame["target_name"])) if "target_name" in out else [None]
    horizon = len(out) // (out[id_name].nunique() * len(targets))
    times, dtype = frame[time_name], frame[time_name].dtype
    blocks = [out]
    for name in failed.reasons:
        steps = failed.timestamps.get(name)
        steps = pd.Series([pd.NaT] * horizon) if steps is None else pd.Series(steps)
        if dtype.kind == "i":
            steps, dtype = steps.astype("Int64"), pd.Int64Dtype() if steps.isna().any() else dtype
        rows = pd.DataFrame({id_name: _repeated(name, horizon * len(targets), frame[id_name])})
        rows[time_name] = pd.concat([steps] * len(targets), ignore_index=True).astype(dtype)
        if targets[0] is not None:
            rows["target_name"] = np.repeat(targets, horizon)
        blocks.append(rows.reindex(columns=out.columns))
    if dtype != times.dtype:
        blocks[0] = out.assign(**{time_name: times.astype(dtype)})
    return _in_item_order(blocks, id_name, failed)


def add_sample_rows(out: pd.DataFrame, df: pd.DataFrame, failed: FailedItems) -> pd.DataFrame:
    """Return sample paths with rows of NaN for the failed items; see `add_forecast_rows`."""
    first = out.loc[out["sample_id"] == 0].drop(columns="sample_id")
    id_name: Any = out.columns[0]
    absent = add_forecast_rows(first, df, failed).loc[lambda rows: rows[id_name].isin(list(failed.reasons))]
    blocks = [absent.assign(sample_id=number) for number in out["sample_id"].unique()]
    return _in_item_order([out, *(rows.reindex(columns=out.columns) for rows in blocks)], id_name, failed)


def add_item_rows(out: pd.DataFrame, df: pd.DataFrame, failed: FailedItems) -> pd.DataFrame:
    """Return one row for each item (and target) with rows of NaN for the failed items."""
    del df
    frame: Any = out
    id_name: Any = out.columns[0]
    targets = list(pd.unique(frame["target_name"])) if "target_name" in out else [None]
    blocks = [out]
    for name in failed.reasons:
        rows = pd.DataFrame({id_name: _repeated(name, len(targets), frame[id_name])})
        if targets[0] is not None:
            rows["target_name"] = targets
        blocks.append(rows.reindex(columns=out.columns))
    return _in_item_order(blocks, id_name, failed)


def add_rows(out: pd.DataFrame, df: pd.DataFrame, failed: FailedItems) -> pd.DataFrame:
    """Return the rows of the result and those of the failed items, in the order of the DataFrame.

    Columns that the verb added are NaN, or False, in the rows of the failed items. A result with more rows than it was
    given has the rows of the failed items at its end.
    """
    absent: Any = df[~failed.is_kept].copy()
    dtypes: dict[Any, Any] = out.dtypes.to_dict()
    for name in [column for column in out.columns if column not in df.columns]:
        absent[name] = False if dtypes[name].kind == "b" else np.full(len(absent), np.nan, dtypes[name])
    for name in [column for column in df.columns if dtypes[column] != absent[column].dtype]:
        absent[name] = absent[name].astype(dtypes[name])
    whole = pd.concat([out, absent[list(out.columns)]])
    if len(out) == failed.is_kept.sum():
        positions = np.concatenate([np.flatnonzero(failed.is_kept), np.flatnonzero(~failed.is_kept)])
        return whole.iloc[np.argsort(positions, kind="stable")]
    return whole.reset_index(drop=True)


def _named(name: Any, reason: str) -> str:
    """Return a reason with the name of its item."""
    reason = reason.removeprefix("df: ")
    return reason if f"item {format_id(name)}" in reason else f"item {format_id(name)}: {reason}"


def _repeated(name: Any, count: int, like: pd.Series) -> pd.Series:
    return pd.Series([name] * count, dtype=like.dtype)


def _in_item_order(blocks: list[pd.DataFrame], id_name: Any, failed: FailedItems) -> pd.DataFrame:
    """Return all rows in the order of the items of the DataFrame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pandas: columns of NaN alone
        whole: Any = pd.concat(blocks, ignore_index=True)
    for name in blocks[0].columns:
        if (dtype := blocks[0][name].dtype).kind == "f" and whole[name].dtype != dtype:  # pandas 3, with NaN alone
            whole[name] = whole[name].astype(dtype)
    numbers = {name: number for number, name in enumerate(failed.order)}
    order = np.argsort([numbers[name] for name in whole[id_name]], kind="stable")
    return whole.iloc[order].reset_index(drop=True)
