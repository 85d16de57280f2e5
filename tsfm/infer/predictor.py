"""The interface of every forecaster, trained or not: arrays or a DataFrame in, quantiles out.

A subclass implements `quantiles` for one batch. Everything around it is the same for all: checks, batches of similar
length, covariates, DataFrames.
C channels, H horizon, N series, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.infer.adaptation import Adaptation, Inputs
from tsfm.infer.arguments import check_choice, check_count, check_prediction_length
from tsfm.infer.covariate_effects import KnownCovariates
from tsfm.infer.covariates import check_known
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.frame_forecast import COVARIATE_CHOICES
from tsfm.infer.progress import SeriesProgress, count_batches
from tsfm.infer.quantiles import DECILES, MEAN_LEVELS, POINT, mean_from_quantiles
from tsfm.infer.sample_forecast import SamplePredictor
from tsfm.infer.series_input import check_recent_values, number_names, read_series
from tsfm.messages import announce

__all__ = ["DECILES", "POINT", "Forecast", "Predictor"]


class Predictor(SamplePredictor):
    """A forecaster of arrays and DataFrames. A subclass implements `quantiles`; see `BatchPredictor`."""

    def predict(
        self,
        series: Any,
        *,
        prediction_length: int,
        quantile_levels: Sequence[float] | None = None,
        season_length: int = 1,
        batch_size: int = 256,
        known: Sequence[np.ndarray] | None = None,
        starts: Any = None,
        freq: str | Sequence[str] | None = None,
        mean: bool = False,
        covariates: str = "auto",
        effort: str = "auto",
    ) -> Forecast:
        """Forecast arrays. NaN is missing.

        Parameters
        ----------
        series
            One array [L], a stack [N, L] or [N, C, L], or a list of arrays [L] or [C, L] of any lengths and one number
            of channels. One series of several channels is a stack of one, [1, C, L].
        prediction_length
            Steps to forecast.
        quantile_levels
            Each in (0, 1), in any order. None: those of the predictor.
        season_length
            Steps of a season, such as 24 for hourly values.
        known
            Covariates, one array [K, L + prediction_length] for each series; NaN where unknown, as in the future of
            those known only in the past.
        starts, freq
            Timestamp of the first step of each series and the frequency, for a predictor with time features. One that
            only `uses_timestamps` works without them, too.
        mean
            Also compute the mean, from quantiles at all levels of the predictor. Means of steps add up to the mean of
            their sum, medians do not.
        covariates, effort
            How those of `known` are used, and what is computed; see `predict_df`.

        Returns
        -------
        Forecast
            Predictions [N, C, prediction_length], quantiles [N, C, prediction_length, Q] and, if requested, the mean
            [N, C, prediction_length]. A predictor with `channel_units` reads and predicts in those units.

        Raises
        ------
        ValueError
            When an argument cannot be used; the message names the series, the channel and the step.
        """
        if (forecaster := self.with_effort(effort)) is not self:
            return forecaster.predict(
                series, prediction_length=prediction_length, quantile_levels=quantile_levels,
                season_length=season_length, batch_size=batch_size, known=known, starts=starts, freq=freq, mean=mean,
                covariates=covariates,
            )  # fmt: skip
        self.check_forecasts()
        horizon = check_prediction_length(prediction_length)
        batch_size = check_count("batch_size", batch_size, unit="series")
        season_length = check_count("season_length", season_length)
        requested_levels = self.check_quantile_levels(quantile_levels)
        arrays = read_series(series).arrays
        regressors, choice = None, check_choice("covariates", covariates, COVARIATE_CHOICES)
        if known is not None:
            known = check_known(known, arrays, horizon=horizon)
            if choice == "auto" and self.regresses_covariates and len(known[0]):
                regressors = KnownCovariates(number_names("covariate", len(known[0])), known)
            elif not self.uses_covariates or choice == "ignore":
                announce([f"{self.name} does not use covariates; those given are ignored"])
            known = known if self.uses_covariates and choice != "ignore" else None
        names, channels = number_names("series", len(arrays)), number_names("channel", arrays[0].shape[0])
        check_recent_values(arrays, self.max_context_length, names=names, channels=channels)
        return self.predict_checked(
            arrays, horizon, requested_levels, season_length=season_length, batch_size=batch_size, known=known,
            starts=starts, freq=freq, mean=mean, regressors=regressors,
        )  # fmt: skip

    def predict_checked(
        self,
        arrays: Sequence[np.ndarray],
        horizon: int,
        requested_levels: tuple[float, ...],
        *,
        season_length: int,
        batch_size: int,
        known: Sequence[np.ndarray] | None,
        starts: Any,
        freq: Any,
        mean: bool,
        regressors: KnownCovariates | None = None,
        bar: SeriesProgress | None = None,
    ) -> Forecast:
        """`predict` for checked arguments, in batches of similar length. The median is always predicted.

        `regressors` are known covariates that may be used without the network; `bar` counts the series.
        """
        mean_levels = (self.quantile_levels or MEAN_LEVELS) if mean else ()
        predicted_levels = self.check_quantile_levels(sorted({*requested_levels, *mean_levels, *POINT}))
        requested, of_mean = ([predicted_levels.index(level) for level in x] for x in (requested_levels, mean_levels))
        adaptation = self.adapt(Inputs(arrays, known), horizon, season_length=season_length, regressors=regressors)
        forecasts = []
        for number, inputs in enumerate(adaptation.passes):
            out = np.empty((len(inputs.arrays), arrays[0].shape[0], horizon, len(predicted_levels)), np.float32)
            options: dict[str, Any] = {"season_length": season_length, "batch_size": batch_size}
            batches = self.batches(inputs, horizon, **options, starts=starts, freq=freq)
            for indices, context, step_inputs in count_batches(batches, bar, added=len(out) if number else 0):
                predicted = self.quantiles(
                    context,
                    horizon=horizon,
                    quantile_levels=predicted_levels,
                    season_length=season_length,
                    **step_inputs,
                )
                out[indices] = self.check_predicted(predicted, shape=(len(indices), *out.shape[1:]))
            means = np.asarray(mean_from_quantiles(out[..., of_mean], mean_levels), np.float32) if mean else None
            median = out[..., predicted_levels.index(0.5)]
            forecasts.append(Forecast(median, out[..., requested], requested_levels, means))
        return adaptation.combine(forecasts)

    def adapt(
        self, inputs: Inputs, horizon: int, *, season_length: int, regressors: KnownCovariates | None
    ) -> Adaptation:
        """Return what is forecast in place of the inputs; here the inputs themselves, without the regressors."""
        del horizon, season_length, regressors
        return Adaptation(inputs)

    def fitted_to(self, series: Sequence[np.ndarray], *, prediction_length: int, season_length: int) -> Predictor:
        """Return the forecaster fitted to the pasts of series [C, L]; itself, where nothing is fitted to them.

        Protocols call it with what lies before the first window that they score.
        """
        del series, prediction_length, season_length
        return self
