"""The result of a back-test: forecasts as a DataFrame, tables of scores, and pictures.

W windows, C targets, H horizon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.backtesting.forecasting import WindowForecasts
from tsfm.backtesting.scores import score_table
from tsfm.backtesting.windows import BacktestWindows
from tsfm.infer.styles import NIXTLA, NIXTLA_NAMES, interval_bounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CUTOFF, SEVERAL = "cutoff", "y"  # the column of values has this name where there are several targets


@dataclass(frozen=True, repr=False)
class Backtest:
    """Forecasts from rolling origins and what became true.

    Attributes
    ----------
    forecasts
        One row for each window, target and step.

        ====================== ======================================================
        item_id                as in `df`, which also names it
        timestamp              of the forecast step
        cutoff                 the last timestamp that the forecast read
        target_name            only with several targets
        target                 what became true, NaN where missing; `y` with several
        <model>                the median, or a point model's prediction
        <model>-lo-80, -hi-80  the interval of each `level`, where the model has it
        ====================== ======================================================
    announcements
        What was assumed.
    explanation
        What ``effort="best"`` found at each cutoff.
    failed_items
        Items without a window, and why.
    """

    forecasts: Any
    announcements: list[str]
    explanation: list[str]
    failed_items: Mapping[str, str]
    windows: BacktestWindows
    by_model: Sequence[WindowForecasts]
    intervals: tuple[Any, ...]

    @property
    def models(self) -> list[str]:
        """Return what the models are called."""
        return [forecast.label for forecast in self.by_model]

    def scores(self, by: str | None = None) -> pd.DataFrame:
        """Return the scores of every model.

        Parameters
        ----------
        by
            None: over all windows. "item", "target", "cutoff", "step": for each of these.

        Returns
        -------
        pandas.DataFrame
            Missing values are not scored.

            ============================ ==========================================================================
            model                        and before it the group, with `by`
            mase                         mean absolute error of the median, relative to that of seasonal naive in
                                         the past of each window
            wql                          weighted quantile loss over the levels 0.1, ..., 0.9
            coverage_80, coverage_95     share of the values within the interval; NaN where a model has none
            windows                      windows with a value
            mase_relative, wql_relative  relative to the seasonal naive forecast of the same windows
            seconds                      of computing; only over all windows
            ============================ ==========================================================================
        """
        return score_table(self.windows, self.by_model, by=by, intervals=self.intervals)

    def plot(self, **options: Any) -> Figure:
        """Draw the forecasts of each cutoff and what became true; see `tsfm.backtesting.plot.plot_backtest`."""
        from tsfm.backtesting.plot import plot_backtest

        return plot_backtest(self.windows, self.by_model, **options)

    def describe(self) -> str:
        """Return the scores over all windows as text."""
        frame = self.windows.frame
        title = (
            f"back-test: {len(self.windows)} windows of {frame.horizon} steps, {len(frame)} items, "
            f"{len(np.unique(self.windows.cutoff))} cutoffs"
        )
        table = self.scores().to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="")
        return f"{title}\n{table}"

    def __repr__(self) -> str:
        return self.describe()

    def _repr_html_(self) -> str:
        title = self.describe().splitlines()[0]
        return f"<p>{title}</p>{self.scores().to_html(index=False, float_format=lambda value: f'{value:.3f}')}"


def forecast_table(
    windows: BacktestWindows, forecasts: Sequence[WindowForecasts], *, style: str, options: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the forecasts of all windows as rows; see `Backtest`.

    Parameters
    ----------
    options
        The reading options that the user gave; names among them stay with style="nixtla".

    Raises
    ------
    ValueError
        If two columns have one name.
    """
    frame, (num_windows, num_targets, horizon) = windows.frame, windows.y_true.shape
    several = num_targets > 1
    names = {"id_column": frame.id_name, "timestamp_column": frame.timestamp_name, "target": frame.targets[0]}
    if style == NIXTLA:
        names = {name: options.get(name, default) for name, default in NIXTLA_NAMES.items()}
    elif several:
        names["target"] = SEVERAL
    length = num_targets * horizon
    utc = np.concatenate(
        [
            np.tile(windows.utc[i][o : o + horizon], num_targets)
            for i, o in zip(windows.item, windows.origin, strict=True)
        ]
    )
    columns: list[tuple[Any, Any]] = [
        (names["id_column"], frame.ids.iloc[np.repeat(windows.item, length)].reset_index(drop=True)),
        (names["timestamp_column"], windows.like_column(utc)),
        (CUTOFF, windows.like_column(np.repeat(windows.cutoff, length))),
    ]
    if several:
        columns.append(("target_name", np.tile(np.repeat(frame.targets, horizon), num_windows)))
    columns.append((names["target"], windows.y_true.reshape(-1)))
    for forecast in forecasts:
        columns.append((forecast.label, forecast.quantile(0.5).reshape(-1)))
        own = forecast.contender.intervals
        for side, index, ordered in (("lo", 0, reversed(own)), ("hi", 1, own)):
            for interval in ordered:
                values = forecast.quantile(interval_bounds(interval)[index])
                columns.append((f"{forecast.label}-{side}-{interval}", values.reshape(-1)))
    listed = [name for name, _ in columns]
    if repeated := [name for name in listed if listed.count(name) > 1]:
        raise ValueError(
            f"the result would have two columns {repeated[0]!r}; rename the column of df, or label the models: "
            "models={'label': model, ...}"
        )
    return pd.DataFrame(dict(columns))
