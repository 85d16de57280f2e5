"""The interface of every forecaster, trained or not: arrays or a DataFrame in, quantiles out.

A subclass implements `quantiles` for one batch. Everything around it is the same for all: checks, batches of similar
length, covariates, DataFrames.
C channels, H horizon, N series, Q quantile levels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.arguments import check_count, check_prediction_length
from tsfm.infer.batch_predictor import BatchPredictor
from tsfm.infer.covariates import CovariateBlock, check_known, covariate_rows, make_time_features
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.frames import Frame, read_frame, write_frame
from tsfm.infer.quantiles import DECILES, MEAN_LEVELS, POINT, mean_from_quantiles
from tsfm.infer.series_input import check_recent_values, length_batches, number_names, read_series, stack_padded
from tsfm.infer.units import from_model_units, to_model_units
from tsfm.timestamps.frequency import season_length as season_length_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["DECILES", "POINT", "Forecast", "Predictor"]
logger = logging.getLogger("tsfm")


class Predictor(BatchPredictor):
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
    ) -> Forecast:
        """Forecast arrays. NaN is missing.

        Parameters
        ----------
        series
            One array ([L] or [C, L]), a stack [N, C, L], or a list of arrays of any lengths and one number of channels.
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
            Timestamp of the first step of each series and the frequency, for a predictor with time features.
        mean
            Also compute the mean, from quantiles at all levels of the predictor. Means of steps add up to the mean of
            their sum, medians do not.

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
        self.check_forecasts()
        horizon = check_prediction_length(prediction_length)
        batch_size = check_count("batch_size", batch_size, unit="series")
        season_length = check_count("season_length", season_length)
        requested_levels = self.check_quantile_levels(quantile_levels)
        arrays = read_series(series).arrays
        if known is not None:
            known = check_known(known, arrays, horizon=horizon)
            if not self.uses_covariates:
                logger.info("%s does not use covariates; those given are ignored", self.name)
                known = None
        names, channels = number_names("series", len(arrays)), number_names("channel", arrays[0].shape[0])
        check_recent_values(arrays, self.max_context_length, names=names, channels=channels)
        return self._predict_arrays(
            arrays,
            horizon,
            requested_levels,
            season_length=season_length,
            batch_size=batch_size,
            known=known,
            starts=starts,
            freq=freq,
            mean=mean,
        )

    def _predict_arrays(
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
    ) -> Forecast:
        """`predict` for checked arguments, in batches of similar length. The median is always predicted."""
        mean_levels = (self.quantile_levels or MEAN_LEVELS) if mean else ()
        predicted_levels = self.check_quantile_levels(sorted({*requested_levels, *mean_levels, *POINT}))
        limit, num_channels = self.usable_context_length(season_length, horizon=horizon), arrays[0].shape[0]
        full_lengths = np.array([array.shape[1] for array in arrays])
        lengths = full_lengths if limit is None else np.minimum(full_lengths, limit)
        future_length = horizon if self.max_horizon is None else -(-horizon // self.max_horizon) * self.max_horizon
        time_features = make_time_features(
            self.time_features, full_lengths, starts=starts, freq=freq, future_length=future_length, name=self.name
        )
        covariates = CovariateBlock(
            known, time_features, lengths=full_lengths, horizon=horizon, future_length=future_length
        )
        out = np.empty((len(arrays), num_channels, horizon, len(predicted_levels)), np.float32)
        for indices in length_batches(lengths, batch_size=batch_size, num_channels=num_channels + len(covariates)):
            length = int(lengths[indices].max())
            context = stack_padded([arrays[i][:, -length:] for i in indices], length)
            predicted = self.quantiles(
                context,
                horizon=horizon,
                quantile_levels=predicted_levels,
                season_length=season_length,
                known=covariates.batch(indices, length=length),
            )
            out[indices] = self.check_predicted(predicted, shape=(len(indices), *out.shape[1:]))
        requested, of_mean = ([predicted_levels.index(level) for level in x] for x in (requested_levels, mean_levels))
        means = np.asarray(mean_from_quantiles(out[..., of_mean], mean_levels), np.float32) if mean else None
        return Forecast(out[..., predicted_levels.index(0.5)], out[..., requested], requested_levels, means)

    def predict_df(
        self,
        df: pd.DataFrame,
        prediction_length: int,
        future_df: pd.DataFrame | None = None,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        quantile_levels: Sequence[float] | None = None,
        freq: str | None = None,
        batch_size: int = 256,
        mean: bool = False,
    ) -> pd.DataFrame:
        """Forecast every item of a long DataFrame.

        Parameters
        ----------
        df
            One row for each item and timestamp. Other numeric columns are covariates.
        prediction_length
            Steps to forecast after the last timestamp of each item.
        future_df
            Covariates that are known in the future: rows with id and timestamp of the forecast steps.
        target
            One column or several. Alternative names of the default columns are found: unique_id, ds, y.
        quantile_levels
            Each in (0, 1); their columns have the order given. None: those of the predictor; a point model then has no
            quantile columns.
        freq
            Such as "h" or "MS". None infers it for each item.
        batch_size
            Series that are forecast at once.
        mean
            Add a column `mean`, computed from quantiles at all levels of the predictor. For totals: means of steps add
            up to the mean of their sum, medians do not.

        Returns
        -------
        pandas.DataFrame
            Rows by item, target and step. What was assumed is logged and kept in ``result.attrs["announcements"]``.

            =============== ==================================================
            item_id         as in `df`
            timestamp       of the forecast step, in the time zone of `df`
            target_name     the target column
            predictions     the median, or a point model's prediction
            mean            only with ``mean=True``
            0.1, 0.2, ...   one column for each quantile level
            =============== ==================================================

        Raises
        ------
        ValueError
            When an argument, a column, a timestamp or a value cannot be used; the message names item, column and row.

        Examples
        --------
        >>> import pandas as pd, tsfm
        >>> days = pd.date_range("2024-01-01", periods=60, freq="D")
        >>> df = pd.DataFrame({"item_id": "shop", "timestamp": days, "target": [10.0 + day.weekday() for day in days]})
        >>> forecast = tsfm.load("tsfm-mini").predict_df(df, prediction_length=3, quantile_levels=[0.1, 0.9])
        >>> forecast.columns.tolist()
        ['item_id', 'timestamp', 'target_name', 'predictions', '0.1', '0.9']
        >>> forecast["predictions"].round().tolist()
        [14.0, 15.0, 16.0]
        """
        self.check_forecasts()
        requested_levels = self.check_quantile_levels(quantile_levels)
        batch_size = check_count("batch_size", batch_size, unit="series")
        frame = read_frame(
            df,
            prediction_length=prediction_length,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            future_df=future_df,
        )
        covariates, notes = self.select_covariates(frame.past_names, frame.known_names)
        if self.max_horizon is not None and frame.horizon > self.max_horizon:
            notes.append(f"steps beyond the trained horizon of {self.max_horizon} are predicted {self.beyond_horizon}")
        for note in notes:
            logger.info(note)
        result = self._predict_items(frame, requested_levels, covariates=covariates, batch_size=batch_size, mean=mean)
        columns = () if quantile_levels is None and requested_levels == POINT else requested_levels
        out = write_frame(frame, result.predictions, result.quantiles, columns, mean=result.mean)
        out.attrs["announcements"] = [*frame.announcements, *notes]
        return out

    def predict_frame(
        self,
        frame: Frame,
        *,
        quantile_levels: Sequence[float] | None = None,
        batch_size: int = 256,
        mean: bool = False,
    ) -> Forecast:
        """Forecast the items of a frame, [N, C, H], in the units of its DataFrame; see `predict_df`."""
        self.check_forecasts()
        requested_levels = self.check_quantile_levels(quantile_levels)
        covariates, _ = self.select_covariates(frame.past_names, frame.known_names)
        batch_size = check_count("batch_size", batch_size, unit="series")
        return self._predict_items(frame, requested_levels, covariates=covariates, batch_size=batch_size, mean=mean)

    def _predict_items(
        self, frame: Frame, requested_levels: tuple[float, ...], *, covariates: list[str], batch_size: int, mean: bool
    ) -> Forecast:
        """`predict_frame` for checked arguments: once for each season length, so that items share batches."""
        units, names = self.channel_units(frame.targets), frame.item_names()
        channels = [repr(name) for name in frame.targets]
        check_recent_values([item.values for item in frame], self.max_context_length, names=names, channels=channels)
        covariate_units = self.channel_units(covariates, kind="covariate") if covariates else None
        season_lengths = np.array([season_length_of(item.freq) for item in frame])
        shape = (len(frame), len(frame.targets), frame.horizon)
        predictions, quantiles = np.empty(shape, np.float32), np.empty((*shape, len(requested_levels)), np.float32)
        means = np.empty(shape, np.float32) if mean else None
        for season_length in np.unique(season_lengths):
            indices = np.flatnonzero(season_lengths == season_length)
            items = [frame.series[i] for i in indices]
            known = None
            if covariates:
                known = [
                    to_model_units(covariate_rows(frame, item, covariates), covariate_units, name=names[i])
                    for i, item in zip(indices, items, strict=True)
                ]
            result = self._predict_arrays(
                [to_model_units(item.values, units, name=names[i]) for i, item in zip(indices, items, strict=True)],
                frame.horizon,
                requested_levels,
                season_length=int(season_length),
                batch_size=batch_size,
                known=known,
                starts=[item.start for item in items],
                freq=[item.freq for item in items],
                mean=mean,
            )
            predictions[indices], quantiles[indices] = result.predictions, result.quantiles
            if means is not None:
                means[indices] = result.mean
        predictions = from_model_units(predictions, units, channel_axis=1).astype(np.float32)
        quantiles = from_model_units(quantiles, units, channel_axis=1).astype(np.float32)
        if means is not None:
            means = from_model_units(means, units, channel_axis=1).astype(np.float32)
        return Forecast(predictions, quantiles, requested_levels, means)

    def plot(self, df: pd.DataFrame, forecast: pd.DataFrame, **options: Any) -> Figure:
        """Draw a DataFrame and its forecast; see `tsfm.infer.plot.plot`."""
        from tsfm.infer.plot import plot

        return plot(df, forecast, **options)
