"""The windows of a back-test: where each begins, what lies before it, and what is forecast.

N items, W windows, C targets, J past-only and K known covariates, L steps of an item, H horizon.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.frames import Frame
from tsfm.infer.item_series import ItemSeries
from tsfm.infer.level import level_offset
from tsfm.metrics.forecast import seasonal_error
from tsfm.timestamps.frequency import make_timestamps, season_length
from tsfm.timestamps.grid import as_times
from tsfm.timestamps.timezones import as_unit, naive_utc, restore_timezone

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class BacktestWindows:
    """Windows of items: by item, then by time.

    Attributes
    ----------
    frame
        The items with all their steps.
    targets
        Their values [C, L] in float64, NaN where missing.
    item
        [W] the number of the item of each window.
    origin
        [W] the first step that is forecast; a forecast reads the steps before it.
    """

    frame: Frame
    targets: list[Float[np.ndarray, "C _"]]
    item: Int[np.ndarray, " W"]
    origin: Int[np.ndarray, " W"]

    def __len__(self) -> int:
        return len(self.item)

    @property
    def horizon(self) -> int:
        """Return the steps that are forecast."""
        return self.frame.horizon

    @cached_property
    def y_true(self) -> Float[np.ndarray, "W C H"]:
        """Return the values of the steps that are forecast."""
        return np.stack([self.targets[i][:, o : o + self.horizon] for i, o in self._positions])

    @cached_property
    def scale(self) -> Float[np.ndarray, "W C"]:
        """Return the scale of MASE: the error of seasonal naive in the past of each window."""
        seasons = self.season_lengths[self.item]
        pairs = zip(self._positions, seasons, strict=True)
        return np.stack([seasonal_error(self.targets[i][:, :o], int(season)) for (i, o), season in pairs])

    @cached_property
    def season_lengths(self) -> Int[np.ndarray, " N"]:
        """Return the steps of a season of each item."""
        return np.array([season_length(self.frame.season_freq(item)) for item in self.frame])

    @cached_property
    def utc(self) -> list[np.ndarray]:
        """Return the instants of all steps of each item, in UTC or without a zone, as int64 of microseconds."""
        zone, unit = self._zone
        return [
            as_times(
                naive_utc(
                    restore_timezone(
                        make_timestamps(item.start, item.freq, values.shape[1]), zone, absolute=item.utc, unit=unit
                    )
                )
            )
            for item, values in zip(self.frame, self.targets, strict=True)
        ]

    @cached_property
    def cutoff(self) -> np.ndarray:
        """Return [W] the last instant that a forecast reads."""
        return np.array([self.utc[i][o - 1] for i, o in self._positions])

    def like_column(self, utc: np.ndarray) -> Any:
        """Return instants as the time column of the DataFrame has them."""
        zone, unit = self._zone
        times = pd.DatetimeIndex(as_times(utc))
        times = times if zone is None else times.tz_localize("UTC").tz_convert(zone)
        return self.frame.like_column(as_unit(times, unit))

    def select(self, indices: np.ndarray) -> BacktestWindows:
        """Return some of the windows."""
        return replace(self, item=self.item[indices], origin=self.origin[indices])

    def past(self, *, centre: bool) -> Frame:
        """Return the pasts of the windows as items to forecast, with the covariates that are known after them.

        Parameters
        ----------
        centre
            Whether to subtract a constant from a target that varies little around a high level.
        """
        series = [self._past(self.frame.series[i], self.targets[i], o, centre=centre) for i, o in self._positions]
        ids = self.frame.ids.iloc[self.item].reset_index(drop=True)
        return replace(self.frame, series=series, ids=ids)

    def _past(self, item: ItemSeries, targets: np.ndarray, origin: int, *, centre: bool) -> ItemSeries:
        values = targets[:, :origin]
        offset = level_offset(values.T) if centre else np.zeros(len(values))
        known = filled_forward(item.known[:, : origin + self.horizon], origin)
        return replace(
            item, values=(values - offset[:, None]).astype(np.float32), past=item.past[:, :origin],
            known=known, rows=item.rows[:origin], offset=offset,
        )  # fmt: skip

    @property
    def _positions(self) -> list[tuple[int, int]]:
        return list(zip(self.item.tolist(), self.origin.tolist(), strict=True))

    @property
    def _zone(self) -> tuple[Any, str]:
        timestamps = self.frame.series[0].timestamps
        return timestamps.tz, timestamps.unit


def filled_forward(known: Float[np.ndarray, "K _"], origin: int) -> Float[np.ndarray, "K _"]:
    """Return known covariates with the last value before it at each missing step that is forecast."""
    if np.isfinite(known[:, origin:]).all():
        return known
    last = np.maximum.accumulate(np.where(np.isfinite(known), np.arange(known.shape[1]), 0), axis=1)
    filled = np.array(known)
    filled[:, origin:] = np.take_along_axis(known, last, axis=1)[:, origin:]
    return filled
