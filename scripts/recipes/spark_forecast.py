"""Forecast a Spark DataFrame with applyInPandas, and compare with predict_df bit for bit.

pip install pyspark    # and a Java runtime, 17 or later
python scripts/recipes/spark_forecast.py --items 40
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import pandas as pd
import torch
from comparison import HORIZON, compare, make_panel

import tsfm

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
MODEL = "tsfm-mini"
loaded: dict[str, Any] = {}  # of one worker: a model is loaded once for all shards that it forecasts


def forecast(shard: pd.DataFrame) -> pd.DataFrame:
    """Forecast the items of one shard, in a worker of Spark."""
    if MODEL not in loaded:
        torch.set_num_threads(1)  # Spark runs one worker for each core
        loaded[MODEL] = tsfm.load(MODEL)
    # batch_size=1: forecasts do not depend on which items share a shard, to the bit; the default is faster
    return loaded[MODEL].predict_df(shard.drop(columns="shard"), HORIZON, batch_size=1)


def main() -> int:
    """Return 0 where both forecasts are the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--shards", type=int, default=8)
    options = parser.parse_args()
    from pyspark.sql import SparkSession

    panel = make_panel(options.items, shards=options.shards)
    expected = forecast(panel)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.session.timeZone", "UTC")  # timestamps without zone stay as they are
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    schema = spark.createDataFrame(expected.head(1)).schema
    table = spark.createDataFrame(panel)
    result = table.groupBy("shard").applyInPandas(forecast, schema=schema).toPandas()
    spark.stop()
    return compare(expected, result, name="Spark applyInPandas")


if __name__ == "__main__":
    sys.exit(main())
