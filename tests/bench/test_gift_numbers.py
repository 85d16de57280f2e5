"""Simple forecasters reproduce the published MASE and CRPS of GIFT-Eval."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsfm.bench.baselines.simple import LastValue, SeasonalNaive
from tsfm.metrics.forecast_score import ForecastScore

ROOT = Path(os.environ.get("TSFM_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
DECILES = tuple(k / 10 for k in range(1, 10))
FORECASTERS = {"seasonal_naive": SeasonalNaive, "naive": LastValue}


def long(frame: pd.DataFrame) -> list[np.ndarray]:
    return [item["target"].to_numpy()[None] for _, item in frame.groupby("item_id", sort=False, observed=True)]


def wide(frame: pd.DataFrame) -> list[np.ndarray]:
    return [frame.to_numpy(np.float32).T]


def by_timestamp(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop_duplicates("timestamp").set_index("timestamp")


CONFIGS = {  # transform, as gift_at_hand.csv names it
    "m4_hourly/H/short": long,
    "hospital/M/short": long,
    "saugeen/D/short": long,
    "ett1/H/short": lambda frame: wide(by_timestamp(frame).resample("h").sum()),
    "ett1/15T/short": lambda frame: wide(by_timestamp(frame)),
    "jena_weather/10T/short": lambda frame: wide(by_timestamp(frame).asfreq("10min")),  # its gap is NaN
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("config", CONFIGS)
def test_published_numbers(config, name):
    anchors = ROOT.parent / "anchors"
    if not (anchors / "gift_at_hand.csv").is_file() or not (ROOT / "forecasting").is_dir():
        pytest.skip(f"no data or no anchors at {ROOT}; name the data folder in TSFM_DATA")
    rule = pd.read_csv(anchors / "gift_at_hand.csv").set_index("config").loc[config]
    published = pd.read_csv(anchors / "gift_eval_per_config.csv").set_index(["config", "model"]).loc[(config, name)]
    horizon, season, windows = int(rule["prediction_length"]), int(rule["seasonality"]), int(rule["windows"])
    series = CONFIGS[config](pd.read_parquet(ROOT / "forecasting" / rule["file"]))
    assert sum(len(values) for values in series) == rule["series"]
    score = ForecastScore(DECILES, season)
    for values in series:
        for first in range(values.shape[-1] - windows * horizon, values.shape[-1], horizon):
            context = values[None, :, :first]
            quantiles = FORECASTERS[name]().forecast(
                context, horizon=horizon, quantile_levels=DECILES, season_length=season
            )
            score.update(values[None, :, first : first + horizon], quantiles, context)
    metrics = score.result()
    assert metrics["windows"] == windows * len(series)
    assert metrics["mase"] == pytest.approx(published["MASE"], abs=1.01e-5)
    assert metrics["wql"] == pytest.approx(published["CRPS"], abs=1.01e-5)
