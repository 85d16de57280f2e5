"""Forecasts of the windows of a back-test by one model, none of which reads a step after its own cutoff.

A forecaster that is fitted to the series of a call, as effort="best" is, is fitted for each cutoff to the series that
have it, so that no series shows another one's future. Of all others each series is forecast by itself, so all windows
are forecast in one call.
N items, W windows, C targets, H horizon, Q quantile levels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.backtesting.models import Contender
from tsfm.backtesting.windows import BacktestWindows
from tsfm.infer.bounds import Bound, read_bounds
from tsfm.infer.frames import Frame
from tsfm.infer.predictor import Predictor
from tsfm.infer.progress import SeriesProgress
from tsfm.infer.units import to_model_units

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class WindowForecasts:
    """The forecasts of all windows by one model.

    Attributes
    ----------
    notes, explanation
        What was used, and what effort="best" found at each cutoff.
    seconds
        Of computing.
    """

    contender: Contender
    quantiles: Float[np.ndarray, "W C H Q"]
    notes: tuple[str, ...]
    explanation: tuple[str, ...]
    seconds: float

    @property
    def label(self) -> str:
        """Return what the model is called."""
        return self.contender.label

    def quantile(self, level: float) -> Float[np.ndarray, "W C H"]:
        """Return the forecasts at one of the levels."""
        index = int(np.argmin(np.abs(np.asarray(self.contender.quantile_levels) - level)))
        return self.quantiles[..., index]


def forecast_windows(
    windows: BacktestWindows,
    contender: Contender,
    *,
    refit: bool,
    covariates: str,
    lower: Bound,
    upper: Bound,
    batch_size: int,
    bar: SeriesProgress,
) -> WindowForecasts:
    """Return the forecasts of all windows by one model; see `tsfm.backtesting.backtest.backtest`.

    Raises
    ------
    ValueError
        If a model that uses known covariates by a regression is to be fitted once.
    """
    begin, predictor, frame = time.perf_counter(), contender.predictor, windows.frame
    shape = (len(windows), len(frame.targets), frame.horizon, len(contender.quantile_levels))
    quantiles = np.empty(shape, np.float64)
    notes: dict[str, None] = {}
    explanation: list[str] = []
    names, regress, _ = predictor.choose_covariates(frame.past_names, frame.known_names, covariates)
    if contender.fits_series and not refit and regress:
        raise ValueError(
            f"refit=False: {contender.label} estimates the effects of known covariates anew for each past; give "
            "refit=True, or covariates='ignore'"
        )
    used: dict[str, Any] = {"names": names, "regress": regress, "batch_size": batch_size, "mean": False}
    used["bounds"] = read_bounds(lower, upper, frame.targets)
    for group in _groups(windows, contender, refit=refit):
        chosen = windows.select(group)
        forecaster = predictor if refit or not contender.fits_series else _fitted_once(predictor, chosen)
        past = chosen.past(centre=predictor.any_level)
        result = forecaster.forecast_items(past, contender.quantile_levels, **used, bar=bar)
        quantiles[group] = result.quantiles
        notes |= dict.fromkeys(f"{contender.label}: {note}" for note in result.notes)
        if result.explanation:
            cutoff = windows.like_column(chosen.cutoff[:1])[0]
            explanation += [f"{contender.label}, cutoff {cutoff}: {line}" for line in result.explanation]
    return WindowForecasts(contender, quantiles, tuple(notes), tuple(explanation), time.perf_counter() - begin)


def _groups(windows: BacktestWindows, contender: Contender, *, refit: bool) -> list[np.ndarray]:
    """Return which windows are forecast in one call."""
    if not contender.fits_series:
        return [np.arange(len(windows))]
    cutoff = windows.cutoff
    if not refit:  # the windows of an item belong to its first cutoff; a fit is for one length of seasons
        first = np.unique(windows.item, return_index=True)[1]
        cutoff = cutoff[first][np.searchsorted(windows.item[first], windows.item)]
    seasons = windows.season_lengths[windows.item]
    keys = np.stack([cutoff.astype(np.int64), seasons], axis=1)
    _, number = np.unique(keys, axis=0, return_inverse=True)
    number = number.reshape(-1)
    return [np.flatnonzero(number == group) for group in range(int(number.max()) + 1)]


def _fitted_once(predictor: Predictor, windows: BacktestWindows) -> Predictor:
    """Return the forecaster fitted to the pasts of the first window of each item."""
    first = windows.select(np.unique(windows.item, return_index=True)[1])
    past: Frame = first.past(centre=predictor.any_level)
    units = predictor.channel_units(past.targets)
    arrays = [to_model_units(item.values, units, name=name) for item, name in zip(past, past.item_names(), strict=True)]
    season = int(windows.season_lengths[windows.item[0]])
    return predictor.fitted_to(arrays, prediction_length=windows.horizon, season_length=season)
