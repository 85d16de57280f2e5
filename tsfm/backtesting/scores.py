"""Scores of a back-test: MASE, WQL and the coverage of intervals, over all windows or by item, target, cutoff or step.

W windows, C targets, H horizon, Q quantile levels. The sums over windows are those of `tsfm.metrics.forecast`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.backtesting.forecasting import WindowForecasts
from tsfm.backtesting.models import REFERENCE
from tsfm.backtesting.windows import BacktestWindows
from tsfm.infer.arguments import check_choice
from tsfm.infer.predictor import DECILES
from tsfm.infer.styles import interval_bounds
from tsfm.metrics.forecast import mask_missing

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GROUPINGS = ("item", "target", "cutoff", "step")


def score_table(
    windows: BacktestWindows, forecasts: Sequence[WindowForecasts], *, by: str | None, intervals: Sequence[Any]
) -> pd.DataFrame:
    """Return one row for each group and model; see `Backtest.scores`."""
    codes, labels = _groups(windows, by)
    tables = [_model_scores(windows, forecast, codes, len(labels), intervals) for forecast in forecasts]
    reference = next(
        table for table, forecast in zip(tables, forecasts, strict=True)
        if forecast.contender.predictor.name == REFERENCE
    )  # fmt: skip
    rows = []
    for forecast, table in zip(forecasts, tables, strict=True):
        for metric in ("mase", "wql"):
            table[f"{metric}_relative"] = _ratio(table[metric], reference[metric])
        frame = pd.DataFrame({"model": forecast.label, **table})
        if by is None:
            frame["seconds"] = forecast.seconds
        else:
            frame.insert(0, by, labels)
        rows.append(frame)
    out = pd.concat(rows, ignore_index=True)
    order = np.argsort(np.tile(np.arange(len(labels)), len(forecasts)), kind="stable")
    return out.iloc[order].reset_index(drop=True)


def _groups(windows: BacktestWindows, by: str | None) -> tuple[Int[np.ndarray, "W C H"], Any]:
    """Return the number of the group of each value, and what the groups are called."""
    shape, frame = windows.y_true.shape, windows.frame
    if by is None:
        return np.zeros(shape, np.int64), [None]
    check_choice("by", by, GROUPINGS)
    if by == "item":
        items, codes = np.unique(windows.item, return_inverse=True)
        return np.broadcast_to(codes.reshape(-1, 1, 1), shape), frame.ids.iloc[items].reset_index(drop=True)
    if by == "target":
        return np.broadcast_to(np.arange(shape[1])[:, None], shape), frame.targets
    if by == "step":
        return np.broadcast_to(np.arange(shape[2]), shape), np.arange(1, shape[2] + 1)
    cutoffs, codes = np.unique(windows.cutoff, return_inverse=True)
    return np.broadcast_to(codes.reshape(-1, 1, 1), shape), windows.like_column(cutoffs)


def _model_scores(
    windows: BacktestWindows, forecast: WindowForecasts, codes: np.ndarray, num_groups: int, intervals: Sequence[Any]
) -> dict[str, np.ndarray]:
    """Return the scores of one model, each for all groups."""
    y_true, median, mask = mask_missing(windows.y_true, forecast.quantile(0.5))

    def total(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.bincount(codes[where], weights=values[where], minlength=num_groups)

    scale = np.broadcast_to(windows.scale[..., None], y_true.shape)
    scaled = mask & np.isfinite(scale) & (scale > 0)
    ones, error = np.ones(y_true.shape), np.abs(median - y_true)
    out = {
        "mase": _ratio(total(error / np.where(scaled, scale, 1.0), scaled), total(ones, scaled)),
        "wql": _ratio(total(_quantile_loss(y_true, forecast), mask), total(np.abs(y_true), mask)),
    }
    for interval in intervals:
        out[f"coverage_{interval}"] = np.full(num_groups, np.nan)
        if interval in forecast.contender.intervals:
            low, high = map(forecast.quantile, interval_bounds(interval))
            inside = ((low <= y_true) & (y_true <= high)).astype(float)
            out[f"coverage_{interval}"] = _ratio(total(inside, mask), total(ones, mask))
    number = np.broadcast_to(np.arange(len(windows))[:, None, None], y_true.shape)
    scored = np.unique(np.stack([codes[mask], number[mask]]), axis=1)[0]
    out["windows"] = np.bincount(scored, minlength=num_groups)
    return out


def _quantile_loss(y_true: np.ndarray, forecast: WindowForecasts) -> Float[np.ndarray, "W C H"]:
    """Return twice the quantile loss, averaged over the nine deciles; a point forecast counts at each of them."""
    loss = np.zeros(y_true.shape)
    for level in DECILES:
        error = y_true - forecast.quantile(level)
        loss += 2.0 * np.abs(error * ((error <= 0) - level))
    return loss / len(DECILES)


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return total / count, NaN where that is not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 0, total / count, np.nan)
