"""Forecast a Ray dataset with map_batches, and compare with predict_df bit for bit.

pip install 'ray[data]'
python scripts/recipes/ray_forecast.py --items 40
"""

from __future__ import annotations

import argparse
import sys

import pandas as pd
import torch
from comparison import HORIZON, compare, make_panel

import tsfm

MODEL = "tsfm-mini"


class Forecast:
    """A worker of Ray: it loads the model once, and forecasts one shard of the items after another."""

    def __init__(self) -> None:
        torch.set_num_threads(1)  # Ray runs one worker for each core
        self.model = tsfm.load(MODEL)

    def __call__(self, shard: pd.DataFrame) -> pd.DataFrame:
        """Return the forecasts of the items of one shard."""
        # batch_size=1: forecasts do not depend on which items share a shard, to the bit; the default is faster
        return self.model.predict_df(shard.drop(columns="shard"), HORIZON, batch_size=1)


def main() -> int:
    """Return 0 where both forecasts are the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    import ray
    import ray.data

    panel = make_panel(options.items, shards=options.shards)
    expected = Forecast()(panel)
    ray.init(num_cpus=options.workers, include_dashboard=False)
    # one block for each shard, so that batch_size=None gives a worker whole items
    shards = ray.data.from_pandas([shard for _, shard in panel.groupby("shard")])
    result = shards.map_batches(
        Forecast, batch_format="pandas", batch_size=None, concurrency=options.workers
    ).to_pandas()
    ray.shutdown()
    return compare(expected, result, name="Ray map_batches")


if __name__ == "__main__":
    sys.exit(main())
