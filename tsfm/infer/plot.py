"""A picture of a forecast beside its past: history tail, median, shaded central interval, the truth where it is known.

The figure is built without pyplot, so nothing global changes and no display is needed.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from tsfm.files import atomic_file
from tsfm.infer.columns import Columns, read_numbers, read_stamps, settle
from tsfm.metrics.forecast import central_pair
from tsfm.timestamps.timezones import format_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
PAST, AHEAD, TRUTH = "#3b4a59", "#c8501e", "#1a8a5a"


class Picture(Figure):
    """A figure that a notebook shows, though pyplot does not know of it."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=100)
        return drawn.getvalue()


def _line(columns: Columns, item: Any, target: str, *, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Stamps and values of one target of one item, in time order."""
    frame = columns.frame if columns.item is None else columns.frame.loc[columns.column(columns.item) == item]
    if frame.empty:
        raise ValueError(f"{label} has no rows of item {format_id(item)}; plot an item that it holds")
    one = Columns(frame, columns.item, columns.timestamp, columns.targets)
    times = read_stamps(one.column(columns.timestamp), label=label, notes=[]).tz_localize(None)
    order = np.argsort(times, kind="stable")
    return np.asarray(times)[order], read_numbers(one.column(target), what="target", label=label)[order]


def _levels(forecast: pd.DataFrame) -> dict[float, str]:
    """The quantile columns of a forecast frame, by level."""
    found = {}
    for name in forecast.columns:
        try:
            level = float(name)
        except (TypeError, ValueError):
            continue
        if 0 < level < 1:
            found[level] = name
    return dict(sorted(found.items()))


def _panels(forecast: pd.DataFrame, item: Any, target_name: str | None, limit: int) -> tuple[list[tuple], int]:
    """The (item, target) pairs to draw, and how many there are."""
    absent = [name for name in ("item_id", "timestamp", "target_name", "predictions") if name not in forecast.columns]
    if absent or forecast.empty:
        raise ValueError(f"forecast lacks {', '.join(absent) or 'rows'}; give the frame that predict_df returned")
    pairs = list(forecast[["item_id", "target_name"]].drop_duplicates().itertuples(index=False, name=None))
    pairs = [one for one in pairs if (item is None or one[0] == item) and target_name in (None, one[1])]
    if not pairs:
        raise ValueError(
            f"forecast has nothing for item {format_id(item)} and target {target_name!r}; "
            f"it holds the items {', '.join(map(str, forecast['item_id'].unique()[:5]))} ... "
            f"and the targets {', '.join(map(str, forecast['target_name'].unique()))}"
        )
    return pairs[:limit], len(pairs)


def _draw(axes: Axes, past: tuple, rows: pd.DataFrame, truth: tuple | None, *, history: int) -> None:
    times = pd.DatetimeIndex(rows["timestamp"]).tz_localize(None)
    levels = _levels(rows)
    pair = central_pair(list(levels))
    axes.plot(past[0][-history:], past[1][-history:], color=PAST, linewidth=1.2, label="history")
    if pair is not None:
        low, high = list(levels)[pair[0]], list(levels)[pair[1]]
        band = f"{100 * (high - low):.0f} % interval"
        bounds = rows[levels[low]].to_numpy(float), rows[levels[high]].to_numpy(float)
        axes.fill_between(times, *bounds, color=AHEAD, alpha=0.22, linewidth=0, label=band)
    single = "o" if len(times) == 1 else None
    axes.plot(times, rows["predictions"].to_numpy(float), color=AHEAD, linewidth=1.6, marker=single, label="forecast")
    if truth is not None:
        begin, end = np.asarray(times)[[0, -1]]
        inside = (truth[0] >= begin) & (truth[0] <= end)
        axes.plot(truth[0][inside], truth[1][inside], color=TRUTH, linewidth=1.2, linestyle="--", label="truth")
    axes.axvline(past[0][-1], color="0.7", linewidth=0.8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def plot(
    df: pd.DataFrame,
    forecast: pd.DataFrame,
    *,
    truth: pd.DataFrame | None = None,
    item: Any = None,
    target_name: str | None = None,
    history: int | None = None,
    max_panels: int = 4,
    title: str | None = None,
    path: str | Path | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
) -> Figure:
    """Draw items of `forecast` (from predict_df) with the past in `df`; `truth` has the columns of df.

    `history` is the number of past steps shown (four horizons, at least 48); `path` saves a picture, whole or not.
    """
    pairs, count = _panels(forecast, item, target_name, max_panels)
    names = list(dict.fromkeys(target for _, target in pairs))
    where = {"id_column": id_column, "timestamp_column": timestamp_column}
    columns = settle(df, **where, target=names, label="df", notes=[])
    later = None if truth is None else settle(truth, **where, target=names, label="truth", notes=[])
    figure = Picture(figsize=(9, 0.6 + 2.6 * len(pairs)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (one, target) in enumerate(pairs):
        axes = figure.add_subplot(len(pairs), 1, place + 1)
        rows = forecast.loc[(forecast["item_id"] == one) & (forecast["target_name"] == target)]
        past = _line(columns, one, target, label="df")
        after = None if later is None else _line(later, one, target, label="truth")
        _draw(axes, past, rows, after, history=history or max(48, 4 * len(rows)))
        axes.set_title(f"{one}: {target}", loc="left", fontsize=10)
        axes.set_ylabel(target)
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        if place == 0:
            axes.margins(y=0.16)  # room for the legend
            axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=4)
    left = f" ({len(pairs)} of {count} series)" if count > len(pairs) else ""
    if title or left:
        figure.suptitle(f"{title or 'Forecast'}{left}", fontsize=11)
    if path is not None:
        save(figure, path)
    return figure


def check_picture(path: Path) -> str:
    """The kind of picture that the ending asks for, after checking that it has a place."""
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise ValueError(f"a picture is asked for as {path.name!r}; name it with one of .{', .'.join(FORMATS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r} to hold {path.name!r}; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file for the picture")
    return kind


def save(figure: Figure, path: str | Path) -> None:
    """Write the picture as a file, completely or not at all."""
    kind = check_picture(Path(path))
    with atomic_file(path) as draft:
        figure.savefig(draft, format=kind, dpi=130)
