"""How a predictor is scored: windows in, forecasts out, every window once. B batch, C channels, L context, H horizon.

The predictor is handed the context of the targets, and of covariates what is known: no protocol can show it the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from tsfm.data.windows import WindowIndex
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.metrics.forecast import ForecastScore, check_quantile_levels, seasonal_error
from tsfm.registry import schema
from tsfm.types import PAST

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
            raise ValueError(f"bench.split is {self.split!r}; {did_you_mean(self.split, list(SPLITS))}")
        if (self.stride is not None and self.stride < 1) or self.batch_size < 1:
            raise ValueError(f"bench.stride {self.stride} and bench.batch_size {self.batch_size} must be at least 1")
        if self.season is not None and self.season < 1:
            raise ValueError(f"bench.season is {self.season}; it is a number of steps, at least 1")
        try:
            check_quantile_levels(self.levels)
        except ValueError as error:
            raise ValueError(f"bench.levels: {error}") from None


CELLS = 2**22  # numbers a predictor may answer at once: windows x channels x horizon x levels


def insample_scale(windows: WindowIndex, season: int) -> np.ndarray:
    """MASE's scale of every series and target, [N, C]: the seasonal naive error over all rows before the first target
    of the split (Hyndman & Koehler 2006), so that it does not depend on a model's context."""
    flat, picked = windows.flat, [windows.flat.channels.index(channel) for channel in windows.targets]
    scale = np.full((len(flat), len(picked)), np.nan)
    for i in np.flatnonzero(windows.count_by_series):
        stop = int(windows.spans.target[i]) or int(windows.spans.stop[i])
        scale[i] = seasonal_error(flat.series(int(i))[picked, :stop].astype(np.float64), season)
    unit = windows.standardizer
    if unit is not None:
        scale /= unit.scale[[unit.channels.index(channel) for channel in windows.targets]]
    return scale


def check_marks(predictor: Predictor, windows: WindowIndex) -> None:
    """A predictor that uses covariates must get the time features that it was trained with."""
    found = windows.calendar.fields if windows.calendar is not None else ()
    if predictor.uses_covariates and tuple(found) != predictor.time_features:
        raise ValueError(
            f"{predictor.name} was trained with the time features {', '.join(predictor.time_features) or 'none'}; the "
            f"windows have {', '.join(found) or 'none'}: leave data.calendar out, or set it as in training"
        )


def score_windows(
    predictor: Predictor, windows: WindowIndex, *, horizon: int, season: int, levels: tuple[float, ...], batch_size: int
) -> dict[str, Any]:
    """Metrics over all windows of the index and the number scored; refuses to report when a window was lost. Windows
    whose context shows nothing in some target can't be forecast by anybody: they are left out and counted."""
    score, targets = ForecastScore(levels, season), len(windows.targets)
    check_marks(predictor, windows)
    scale, empty = insample_scale(windows, season), 0
    batch_size = min(batch_size, max(1, CELLS // (targets * horizon * len(levels))))
    for first in range(0, len(windows), batch_size):
        batch = windows.gather(np.arange(first, min(first + batch_size, len(windows))))
        values = np.where(batch.observed.numpy(), batch.values.numpy(), np.nan)
        context, target = values[:, :targets, :-horizon], values[:, :targets, -horizon:]
        shown = np.isfinite(context).any(-1).all(-1)
        empty += int((~shown).sum())
        if not shown.any():
            continue
        known = None
        if predictor.uses_covariates and batch.role is not None:
            known = values[shown, targets:]
            known[:, batch.role[0, targets:].numpy() == PAST, -horizon:] = np.nan
        quantiles = predictor.forecast(
            context[shown], horizon=horizon, quantile_levels=levels, season_length=season, known=known
        )
        assert batch.key is not None
        score.update(target[shown], quantiles, scale=scale[batch.key[:, 0].numpy()[shown]])
    result = score.result()
    if (scored := int(result["windows"])) + empty != len(windows):
        raise RuntimeError(f"{scored} windows were scored and {empty} are empty; the split holds {len(windows)}")
    return result | {"windows_without_context": empty}
