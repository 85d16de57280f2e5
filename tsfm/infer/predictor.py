"""What every forecaster can do, trained or not: arrays or a DataFrame in, quantiles out.

A subclass writes `quantiles` for one batch. Everything around it is here and the same for all: checks, batches of
similar length, levels between the trained ones, frames.
B batch, C channels, K covariates, L past steps, H horizon, R >= H steps ahead, W = L + R, N series, Q quantile levels.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.batches import as_series, batches, check_recent, stack
from tsfm.infer.columns import check_count, check_horizon
from tsfm.infer.covariates import Rows, check_known, frame_rows, make_calendar
from tsfm.infer.frames import Frame, read_frame, write_frame
from tsfm.metrics.forecast import check_quantile_levels
from tsfm.timestamps.frequency import season_length
from tsfm.timestamps.timezones import format_id

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float
    from matplotlib.figure import Figure

logger = logging.getLogger("tsfm")
DECILES = tuple(k / 10 for k in range(1, 10))  # asked of a predictor that can give any level
POINT = (0.5,)


@dataclass(frozen=True)
class Forecast:
    """Forecasts of N series; `predictions` is the median (of a point model: what it reads), in data units."""

    predictions: Float[np.ndarray, "N C H"]
    quantiles: Float[np.ndarray, "N C H Q"]
    quantile_levels: tuple[float, ...]


def _between(reads: np.ndarray, have: Sequence[float], want: Sequence[float]) -> np.ndarray:
    """Quantiles at the levels `want`, linear between the neighbours in `have`; equal levels are copied bit for bit."""
    have_, want_ = np.asarray(have), np.asarray(want)
    right = np.clip(np.searchsorted(have_, want_ - 1e-9), 0, len(have_) - 1)
    left = np.where(np.abs(have_[right] - want_) <= 1e-9, right, np.maximum(right - 1, 0))
    gap = np.where(right > left, have_[right] - have_[left], 1.0)
    share = ((want_ - have_[left]) / gap * (right > left)).astype(reads.dtype)
    return reads[..., left] * (1 - share) + reads[..., right] * share


def _ascending(reads: np.ndarray) -> np.ndarray:
    """Sorted along the levels; to see that nothing has to be done takes a third of the time."""
    return reads if (reads[..., 1:] >= reads[..., :-1]).all() else np.sort(reads, axis=-1)


class Predictor(ABC):
    """A forecaster. `quantile_levels` are those it predicts (None: any); `max_context_length` the longest past it uses
    (None: all);
    `max_horizon` the steps it was trained for (None: any), beyond which it goes on from its own forecast."""

    name: str
    quantile_levels: tuple[float, ...] | None = None
    max_context_length: int | None = None
    max_horizon: int | None = None
    uses_covariates: bool = False
    trained_context_length: int | None = None  # of its training windows; None for a baseline
    trained_data: Mapping[str, Any] = MappingProxyType({})  # the data settings of its training
    time_features: tuple[str, ...] = ()  # fields of the time features that it must be given beside its targets

    def select_covariates(self, past: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those of the covariates at hand that are used, in the order in which they are taken, and what to announce."""
        held = [*past, *known]
        if self.uses_covariates or not held:
            return held, []
        return [], [f"{self.name} does not use the covariates {', '.join(held)}"]

    def channel_units(self, names: Sequence[str], *, what: str = "target") -> Float[np.ndarray, "2 C"] | None:
        """Location and scale that bring these columns to the units `predict` reads and answers in; None: as they are.

        Frames are asked and answered in data units: see `predict_frame`."""
        return None

    def usable_context_length(self, season_length: int) -> int | None:
        """The longest past it can use at that season, None for all: `max_context_length`, or more with a stride."""
        return self.max_context_length

    def check_forecasts(self) -> None:
        """Refuse to forecast, where this predictor was made for something else."""
        return

    def to(self, device: Any) -> Predictor:
        """Move a trained model to a device; returns itself. Baselines stay on the CPU."""
        return self

    def num_parameters(self) -> int | None:
        """Return the number of weights of a trained model; None for a baseline."""
        return None

    @abstractmethod
    def quantiles(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        quantile_levels: tuple[float, ...],
        season_length: int = 1,
        known: Float[np.ndarray, "B K W"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """Quantiles of the next `horizon` steps at the asked `quantile_levels`, in data units.

        NaN is missing and a shorter series is padded with NaN on the left. `known` holds the covariates: NaN beyond L
        is a covariate known only so far; the marks of `time_features` come last. A model with levels of its own ends
        with `interpolate_quantiles`.
        """

    def forecast(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        quantile_levels: Sequence[float],
        season_length: int = 1,
        known: Float[np.ndarray, "B K W"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """One batch, checked: the past cut to its usable length; finite quantiles that rise with the level."""
        self.check_forecasts()
        asked = self.check_quantile_levels(quantile_levels)
        if len(self.time_features) > (0 if known is None else known.shape[1]):
            raise ValueError(
                f"{self.name} needs the time features {', '.join(self.time_features)} as the last rows of known"
            )
        if (limit := self.usable_context_length(season_length)) is not None and (
            older := context.shape[-1] - limit
        ) > 0:
            context, known = context[..., older:], None if known is None else known[..., older:]
        reads = self.quantiles(
            context, horizon=horizon, quantile_levels=asked, season_length=season_length, known=known
        )
        reads = np.asarray(reads, np.float32)
        shape = (*context.shape[:2], horizon, len(asked))
        if reads.shape != shape:
            raise ValueError(f"{self.name} answered with shape {reads.shape}; expected {shape}, [B, C, H, Q]")
        if not np.isfinite(reads).all():
            lost = int((~np.isfinite(reads)).any((1, 2, 3)).sum())
            raise ValueError(
                f"{self.name} gave values that are not finite for {lost} of {len(reads)} series, so none is used; "
                "rescale the series if their values are extreme"
            )
        return _ascending(reads)

    def interpolate_quantiles(
        self, reads: Float[np.ndarray, "... Q"], quantile_levels: Sequence[float]
    ) -> Float[np.ndarray, "... M"]:
        """Reads at `self.quantile_levels` brought to the asked levels: sorted, then linear between the neighbours."""
        asked, reads = self.check_quantile_levels(quantile_levels), _ascending(reads)
        return (
            reads
            if self.quantile_levels is None or asked == self.quantile_levels
            else _between(reads, self.quantile_levels, asked)
        )

    def check_quantile_levels(self, quantile_levels: Sequence[float]) -> tuple[float, ...]:
        """The asked levels, or an error that says which this predictor can give."""
        if isinstance(quantile_levels, (str, bytes)) or np.ndim(quantile_levels) != 1:
            raise ValueError(
                f"quantile levels are {quantile_levels!r}; expected a list of numbers, such as [0.1, 0.5, 0.9]"
            )
        try:
            asked = tuple(float(level) for level in quantile_levels)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"quantile levels are {list(quantile_levels)}; expected numbers, each in (0, 1)"
            ) from error
        asked = check_quantile_levels(asked)
        if self.quantile_levels is not None and (
            asked[0] < self.quantile_levels[0] - 1e-9 or asked[-1] > self.quantile_levels[-1] + 1e-9
        ):
            can = (
                "only 0.5, as a point model"
                if self.quantile_levels == POINT
                else f"{self.quantile_levels[0]:g} to {self.quantile_levels[-1]:g}"
            )
            raise ValueError(f"quantile levels {list(asked)} were asked of {self.name}; it can give {can}")
        return asked

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
    ) -> Forecast:
        """Forecast one array ([L] or [C, L]), a stack [N, C, L] or a list of arrays of any lengths; NaN is missing.

        `quantile_levels` None takes those of the predictor. `known` holds the covariates, one [K, L+H] array per
        series, NaN where unknown: beyond L for one known only so far. A predictor with `time_features` needs the
        timestamp of each first step and the frequency. A predictor with `channel_units` reads and predicts in those.
        """
        self.check_forecasts()
        horizon = check_horizon(prediction_length)
        batch_size = check_count("batch_size", batch_size, one="series", many="series")
        season_length = check_count("season_length", season_length)
        asked = self.check_quantile_levels(
            self.quantile_levels or DECILES if quantile_levels is None else quantile_levels
        )
        wanted = tuple(sorted({*asked, 0.5}))  # the median is always told
        self.check_quantile_levels(wanted)
        parts = as_series(series)
        channels = {part.shape[0] for part in parts}
        if len(channels) > 1:
            raise ValueError(f"series have different channel counts {sorted(channels)}; forecast each count by itself")
        if known is not None:
            known = check_known(known, parts, horizon=horizon)
            if not self.uses_covariates:
                logger.info("%s does not use covariates; those given are left aside", self.name)
                known = None
        limit = self.usable_context_length(season_length)
        numbers = [f"channel {i}" for i in range(parts[0].shape[0])]
        check_recent(parts, self.max_context_length, names=[f"series {i}" for i in range(len(parts))], channels=numbers)
        lengths = np.array([part.shape[1] if limit is None else min(part.shape[1], limit) for part in parts])
        whole = np.array([part.shape[1] for part in parts])
        ahead = horizon if self.max_horizon is None else -(-horizon // self.max_horizon) * self.max_horizon
        calendar = make_calendar(self.time_features, whole, starts=starts, freq=freq, reach=ahead, name=self.name)
        beside = Rows(known, calendar, lengths=whole, horizon=horizon, reach=ahead)
        out = np.empty((len(parts), parts[0].shape[0], horizon, len(wanted)), np.float32)
        for places in batches(lengths, batch_size=batch_size, cells=parts[0].shape[0] + len(beside)):
            length = int(lengths[places].max())
            context = stack([parts[i][:, -length:] for i in places], length)
            extra = beside.batch(places, length=length)
            out[places] = self.forecast(
                context, horizon=horizon, quantile_levels=wanted, season_length=season_length, known=extra
            )
        keep = [wanted.index(level) for level in asked]
        return Forecast(out[..., wanted.index(0.5)], out[..., keep], asked)

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
    ) -> pd.DataFrame:
        """Forecast every item of a long DataFrame: item_id, timestamp, target_name, predictions, "0.1", ... as rows.

        `quantile_levels` None gives the predictor's own; a point model then gives `predictions` alone. What was assumed
        when reading is logged and kept in `result.attrs["announcements"]`.
        """
        self.check_forecasts()
        levels = self.check_quantile_levels(
            self.quantile_levels or DECILES if quantile_levels is None else quantile_levels
        )
        shown = () if quantile_levels is None and levels == POINT else levels
        frame = read_frame(
            df,
            prediction_length=prediction_length,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            future_df=future_df,
        )
        _, own = self.select_covariates(frame.past_names, frame.known_names)
        if self.max_horizon is not None and frame.horizon > self.max_horizon:
            own.append(f"beyond the trained horizon of {self.max_horizon} steps it goes on from its own forecast")
        for note in own:
            logger.info(note)
        result = self.predict_frame(frame, quantile_levels=levels, batch_size=batch_size)
        out = write_frame(frame, result.predictions, result.quantiles, shown)
        out.attrs["announcements"] = [*frame.announcements, *own]
        return out

    def predict_frame(
        self, frame: Frame, *, quantile_levels: Sequence[float] | None = None, batch_size: int = 256
    ) -> Forecast:
        """Forecast the items of a frame that was read, [N, C, H]; asked and answered in data units.

        One `predict` for each season, so that items of one frequency share batches.
        """
        self.check_forecasts()
        quantile_levels = self.check_quantile_levels(
            self.quantile_levels or DECILES if quantile_levels is None else quantile_levels
        )
        units = self.channel_units(frame.targets)
        items, channels = [f"item {format_id(one.item_id)}" for one in frame], [repr(name) for name in frame.targets]
        check_recent([one.values for one in frame], self.max_context_length, names=items, channels=channels)
        names, _ = self.select_covariates(frame.past_names, frame.known_names)
        beside = self.channel_units(names, what="covariate") if names else None
        seasons = np.array([season_length(one.freq) for one in frame])
        shape = (len(frame), len(frame.targets), frame.horizon)
        predictions, quantiles = np.empty(shape, np.float32), np.empty((*shape, len(quantile_levels)), np.float32)
        for season in np.unique(seasons):
            places = np.flatnonzero(seasons == season)
            picked = [frame.series[i] for i in places]
            known = [_scaled(frame_rows(frame, one, names), beside) for one in picked] if names else None
            result = self.predict(
                [_scaled(one.values, units) for one in picked],
                prediction_length=frame.horizon,
                quantile_levels=quantile_levels,
                season_length=int(season),
                batch_size=batch_size,
                known=known,
                starts=[one.start for one in picked],
                freq=[one.freq for one in picked],
            )
            predictions[places], quantiles[places] = result.predictions, result.quantiles
        if units is not None:
            loc, scale = units[:, :, None]
            predictions = (predictions * scale + loc).astype(np.float32)
            quantiles = (quantiles * scale[..., None] + loc[..., None]).astype(np.float32)
        return Forecast(predictions, quantiles, quantile_levels)

    def plot(self, df: pd.DataFrame, forecast: pd.DataFrame, **options: Any) -> Figure:
        """A picture of a frame and its forecast; see `tsfm.infer.plot.plot`."""
        from tsfm.infer.plot import plot

        return plot(df, forecast, **options)


def _scaled(values: np.ndarray, units: np.ndarray | None) -> np.ndarray:
    """[C, L] in the units of the predictor."""
    return values if units is None else (values - units[0][:, None]) / units[1][:, None]
