"""Names of the columns of forecasts: those of Chronos, which are the default, or those of Nixtla's libraries.

chronos    item_id, timestamp, target_name, predictions, 0.1, 0.9
nixtla     unique_id, ds, <model>, <model>-lo-80, <model>-hi-80
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from tsfm.infer.arguments import check_choice, check_count
from tsfm.infer.quantiles import POINT, check_requested_levels

CHRONOS, NIXTLA = STYLES = ("chronos", "nixtla")
NIXTLA_NAMES = {"id_column": "unique_id", "timestamp_column": "ds", "target": "y"}
Level: TypeAlias = float | Sequence[float] | None


def choose_horizon(prediction_length: Any, h: Any) -> Any:
    """Return the number of steps, which has two names."""
    if (prediction_length is None) == (h is None):
        problem = "are both missing" if h is None else f"are {prediction_length!r} and {h!r}, two names of one thing"
        raise ValueError(f"prediction_length and h {problem}; give the number of steps to forecast as one of them")
    return prediction_length if h is None else check_count("h", h)


def choose_quantile_levels(
    style: str, level: Level, quantile_levels: Sequence[float] | None, *, available: Sequence[float] | None, name: str
) -> Sequence[float] | None:
    """Return the quantile levels that a style needs: as requested, or those of the central intervals `level`.

    Parameters
    ----------
    level
        Intervals in percent; 80 lies between the levels 0.1 and 0.9.
    available, name
        Levels of the predictor and its name, for messages.

    Raises
    ------
    ValueError
        When the style is not known, an argument belongs to the other style, or the predictor lacks such intervals.
    """
    check_choice("style", style, STYLES)
    intervals = read_level(level)
    bounds = sorted({bound for interval in intervals for bound in interval_bounds(interval)})
    if style == CHRONOS:
        if intervals:
            raise ValueError(
                f"level={level} belongs to style='nixtla'; give that style, or quantile_levels={bounds} in its place"
            )
        return quantile_levels
    if quantile_levels is not None:
        raise ValueError(
            "quantile_levels belongs to style='chronos'; with style='nixtla' give central intervals in percent, such "
            "as level=[80, 95]"
        )
    try:
        return check_requested_levels(bounds, available, name=name) if bounds else POINT
    except ValueError:
        if available is None or tuple(available) == POINT:
            raise ValueError(f"{name} predicts points and no intervals; leave level={level} out") from None
        widest = 100 * min(1 - 2 * available[0], 2 * available[-1] - 1)
        raise ValueError(
            f"level is {level}; the widest interval of {name} is {widest:g} %, between its levels {available[0]:g} and "
            f"{available[-1]:g}"
        ) from None


def read_level(level: Any) -> tuple[Any, ...]:
    """Return intervals in percent, ascending and as they were written; a single number is one interval."""
    if level is None:
        return ()
    intervals: list[Any] = [*level] if np.iterable(level) and not isinstance(level, str) else [level]
    are_numbers = all(
        isinstance(interval, Real) and not isinstance(interval, bool) and 0 < float(interval) < 100
        for interval in intervals
    )
    if not are_numbers or not 0 < len(intervals) == len(set(intervals)):
        raise ValueError(f"level is {level!r}; expected intervals in percent, such as [80, 95], each once")
    return tuple(sorted(intervals))


def interval_bounds(interval: float) -> tuple[float, float]:
    """Return the quantile levels of a central interval in percent.

    Examples
    --------
    >>> interval_bounds(80), interval_bounds(99)
    ((0.1, 0.9), (0.005, 0.995))
    """
    tail = round((100 - float(interval)) / 200, 12)
    return tail, round(1 - tail, 12)


def nixtla_options(df: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return reading options that name the columns unique_id, ds and y, where a DataFrame has them."""
    names = {*getattr(df, "columns", ()), *getattr(getattr(df, "index", None), "names", ())}
    return {option: name for option, name in NIXTLA_NAMES.items() if name in names} | dict(options)


def to_nixtla(forecast: pd.DataFrame, *, name: str, level: Level, options: Mapping[str, Any]) -> pd.DataFrame:
    """Return a forecast in the style of Chronos as one of Nixtla: a column of the model, then its intervals.

    Parameters
    ----------
    options
        The reading options that the user gave; names among them stay.
    """
    id_name, time_name = forecast.columns[:2]
    out = pd.DataFrame(
        {
            options.get("id_column", NIXTLA_NAMES["id_column"]): forecast[id_name],
            options.get("timestamp_column", NIXTLA_NAMES["timestamp_column"]): forecast[time_name],
            name: forecast["predictions"],
        }
    )
    if "mean" in forecast:
        out[f"{name}-mean"] = forecast["mean"]
    intervals = read_level(level)
    for side, bound, ordered in (("lo", 0, reversed(intervals)), ("hi", 1, intervals)):
        for interval in ordered:
            out[f"{name}-{side}-{interval}"] = forecast[f"{interval_bounds(interval)[bound]:g}"]
    return out


def check_one_target(targets: Sequence[str]) -> None:
    """Raise a ValueError where a forecast of Nixtla's style would have several targets."""
    if len(targets) > 1:
        raise ValueError(
            f"style='nixtla' has one column of values, and df has the targets {', '.join(targets)}; name one with "
            "target=, put them below each other with a unique_id each, or use style='chronos'"
        )
