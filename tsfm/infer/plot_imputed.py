"""Draw what an imputation returned: observed values, and the filled ones with their intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.column_values import read_numbers
from tsfm.infer.columns import Columns, find_columns
from tsfm.infer.figure_parts import FORECAST_COLOR, HISTORY_COLOR, draw_intervals, format_time_axis, save_figure
from tsfm.infer.item_rows import row_times
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, read_settings, takes_options

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from typing_extensions import Unpack

SUFFIX = "_imputed"


@accepts_frames("filled")
@takes_options
def plot_imputed(
    filled: pd.DataFrame,
    *,
    item: Any = None,
    around: int | None = None,
    max_panels: int = 4,
    title: str | None = None,
    path: str | Path | None = None,
    **options: Unpack[ReadOptions],
) -> Figure:
    """Draw series of a DataFrame that `impute_df` returned, one panel each; those with filled values come first.

    Parameters
    ----------
    item
        Draw only this item.
    around
        Draw only so many steps before the first and after the last filled value. None: everything.
    path
        A file to save the figure to: .png, .svg or .pdf.
    **options
        How `filled` is read, as by `impute_df`.

    Raises
    ------
    ValueError
        When a column is missing, or the item is not in the table.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from tsfm.infer.plot import NotebookFigure

    flags = [name for name in filled.columns if isinstance(name, str) and name.endswith(SUFFIX)]
    if not flags:
        raise ValueError(
            f"the DataFrame lacks columns that end in {SUFFIX!r}; give the one that impute_df returned; a "
            "forecast is the second argument of plot"
        )
    settings = read_settings({"target": [name.removesuffix(SUFFIX) for name in flags], **options})
    columns = find_columns(filled, **settings.columns, label="df", notes=[])
    codes, ids = np.zeros(len(columns.frame), np.int64), ["series"]
    if columns.item is not None:
        codes, ids = pd.factorize(columns.column(columns.item))
    times = row_times(columns, codes, label="df", notes=[], settings=settings).axis
    panels = []
    for number in [number for number, name in enumerate(ids) if item is None or name == item]:
        rows = np.flatnonzero(codes == number)
        rows = rows[np.argsort(times[rows], kind="stable")]
        panels += [(number, name, rows) for name in columns.targets]
    if not panels:
        raise ValueError(f"the DataFrame has no item {item!r}; it has {', '.join(map(repr, list(ids)[:5]))}")
    panels.sort(key=lambda panel: not _filled(columns, panel[1])[panel[2]].any())
    drawn = panels[:max_panels]
    figure = NotebookFigure(figsize=(9, 0.6 + 2.6 * len(drawn)), layout="constrained")
    FigureCanvasAgg(figure)
    for position, (number, name, rows) in enumerate(drawn):
        axes = figure.add_subplot(len(drawn), 1, position + 1)
        values = read_numbers(columns.column(name), "target", "df", settings=settings)
        is_filled = _filled(columns, name)[rows]
        _draw(axes, columns, name, rows, times, values, is_filled, around=around)
        axes.set_title(f"{ids[number]}: {name}, {int(is_filled.sum())} of {len(rows)} filled", loc="left", fontsize=10)
        axes.set_ylabel(str(name))
        if position == 0:
            axes.margins(y=0.2)  # space for the legend
            axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=4)
    omitted = f" ({len(drawn)} of {len(panels)} series)" if len(panels) > len(drawn) else ""
    if title or omitted:
        figure.suptitle(f"{title or 'Imputation'}{omitted}", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure


def _filled(columns: Columns, name: Any) -> np.ndarray:
    """Return [rows] whether the value of a target was filled."""
    return columns.column(f"{name}{SUFFIX}").fillna(False).to_numpy(bool)


def _draw(
    axes: Axes,
    columns: Columns,
    name: Any,
    rows: np.ndarray,
    times: np.ndarray,
    values: np.ndarray,
    is_filled: np.ndarray,
    *,
    around: int | None,
) -> None:
    """Draw the observed values as a line with gaps, and the filled ones joined to their neighbours."""
    where = np.flatnonzero(is_filled)
    if around is not None and len(where):
        kept = slice(max(where[0] - around, 0), where[-1] + around + 1)
        rows, is_filled = rows[kept], is_filled[kept]
    steps, series = times[rows], values[rows]
    axes.plot(steps, np.where(is_filled, np.nan, series), color=HISTORY_COLOR, linewidth=1.2, label="observed")
    near = is_filled.copy()
    near[1:] |= is_filled[:-1]
    near[:-1] |= is_filled[1:]
    quantiles = {
        level: np.where(near, columns.column(column).to_numpy(float)[rows], np.nan)
        for level, column in _quantile_columns(columns, name).items()
    }
    draw_intervals(axes, steps, quantiles)
    marker = {"marker": ".", "markersize": 5} if is_filled.sum() < 200 else {}
    axes.plot(steps, np.where(near, series, np.nan), color=FORECAST_COLOR, linewidth=1.2)
    points = np.where(is_filled, series, np.nan)
    style: Any = {"color": FORECAST_COLOR, "linewidth": 1.4, "label": "filled", **marker}
    axes.plot(steps, points, **style)
    format_time_axis(axes)


def _quantile_columns(columns: Columns, name: Any) -> dict[float, str]:
    """Return the quantile columns of a target, by level, ascending."""
    columns_of: dict[float, str] = {}
    for column in columns.frame.columns:
        level = str(column).removeprefix(f"{name}_")
        try:
            number = float(level)
        except ValueError:
            continue
        if str(column) != level and 0 < number < 1:
            columns_of[number] = column
    return dict(sorted(columns_of.items()))
