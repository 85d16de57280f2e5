"""The simple forecasters under the GIFT-Eval protocol come to the published numbers (MASE, CRPS), digit for digit."""

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
PARTS = {"seasonal_naive": SeasonalNaive, "naive": LastValue}


def long(frame: pd.DataFrame) -> list[np.ndarray]:
    return [part["target"].to_numpy()[None] for _, part in frame.groupby("item_id", sort=False, observed=True)]


def wide(frame: pd.DataFrame) -> list[np.ndarray]:
    return [frame.to_numpy(np.float32).T]


def clock(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop_duplicates("timestamp").set_index("timestamp")


CONFIGS = {  # transform, as gift_at_hand.csv names it
    "m4_hourly/H/short": long,
    "hospital/M/short": long,
    "saugeen/D/short": long,
    "ett1/H/short": lambda frame: wide(clock(frame).resample("h").sum()),
    "ett1/15T/short": lambda frame: wide(clock(frame)),
    "jena_weather/10T/short": lambda frame: wide(clock(frame).asfreq("10min")),  # its gap is NaN
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("config", CONFIGS)
def test_published_numbers(config, name):
    anchors = ROOT.parent / "anchors"
    if not (anchors / "gift_at_hand.csv").is_file() or not (ROOT / "forecasting").is_dir():
        pytest.skip(f"no data or no anchors at {ROOT}; name the data folder in TSFM_DATA")
    rule = pd.read_csv(anchors / "gift_at_hand.csv").set_index("config").loc[config]
    published = pd.read_csv(anchors / "gift_eval_per_config.csv").set_index(["config", "model"]).loc[(config, name)]
    horizon, season, windows = int(rule["prediction_length"]), int(rule["seasonality"]), int(rule["windows"])
    series = CONFIGS[config](pd.read_parquet(ROOT / "forecasting" / rule["file"]))
    assert sum(len(one) for one in series) == rule["series"]
    score = ForecastScore(DECILES, season)
    for one in series:
        for first in range(one.shape[-1] - windows * horizon, one.shape[-1], horizon):
            context = one[None, :, :first]
            reads = PARTS[name]().forecast(context, horizon=horizon, quantile_levels=DECILES, season_length=season)
            score.update(one[None, :, first : first + horizon], reads, context)
    found = score.result()
    assert found["windows"] == windows * len(series)
    assert found["mase"] == pytest.approx(published["MASE"], abs=1.01e-5)
    assert found["wql"] == pytest.approx(published["CRPS"], abs=1.01e-5)
