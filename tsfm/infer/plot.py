"""Draw a forecast and the past before it: history, median, central interval, and the actual values where known.

The figure is built without pyplot, so nothing global changes and no display is needed.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tsfm.infer.column_values import read_numbers
from tsfm.infer.columns import find_columns
from tsfm.infer.figure_parts import (
    ACTUAL_COLOR,
    FORECAST_COLOR,
    HISTORY_COLOR,
    draw_intervals,
    format_time_axis,
    plain_times,
    save_figure,
)
from tsfm.infer.item_rows import number_items, row_times
from tsfm.messages import format_id
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, ReadSettings, read_settings, takes_options

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Unpack

FORECAST_COLUMNS = ("target_name", "predictions")


class NotebookFigure(Figure):
    """A figure that a notebook shows although it was made without pyplot."""

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        self.savefig(png, format="png", dpi=100)
        return png.getvalue()


class Line(NamedTuple):
    """Timestamps and values in time order."""

    times: np.ndarray
    values: np.ndarray


class _Table:
    """The rows of a DataFrame, whose lines are drawn."""

    def __init__(self, df: pd.DataFrame, settings: ReadSettings, *, label: str):
        self.columns = find_columns(df, **settings.columns, label=label, notes=[])
        self.settings, self.label = settings, label
        codes, _ = number_items(self.columns, label=label)
        self.times = row_times(self.columns, codes, label=label, notes=[], settings=settings).axis

    def line(self, item: Any, target: str) -> Line:
        """Return one target of one item."""
        columns = self.columns
        rows = np.arange(len(self.times))
        if columns.item is not None:
            rows = np.flatnonzero((columns.column(columns.item) == item).to_numpy())
        if not len(rows):
            raise ValueError(f"{self.label} has no rows of item {format_id(item)}; plot an item that it holds")
        rows = rows[np.argsort(self.times[rows], kind="stable")]
        values = read_numbers(columns.column(target), "target", self.label, settings=self.settings)
        return Line(self.times[rows], values[rows])


def _quantile_columns(forecast: pd.DataFrame) -> dict[float, str]:
    """Return the quantile columns of a forecast, by level."""
    columns = {}
    for name in forecast.columns:
        try:
            level = float(name)
        except (TypeError, ValueError):
            continue
        if 0 < level < 1:
            columns[level] = name
    return dict(sorted(columns.items()))


def _select_pairs(
    forecast: pd.DataFrame, item: Any, target_name: str | None, *, id_name: str, timestamp_name: str
) -> list[tuple[Any, str]]:
    """Return the (item, target) pairs of the forecast that are requested."""
    absent = [name for name in (id_name, timestamp_name, *FORECAST_COLUMNS) if name not in forecast.columns]
    if absent or forecast.empty:
        raise ValueError(
            f"forecast lacks {', '.join(absent) or 'rows'}; give the DataFrame that predict_df "
            "returned; plot_series of utilsforecast draws those of style='nixtla'"
        )
    pairs = list(forecast[[id_name, "target_name"]].drop_duplicates().itertuples(index=False, name=None))
    selected = [(i, target) for i, target in pairs if (item is None or i == item) and target_name in (None, target)]
    if not selected:
        raise ValueError(
            f"forecast has nothing for item {format_id(item)} and target {target_name!r}; "
            f"it holds the items {', '.join(map(str, forecast[id_name].unique()[:5]))} ... "
            f"and the targets {', '.join(map(str, forecast['target_name'].unique()))}"
        )
    return selected


def _draw(axes: Axes, past: Line, rows: pd.DataFrame, actual: Line | None, *, history: int) -> None:
    """Draw a series and its forecast, which begins at the last observed value."""
    times = plain_times(pd.Series(rows["timestamp"]))
    columns = _quantile_columns(rows)
    axes.plot(past.times[-history:], past.values[-history:], color=HISTORY_COLOR, linewidth=1.2, label="history")
    observed = np.flatnonzero(np.isfinite(past.values))
    last = observed[-1:] if past.times.dtype.kind == times.dtype.kind else observed[:0]
    value, joined = past.values[last], np.concatenate([past.times[last], times])
    draw_intervals(
        axes, joined, {level: np.append(value, rows[name].to_numpy(float)) for level, name in columns.items()}
    )
    predictions = np.append(value, rows["predictions"].to_numpy(float))
    axes.plot(joined, predictions, color=FORECAST_COLOR, linewidth=1.6, label="forecast")
    if len(times) == 1:
        axes.plot(times, predictions[-1:], color=FORECAST_COLOR, marker="o")
    if actual is not None:
        begin, end = times[[0, -1]]
        inside = (actual.times >= begin) & (actual.times <= end)
        style: dict[str, Any] = {"color": ACTUAL_COLOR, "linewidth": 1.2, "linestyle": "--"}
        axes.plot(actual.times[inside], actual.values[inside], **style, label="actual")
    axes.axvline(past.times[-1], color="0.7", linewidth=0.8)


@accepts_frames("df", "forecast", "actual")
@takes_options
def plot(
    df: pd.DataFrame,
    forecast: pd.DataFrame,
    *,
    actual: pd.DataFrame | None = None,
    item: Any = None,
    target_name: str | None = None,
    history: int | None = None,
    max_panels: int = 4,
    title: str | None = None,
    path: str | Path | None = None,
    **options: Unpack[ReadOptions],
) -> Figure:
    """Draw series of a forecast, one panel each.

    Parameters
    ----------
    df
        The past, as it was given to `predict_df`.
    forecast
        What `predict_df` returned.
    actual
        Values of the forecast steps, with the columns of `df`.
    item, target_name
        Draw only this item, only this target.
    history
        Past steps that are drawn; four horizons, at least 48, if None.
    path
        A file to save the figure to: .png, .svg or .pdf.
    **options
        How `df` and `actual` are read, as by `predict_df`; the targets are those of the forecast.

    Raises
    ------
    ValueError
        When a column is missing, or there is nothing to draw.
    """
    settings = read_settings(options).updated(target=None)
    if "predictions" in forecast:
        forecast = forecast.loc[forecast["predictions"].notna()]  # items that could not be forecast have none
    columns_of_df = find_columns(df, **settings.columns, label="df", notes=[])
    id_name = columns_of_df.item or "item_id"
    id_name = id_name if id_name in forecast else "item_id"
    timestamp_name = columns_of_df.timestamp or settings.timestamp_column or "timestamp"
    timestamp_name = timestamp_name if timestamp_name in forecast else "timestamp"
    selected = _select_pairs(forecast, item, target_name, id_name=id_name, timestamp_name=timestamp_name)
    pairs = selected[:max_panels]
    targets = list(dict.fromkeys(target for _, target in pairs))
    settings = settings.updated(target=targets)
    table = _Table(df, settings, label="df")
    actual_table = None if actual is None else _Table(actual, settings, label="actual")
    figure = NotebookFigure(figsize=(9, 0.6 + 2.6 * len(pairs)), layout="constrained")
    FigureCanvasAgg(figure)
    for i, (item_id, target) in enumerate(pairs):
        axes = figure.add_subplot(len(pairs), 1, i + 1)
        rows = forecast.loc[(forecast[id_name] == item_id) & (forecast["target_name"] == target)]
        past = table.line(item_id, target)
        after = None if actual_table is None else actual_table.line(item_id, target)
        rows = rows.rename(columns={timestamp_name: "timestamp"})
        _draw(axes, past, rows, after, history=history or max(48, 4 * len(rows)))
        axes.set_title(target if columns_of_df.item is None else f"{item_id}: {target}", loc="left", fontsize=10)
        axes.set_ylabel(target)
        format_time_axis(axes)
        if i == 0:
            axes.margins(y=0.16)  # space for the legend
            axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=4)
    omitted = f" ({len(pairs)} of {len(selected)} series)" if len(selected) > len(pairs) else ""
    if title or omitted:
        figure.suptitle(f"{title or 'Forecast'}{omitted}", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure
