"""Scores of windows whose best forecast is known.

N windows, C channels, K scored channels, L past steps, H horizon.

The expected squared error of a forecast f of a future y with the conditional mean m is E(y - m)^2 + (f - m)^2. The
first term is the optimum, which no forecaster goes below; the second is the excess. It is measured as the squared
distance from f to m itself, which has far less noise than the difference of two mean squared errors.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from tsfm.fingerprint import fingerprint
from tsfm.infer.predictor import POINT, Predictor
from tsfm.metrics.dynamics import spectral_distance, state_space_divergence
from tsfm.synthetic.known import draw_known, kind_generator
from tsfm.synthetic.known_base import KnownKind, KnownWindows

ORACLE = "oracle"
NUM_FREE_RUNS = 4  # windows of a kind whose free run is compared with the true trajectory


class Forecaster(Protocol):
    """Forecasts windows of known series."""

    @property
    def name(self) -> str:
        """Return its name in tables."""
        ...

    def forecast(self, windows: KnownWindows, *, season_length: int) -> Tensor:
        """Return point forecasts [N, C, H], float64."""
        ...


class Oracle:
    """The equations that generated the windows; its excess is 0, and its error is the optimum up to chance."""

    name = ORACLE

    def forecast(self, windows: KnownWindows, *, season_length: int) -> Tensor:
        """Return the exact conditional means."""
        del season_length
        return windows.forecast


@dataclass(frozen=True)
class PointForecaster:
    """The medians of a predictor, all channels of a window at once."""

    predictor: Predictor
    batch_size: int

    @property
    def name(self) -> str:
        """Return the name of the predictor."""
        return self.predictor.name

    def forecast(self, windows: KnownWindows, *, season_length: int) -> Tensor:
        """See `Forecaster.forecast`."""
        predicted = self.predictor.predict(
            windows.context.numpy(),
            prediction_length=windows.future.shape[-1],
            quantile_levels=POINT,
            season_length=season_length,
            batch_size=self.batch_size,
        )
        return torch.as_tensor(predicted.predictions).double()


@dataclass(frozen=True)
class KnownSettings:
    """What decides the windows of every kind, and what a forecaster is given."""

    context: int
    horizon: int
    windows: int
    seed: int
    season: bool  # whether a forecaster is given the true period
    free_run: int  # steps that dynamical systems are run on; 0: none
    bins: int  # of each axis of their state space


def score_kind(forecaster: Forecaster, kind: KnownKind, settings: KnownSettings) -> dict[str, Any]:
    """Return one row: the squared error, the optimum and the excess over windows, channels and steps, standardised.

    Returns
    -------
    dict
        kind, capability, windows, channels (scored), horizon, season (0: a forecaster was given none), `mse`,
        `optimum`, `excess`, the standard errors `mse_se` and `excess_se`, and seconds. Where the future has noise, also
        `first_step`: the expected squared error of the first step over its optimum. Of dynamical systems with a free
        run: `d_stsp` and `d_h`, with those of a second true trajectory as `d_stsp_floor` and `d_h_floor`.
    """
    generator = kind_generator(kind.name, settings.seed)
    windows = draw_known(
        kind.name, num=settings.windows, context=settings.context, horizon=settings.horizon, generator=generator
    )
    season = kind.season if settings.season else 1
    start = time.perf_counter()
    forecast = forecaster.forecast(windows, season_length=season)
    seconds = time.perf_counter() - start
    optimum, errors = windows.optimum(), windows.squared_errors(forecast)
    distance = _distance(windows, forecast)
    row: dict[str, Any] = {
        "kind": kind.name,
        "capability": kind.capability,
        "windows": settings.windows,
        "channels": len(windows.scored),
        "horizon": errors.shape[-1],
        "season": season if season > 1 else 0,
        "mse": float(errors.mean()),
        "mse_se": _standard_error(errors - optimum),
        "optimum": float(optimum.mean()),
        "excess": float(distance.mean()),
        "excess_se": _standard_error(distance),
    }
    if bool((optimum[..., 0] > 0).all()):
        row["first_step"] = 1 + float((distance[..., 0] / optimum[..., 0]).mean())
    if settings.free_run and kind.capability.startswith("dynamics"):
        free_run = score_free_run(forecaster, kind, settings, generator)
        seconds += free_run.pop("seconds")
        row |= free_run
    return row | {"seconds_forecasting": round(seconds, 3), "fingerprint": windows_fingerprint(windows)}


def score_free_run(
    forecaster: Forecaster, kind: KnownKind, settings: KnownSettings, generator: torch.Generator
) -> dict[str, float]:
    """Return how far long forecasts of a system are from its true trajectories, in state space and in their spectra.

    The floor is the same distance from the true trajectory of another window: no forecast of a chaotic system is
    expected to be closer.
    """
    num = max(2, min(settings.windows, NUM_FREE_RUNS))
    windows = draw_known(kind.name, num=num, context=settings.context, horizon=settings.free_run, generator=generator)
    start = time.perf_counter()
    predicted = _as_trajectories(forecaster.forecast(windows, season_length=1))
    seconds = time.perf_counter() - start
    true = _as_trajectories(windows.future)
    others = [*true[1:], true[0]]
    return {
        "seconds": seconds,
        "free_run": settings.free_run,
        "d_stsp": _mean_divergence(true, predicted, bins=settings.bins),
        "d_stsp_floor": _mean_divergence(true, others, bins=settings.bins),
        "d_h": float(np.mean([spectral_distance(x, y) for x, y in zip(true, predicted, strict=True)])),
        "d_h_floor": float(np.mean([spectral_distance(x, y) for x, y in zip(true, others, strict=True)])),
    }


def _mean_divergence(true: Sequence[np.ndarray], other: Sequence[np.ndarray], *, bins: int) -> float:
    return float(np.mean([state_space_divergence(x, y, bins=bins) for x, y in zip(true, other, strict=True)]))


def _as_trajectories(values: Tensor) -> list[np.ndarray]:
    return list(values.transpose(1, 2).numpy())


def _distance(windows: KnownWindows, forecast: Tensor) -> Tensor:
    """Return the squared distance to the conditional mean [N, K, H], standardised."""
    return ((forecast - windows.forecast) / windows.scale()).square()[:, list(windows.scored)]


def _standard_error(values: Tensor) -> float:
    """Return the standard error of the mean over independent windows; 0 for a single one."""
    means = values.mean((1, 2))
    return float(means.std(correction=1) / len(means) ** 0.5) if len(means) > 1 else 0.0


def windows_fingerprint(windows: KnownWindows) -> str:
    """Return the fingerprint of past and future values of all windows."""
    return fingerprint(torch.cat([windows.context, windows.future], -1).flatten(0, 1).numpy())
