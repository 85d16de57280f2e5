"""What the recipes share: a panel of items to forecast, and the comparison of two forecasts bit for bit."""

from __future__ import annotations

import numpy as np
import pandas as pd

HORIZON = 24
KEYS = ["item_id", "timestamp"]


def make_panel(items: int, *, shards: int) -> pd.DataFrame:
    """Return hourly walks with a daily season, of 300 steps and more, and the shard of each item."""
    rng, frames = np.random.default_rng(0), []
    for item in range(items):
        steps = 300 + 7 * item
        season = 10 * np.sin(2 * np.pi * np.arange(steps) / 24)
        times = pd.date_range("2026-01-01", periods=steps, freq="h")
        values = season + rng.normal(size=steps).cumsum()
        frames.append(
            pd.DataFrame({"item_id": f"s{item:04d}", "shard": item % shards, "timestamp": times, "target": values})
        )
    return pd.concat(frames, ignore_index=True)


def compare(expected: pd.DataFrame, result: pd.DataFrame, *, name: str) -> int:
    """Print whether two forecasts have the same rows and the same bits; returns the exit status."""
    first, second = (frame.sort_values(KEYS, ignore_index=True) for frame in (expected, result))
    if [*first.columns] != [*second.columns] or len(first) != len(second):
        print(f"{name}: other rows or columns: {first.shape} and {second.shape}")
        return 1
    keys = all(first[key].tolist() == second[key].tolist() for key in [*KEYS, "target_name"])
    numbers = [column for column in first.columns if column not in [*KEYS, "target_name"]]
    left, right = (frame[numbers].to_numpy(np.float64).view(np.int64) for frame in (first, second))
    same = keys and np.array_equal(left, right)
    print(f"{name}: {len(first)} rows, {len(numbers)} columns of numbers, equal to the bit: {'yes' if same else 'no'}")
    return 0 if same else 1
