"""Sample paths of forecasts: `predict_samples` of arrays and `predict_samples_df`.

N items, C channels, S samples, H horizon.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer import styles
from tsfm.infer.arguments import check_choice, check_count
from tsfm.infer.bounds import AUTO, Bound
from tsfm.infer.dataframe_forecast import DataFramePredictor
from tsfm.infer.failed_items import add_sample_rows, tolerates_failed_items
from tsfm.infer.forecast_result import Forecast
from tsfm.infer.frames import write_frame
from tsfm.infer.quantiles import MEAN_LEVELS, POINT
from tsfm.infer.series_input import read_series
from tsfm.messages import announce
from tsfm.samples.paths import is_whole, round_randomly, sample_paths
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, takes_options
from tsfm.timestamps.frequency import season_length as season_length_of

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float
    from typing_extensions import Unpack

SAMPLE = "sample_id"


class SamplePredictor(DataFramePredictor):
    """A forecaster that also draws sample paths: possible futures, whose steps belong together."""

    @abstractmethod
    def predict(self, series: Any, **options: Any) -> Forecast:
        """Return a forecast of arrays; see `tsfm.infer.predictor.Predictor.predict`."""

    @accepts_frames("df", "future_df")
    @takes_options
    @tolerates_failed_items(add_sample_rows)
    def predict_samples_df(
        self,
        df: pd.DataFrame,
        prediction_length: int,
        future_df: pd.DataFrame | None = None,
        *,
        num_samples: int = 100,
        seed: int = 0,
        batch_size: int = 256,
        covariates: str = "auto",
        style: str = "chronos",
        effort: str = "auto",
        lower: Bound = AUTO,
        upper: Bound = None,
        counts: bool | None = None,
        **options: Unpack[ReadOptions],
    ) -> pd.DataFrame:
        """Draw sample paths of every item of a long DataFrame.

        A quantile says how high one step may be; a path says how steps belong together, so that its sum is a possible
        total and its maximum a possible peak. Each step has the distribution of `predict_df`; steps depend on each
        other as the errors of an autoregression of the past do (a Gaussian copula, see `tsfm.samples.paths`). Paths of
        different items and targets are independent.

        Parameters
        ----------
        df, prediction_length, future_df, batch_size, covariates, effort, lower, upper
            As in `predict_df`.
        num_samples, seed
            Paths of each item and target, and the seed of their random numbers.
        style
            "chronos": the columns below. "nixtla": unique_id, ds, sample_id, <model>.
        counts
            Whether paths consist of whole numbers: None: for targets of items whose past does.
        **options
            How `df` and `future_df` are read; see `tsfm.store.read_options.ReadOptions`.

        Returns
        -------
        pandas.DataFrame
            Rows by item, target, sample and step.

            =============== ==================================================
            item_id         as in `df`, which also names it
            timestamp       of the forecast step, as in `df`
            target_name     the target column
            sample_id       0, 1, ..., num_samples - 1
            predictions     the value
            =============== ==================================================

        Raises
        ------
        ValueError
            When an argument, a column, a timestamp or a value cannot be used, or the forecaster predicts points.

        Examples
        --------
        >>> import pandas as pd, tsfm
        >>> days = pd.date_range("2024-01-01", periods=60, freq="D")
        >>> df = pd.DataFrame({"item_id": "shop", "timestamp": days, "target": [10 + day.weekday() for day in days]})
        >>> paths = tsfm.load("tsfm-mini").predict_samples_df(df, 7, num_samples=50)
        >>> totals = paths.groupby(["item_id", "sample_id"])["predictions"].sum()
        >>> bool(85 < totals.median() < 97)
        True
        """
        if (forecaster := self.with_effort(effort)) is not self:
            return forecaster.predict_samples_df(
                df, prediction_length, future_df, num_samples=num_samples, seed=seed, batch_size=batch_size,
                covariates=covariates, style=style, lower=lower, upper=upper, counts=counts, **options,
            )  # fmt: skip
        check_choice("style", style, styles.STYLES)
        num_samples, quantile_levels = check_count("num_samples", num_samples), self._sampled_levels()
        frame, used = self.read_items(
            df, prediction_length, future_df, covariates, batch_size, style, (lower, upper), options
        )
        result = self.forecast_items(frame, quantile_levels, **used, mean=False)
        announce(result.notes)
        pasts = [item.original for item in frame]
        samples = _draw(
            result, pasts, num_samples=num_samples, seed=seed, counts=counts,
            season_lengths=[season_length_of(frame.season_freq(item)) for item in frame],
        )  # fmt: skip
        low, high = used["bounds"].limits(pasts)
        samples = np.clip(samples, low[..., None, None], high[..., None, None])
        out = _write(write_frame(frame, result.predictions), samples)
        if style == styles.NIXTLA:
            names = {key: options.get(key, name) for key, name in styles.NIXTLA_NAMES.items()}
            columns: list[Any] = [names["id_column"], names["timestamp_column"], SAMPLE, self.name]
            out = out.drop(columns="target_name").set_axis(columns, axis=1)
        out.attrs["announcements"] = [*frame.announcements, *result.notes]
        return out

    def predict_samples(
        self,
        series: Any,
        *,
        prediction_length: int,
        num_samples: int = 100,
        season_length: int = 1,
        seed: int = 0,
        counts: bool | None = None,
        effort: str = "auto",
        **options: Any,
    ) -> Float[np.ndarray, "N C S H"]:
        """Draw sample paths of arrays; see `predict_samples_df`.

        Parameters
        ----------
        series, prediction_length, season_length, effort, options
            As in `predict`, which has the further options.
        num_samples, seed, counts
            As in `predict_samples_df`.

        Returns
        -------
        numpy.ndarray
            Paths [N, C, num_samples, prediction_length]; without bounds.

        Raises
        ------
        ValueError
            When an argument cannot be used, or the forecaster predicts points.
        """
        if (forecaster := self.with_effort(effort)) is not self:
            return forecaster.predict_samples(
                series, prediction_length=prediction_length, num_samples=num_samples, season_length=season_length,
                seed=seed, counts=counts, **options,
            )  # fmt: skip
        num_samples, quantile_levels = check_count("num_samples", num_samples), self._sampled_levels()
        result = self.predict(
            series, prediction_length=prediction_length, quantile_levels=quantile_levels, season_length=season_length,
            **options,
        )  # fmt: skip
        pasts = read_series(series).arrays
        seasons = [season_length] * len(pasts)
        return _draw(result, pasts, num_samples=num_samples, seed=seed, counts=counts, season_lengths=seasons)

    def _sampled_levels(self) -> tuple[float, ...]:
        """Return the quantile levels that paths are drawn from: all that the forecaster has."""
        self.check_forecasts()
        if self.quantile_levels == POINT:
            raise ValueError(f"{self.name} predicts points; sample paths need quantiles: use a model that has them")
        return self.quantile_levels or MEAN_LEVELS


def _draw(
    forecast: Forecast,
    pasts: Sequence[np.ndarray],
    *,
    num_samples: int,
    season_lengths: Sequence[int],
    seed: int,
    counts: bool | None,
) -> Float[np.ndarray, "N C S H"]:
    """Return sample paths; those of counts are whole numbers."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected a whole number of at least 0")
    rng = np.random.default_rng(int(seed))
    samples = sample_paths(
        forecast.quantiles.astype(np.float64), forecast.quantile_levels, pasts, num_samples=num_samples,
        season_lengths=season_lengths, rng=rng,
    )  # fmt: skip
    whole = _whole(pasts) if counts is None else np.full(samples.shape[:2], counts)
    samples[whole] = round_randomly(samples[whole], rng)
    return samples


def _whole(pasts: Iterable[np.ndarray]) -> np.ndarray:
    """Return [N, C] whether the past of a channel has whole numbers only."""
    return np.stack([is_whole(past) for past in pasts])


def _write(rows: pd.DataFrame, samples: Float[np.ndarray, "N C S H"]) -> pd.DataFrame:
    """Return a row for each item, target, sample and step; `rows` has one for each item, target and step."""
    num_items, num_targets, num_samples, horizon = samples.shape
    step = np.arange(num_items * num_targets * horizon).reshape(-1, 1, horizon)
    index = np.broadcast_to(step, (num_items * num_targets, num_samples, horizon)).reshape(-1)
    out = rows.iloc[index].reset_index(drop=True)
    out["predictions"] = samples.reshape(-1)
    out.insert(3, SAMPLE, np.tile(np.repeat(np.arange(num_samples), horizon), num_items * num_targets))
    return out
