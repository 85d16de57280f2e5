"""What a trained model adds to its single pass for the data at hand, without training.

Known covariates: their effect is estimated by a regression on the past, the network forecasts what is left of the
series, and the effect of the future values is added. Short histories: where the past holds one to two seasons, the
forecast of the past extended by its own season is added with a weight that the past decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from tsfm.infer.covariate_effects import KnownCovariates, estimate_effects
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.predictor import Predictor
from tsfm.infer.short_history import extend_past, extended_length, is_short, measure_season


class AdaptivePredictor(Predictor):
    """A predictor whose forecasts also use known covariates and, of short pasts, the season of the frequency."""

    @property
    @override
    def regresses_covariates(self) -> bool:
        """Whether known covariates are used by a regression: unless the model was trained with covariates by name."""
        return not (self.past_covariates or self.known_covariates)

    @override
    def predict_checked(
        self,
        arrays: Sequence[np.ndarray],
        horizon: int,
        requested_levels: tuple[float, ...],
        *,
        regressors: KnownCovariates | None = None,
        **options: Any,
    ) -> Forecast:
        """Forecast what covariates do not explain, with the season of short pasts, and add the effect."""
        if regressors is None:
            return self._with_season(arrays, horizon, requested_levels, **options)
        effects = estimate_effects(
            arrays,
            regressors.values,
            horizon=horizon,
            season_length=options["season_length"],
            max_context_length=self.usable_context_length(options["season_length"], horizon=horizon),
        )
        rest = self._with_season(effects.remainders, horizon, requested_levels, **options)
        return Forecast(
            rest.predictions + effects.future,
            rest.quantiles + effects.future[..., None],
            requested_levels,
            None if rest.mean is None else rest.mean + effects.future,
            (*effects.describe(regressors.names), *rest.notes),
        )

    def _with_season(
        self, arrays: Sequence[np.ndarray], horizon: int, requested_levels: tuple[float, ...], **options: Any
    ) -> Forecast:
        """Forecast series; those that hold one to two seasons also from their past extended by its own season."""
        forecast = super().predict_checked(arrays, horizon, requested_levels, **options)
        season_length = options["season_length"]
        limit = self.usable_context_length(season_length, horizon=horizon)
        if self.time_features or (limit is not None and extended_length(season_length) > limit):
            return forecast
        pasts = {
            i: array for i, array in enumerate(map(_without_padding, arrays)) if is_short(array.shape[1], season_length)
        }
        seasons = {i: measure_season(past, season_length) for i, past in pasts.items()}
        indices = [i for i, season in seasons.items() if season.weight.any()]
        if not indices:
            return forecast
        known = options.pop("known", None)
        if known is not None:
            length = extended_length(season_length) + horizon
            known = [_pad_left(known[i], length) for i in indices]
        extended = [extend_past(pasts[i], season_length, drift=seasons[i].drift) for i in indices]
        second = super().predict_checked(extended, horizon, requested_levels, known=known, **options)
        weight = np.stack([seasons[i].weight for i in indices])[..., None].astype(np.float32)
        note = (
            f"{len(indices)} of {len(arrays)} series hold less than two seasons ({season_length} steps) and repeat "
            f"the first: their forecast from the past extended by it counts {weight.mean():.0%} on average"
        )
        return replace(
            forecast,
            predictions=_mixed(forecast.predictions, second.predictions, weight, indices),
            quantiles=_mixed(forecast.quantiles, second.quantiles, weight[..., None], indices),
            mean=None if forecast.mean is None else _mixed(forecast.mean, second.mean, weight, indices),
            notes=(*forecast.notes, note),
        )


def _without_padding(array: np.ndarray) -> np.ndarray:
    """Return a series from its first observed step on."""
    return array[:, int(np.isfinite(array).any(axis=0).argmax()) :]


def _pad_left(array: np.ndarray, length: int) -> np.ndarray:
    """Return the last `length` steps, with NaN before the first."""
    missing = max(length - array.shape[1], 0)
    return np.pad(array[:, -length:], ((0, 0), (missing, 0)), constant_values=np.nan)


def _mixed(first: np.ndarray, second: Any, weight: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """Return `first` with the weighted mean of both at the indices."""
    mixed = first.copy()
    mixed[indices] = (1 - weight) * first[indices] + weight * second
    return mixed
