"""Forecasts of a DataFrame: `predict_df`, the efforts it offers, and pictures. C channels, H horizon, N items."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tsfm.infer import styles
from tsfm.infer.arguments import check_choice, check_count
from tsfm.infer.bounds import AUTO, Bound, read_bounds
from tsfm.infer.failed_items import add_forecast_rows, tolerates_failed_items
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.frame_forecast import FramePredictor
from tsfm.infer.frames import Frame, read_frame, write_frame
from tsfm.infer.progress import SeriesProgress, check_progress
from tsfm.infer.quantiles import POINT
from tsfm.messages import announce
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, takes_options

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from typing_extensions import Self, Unpack

EFFORTS = ("fast", "auto", "best")


class DataFramePredictor(FramePredictor):
    """A forecaster of DataFrames, by the forecasts of items that `FramePredictor` has."""

    def with_effort(self, effort: str) -> Any:
        """Return the forecaster for an effort, "fast", "auto" or "best"; see `predict_df`."""
        choice = check_choice("effort", effort, EFFORTS)
        if choice == "best":
            return self.adaptive()
        return self.single_pass() if choice == "fast" else self

    def single_pass(self) -> Self:
        """Return the forecaster without what is added to a single pass of a network."""
        return self

    def adaptive(self) -> DataFramePredictor:
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
        progress = check_progress(progress)
        horizon, bounds = styles.choose_horizon(prediction_length, h), (lower, upper)
        frame, used = self.read_items(df, horizon, future_df, covariates, batch_size, style, bounds, options)
        notes: list[str] = []
        if self.max_horizon is not None and frame.horizon > self.max_horizon:
            notes.append(f"steps beyond the trained horizon of {self.max_horizon} are predicted {self.beyond_horizon}")
        with SeriesProgress(len(frame), progress=progress) as bar:
            result = self.forecast_items(frame, requested_levels, **used, mean=mean, bar=bar)
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

    def read_items(
        self,
        df: pd.DataFrame,
        horizon: int,
        future_df: pd.DataFrame | None,
        covariates: str,
        batch_size: int,
        style: str,
        bounds: tuple[Bound, Bound],
        options: ReadOptions,
    ) -> tuple[Frame, dict[str, Any]]:
        """Return the items of a DataFrame, and the arguments of `forecast_items`; see `predict_df`."""
        reading: Any = styles.nixtla_options(df, options) if style == styles.NIXTLA else options
        frame = read_frame(
            df,
            prediction_length=horizon,
            future_df=future_df,
            **reading,
            select=partial(self.used_covariates, choice=covariates),
            centre=self.any_level,
        )
        if style == styles.NIXTLA:
            styles.check_one_target(frame.targets)
        names, regress, _ = self.choose_covariates(frame.past_names, frame.known_names, covariates)
        used: dict[str, Any] = {"names": names, "regress": regress, "bounds": read_bounds(*bounds, frame.targets)}
        return frame, used | {"batch_size": check_count("batch_size", batch_size, unit="series")}

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

    def plot(self, df: pd.DataFrame, forecast: pd.DataFrame | None = None, **options: Any) -> Figure:
        """Draw a DataFrame and its forecast, or without one what `impute_df` or `detect_df` returned.

        The options are those of `tsfm.infer.plot.plot`, `tsfm.infer.plot_imputed.plot_imputed` and
        `tsfm.infer.plot_scores.plot_scores`.
        """
        if forecast is not None:
            from tsfm.infer.plot import plot

            return plot(df, forecast, **options)
        if "is_anomaly" in getattr(df, "columns", ()):
            from tsfm.infer.plot_scores import plot_scores

            return plot_scores(df, **options)
        from tsfm.infer.plot_imputed import plot_imputed

        return plot_imputed(df, **options)
