"""The long-horizon protocol (Informer, arXiv:2012.07436) at several horizons, zero-shot: every window of the test part,
stride 1, on values standardised by the train rows.

In one pass, each window is forecast once, over the longest horizon, and its first steps answer the shorter ones. A
window of a short horizon near the end of the data, after which there are not that many steps, is forecast as far all
the same and scored by its own steps, so that no window of any horizon is left out. B windows, C channels, H horizon.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.bench.protocols.windows import check_time_features, load_windows, score_windows
from tsfm.config import compose, typed
from tsfm.data.settings import DataConfig
from tsfm.data.window_data import WindowData
from tsfm.infer.predictor import POINT, Predictor
from tsfm.metrics.forecast_score import ForecastScore


def score_long(
    predictor: Predictor,
    config: DataConfig,
    *,
    horizons: Sequence[int],
    context: int,
    one_pass: bool = False,
    batch_size: int = 64,
) -> list[dict[str, Any]]:
    """A row per horizon: MSE and MAE of the median over all windows, steps and channels, and the number of windows."""
    wanted = sorted(set(horizons))
    if not wanted or min(wanted) < 1 or batch_size < 1 or context < 1:
        raise ValueError(
            f"horizons {list(horizons)}, context {context}, batch_size {batch_size}: expected at least one horizon, "
            "and at least 1 of each"
        )
    sets = {}
    for horizon in wanted:
        sets[horizon] = load_windows(config, predictor, context=context, horizon=horizon)
    begun = time.perf_counter()
    score = _one_pass if one_pass else _one_by_one
    found = score(predictor, sets, batch_size=batch_size)
    seconds = (time.perf_counter() - begun) / len(wanted)
    return [
        {"data": config.dataset, "horizon": horizon, "context": context, **found[horizon], "seconds": round(seconds, 2)}
        for horizon in wanted
    ]


def _one_by_one(predictor: Predictor, sets: dict[int, WindowData], *, batch_size: int) -> dict[int, dict[str, Any]]:
    """Each horizon by the protocol of `bench=windows`."""
    found = {}
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
        found[horizon] = {name: result[name] for name in ("mse", "mae", "windows")}
    return found


def _one_pass(predictor: Predictor, sets: dict[int, WindowData], *, batch_size: int) -> dict[int, dict[str, Any]]:
    """Each window once: window i of every horizon has the same context, and shorter horizons have more windows."""
    indices = {horizon: data.windows("test", stride=1) for horizon, data in sets.items()}
    shortest, longest = min(sets), max(sets)
    first = indices[shortest]
    if len(first.count_by_series) != 1:
        raise ValueError(
            f"data set {sets[shortest].config.dataset!r} holds {len(first.count_by_series)} series; one pass is for a "
            "data set of one series with its channels: score the horizons one by one"
        )
    if predictor.uses_covariates and first.role is not None:
        raise ValueError(f"{predictor.name} is given covariates here; score the horizons one by one")
    check_time_features(predictor, first)
    scores = {horizon: ForecastScore(POINT) for horizon in sets}
    for begin in range(0, len(first), batch_size):
        numbers = np.arange(begin, min(begin + batch_size, len(first)))
        values = _values(first, numbers)
        reads = predictor.forecast(
            values[..., :-shortest], horizon=longest, quantile_levels=POINT, season_length=sets[shortest].season_length
        )
        for horizon, windows in indices.items():
            there = numbers[numbers < len(windows)]
            if len(there):
                truth = _values(windows, there)[..., -horizon:]
                scores[horizon].update(truth, reads[: len(there), :, :horizon])
    found = {}
    for horizon, score in scores.items():
        result = score.result()
        if result["windows"] != len(indices[horizon]):
            raise RuntimeError(
                f"{result['windows']} windows were scored; horizon {horizon} has {len(indices[horizon])}"
            )
        found[horizon] = {name: result[name] for name in ("mse", "mae", "windows")}
    return found


def _values(windows: Any, numbers: np.ndarray) -> np.ndarray:
    """[B, C, T] with NaN where nobody observed."""
    batch = windows.gather(numbers)
    return np.where(batch.observed.numpy(), batch.values.numpy(), np.nan)


def dataset(name: str) -> DataConfig:
    """The settings of a data set of the field, as `data=<name>` chooses them."""
    return typed(compose("eval", ["predictor=none", f"data={name}"])).data
