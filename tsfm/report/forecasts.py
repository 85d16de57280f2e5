"""Forecast pictures of a data set: the last test window, forecast again by the models that are at hand."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsfm.bench.predictors import find_predictor, is_baseline, is_model
from tsfm.bench.protocols.windows import load_windows
from tsfm.data.settings import DataConfig
from tsfm.report.blocks import Block, Details, Heading, Text
from tsfm.report.boards import Leaderboard
from tsfm.report.charts import forecast_chart
from tsfm.report.frame import Frame

log = logging.getLogger("tsfm")
PICTURE_LEVELS = (0.1, 0.5, 0.9)
NUM_MODELS = 3  # best models that are drawn for a data set
PAST = 2  # horizons of the past that a picture shows


class Window(NamedTuple):
    """The past and the future of one channel, and the median and the bounds of a forecast of it."""

    history: np.ndarray
    actual: np.ndarray
    median: np.ndarray
    interval: tuple[np.ndarray, np.ndarray] | None


def forecast_pictures(ranking: Leaderboard, *, num_sets: int) -> Iterator[Block]:
    """Yield pictures of the best models on the first data sets, and a remark where one cannot be drawn.

    Only protocol `windows` forecasts windows that can be drawn. A model is drawn if it is a baseline, a bundled model,
    or its directory still exists, and if the data are at hand.
    """
    if ranking.protocol != "windows" or num_sets < 1 or ranking.values.empty:
        return
    yield Heading("Forecasts", 3)
    ascending = ranking.better == "lower"
    for task in ranking.values.index[:num_sets]:
        ordered = ranking.values.loc[task].dropna().sort_values(ascending=ascending, kind="stable")
        blocks = [_picture(ranking, str(task), str(name)) for name in ordered.index[:NUM_MODELS]]
        yield Details(f"{task}: the last test window, by the {len(blocks)} best models", blocks)


def _picture(ranking: Leaderboard, task: str, competitor: str) -> Block:
    rows = ranking.rows[(ranking.rows["task"] == task) & (ranking.rows["competitor"] == competitor)]
    try:
        window = forecast_last_window(rows.iloc[-1])
    except Exception as error:  # noqa: BLE001  a picture is an addition: whatever fails, the tables are still right
        log.info("no picture of %s on %s: %s", competitor, task, error)
        return Text(
            f"{competitor}: not drawn ({str(error).splitlines()[0] if str(error) else type(error).__name__}).", "note"
        )
    return forecast_chart(*window, title=f"{competitor} on {task}")


def forecast_last_window(row: Frame) -> Window:
    """Return the last test window of a job and its forecast, of the first target.

    Parameters
    ----------
    row
        Of a results store, of protocol `windows`.

    Raises
    ------
    ValueError, OSError
        If the model or the data are not at hand.
    """
    config: dict[str, Any] = json.loads(row["config"] or "{}")
    name = config.get("predictor") or row["run_dir"]
    if not name or pd.isna(name) or not (is_baseline(name) or is_model(name)):
        raise ValueError(f"its model is not at hand ({name})")
    predictor = find_predictor(str(Path(name)) if Path(str(name)).exists() else str(name))
    context, horizon = int(row["context"]), int(row["horizon"])
    data = load_windows(DataConfig(**config["data"]), predictor, context=context, horizon=horizon)
    windows = data.windows("test")
    batch = windows.gather(np.array([len(windows) - 1]))
    targets = len(windows.targets)
    if predictor.uses_covariates and batch.role is not None:
        raise ValueError("it uses covariates, which a picture leaves out")
    values = np.where(batch.observed.numpy(), batch.values.numpy(), np.nan)[:, :targets]
    past, actual = values[:, :, :-horizon], values[0, 0, -horizon:]
    quantile_levels = predictor.quantile_levels or PICTURE_LEVELS
    quantiles = predictor.forecast(
        past, horizon=horizon, quantile_levels=quantile_levels, season_length=data.season_length, known=None
    )
    by_level = {level: np.asarray(quantiles)[0, 0, :, index] for index, level in enumerate(quantile_levels)}
    bounds = (
        (by_level[PICTURE_LEVELS[0]], by_level[PICTURE_LEVELS[2]])
        if {PICTURE_LEVELS[0], PICTURE_LEVELS[2]} <= set(by_level)
        else None
    )
    num_drawn = min(past.shape[-1], PAST * horizon)
    return Window(past[0, 0, -num_drawn:], actual, by_level[0.5], bounds)
