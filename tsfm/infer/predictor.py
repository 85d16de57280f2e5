"""The interface of every forecaster, trained or not: arrays or a DataFrame in, quantiles out.

A subclass implements `quantiles` for one batch. Everything around it is the same for all: checks, batches of similar
length, covariates, DataFrames.
C channels, H horizon, N series, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer import styles
from tsfm.infer.adaptation import Adaptation, Inputs
from tsfm.infer.arguments import check_choice, check_count, check_prediction_length
from tsfm.infer.bounds import AUTO, Bound, read_bounds
from tsfm.infer.covariate_effects import KnownCovariates
from tsfm.infer.covariates import check_known
from tsfm.infer.failed_items import add_forecast_rows, tolerates_failed_items
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.frame_forecast import COVARIATE_CHOICES, FramePredictor
from tsfm.infer.frames import Frame, read_frame, write_frame
from tsfm.infer.progress import SeriesProgress, check_progress, count_batches
from tsfm.infer.quantiles import DECILES, MEAN_LEVELS, POINT, mean_from_quantiles
from tsfm.infer.series_input import check_recent_values, number_names, read_series
from tsfm.messages import announce
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, takes_options

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from typing_extensions import Unpack

EFFORTS = ("fast", "auto", "best")
__all__ = ["DECILES", "POINT", "Forecast", "Predictor"]


class Predictor(FramePredictor):
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

    def with_effort(self, effort: str) -> Predictor:
        """Return the forecaster for an effort, "fast", "auto" or "best"; see `predict_df`."""
        choice = check_choice("effort", effort, EFFORTS)
        if choice == "best":
            return self.adaptive()
        return self.single_pass() if choice == "fast" else self

    def single_pass(self) -> Predictor:
        """Return the forecaster without what is added to a single pass of a network."""
        return self

    def adaptive(self) -> Predictor:
        """Return a forecaster that weighs this one and simpler members by a back-test.

        Raises
        ------
        ValueError
            For what `tsfm.load` does not return.
        """
        raise ValueError(f"effort='best' needs a model of tsfm.load; {self.name} is a {type(self).__name__}")

    @accepts_frames("df", "future_df")
    @takes_options
    @tolerates_failed_items(add_forecast_rows)
    def predict_df(
        self,
        df: pd.DataFrame,
        prediction_length: int | None = None,
        future_df: pd.DataFrame | None = None,
        quantile_levels: Sequence[float] | None = None,
        batch_size: int = 256,
        mean: bool = False,
        covariates: str = "auto",
        style: str = "chronos",
        h: int | None = None,
        level: styles.Level = None,
        progress: bool | None = None,
        effort: str = "auto",
        lower: Bound = AUTO,
        upper: Bound = None,
        **options: Unpack[ReadOptions],
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
        quantile_levels
            Each in (0, 1); columns in the order given. None: those of the predictor; none of a point model.
        batch_size
            Series that are forecast at once.
        mean
            Add a column `mean`, from quantiles at all levels. For totals: means of steps add up, medians do not.
        covariates
            "auto": those of `future_df` also by a regression on the past, where it helps there; "network": only as the
            network itself uses them; "ignore": not at all.
        style
            "chronos": the columns below. "nixtla": unique_id, ds, <model>, <model>-lo-80, <model>-hi-80; see
            `tsfm.infer.styles`.
        h, level
            Names that Nixtla's libraries have for `prediction_length`, and for central intervals in percent.
        progress
            Whether to show a progress bar on standard error. None: in a terminal or notebook, in calls of some seconds.
        effort
            "fast": a single pass of the network. "auto": also what costs little, such as the known season of short
            pasts. "best": a back-test on `df` weighs the network and simpler members; takes seconds.
        lower, upper
            Bounds of the forecast: a number, or numbers by target. By default `lower` is 0 for the items of a target
            that have no negative value, and announced where it changes a forecast; None: no bound.
        **options
            How `df` and `future_df` are read, such as `target` or `freq`; see `tsfm.store.read_options.ReadOptions`.

        Returns
        -------
        pandas.DataFrame
            Rows by item, target and step, in float64. Assumptions are logged and in ``result.attrs["announcements"]``,
            what ``effort="best"`` found is in ``result.attrs["explanation"]``.

            =============== ==================================================
            item_id         as in `df`, which also names it
            timestamp       of the forecast step, as in `df`
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
        if (forecaster := self.with_effort(effort)) is not self:
            return forecaster.predict_df(
                df, prediction_length, future_df, quantile_levels, batch_size, mean=mean, covariates=covariates,
                style=style, h=h, level=level, progress=progress, lower=lower, upper=upper, **options,
            )  # fmt: skip
        self.check_forecasts()
        quantile_levels = styles.choose_quantile_levels(
            style, level, quantile_levels, available=self.quantile_levels, name=self.name
        )
        requested_levels = self.check_quantile_levels(quantile_levels)
        reading: Any = styles.nixtla_options(df, options) if style == styles.NIXTLA else options
        batch_size, progress = check_count("batch_size", batch_size, unit="series"), check_progress(progress)
        frame = read_frame(
            df,
            prediction_length=styles.choose_horizon(prediction_length, h),
            future_df=future_df,
            **reading,
            select=partial(self.used_covariates, choice=covariates),
            centre=self.any_level,
        )
        if style == styles.NIXTLA:
            styles.check_one_target(frame.targets)
        names, regress, _ = self.choose_covariates(frame.past_names, frame.known_names, covariates)
        used: dict[str, Any] = {"names": names, "regress": regress, "batch_size": batch_size, "mean": mean}
        used["bounds"] = read_bounds(lower, upper, frame.targets)
        notes: list[str] = []
        if self.max_horizon is not None and frame.horizon > self.max_horizon:
            notes.append(f"steps beyond the trained horizon of {self.max_horizon} are predicted {self.beyond_horizon}")
        with SeriesProgress(len(frame), progress=progress) as bar:
            result = self.forecast_items(frame, requested_levels, **used, bar=bar)
        notes.extend(result.notes)
        announce(notes)
        columns = () if quantile_levels is None and requested_levels == POINT else requested_levels
        out = write_frame(frame, result.predictions, result.quantiles, columns, mean=result.mean)
        if style == styles.NIXTLA:
            out = styles.to_nixtla(out, name=self.name, level=level, options=options)
        out.attrs["announcements"] = [*frame.announcements, *notes]
        if result.explanation:
            out.attrs["explanation"] = list(result.explanation)
        return out

    def predict_frame(
        self,
        frame: Frame,
        *,
        quantile_levels: Sequence[float] | None = None,
        batch_size: int = 256,
        mean: bool = False,
        covariates: str = "auto",
    ) -> Forecast:
        """Forecast the items of a frame, [N, C, H], in the units of its DataFrame; see `predict_df`."""
        self.check_forecasts()
        requested_levels = self.check_quantile_levels(quantile_levels)
        names, regress, _ = self.choose_covariates(frame.past_names, frame.known_names, covariates)
        batch_size = check_count("batch_size", batch_size, unit="series")
        used: dict[str, Any] = {"names": names, "regress": regress, "batch_size": batch_size, "mean": mean}
        used["bounds"] = read_bounds(AUTO, None, frame.targets)
        return self.forecast_items(frame, requested_levels, **used)

    def plot(self, df: pd.DataFrame, forecast: pd.DataFrame, **options: Any) -> Figure:
        """Draw a DataFrame and its forecast; see `tsfm.infer.plot.plot`."""
        from tsfm.infer.plot import plot

        return plot(df, forecast, **options)
