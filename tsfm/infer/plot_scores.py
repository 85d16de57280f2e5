"""Draw what a detector returned: the series with its anomalies, and below it score and threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.infer.column_values import read_numbers
from tsfm.infer.columns import find_columns
from tsfm.infer.figure_parts import FORECAST_COLOR, HISTORY_COLOR, format_time_axis, save_figure
from tsfm.infer.item_rows import row_times
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, read_settings, takes_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from typing_extensions import Unpack

SCORE_COLUMNS = ("score", "threshold", "is_anomaly")


@accepts_frames("scored")
@takes_options
def plot_scores(
    scored: pd.DataFrame,
    *,
    path: str | Path | None = None,
    max_items: int = 3,
    title: str | None = None,
    **options: Unpack[ReadOptions],
) -> Figure:
    """Draw the first items of a DataFrame that `detect_df` returned.

    Parameters
    ----------
    path
        A file to save the figure to: .png, .svg or .pdf.
    title
        Of the series, where there is no id column.
    **options
        How `scored` is read, as by `detect_df`.

    Raises
    ------
    ValueError
        When a column is missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from tsfm.infer.plot import NotebookFigure

    absent = [name for name in SCORE_COLUMNS if name not in scored.columns]
    if absent:
        raise ValueError(f"the DataFrame lacks {', '.join(absent)}; give the one that detect_df returned")
    settings = read_settings(options)
    scored = scored.loc[scored["threshold"].notna()]  # items that could not be scored have none
    columns = find_columns(scored, **settings.columns, label="df", notes=[])
    codes = np.zeros(len(columns.frame), np.int64)
    titles = [title or "series"]
    if columns.item is not None:
        codes, ids = pd.factorize(columns.column(columns.item))
        titles = [str(item_id) for item_id in ids]
    times = row_times(columns, codes, label="df", notes=[], settings=settings).axis
    values = [read_numbers(columns.column(name), "target", "df", settings=settings) for name in columns.targets]
    is_anomaly = columns.column("is_anomaly").to_numpy(bool)
    score, threshold = (columns.column(name).to_numpy(float) for name in SCORE_COLUMNS[:2])
    num_items = min(max_items, len(titles))
    figure = NotebookFigure(figsize=(9, 0.6 + 3.2 * num_items), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 * num_items, 1, squeeze=False, height_ratios=[2, 1] * num_items)[:, 0]
    names = ", ".join(map(str, columns.targets))
    for item in range(num_items):
        series_axes, score_axes = panels[2 * item], panels[2 * item + 1]
        rows = np.flatnonzero(codes == item)
        rows = rows[np.argsort(times[rows], kind="stable")]
        flagged = rows[is_anomaly[rows]]
        for name, column in zip(columns.targets, values, strict=True):
            label = str(name) if len(values) > 1 else "observed"
            (line,) = series_axes.plot(times[rows], column[rows], linewidth=1, label=label)
            if len(values) == 1:
                line.set_color(HISTORY_COLOR)
            series_axes.plot(times[flagged], column[flagged], "o", color=FORECAST_COLOR, markersize=4)
        score_axes.plot(times[rows], score[rows], color=HISTORY_COLOR, linewidth=1)
        score_axes.plot(times[rows], threshold[rows], color=FORECAST_COLOR, linewidth=1, label="threshold")
        score_axes.fill_between(
            times[rows], threshold[rows], score[rows], where=score[rows] > threshold[rows], color=FORECAST_COLOR,
            alpha=0.4, linewidth=0,
        )  # fmt: skip
        text = f"{titles[item]}: {names}, {len(flagged)} of {len(rows)} steps flagged"
        series_axes.set_title(text, loc="left", fontsize=10)
        series_axes.set_ylabel(names if len(values) == 1 else "")
        score_axes.set_ylabel("score")
        score_axes.sharex(series_axes)
        format_time_axis(series_axes)
        format_time_axis(score_axes)
        series_axes.tick_params(labelbottom=False)
        series_axes.xaxis.offsetText.set_visible(False)
        if item == 0:
            (flag,) = series_axes.plot([], [], "o", color=FORECAST_COLOR, markersize=4)
            flag.set_label("flagged")
            series_axes.margins(y=0.2)  # space for the legend
            series_axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=4)
            score_axes.legend(loc="upper left", frameon=False, fontsize=8)
    if len(titles) > num_items:
        figure.suptitle(f"{num_items} of {len(titles)} items", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure
