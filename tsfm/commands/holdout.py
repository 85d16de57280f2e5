"""`tsfm forecast --holdout`: hide the last steps of every item, and score forecasts of them.

C channels, L steps, H horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from tsfm.data.base import SourceSeries
from tsfm.infer.frames import Frame, read_frame, step_timestamps
from tsfm.infer.item_errors import raise_series
from tsfm.infer.predictor import DECILES, Predictor
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.store.read_options import ReadOptions
from tsfm.timestamps.frequency import season_length

if TYPE_CHECKING:
    from typing_extensions import Unpack

FORMATS = {"mase": ".3f", "mae": ".4g", "wql": ".4f"}  # metric -> format of its value


class Holdout(NamedTuple):
    """Items whose last steps are held out.

    Attributes
    ----------
    frame
        All steps; what is known in the future is in the items' `known` [K, L].
    past, actual
        The targets and covariates without the held-out steps, and with them, as long DataFrames.
    future_df
        The covariates that are known over the held-out steps; None if there are none.
    options
        How to read these DataFrames; with the frequency of all items, which may be too short without the held-out steps
        to infer it.
    """

    frame: Frame
    past: pd.DataFrame
    actual: pd.DataFrame
    future_df: pd.DataFrame | None
    options: ReadOptions


def hold_out(
    df: pd.DataFrame,
    *,
    horizon: int,
    known: Iterable[str],
    covariates: bool = True,
    **options: Unpack[ReadOptions],
) -> Holdout:
    """Return a DataFrame with the last `horizon` steps of each item held out.

    Parameters
    ----------
    known
        Names of the covariates that are known in the future.
    covariates
        Whether to read covariates.
    **options
        How `df` is read.

    Raises
    ------
    ValueError
        If `df` cannot be read, or an item has no observed value before its last `horizon` steps.
    """
    frame = read_frame(df, prediction_length=horizon, covariates=covariates, centre=True, **options)
    past, actual = without_last_steps(frame, horizon), without_last_steps(frame, 0)
    frame = known_over_holdout(frame, known)
    freqs = {frame.season_freq(series) for series in frame}
    future_df = future_covariates(frame) if frame.known_names else None
    read_again: ReadOptions = {
        "id_column": frame.id_name,
        "timestamp_column": frame.timestamp_name,
        "target": frame.targets,
        "freq": freqs.pop() if len(freqs) == 1 else frame.settings.freq,
        "errors": frame.settings.errors,
    }
    return Holdout(frame, past, actual, future_df, read_again)


def known_over_holdout(frame: Frame, names: Iterable[str]) -> Frame:
    """Return a frame, read without a future, whose covariates of these names are known through its last H steps.

    A covariate that is missing at one of these steps of an item stays known only in the past.
    """
    horizon, requested = frame.horizon, set(map(str, names))
    known = {
        name: index
        for index, name in enumerate(frame.past_names)
        if name in requested and all(np.isfinite(series.past[index, -horizon:]).all() for series in frame)
    }
    past = {name: index for index, name in enumerate(frame.past_names) if name not in known}
    split = [
        replace(series, past=series.past[[*past.values()]], known=series.past[[*known.values()]]) for series in frame
    ]
    return replace(frame, series=split, past_names=[*past], known_names=[*known])


def future_covariates(frame: Frame) -> pd.DataFrame:
    """Return the known covariates at the held-out steps, as `predict_df` takes them."""
    tables = []
    for i, series in enumerate(frame):
        timestamps = step_timestamps(frame, series, series.known.shape[1])[-frame.horizon :]
        rows = {name: series.known[c, -frame.horizon :] for c, name in enumerate(frame.known_names)}
        tables.append(pd.DataFrame({frame.id_name: frame.ids.iloc[i], frame.timestamp_name: timestamps, **rows}))
    return pd.concat(tables, ignore_index=True)


def without_last_steps(frame: Frame, num_steps: int) -> pd.DataFrame:
    """Return all items without their last steps: targets and covariates on their regular grid, as a long DataFrame.

    Raises
    ------
    ItemErrors
        If items have no observed value before their last steps.
    """
    tables, reasons = [], {}
    for i, series in enumerate(frame):
        stop = series.values.shape[1] - num_steps
        if stop < 1 or np.isnan(series.values[:, :stop]).all(1).any():
            reasons[i] = (
                f"item {series.item_id!r} has {stop + num_steps} steps; holding out {num_steps} leaves no observed "
                "value to forecast from: choose a shorter --horizon, or leave the item out"
            )
            continue
        times = step_timestamps(frame, series, stop)
        rows = {frame.id_name: frame.ids.iloc[i], frame.timestamp_name: times}
        rows |= {name: series.original[c, :stop] for c, name in enumerate(frame.targets)}
        rows |= {name: series.past[c, :stop] for c, name in enumerate(frame.past_names) if name not in rows}
        tables.append(pd.DataFrame(rows))
    with frame.naming_items():
        raise_series(reasons)
    return pd.concat(tables, ignore_index=True)


def score_holdout(
    frame: Frame, predictors: Sequence[Predictor], *, horizon: int, covariates: str = "auto"
) -> list[str]:
    """Return a line per predictor and season length with the scores of the last `horizon` steps of all items.

    Parameters
    ----------
    frame
        All steps. Forecasts read the steps before the held-out ones, and the known covariates through them.
    covariates
        How covariates are used, see `Predictor.predict_df`.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for i, series in enumerate(frame):  # items that are scored together have one season length and one length
        groups.setdefault((season_length(frame.season_freq(series)), series.values.shape[1]), []).append(i)
    past = _before_last_steps(frame, horizon)
    lines = []
    for predictor in predictors:
        quantile_levels = predictor.quantile_levels or DECILES
        predicted = predictor.predict_frame(past, quantile_levels=quantile_levels, covariates=covariates)
        scores: dict[int, ForecastScore] = {}
        for (season, _), indices in groups.items():
            values = np.stack([frame.series[i].original for i in indices])
            score = scores.setdefault(season, ForecastScore(quantile_levels, season))
            score.update(values[..., -horizon:], predicted.quantiles[indices], values[..., :-horizon])
        lines += [_line(predictor.name, score.result(), horizon, season) for season, score in scores.items()]
    return lines


def whole_series(frame: Frame) -> SourceSeries:
    """Return the targets of all items, with the held-out steps, for the leak check."""
    return SourceSeries([str(series.item_id) for series in frame], [series.original for series in frame])


def _before_last_steps(frame: Frame, horizon: int) -> Frame:
    """Return the frame without its last `horizon` steps, and the covariates that are known through them."""
    series = [
        replace(
            item, values=item.values[:, :-horizon], past=item.past[:, :-horizon],
            known=item.known[:, : item.past.shape[1]], rows=item.rows[:-horizon],
        )
        for item in frame
    ]  # fmt: skip
    return replace(frame, series=series, horizon=horizon)


def _line(name: str, metrics: Mapping[str, float], horizon: int, season: int) -> str:
    """Format the scores of a predictor on the items of one season length."""
    values = "  ".join(
        f"{metric.upper()} {metrics[metric]:{form}}" if metric in metrics else f"{metric.upper()} undefined"
        for metric, form in FORMATS.items()
    )
    return f"{name:20s} {values}  ({int(metrics['windows'])} series, last {horizon} steps held out, season {season})"
