"""Read a DataFrame for a back-test, and find the windows of its items.

N items, C targets, L steps of an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.backtesting.windows import BacktestWindows
from tsfm.infer.categories import encode_categories
from tsfm.infer.column_values import read_numbers
from tsfm.infer.columns import find_columns
from tsfm.infer.frames import Frame, Select, read_frame
from tsfm.infer.item_errors import raise_items
from tsfm.messages import format_id
from tsfm.store.read_options import read_settings

if TYPE_CHECKING:
    from jaxtyping import Float


def read_windows(
    df: pd.DataFrame,
    *,
    horizon: int,
    num_windows: int,
    step: int,
    known: Sequence[str],
    select: Select | None,
    recent: int | None,
    **options: Any,
) -> tuple[BacktestWindows, list[str]]:
    """Return the last windows of each item, and what was assumed beside reading the rows.

    Parameters
    ----------
    num_windows, step
        Windows of an item, and the steps from one to the next; the last one ends with the last observed step.
    known
        Covariates whose values are known over the horizon; those of other columns end with the past.
    select
        Which covariates are read, see `read_frame`.
    recent
        Past steps of which every target needs one that is observed; None: all.
    **options
        How `df` is read.

    Raises
    ------
    ItemErrors
        For items that have no window, or lack a value of a known covariate.
    """
    notes: list[str] = []
    if known:
        df, known = _encode_known(df, known, options, notes=notes)

    def split(past: list[str], _: list[str]) -> tuple[list[str], list[str]]:
        """Return the covariates to read; without a future_df all are read as past-only ones."""
        if select is None:
            return past, []
        used, more = select([name for name in past if name not in known], [name for name in past if name in known])
        return used, more

    frame = read_frame(df, prediction_length=horizon, select=split, **options)
    targets = [values[:, : _num_observed(values)] for values in _exact_targets(df, frame)]
    frame = _split_covariates(frame, known)
    item, origin, reasons = _find_origins(targets, frame, num_windows=num_windows, step=step, recent=recent)
    reasons |= _missing_known(frame, item, origin)
    raise_items(reasons, frame.ids)
    counts = np.bincount(item, minlength=len(frame))
    if (few := np.flatnonzero(counts < num_windows)).size:
        first = few[0]
        notes.append(
            f"{len(few)} of {len(frame)} items have fewer than {num_windows} windows of {horizon} steps with a past, "
            f"the first is {format_id(frame.ids.iloc[first])} with {counts[first]}"
        )
    return BacktestWindows(frame, targets, item, origin), notes


def _encode_known(
    df: pd.DataFrame, known: Sequence[str], options: dict[str, Any], *, notes: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Return the DataFrame with known categories as numbers, and the names of the known covariates."""
    columns = find_columns(df, **read_settings(options).columns, label="df", notes=[])
    taken = {columns.item, columns.timestamp, *columns.targets}
    free = [name for name in columns.frame.columns if name not in taken]
    if wrong := [name for name in known if name not in free]:
        raise ValueError(
            f"known is {[*known]}; df has no covariate {wrong[0]!r}, it has {', '.join(map(repr, free)) or 'none'}"
        )
    before = set(columns.frame.columns)
    encoded, _ = encode_categories(columns, replace(columns, frame=columns.frame[[*known]]), notes=notes)
    names = [name for name in encoded.frame.columns if name in known or name not in before]
    return encoded.frame, [*map(str, names)]


def _exact_targets(df: pd.DataFrame, frame: Frame) -> list[Float[np.ndarray, "C _"]]:
    """Return the targets of each item on its grid in float64, as `df` has them.

    The values of a frame are float32 without a constant that follows from all of its steps, also from later ones.
    """
    columns = find_columns(df, **frame.settings.columns, label="df", notes=[])
    rows = np.column_stack(
        [read_numbers(columns.column(name), "target", "df", settings=frame.settings) for name in columns.targets]
    )
    padded = np.concatenate([rows, np.full((1, rows.shape[1]), np.nan)])  # the row -1: a gap
    return [np.ascontiguousarray(padded[item.rows].T, np.float64) for item in frame]


def _num_observed(values: Float[np.ndarray, "C L"]) -> int:
    """Return the number of steps up to the last one at which a target is observed."""
    return int(np.flatnonzero(~np.isnan(values).all(axis=0))[-1]) + 1


def _split_covariates(frame: Frame, known: Sequence[str]) -> Frame:
    """Return the frame with the known covariates apart from those that end with the past."""
    is_known = np.array([name in known for name in frame.past_names], bool)
    series = [replace(item, past=item.past[~is_known], known=item.past[is_known]) for item in frame]
    past_names, known_names = (
        [name for name, flag in zip(frame.past_names, is_known, strict=True) if flag == value]
        for value in (False, True)
    )
    return replace(frame, series=series, past_names=past_names, known_names=known_names)


def _find_origins(
    targets: Sequence[np.ndarray], frame: Frame, *, num_windows: int, step: int, recent: int | None
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Return item and origin of each window, and why items have none."""
    item, origin, reasons = [], [], {}
    for i, values in enumerate(targets):
        last = values.shape[1] - frame.horizon
        possible = range(last - (num_windows - 1) * step, last + 1, step)
        origins = [o for o in possible if _has_past(values[:, : max(o, 0)], recent)]
        if not origins:
            reasons[i] = (
                f"item {format_id(frame.ids.iloc[i])} has {values.shape[1]} steps; a window of {frame.horizon} leaves "
                "no observed value to forecast from: choose a smaller horizon, or leave the item out"
            )
        item += [i] * len(origins)
        origin += origins
    return np.array(item, np.int64), np.array(origin, np.int64), reasons


def _has_past(past: np.ndarray, recent: int | None) -> bool:
    """Whether every target has an observed value among the steps that are read."""
    used = past[:, -(recent or past.shape[1] or 1) :]
    return bool(used.shape[1]) and bool((~np.isnan(used)).any(axis=1).all())


def _missing_known(frame: Frame, item: np.ndarray, origin: np.ndarray) -> dict[int, str]:
    """Return why items cannot be used whose known covariates are missing in a row that is forecast.

    Steps without a row are not scored; there the last value before them counts.
    """
    reasons: dict[int, str] = {}
    for i, o in zip(item.tolist(), origin.tolist(), strict=True):
        steps = slice(o, o + frame.horizon)
        known, has_row = frame.series[i].known, frame.series[i].rows[steps] >= 0
        missing = ~np.isfinite(known[:, steps]) & has_row
        missing |= ~np.isfinite(known[:, : o + 1]).any(axis=1, keepdims=True)  # nothing to fill with
        if missing.any() and i not in reasons:
            name = frame.known_names[int(missing.any(axis=1).argmax())]
            reasons[i] = (
                f"item {format_id(frame.ids.iloc[i])} lacks {name!r} at a step that is forecast; fill it, or leave it "
                "out of known="
            )
    return reasons
