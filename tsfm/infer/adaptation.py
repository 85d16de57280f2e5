"""What a trained model adds to its single pass for the data at hand, without training.

Known covariates: their effect is estimated by a regression on the past, the network forecasts what is left of the
series, and the effect of the future values is added. Short histories: where the past holds one to two seasons, the
forecast of the past extended by its own season is added with a weight that the past decides. Both are prepared before
the network is called.

N series, M of them with a short history, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsfm.infer.covariate_effects import Effects
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.short_history import extend_past, extended_length, is_short, measure_season

if TYPE_CHECKING:
    from jaxtyping import Float


class Inputs(NamedTuple):
    """Series that a network forecasts, its covariates for them, and whether timestamps of the series apply."""

    arrays: Sequence[np.ndarray]
    known: Sequence[np.ndarray] | None
    has_timestamps: bool = True


@dataclass(frozen=True)
class Extension:
    """Extended pasts of the series `indices`, and how much their forecast counts in each channel, from 0 to 1."""

    inputs: Inputs
    indices: list[int]
    weight: Float[np.ndarray, "M C"]
    season_length: int

    def mix(self, forecast: Forecast, of_extended: Forecast) -> Forecast:
        """Return the forecasts of all series; at the indices, the weighted mean with those of the extended pasts."""
        note = (
            f"{len(self.indices)} of {len(forecast.predictions)} series hold less than two seasons "
            f"({self.season_length} steps) and repeat the first: their forecast from the past extended by it counts "
            f"{self.weight.mean():.0%} on average"
        )
        return replace(
            forecast,
            predictions=self._mixed(forecast.predictions, of_extended.predictions),
            quantiles=self._mixed(forecast.quantiles, of_extended.quantiles),
            mean=None if forecast.mean is None else self._mixed(forecast.mean, of_extended.mean),
            notes=(*forecast.notes, note),
        )

    def _mixed(self, every: np.ndarray, of_extended: np.ndarray | None) -> np.ndarray:
        weight = self.weight.reshape(*self.weight.shape, *(1 for _ in every.shape[2:]))
        mixed = every.copy()
        mixed[self.indices] = (1 - weight) * every[self.indices] + weight * of_extended
        return mixed


@dataclass(frozen=True)
class Adaptation:
    """What a network forecasts in place of the given series, and how the forecast of those follows from it.

    Attributes
    ----------
    inputs
        All series, without the effects of known covariates if there are any.
    extension
        Short histories that are also forecast from their extended past.
    effects, names
        Effects of known covariates, and the names of those.
    """

    inputs: Inputs
    extension: Extension | None = None
    effects: Effects | None = None
    names: Sequence[str] = ()

    @property
    def passes(self) -> tuple[Inputs, ...]:
        """What is to be forecast, in the order that `combine` expects."""
        return (self.inputs,) if self.extension is None else (self.inputs, self.extension.inputs)

    def combine(self, forecasts: Sequence[Forecast]) -> Forecast:
        """Return the forecast of the given series from those of `passes`."""
        forecast = forecasts[0] if self.extension is None else self.extension.mix(*forecasts)
        if self.effects is None:
            return forecast
        future = self.effects.future
        return replace(
            forecast,
            predictions=forecast.predictions + future,
            quantiles=forecast.quantiles + future[..., None],
            mean=None if forecast.mean is None else forecast.mean + future,
            notes=(*self.effects.describe(self.names), *forecast.notes),
        )


def extend_short_pasts(inputs: Inputs, *, horizon: int, season_length: int) -> Extension | None:
    """Return the extended pasts of the series that hold one to two seasons and repeat the first; None without any."""
    pasts = {
        i: array
        for i, array in enumerate(map(_without_padding, inputs.arrays))
        if is_short(array.shape[1], season_length)
    }
    seasons = {i: measure_season(past, season_length) for i, past in pasts.items()}
    indices = [i for i, season in seasons.items() if season.weight.any()]
    if not indices:
        return None
    known, length = inputs.known, extended_length(season_length) + horizon
    extended = Inputs(
        [extend_past(pasts[i], season_length, drift=seasons[i].drift) for i in indices],
        None if known is None else [_pad_left(known[i], length) for i in indices],
        has_timestamps=False,  # added steps have no time; a network with time features works without
    )
    weight = np.stack([seasons[i].weight for i in indices]).astype(np.float32)
    return Extension(extended, indices, weight, season_length)


def _without_padding(array: np.ndarray) -> np.ndarray:
    """Return a series from its first observed step on."""
    return array[:, int(np.isfinite(array).any(axis=0).argmax()) :]


def _pad_left(array: np.ndarray, length: int) -> np.ndarray:
    """Return the last `length` steps, with NaN before the first."""
    missing = max(length - array.shape[1], 0)
    return np.pad(array[:, -length:], ((0, 0), (missing, 0)), constant_values=np.nan)
