"""A picture of what a detector said: the series with its anomalies marked, and below it score and threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.infer.columns import read_numbers, read_stamps, settle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_scores(
    scored: pd.DataFrame,
    *,
    target: str | list[str] = "target",
    path: str | Path | None = None,
    max_items: int = 3,
    title: str | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
) -> Figure:
    """Draw the first items of a frame that detect_df returned; `path` saves a picture, whole or not."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    from tsfm.infer.plot import AHEAD, PAST, Picture, save

    absent = [name for name in ("score", "threshold", "is_anomaly") if name not in scored.columns]
    if absent:
        raise ValueError(f"the frame lacks {', '.join(absent)}; give the frame that detect_df returned")
    columns = settle(
        scored, id_column=id_column, timestamp_column=timestamp_column, target=target, label="df", notes=[]
    )
    times = np.asarray(read_stamps(columns.column(columns.timestamp), label="df", notes=[]).tz_localize(None))
    codes = np.zeros(len(times), np.int64)
    names = [title or "series"]
    if columns.item is not None:
        codes, ids = pd.factorize(columns.column(columns.item))
        names = [str(one) for one in ids]
    shown = min(max_items, len(names))
    figure = Picture(figsize=(9, 0.6 + 3.2 * shown), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 * shown, 1, squeeze=False, height_ratios=[2, 1] * shown)[:, 0]
    for item in range(shown):
        above, below = panels[2 * item], panels[2 * item + 1]
        rows = np.flatnonzero(codes == item)
        rows = rows[np.argsort(times[rows], kind="stable")]
        found = rows[columns.column("is_anomaly").to_numpy(bool)[rows]]
        for name in columns.targets:
            values = read_numbers(columns.column(name), what="target", label="df")
            above.plot(times[rows], values[rows], color=PAST, linewidth=1)
            above.plot(times[found], values[found], "o", color=AHEAD, markersize=4)
        below.plot(times[rows], columns.column("score").to_numpy(float)[rows], color=PAST, linewidth=1)
        below.plot(times[rows], columns.column("threshold").to_numpy(float)[rows], color=AHEAD, linewidth=1)
        above.set_title(f"{names[item]}: {len(found)} of {len(rows)} steps flagged", loc="left", fontsize=10)
        below.set_ylabel("score")
        for axes in (above, below):
            locator = AutoDateLocator()
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    if path is not None:
        save(figure, path)
    return figure
