"""What every forecaster can do, trained or not: arrays or a DataFrame in, quantiles out.

A subclass writes `quantiles` for one batch. Everything around it is here and the same for all: checks, batches of
similar length, levels between the trained ones, frames.
B batch, C channels, K covariates, L past steps, H horizon, N series, Q quantile levels.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.data.freq import season_length
from tsfm.infer.columns import FLOAT32_MAX, check_horizon
from tsfm.infer.frames import read_frame, write_frame
from tsfm.metrics.forecast import check_levels

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float
    from matplotlib.figure import Figure

logger = logging.getLogger("tsfm")
DECILES = tuple(k / 10 for k in range(1, 10))  # asked of a predictor that can give any level
POINT = (0.5,)
STRETCH = 1.5  # a batch's longest series is at most this many times its shortest (and 64 steps)
CELLS = 2**22  # values in a padded batch, 16 MiB in float32


@dataclass(frozen=True)
class Forecast:
    """Forecasts of N series; `predictions` is the median (of a point model: what it reads), in data units."""

    predictions: Float[np.ndarray, "N C H"]
    quantiles: Float[np.ndarray, "N C H Q"]
    levels: tuple[float, ...]


def _as_series(series: Any) -> list[np.ndarray]:
    """A list of [C, L] float32 arrays from one array ([L] or [C, L]), a stack [N, C, L] or a list of arrays."""
    if isinstance(series, (list, tuple)):
        parts = list(series)
    else:
        array = np.asarray(series)
        parts = list(array) if array.ndim == 3 else [array]
    if not parts:
        raise ValueError("there are no series to forecast; give at least one array")
    return [_checked(np.asarray(part), place=i) for i, part in enumerate(parts)]


def _checked(array: np.ndarray, *, place: int) -> np.ndarray:
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"series {place} has shape {array.shape}; expected [steps] or [channels, steps], not empty")
    try:
        wide = np.atleast_2d(array).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"series {place} is {array.dtype}; expected numbers, NaN where missing") from error
    bad = np.argwhere(np.abs(wide) > FLOAT32_MAX)
    if len(bad):
        channel, step = map(int, bad[0])
        raise ValueError(
            f"series {place} holds {wide[channel, step]} in channel {channel}, step {step}, infinite or beyond "
            "float32; set such steps to NaN or rescale the series"
        )
    silent = np.isnan(wide).all(1)
    if silent.any():
        raise ValueError(f"series {place} has no observed value in channel {int(silent.argmax())}; drop or fill it")
    return wide.astype(np.float32)


def _batches(lengths: np.ndarray, *, batch_size: int, cells: int) -> Iterator[np.ndarray]:
    """Places of series in batches of similar length, so that padding stays bounded; each place comes once."""
    order = np.argsort(lengths, kind="stable")[::-1]  # the longest first: what does not fit in memory fails at once
    begin = 0
    while begin < len(order):
        longest = lengths[order[begin]]
        near = np.searchsorted(-lengths[order], -min(longest / STRETCH, longest - 64), side="right")
        room = max(1, min(batch_size, CELLS // max(1, int(longest) * cells)))
        stop = min(begin + room, max(int(near), begin + 1))
        yield order[begin:stop]
        begin = stop


def _stack(parts: list[np.ndarray], length: int) -> np.ndarray:
    """[B, rows, length] with NaN on the left of shorter series."""
    out = np.full((len(parts), parts[0].shape[0], length), np.nan, np.float32)
    for row, part in zip(out, parts, strict=True):
        row[:, length - part.shape[1] :] = part
    return out


def _between(reads: np.ndarray, have: Sequence[float], want: Sequence[float]) -> np.ndarray:
    """Quantiles at the levels `want`, linear between the neighbours in `have`; equal levels are copied bit for bit."""
    have_, want_ = np.asarray(have), np.asarray(want)
    right = np.clip(np.searchsorted(have_, want_ - 1e-9), 0, len(have_) - 1)
    left = np.where(np.abs(have_[right] - want_) <= 1e-9, right, np.maximum(right - 1, 0))
    gap = np.where(right > left, have_[right] - have_[left], 1.0)
    share = ((want_ - have_[left]) / gap * (right > left)).astype(reads.dtype)
    return reads[..., left] * (1 - share) + reads[..., right] * share


class Predictor(ABC):
    """A forecaster. `levels` are those it reads (None: any); `context_limit` the longest past it uses (None: all)."""

    name: str
    levels: tuple[float, ...] | None = None
    context_limit: int | None = None
    uses_covariates: bool = False

    @abstractmethod
    def quantiles(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        levels: tuple[float, ...],
        season: int = 1,
        known: Float[np.ndarray, "B K L+H"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """Quantiles of the next `horizon` steps at the asked `levels`, in data units.

        NaN is missing and a shorter series is padded with NaN on the left. `known` holds the covariates: NaN in its
        last H steps is a covariate known only so far. A model with levels of its own ends with `at_levels`.
        """

    def forecast(
        self,
        context: Float[np.ndarray, "B C L"],
        *,
        horizon: int,
        levels: Sequence[float],
        season: int = 1,
        known: Float[np.ndarray, "B K L+H"] | None = None,
    ) -> Float[np.ndarray, "B C H Q"]:
        """One batch, checked: the past cut to `context_limit`; finite quantiles that rise with the level."""
        asked = self.check_levels(levels)
        if self.context_limit is not None:
            context = context[..., -self.context_limit :]
            known = None if known is None else known[..., -(context.shape[-1] + horizon) :]
        reads = self.quantiles(context, horizon=horizon, levels=asked, season=season, known=known)
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
        return np.sort(reads, axis=-1)

    def at_levels(self, reads: Float[np.ndarray, "... Q"], levels: Sequence[float]) -> Float[np.ndarray, "... Q"]:
        """Reads at `self.levels` brought to the asked levels: sorted, then linear between the neighbours."""
        asked = self.check_levels(levels)
        return np.sort(reads, axis=-1) if self.levels is None else _between(np.sort(reads, axis=-1), self.levels, asked)

    def check_levels(self, levels: Sequence[float]) -> tuple[float, ...]:
        """The asked levels, or an error that says which this predictor can give."""
        asked = check_levels(levels)
        if self.levels is not None and (asked[0] < self.levels[0] - 1e-9 or asked[-1] > self.levels[-1] + 1e-9):
            can = "only 0.5, as a point model" if self.levels == POINT else f"{self.levels[0]:g} to {self.levels[-1]:g}"
            raise ValueError(f"quantile levels {list(asked)} were asked of {self.name}; it can give {can}")
        return asked

    def predict(
        self,
        series: Any,
        *,
        prediction_length: int,
        levels: Sequence[float] | None = None,
        season: int = 1,
        batch_size: int = 256,
        known: list[np.ndarray] | None = None,
    ) -> Forecast:
        """Forecast one array ([L] or [C, L]), a stack [N, C, L] or a list of arrays of any lengths; NaN is missing.

        `levels` None takes those of the predictor. `known` holds one [K, L+H] array per series.
        """
        horizon = check_horizon(prediction_length)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1 series")
        if season < 1:
            raise ValueError(f"season is {season}; it is a number of steps, at least 1")
        asked = self.check_levels(self.levels or DECILES if levels is None else levels)
        wanted = tuple(sorted({*asked, 0.5}))  # the median is always told
        self.check_levels(wanted)
        parts = _as_series(series)
        channels = {part.shape[0] for part in parts}
        if len(channels) > 1:
            raise ValueError(f"series have different channel counts {sorted(channels)}; forecast each count by itself")
        if known is not None:
            self._check_known(known, parts, horizon)
        limit = self.context_limit
        lengths = np.array([part.shape[1] if limit is None else min(part.shape[1], limit) for part in parts])
        rows = parts[0].shape[0] + (known[0].shape[0] if known else 0)
        out = np.empty((len(parts), parts[0].shape[0], horizon, len(wanted)), np.float32)
        for places in _batches(lengths, batch_size=batch_size, cells=rows):
            length = int(lengths[places].max())
            context = _stack([parts[i][:, -length:] for i in places], length)
            extra = None
            if known is not None:
                extra = _stack([known[i][:, -(length + horizon) :] for i in places], length + horizon)
            out[places] = self.forecast(context, horizon=horizon, levels=wanted, season=season, known=extra)
        keep = [wanted.index(level) for level in asked]
        return Forecast(out[..., wanted.index(0.5)], out[..., keep], asked)

    @staticmethod
    def _check_known(known: list[np.ndarray], parts: list[np.ndarray], horizon: int) -> None:
        if len(known) != len(parts):
            raise ValueError(
                f"known covariates are given for {len(known)} of {len(parts)} series; give one array for each"
            )
        for i, (one, part) in enumerate(zip(known, parts, strict=True)):
            steps = part.shape[1] + horizon
            if np.ndim(one) != 2 or one.shape != (known[0].shape[0], steps):
                raise ValueError(f"known covariates of series {i} have shape {np.shape(one)}; expected [K, {steps}]")

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
        levels = self.levels or DECILES if quantile_levels is None else quantile_levels
        shown = () if quantile_levels is None and tuple(levels) == POINT else self.check_levels(levels)
        frame = read_frame(
            df,
            prediction_length=prediction_length,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            future_df=future_df,
        )
        notes = list(frame.announcements)
        covariates = [*frame.past_names, *frame.known_names]
        if covariates and not self.uses_covariates:
            notes.append(f"{self.name} does not use the covariates {', '.join(covariates)}")
            logger.info(notes[-1])
        seasons = np.array([season_length(one.freq) for one in frame])
        shape = (len(frame), len(frame.targets), frame.horizon)
        predictions, quantiles = np.empty(shape, np.float32), np.empty((*shape, len(levels)), np.float32)
        for season in np.unique(seasons):
            places = np.flatnonzero(seasons == season)
            picked = [frame.series[i] for i in places]
            known = None
            if covariates and self.uses_covariates:
                known = [_with_past(one.past, one.known) for one in picked]
            result = self.predict(
                [one.values for one in picked],
                prediction_length=frame.horizon,
                levels=levels,
                season=int(season),
                batch_size=batch_size,
                known=known,
            )
            predictions[places], quantiles[places] = result.predictions, result.quantiles
        out = write_frame(frame, predictions, quantiles, shown)
        out.attrs["announcements"] = notes
        return out

    def plot(self, df: pd.DataFrame, forecast: pd.DataFrame, **options: Any) -> Figure:
        """A picture of a frame and its forecast; see `tsfm.infer.plot.plot`."""
        from tsfm.infer.plot import plot

        return plot(df, forecast, **options)


def _with_past(past: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Past-only covariates (NaN from the forecast on) above the known ones, [K, L+H]."""
    ahead = np.full((past.shape[0], known.shape[1] - past.shape[1]), np.nan, np.float32)
    return np.concatenate([np.concatenate([past, ahead], 1), known])
