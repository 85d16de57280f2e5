"""The long-horizon protocol (Informer, arXiv:2012.07436) at several horizons, zero-shot.

Every window of the test part is scored, with stride 1, on values standardized by the train rows. In one pass, each
window is forecast once, over the longest horizon, and its first steps are the forecasts of shorter horizons. Windows of
a short horizon at the end of the data, which the longest horizon does not have, are forecast as far too and scored on
their own steps, so that no window of any horizon is left out. B windows, C channels, T steps of a window.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.bench.protocols.windows import check_time_features, load_windows, score_windows
from tsfm.config import compose, typed
from tsfm.data.settings import DataConfig
from tsfm.data.window_data import WindowData
from tsfm.data.windows import WindowIndex
from tsfm.infer.predictor import POINT, Predictor
from tsfm.metrics.forecast_score import ForecastScore

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def score_long(
    predictor: Predictor,
    config: DataConfig,
    *,
    horizons: Sequence[int],
    context: int,
    one_pass: bool = False,
    batch_size: int = 64,
) -> list[dict[str, Any]]:
    """Return a row per horizon: MSE and MAE of the median over all windows, steps and channels, and the window count.

    Parameters
    ----------
    horizons, context
        Numbers of steps.
    one_pass
        Forecast each window once, over the longest horizon.
    batch_size
        Windows of one call of the predictor.

    Raises
    ------
    ValueError
        If there is no horizon, a number is below 1, or the data set has no window for a horizon.
    """
    unique_horizons = sorted(set(horizons))
    if not unique_horizons or min(unique_horizons) < 1 or batch_size < 1 or context < 1:
        raise ValueError(
            f"horizons {list(horizons)}, context {context}, batch_size {batch_size}: expected at least one horizon, "
            "and at least 1 of each"
        )
    sets = {}
    for horizon in unique_horizons:
        sets[horizon] = load_windows(config, predictor, context=context, horizon=horizon)
    start = time.perf_counter()
    score = _one_pass if one_pass else _one_by_one
    metrics = score(predictor, sets, batch_size=batch_size)
    seconds = (time.perf_counter() - start) / len(unique_horizons)
    return [
        {
            "data": config.dataset,
            "horizon": horizon,
            "context": context,
            **metrics[horizon],
            "seconds": round(seconds, 2),
        }
        for horizon in unique_horizons
    ]


def _one_by_one(predictor: Predictor, sets: dict[int, WindowData], *, batch_size: int) -> dict[int, dict[str, Any]]:
    """Score each horizon by the protocol of `bench=windows`."""
    metrics = {}
    for horizon, data in sets.items():
        windows = data.windows("test", stride=1)
        result = score_windows(
            predictor,
            windows,
            horizon=horizon,
            season_length=data.season_length,
            quantile_levels=POINT,
            batch_size=batch_size,
        )
        metrics[horizon] = {name: result[name] for name in ("mse", "mae", "windows")}
    return metrics


def _one_pass(predictor: Predictor, sets: dict[int, WindowData], *, batch_size: int) -> dict[int, dict[str, Any]]:
    """Forecast each window once: window i of every horizon has the same context; shorter horizons have more windows."""
    indices = {horizon: data.windows("test", stride=1) for horizon, data in sets.items()}
    shortest, longest = min(sets), max(sets)
    first = indices[shortest]
    if len(first.count_by_series) != 1:
        raise ValueError(
            f"data set {sets[shortest].config.dataset!r} holds {len(first.count_by_series)} series; one pass is for a "
            "data set of one series with its channels: score the horizons one by one"
        )
    if predictor.uses_covariates and first.role is not None:
        raise ValueError(f"{predictor.name} gets covariates here; score the horizons one by one")
    check_time_features(predictor, first)
    scores = {horizon: ForecastScore(POINT) for horizon in sets}
    for start in range(0, len(first), batch_size):
        numbers = np.arange(start, min(start + batch_size, len(first)))
        values = _values(first, numbers)
        predicted = predictor.forecast(
            values[..., :-shortest], horizon=longest, quantile_levels=POINT, season_length=sets[shortest].season_length
        )
        for horizon, windows in indices.items():
            existing = numbers[numbers < len(windows)]
            if len(existing):
                y_true = _values(windows, existing)[..., -horizon:]
                scores[horizon].update(y_true, predicted[: len(existing), :, :horizon])
    metrics = {}
    for horizon, score in scores.items():
        result = score.result()
        if result["windows"] != len(indices[horizon]):
            raise RuntimeError(
                f"{result['windows']} windows were scored; horizon {horizon} has {len(indices[horizon])}"
            )
        metrics[horizon] = {name: result[name] for name in ("mse", "mae", "windows")}
    return metrics


def _values(windows: WindowIndex, numbers: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B C T"]:
    """Return the values of the windows; NaN is missing."""
    batch = windows.gather(numbers)
    return np.where(batch.observed.numpy(), batch.values.numpy(), np.nan)


def dataset(name: str) -> DataConfig:
    """Return the settings that `data=<name>` selects."""
    return typed(compose("eval", ["predictor=none", f"data={name}"])).data
