"""Draw a back-test: what became true, and the forecasts from each cutoff with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.backtesting.forecasting import WindowForecasts
from tsfm.backtesting.models import REFERENCE
from tsfm.backtesting.scores import score_table
from tsfm.backtesting.windows import BacktestWindows
from tsfm.infer.figure_parts import HISTORY_COLOR, format_time_axis, plain_times, save_figure
from tsfm.infer.styles import interval_bounds
from tsfm.messages import did_you_mean, format_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#c8501e", "#1f6fb4", "#1a8a5a", "#8a4fb4", "#b48a1f")
REFERENCE_COLOR = "0.55"
BAND_ALPHA = {0: 0.28, 1: 0.14}  # of the narrow and of the wide interval


def plot_backtest(
    windows: BacktestWindows,
    by_model: Sequence[WindowForecasts],
    *,
    models: Sequence[str] | None = None,
    item: Any = None,
    target_name: str | None = None,
    history: int | None = None,
    max_panels: int = 4,
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw items of a back-test, one panel each, named by item and with the MASE of the first model.

    Parameters
    ----------
    windows, by_model
        What is forecast, and the forecasts of each model.
    models
        Models to draw; the first has its intervals. None: all, the reference in grey.
    item, target_name
        Draw only this item, only this target.
    history
        Steps before the first cutoff that are drawn; two horizons, at least 24, if None.
    path
        A file to save the figure to: .png, .svg or .pdf.

    Raises
    ------
    ValueError
        When a model, an item or a target is not in the result.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from tsfm.infer.plot import NotebookFigure

    known = [forecast.label for forecast in by_model]
    names = list(known if models is None else [models] if isinstance(models, str) else models)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no model {unknown[0]!r} in this back-test; {did_you_mean(str(unknown[0]), known)}")
    drawn_models = [by_model[known.index(name)] for name in names]
    panels = _panels(windows, item, target_name)
    drawn = panels[:max_panels]
    figure = NotebookFigure(figsize=(9, 0.6 + 2.6 * len(drawn)), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (index, target) in enumerate(drawn):
        axes = figure.add_subplot(len(drawn), 1, number + 1)
        _draw(axes, windows, drawn_models, index, target, history=history)
        axes.set_title(_title(windows, by_model, names[0], index, target), loc="left", fontsize=10)
        if number == 0:
            axes.margins(y=0.2)  # space for the legend
            axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=4)
    omitted = f" ({len(drawn)} of {len(panels)} series)" if len(panels) > len(drawn) else ""
    if title or omitted:
        figure.suptitle(f"{title or 'Back-test'}{omitted}", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure


def _panels(windows: BacktestWindows, item: Any, target_name: str | None) -> list[tuple[int, int]]:
    """Return the numbers of the item and the target of each panel that is requested."""
    ids, targets = windows.frame.ids, windows.frame.targets
    if target_name not in (None, *targets):
        raise ValueError(f"no target {target_name!r} in this back-test; {did_you_mean(str(target_name), targets)}")
    items = [int(i) for i in np.unique(windows.item) if item is None or ids.iloc[i] == item]
    if not items:
        known = ", ".join(map(format_id, ids.head(5)))
        raise ValueError(f"the back-test has no item {format_id(item)}; it has {known}{' ...' if len(ids) > 5 else ''}")
    return [(i, c) for i in items for c, name in enumerate(targets) if target_name in (None, name)]


def _draw(
    axes: Axes,
    windows: BacktestWindows,
    by_model: Sequence[WindowForecasts],
    index: int,
    target: int,
    *,
    history: int | None,
) -> None:
    """Draw one target of one item: values, and from each cutoff a line for each model."""
    own = np.flatnonzero(windows.item == index)
    horizon, values = windows.horizon, windows.targets[index][target]
    first = max(int(windows.origin[own].min()) - (history or max(24, 2 * horizon)), 0)
    times = plain_times(pd.Series(windows.like_column(windows.utc[index])))
    axes.plot(
        times[first : len(values)], values[first:], color=HISTORY_COLOR, linewidth=1.2, label="observed", zorder=3
    )
    for number, forecast in enumerate(by_model):
        is_reference = forecast.contender.predictor.name == REFERENCE and len(by_model) > 1
        color = REFERENCE_COLOR if is_reference else COLORS[number % len(COLORS)]
        for count, window in enumerate(own):
            origin = int(windows.origin[window])
            steps, value = times[origin - 1 : origin + horizon], values[origin - 1]
            label: Any = {"label": forecast.label} if count == 0 else {}
            if number == 0:
                _draw_intervals(axes, forecast, int(window), target, steps, value, color=color, labelled=count == 0)
            joined = np.append(value, forecast.quantile(0.5)[window, target])
            style = {"linewidth": 1.0, "linestyle": "--"} if is_reference else {"linewidth": 1.5}
            axes.plot(steps, joined, color=color, **style, **label)
    for window in own:
        axes.axvline(times[int(windows.origin[window]) - 1], color="0.8", linewidth=0.8, zorder=0)
    axes.set_ylabel(windows.frame.targets[target])
    format_time_axis(axes)


def _draw_intervals(
    axes: Axes, forecast: Any, window: int, target: int, steps: np.ndarray, value: float, *, color: str, labelled: bool
) -> None:
    for number, interval in enumerate(forecast.contender.intervals):
        low, high = (np.append(value, forecast.quantile(level)[window, target]) for level in interval_bounds(interval))
        label: Any = {"label": f"{interval:g} % interval"} if labelled else {}
        axes.fill_between(steps, low, high, color=color, alpha=BAND_ALPHA.get(number, 0.1), linewidth=0, **label)


def _title(windows: BacktestWindows, by_model: Sequence[WindowForecasts], name: str, index: int, target: int) -> str:
    """Return the name of a panel, with the MASE of a model on the item."""
    frame = windows.frame
    own = np.flatnonzero(windows.item == index)
    selected = [replace(forecast, quantiles=forecast.quantiles[own]) for forecast in by_model]
    scores = score_table(windows.select(own), selected, by="target", intervals=())
    rows = scores[scores["target"] == frame.targets[target]].set_index("model")["mase"]
    reference = next(forecast.label for forecast in by_model if forecast.contender.predictor.name == REFERENCE)
    text = f"MASE of {name} {rows[name]:.2f}" + (f", {reference} {rows[reference]:.2f}" if name != reference else "")
    named = "" if frame.ids.tolist() == ["0"] else f"{frame.ids.iloc[index]}: "  # of a single series without an id
    return f"{named}{frame.targets[target]}  ({text})"
