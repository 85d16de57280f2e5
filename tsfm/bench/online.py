"""Online forecasting along a series, prequentially: forecast, score, learn, step by step; no window is left out.

The split is that of FSNet and OneNet (arXiv:2309.12659): the first 20 months of the ETT sets, or all rows of another
set; the first fifth is for training, and windows begin after a quarter. Values are standardized by that fifth. Members
forecast each window once, over the longest horizon, and the first steps are the forecasts of shorter horizons.

C channels, H horizon, L steps, M members, O origins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.data.settings import DataConfig
from tsfm.ensemble.combination import Combination, GivenAnswer, replay_answers
from tsfm.ensemble.online import Online
from tsfm.ensemble.online_weights import OnlineWeights
from tsfm.infer.predictor import POINT, Predictor
from tsfm.store.catalog import resolve
from tsfm.timestamps.offsets import season_length

if TYPE_CHECKING:
    from jaxtyping import Float

TRAIN_SHARE, FIRST_SHARE = 0.2, 0.25
ETT_MONTHS = 20  # of 30 days
STEPS_PER_DAY = {"etth": 24, "ettm": 96}  # by the first letters of a set
# cumulative MSE at horizons 1, 24 and 48 with immediate feedback, from the table in the repository of OneNet
PUBLISHED: dict[str, dict[str, tuple[float, float, float]]] = {
    "etth2": {
        "OneNet": (0.380, 0.532, 0.609),
        "OneNet-TCN": (0.411, 0.772, 0.806),
        "FSNet": (0.466, 0.687, 0.846),
        "PatchTST online": (0.362, 1.622, 2.716),
    },
    "ettm1": {
        "OneNet": (0.082, 0.098, 0.108),
        "OneNet-TCN": (0.082, 0.212, 0.223),
        "FSNet": (0.085, 0.115, 0.127),
        "PatchTST online": (0.083, 0.427, 0.553),
    },
}
PUBLISHED_HORIZONS = (1, 24, 48)


class OnlineSeries(NamedTuple):
    """A standardized series, its season in steps, and the first origin."""

    values: Float[np.ndarray, "C L"]
    season_length: int
    first: int


def online_series(name: str, config: DataConfig) -> OnlineSeries:
    """Return the series of a data set of one item, as far as the benchmark uses it.

    Raises
    ------
    ValueError
        If the data set has several items.
    """
    store = resolve(config.dataset)
    if len(store) != 1:
        raise ValueError(f"data set {name!r} holds {len(store)} items; online forecasting is scored along one series")
    values = store.read(0).astype(np.float64)
    per_day = next((steps for start, steps in STEPS_PER_DAY.items() if name.startswith(start)), None)
    if per_day is not None:
        values = values[:, : ETT_MONTHS * 30 * per_day]
    num_train = round(values.shape[1] * TRAIN_SHARE)
    train = values[:, :num_train]
    scale = np.nanstd(train, axis=1, keepdims=True)
    values = (values - np.nanmean(train, axis=1, keepdims=True)) / np.where(scale > 0, scale, 1.0)
    return OnlineSeries(values, season_length(store.freqs[0]), round(values.shape[1] * FIRST_SHARE))


def member_forecasts(
    predictors: Sequence[Predictor], series: OnlineSeries, *, horizon: int, last: int, context: int, batch_size: int
) -> Float[np.ndarray, "M O C H"]:
    """Return the medians of each predictor after every origin from the first to `last`."""
    origins = range(series.first, last + 1)
    forecasts = np.empty((len(predictors), len(origins), len(series.values), horizon), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series.values, context, axis=1)  # [C, starts, context]
    for begin in range(0, len(origins), batch_size):
        starts = np.array(origins[begin : begin + batch_size]) - context
        contexts = windows[:, starts].transpose(1, 0, 2).astype(np.float32)
        for member, predictor in enumerate(predictors):
            forecasts[member, begin : begin + len(starts)] = predictor.forecast(
                contexts, horizon=horizon, quantile_levels=POINT, season_length=series.season_length
            )[..., 0]
    return forecasts


def score_online(
    predictors: Mapping[str, Predictor],
    series: OnlineSeries,
    *,
    horizons: Sequence[int],
    context: int,
    memory: float,
    batch_size: int = 64,
) -> list[dict[str, Any]]:
    """Return a row per horizon and kind of forecast with its MSE and MAE over all windows, steps and channels.

    The kinds: each member, their mean, and the weighted mean with delayed and immediate feedback, each without and with
    the short-term weights.

    Raises
    ------
    ValueError
        If a number is below 1, or the series is shorter than context and horizon need.
    """
    if min(*horizons, context, batch_size, 1) < 1 or context > series.first:
        raise ValueError(
            f"horizons {list(horizons)}, context {context}, batch_size {batch_size}: expected at least 1 of each, and "
            f"a context of at most {series.first} steps, which lie before the first window"
        )
    last = series.values.shape[1] - min(horizons)
    forecasts = member_forecasts(
        list(predictors.values()), series, horizon=max(horizons), last=last, context=context, batch_size=batch_size
    )
    rows = []
    for horizon in sorted(set(horizons)):
        count = last + min(horizons) - horizon - series.first + 1
        of_horizon = forecasts[:, :count, :, :horizon]
        for name, member in zip(predictors, of_horizon, strict=True):
            rows.append({"horizon": horizon, "kind": name, **errors(member, series)})
        rows.append({"horizon": horizon, "kind": "mean of the members", **errors(of_horizon.mean(axis=0), series)})
        for feedback in ("delayed", "immediate"):
            for steps in (None, memory):
                weighted = combined(of_horizon, series, feedback=feedback, memory=steps)
                kind = f"{feedback} feedback" + ("" if steps is None else ", short-term weights")
                rows.append({"horizon": horizon, "kind": kind, **errors(weighted, series)})
    return rows


def combined(
    forecasts: Float[np.ndarray, "M O C H"], series: OnlineSeries, *, feedback: str, memory: float | None
) -> Float[np.ndarray, "O C H"]:
    """Return the weighted mean of the members at every origin; the weights learn the squared error."""
    num_members, num_origins, num_channels, _ = forecasts.shape
    weights = OnlineWeights(num_channels=num_channels, num_members=num_members, memory=memory)
    combination = Combination(weights, POINT, loss="squared", rule="gradient")
    stream = ((series.first + i, forecasts[:, i, :, :, None].astype(np.float64)) for i in range(num_origins))
    answers = replay_answers(combination, stream, lambda begin, end: series.values[:, begin:end], feedback=feedback)
    return np.stack([answer.quantiles[..., 0] for answer in answers])


def adapted(
    predictors: Mapping[str, Predictor],
    series: OnlineSeries,
    *,
    horizon: int,
    context: int,
    feedback: str,
    memory: float | None,
    rate: float,
) -> dict[str, Any]:
    """Return MSE and MAE with one more member, a copy of the first one whose head adapts at every step."""
    first, *others = predictors.values()
    online = Online(
        first, prediction_length=horizon, members=others, adapt="head", adapt_rate=rate, memory=memory,
        quantile_levels=POINT, season_length=series.season_length, context_length=context, loss="squared",
    )  # fmt: skip
    begin = series.first - context - horizon  # what is before has no effect on a forecast
    answers: Iterator[GivenAnswer] = online.replay(series.values[:, begin:], first=context + horizon, feedback=feedback)
    median = online.members.quantile_levels.index(0.5)
    return errors(np.stack([answer.quantiles[..., median] for answer in answers]), series)


def errors(predicted: Float[np.ndarray, "O C H"], series: OnlineSeries) -> dict[str, Any]:
    """Return MSE and MAE over all origins, channels and steps that are observed, and the number of windows."""
    horizon = predicted.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(series.values[:, series.first :], horizon, axis=1)
    difference = predicted - windows[:, : len(predicted)].transpose(1, 0, 2)
    return {
        "mse": float(np.nanmean(difference**2)),
        "mae": float(np.nanmean(np.abs(difference))),
        "windows": len(predicted),
    }
