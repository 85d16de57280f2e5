"""Parts that pictures of forecasts, back-tests, imputations and scores share: colours, intervals, axes, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.files import atomic_file
from tsfm.infer.quantiles import interpolate_quantiles
from tsfm.metrics.forecast import central_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
HISTORY_COLOR, FORECAST_COLOR, ACTUAL_COLOR = "#3b4a59", "#c8501e", "#1a8a5a"
WIDE = (0.025, 0.975)  # the levels of the wide interval


def interval_pairs(quantile_levels: list[float]) -> list[tuple[float, float]]:
    """Return the levels of at most two central intervals, the wider one first: that nearest to 95 %, and 80 %.

    Examples
    --------
    >>> interval_pairs([0.01, 0.025, 0.1, 0.5, 0.9, 0.975, 0.99]), interval_pairs([0.5])
    ([(0.025, 0.975), (0.1, 0.9)], [])
    """
    pairs = [
        (low, high) for low in quantile_levels for high in quantile_levels if low < 0.5 and abs(low + high - 1) < 1e-9
    ]
    narrow = central_pair(quantile_levels)
    if narrow is None:
        return []
    inner = quantile_levels[narrow[0]], quantile_levels[narrow[1]]
    wider = [pair for pair in pairs if pair[0] < inner[0]]
    return [*sorted(wider, key=lambda pair: abs(pair[0] - WIDE[0]))[:1], inner]


def draw_intervals(axes: Axes, times: np.ndarray, bounds: dict[float, np.ndarray]) -> None:
    """Fill the central intervals of quantiles, by level; that of 95 % is interpolated where it lies between levels."""
    known = sorted(bounds)
    if known and known[0] < WIDE[0] and known[-1] > WIDE[1]:
        stacked = np.stack([bounds[level] for level in known], axis=-1)
        bounds = bounds | dict(zip(WIDE, interpolate_quantiles(stacked, known, WIDE).T, strict=True))
    pairs = interval_pairs(sorted(bounds))
    for low, high in pairs:
        alpha = 0.13 if len(pairs) == 2 and (low, high) == pairs[0] else 0.24
        label = f"{100 * (high - low):.3g} % interval"
        style: Any = {"color": FORECAST_COLOR, "alpha": alpha, "linewidth": 0, "label": label}
        axes.fill_between(times, bounds[low], bounds[high], **style)


def plain_times(column: pd.Series) -> np.ndarray:
    """Return timestamps for an axis: instants without a time zone, or numbers."""
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return np.asarray(pd.DatetimeIndex(column).tz_localize(None))
    return column.to_numpy()


def format_time_axis(axes: Axes) -> None:
    """Label the time axis briefly, and draw a grid without a frame."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def check_figure_path(path: Path) -> str:
    """Return the format of the file suffix, after checking that the file can be written.

    Raises
    ------
    ValueError, FileNotFoundError, IsADirectoryError
        When the suffix is not one of the formats, the folder does not exist, or `path` is a folder.
    """
    file_format = path.suffix.lstrip(".").lower()
    if file_format not in FORMATS:
        raise ValueError(f"the file of the figure is {path.name!r}; name it with one of .{', .'.join(FORMATS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(path.parent)!r} for {path.name!r}; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file for the figure")
    return file_format


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write the figure to a file, completely or not at all."""
    file_format = check_figure_path(Path(path))
    with atomic_file(path) as draft:
        figure.savefig(draft, format=file_format, dpi=130)
