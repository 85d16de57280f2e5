"""How a predictor is scored: windows in, forecasts out, every window once. B batch, C channels, L context, H horizon.

The predictor is handed the context alone, so no protocol can show it the answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from tsfm.data.windows import WindowIndex
from tsfm.infer.predictor import Predictor
from tsfm.metrics.forecast import ForecastScore, check_levels
from tsfm.registry import closest, schema

SPLITS = ("train", "val", "test")
METRICS = ("mse", "mae", "smape", "mase", "wql", "coverage", "width")  # what an experiment can make claims about


# Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
@schema("bench", "windows")
@dataclass
class WindowsConfig:
    """Every window of a split, in the units of the data set (standardised where the data config says so): the
    long-horizon protocol (Informer, arXiv:2012.07436), with no window dropped."""

    name: str = "windows"
    split: str = "test"  # train | val | test
    stride: Optional[int] = None  # noqa: UP045  steps from one window to the next; null: 1, or horizons for last_horizon
    season: Optional[int] = None  # noqa: UP045  of MASE and the seasonal baselines; null: the data's own
    levels: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    batch_size: int = 512

    def __post_init__(self):
        if self.split not in SPLITS:
            raise ValueError(f"bench.split is {self.split!r}; {closest(self.split, list(SPLITS))}")
        if (self.stride is not None and self.stride < 1) or self.batch_size < 1:
            raise ValueError(f"bench.stride {self.stride} and bench.batch_size {self.batch_size} must be at least 1")
        if self.season is not None and self.season < 1:
            raise ValueError(f"bench.season is {self.season}; it is a number of steps, at least 1")
        try:
            check_levels(self.levels)
        except ValueError as error:
            raise ValueError(f"bench.levels: {error}") from None


def score_windows(
    predictor: Predictor, windows: WindowIndex, *, horizon: int, season: int, levels: tuple[float, ...], batch_size: int
) -> dict[str, Any]:
    """Metrics over all windows of the index, the number scored, and seconds; refuses to report when a window was
    lost."""
    begun = time.perf_counter()
    score = ForecastScore(levels, season)
    for first in range(0, len(windows), batch_size):
        batch = windows.gather(np.arange(first, min(first + batch_size, len(windows))))
        values = np.where(batch.observed.numpy(), batch.values.numpy(), np.nan)
        context, target = values[..., :-horizon], values[..., -horizon:]
        quantiles = predictor.forecast(context, horizon=horizon, levels=levels, season=season)
        score.update(target, quantiles, context)
    result = score.result()
    scored = int(result["windows"])
    if scored != len(windows):
        raise RuntimeError(f"{scored} windows were scored; the split holds {len(windows)}")
    return result | {"seconds": round(time.perf_counter() - begun, 2)}
