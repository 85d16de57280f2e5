"""Forecasts over the windows of a data set, every window once. B batch, C channels, L context, H horizon.

The predictor gets the context of the targets, and of covariates what is known: no protocol can show it the future.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from tsfm.bench.predictors import find_predictor, pick_device, with_trained_columns
from tsfm.bench.protocol import Protocol
from tsfm.bench.run_scores import score_other_task
from tsfm.config import EvalConfig
from tsfm.data.base import SourceSeries
from tsfm.data.settings import DataConfig
from tsfm.data.window_data import WindowData
from tsfm.data.windows import WindowIndex
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.predictor import Predictor
from tsfm.messages import did_you_mean
from tsfm.metrics.forecast import check_quantile_levels, seasonal_error
from tsfm.metrics.forecast_score import ForecastScore
from tsfm.metrics.metric import forecast_metrics
from tsfm.registry import DATA_MODULES, PROTOCOLS
from tsfm.training.training_run import TrainedRun
from tsfm.types import PAST

log = logging.getLogger("tsfm")
SPLITS = ("train", "val", "test")
MAX_VALUES = 2**22  # quantiles in one batch of forecasts: windows x channels x horizon x levels


@PROTOCOLS("windows")
class WindowProtocol(Protocol):
    """Every window of a split, in the units of the data set (standardized where the data settings say so).

    This is the long-horizon protocol (Informer, arXiv:2012.07436) with no window dropped.
    """

    # Optional[...], not `X | None`: OmegaConf resolves the hints of structured configs on Python 3.10.
    @dataclass
    class Config:
        """Settings of bench=windows."""

        split: str = "test"  # train | val | test
        stride: Optional[int] = None  # noqa: UP045  steps between windows; null: 1, or horizons for last_horizon
        season: Optional[int] = None  # noqa: UP045  of MASE and the seasonal baselines; null: that of the data
        quantile_levels: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
        batch_size: int = 512

        def __post_init__(self):
            if self.split not in SPLITS:
                raise ValueError(f"bench.split is {self.split!r}; {did_you_mean(self.split, list(SPLITS))}")
            if (self.stride is not None and self.stride < 1) or self.batch_size < 1:
                raise ValueError(
                    f"bench.stride {self.stride} and bench.batch_size {self.batch_size} must be at least 1"
                )
            if self.season is not None and self.season < 1:
                raise ValueError(f"bench.season is {self.season}; it is a number of steps, at least 1")
            try:
                check_quantile_levels(self.quantile_levels)
            except ValueError as error:
                raise ValueError(f"bench.quantile_levels: {error}") from None

    tasks = ("forecast", "pretrain", "detect")
    uses = ("context", "horizon")

    @property
    def metrics(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return the registered forecast metrics."""
        return tuple(metric.name for metric in forecast_metrics())

    def load_predictor(self, config: EvalConfig) -> Predictor:
        """Return a forecaster; one that cannot forecast is refused."""
        if DATA_MODULES.component_of(config.data).labelled:
            raise ValueError(f"data set {config.data.dataset!r} holds labelled cases; score them by bench=cases")
        predictor = find_predictor(config.predictor)
        predictor.check_forecasts()
        predictor.to(pick_device(config.device))
        return predictor

    def load_data(self, config: EvalConfig, predictor: Predictor) -> WindowData:
        """Return the data set in windows of the given context and horizon, by default those of the model."""
        context = config.context or predictor.trained_context_length
        horizon = config.horizon or predictor.max_horizon
        if context is None or horizon is None:
            raise ValueError(
                f"{config.predictor} has no context and horizon of its own; give context=336 horizon=96, say"
            )
        return load_windows(config.data, predictor, context=context, horizon=horizon)

    def scored_series(self, data: WindowData) -> SourceSeries:
        """Return every series of the store, with timestamps and fingerprints."""
        return data.source_series()

    def score(self, predictor: Predictor, data: WindowData) -> dict[str, Any]:
        """Return the metrics over all windows of the split, and everything that decides them."""
        config, own = self.config, predictor.quantile_levels
        quantile_levels = tuple(config.quantile_levels) if own is None else own
        windows = data.windows(config.split, stride=config.stride)
        check_not_empty(windows, data, config.split)
        if windows.skipped:
            item, reason = windows.skipped[0]
            log.info("left out of %s: %d series, such as %s (%s)", config.split, len(windows.skipped), item, reason)
        season_length = config.season or data.season_length
        metrics = score_windows(
            predictor,
            windows,
            horizon=data.horizon,
            season_length=season_length,
            quantile_levels=quantile_levels,
            batch_size=config.batch_size,
        )
        covariates = list(data.layout.covariates) if predictor.uses_covariates else []
        result = metrics | {
            "split": config.split,
            "context": data.context,
            "horizon": data.horizon,
            "season": season_length,
            "standardized": data.standardizer is not None,
            "targets": list(windows.targets),
            **({"covariates": covariates} if covariates else {}),
            "quantile_levels": list(quantile_levels),
            "skipped_series": len(windows.skipped),
            "skipped": [item for item, _ in windows.skipped[:5]],
            "fingerprint": data.fingerprint,
        }
        fallbacks = getattr(predictor, "fallbacks", None)  # of statistical baselines
        return result | ({"fallbacks": dict(fallbacks)} if fallbacks else {})

    def score_run(self, run: TrainedRun, *, name: str) -> dict[str, Any]:
        """Score the forecasts of a run of task=forecast; other tasks have protocols or reports of their own."""
        if run.task.name != "forecast":
            return score_other_task(run, split=self.config.split, name=name)
        device = str(next(run.model.parameters()).device)
        return self.score(ModelPredictor(run.model, name=name, about=run.about, device=device), run.data)


def load_windows(
    config: DataConfig, predictor: Predictor, *, context: int, horizon: int, covariates: bool = True
) -> WindowData:
    """Return a data set in windows, with the columns of the predictor's training where the settings name none."""
    data = WindowData(config, context=context, horizon=horizon, covariates=covariates)
    data.config = with_trained_columns(config, predictor, stored=data.store.channels)
    data.setup()
    return data


def check_not_empty(windows: WindowIndex, data: WindowData, split: str) -> None:
    """Raise a ValueError if the split has no window."""
    if not len(windows):
        raise ValueError(
            f"data set {data.config.dataset!r}: data.split={data.config.split} makes no {split} part to score; "
            "choose another data.split or bench.split"
        )


def insample_scale(windows: WindowIndex, season_length: int) -> np.ndarray:
    """Return the scale of MASE of every series and target, [series, channels].

    It is the seasonal naive error over all rows before the first target of the split (Hyndman & Koehler 2006), and so
    does not depend on a model's context.
    """
    flat, indices = windows.flat, [windows.flat.channels.index(channel) for channel in windows.targets]
    scale = np.full((len(flat), len(indices)), np.nan)
    for i in np.flatnonzero(windows.count_by_series):
        stop = int(windows.spans.target[i]) or int(windows.spans.stop[i])
        scale[i] = seasonal_error(flat.series(int(i))[indices, :stop].astype(np.float64), season_length)
    standardizer = windows.standardizer
    if standardizer is not None:
        scale /= standardizer.scale[[standardizer.channels.index(channel) for channel in windows.targets]]
    return scale


def check_time_features(predictor: Predictor, windows: WindowIndex) -> None:
    """Raise a ValueError unless a predictor that uses covariates gets the time features of its training."""
    fields = tuple(windows.time_features.fields) if windows.time_features is not None else ()
    if predictor.uses_covariates and fields != predictor.time_features:
        raise ValueError(
            f"{predictor.name} was trained with the time features {', '.join(predictor.time_features) or 'none'}; the "
            f"windows have {', '.join(fields) or 'none'}: leave data.time_features out, or set it as in training"
        )


def score_windows(
    predictor: Predictor,
    windows: WindowIndex,
    *,
    horizon: int,
    season_length: int,
    quantile_levels: tuple[float, ...],
    batch_size: int,
) -> dict[str, Any]:
    """Return the metrics over all windows of an index, and their counts.

    Windows whose context has no observed value in some target cannot be forecast: they are left out and counted.

    Raises
    ------
    RuntimeError
        If a window was lost.
    """
    score, num_targets = ForecastScore(quantile_levels, season_length), len(windows.targets)
    check_time_features(predictor, windows)
    scale, num_empty = insample_scale(windows, season_length), 0
    batch_size = min(batch_size, max(1, MAX_VALUES // (num_targets * horizon * len(quantile_levels))))
    for first in range(0, len(windows), batch_size):
        batch = windows.gather(np.arange(first, min(first + batch_size, len(windows))))
        values = np.where(batch.observed.numpy(), batch.values.numpy(), np.nan)
        context, target = values[:, :num_targets, :-horizon], values[:, :num_targets, -horizon:]
        observed = np.isfinite(context).any(-1).all(-1)
        num_empty += int((~observed).sum())
        if not observed.any():
            continue
        known = None
        if predictor.uses_covariates and batch.role is not None:
            known = values[observed, num_targets:]
            known[:, batch.role[0, num_targets:].numpy() == PAST, -horizon:] = np.nan
        quantiles = predictor.forecast(
            context[observed],
            horizon=horizon,
            quantile_levels=quantile_levels,
            season_length=season_length,
            known=known,
        )
        assert batch.key is not None
        score.update(target[observed], quantiles, scale=scale[batch.key[:, 0].numpy()[observed]])
    result = score.result()
    if (num_scored := int(result["windows"])) + num_empty != len(windows):
        raise RuntimeError(
            f"{num_scored} windows were scored and {num_empty} are empty; the split holds {len(windows)}"
        )
    return result | {"windows_without_context": num_empty}
