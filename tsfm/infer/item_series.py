"""The items of a DataFrame as series on regular grids.

C target channels, L past steps, H horizon, W = L + H, J past-only and K known covariates, N items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.infer.future import future_values
from tsfm.infer.item_errors import ItemProblems
from tsfm.infer.item_rows import ItemRows
from tsfm.infer.level import subtract_levels
from tsfm.messages import format_id
from tsfm.store.read_options import ReadSettings
from tsfm.timestamps.frequency import GriddedSeries, describe_moves, grid_index, make_timestamps, regular_grid
from tsfm.timestamps.grid import equal_steps
from tsfm.timestamps.number_forms import restore_steps
from tsfm.timestamps.panels import PanelTimes, TimeSpan
from tsfm.timestamps.timezones import item_frequencies, regular_timestamps, restore_timezone, without_advice

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class ItemSeries:
    """One item on its regular grid. NaN is missing; a gap in the timestamps is missing too."""

    item_id: Any
    values: Float[np.ndarray, "C L"]
    start: np.datetime64  # [us] first step; local time, or UTC where `utc`
    freq: str
    past: Float[np.ndarray, "J L"]  # covariates known only in the past
    known: Float[np.ndarray, "K W"]  # covariates known through the horizon
    future: TimeSpan  # timestamps of the H future steps
    rows: Int[np.ndarray, " L"]  # the row of the DataFrame at each step; -1 in a gap
    utc: bool  # whether the grid is regular in UTC rather than in local time
    offset: Float[np.ndarray, " C"]  # that was subtracted from the values, in float64; 0 at ordinary levels

    @property
    def timestamps(self) -> pd.DatetimeIndex:
        """Of the H future steps, in the time zone of the DataFrame."""
        return self.future.index

    @property
    def original(self) -> Float[np.ndarray, "C L"]:
        """The values with their offset, in float64."""
        return self.values + self.offset[:, None]


@dataclass(frozen=True)
class ItemTable:
    """The rows of all items, which `series` puts on regular grids.

    Attributes
    ----------
    rows
        Their columns are the targets, the covariates known only in the past, and those known in the future.
    ids
        [N]
    future
        Rows of the known covariates at the steps to forecast; None without any.
    problems
        The items that cannot be used.
    """

    rows: ItemRows
    ids: pd.Series
    targets: list[str]
    num_past: int
    num_known: int
    future: ItemRows | None
    settings: ReadSettings
    problems: ItemProblems
    label: str = "df"  # what the DataFrame is called in messages

    @property
    def freq(self) -> Any:
        """The frequency of the grid, where the user gave it; one such as "h" for numbered steps is that of a season."""
        return None if self.rows.parsed.numbered and not self.settings.counts_steps else self.settings.freq

    @property
    def is_given(self) -> bool:
        """Whether the user gave the frequency of the grid."""
        return self.freq is not None

    def series(self, horizon: int, *, centre: bool, notes: list[str]) -> list[ItemSeries]:
        """Return the items, and the timestamps of the `horizon` steps after them; assumptions are added to `notes`.

        `centre` is that of `tsfm.infer.frames.read_frame`.

        Raises
        ------
        ItemErrors
            When items have no frequency, are not on a grid, have a target without an observed value, or lack a value of
            a known covariate; also when `problems` has items already.
        """
        rows = self.rows
        keep = self.settings.grid == "keep"
        options: dict[str, Any] = {"label": self.label, "steps": rows.parsed.numbered, "keep": keep, "notes": notes}
        problems: dict[str, Any] = {"failed": self.problems.reasons, "report": self.problems.add}
        freqs = item_frequencies(rows.timestamps, rows.bounds, self.ids, self.freq, **options, **problems)
        try:
            self.problems.check()
            return self._all_series(rows, [str(freq) for freq in freqs], horizon, centre=centre, notes=notes)
        except ValueError:
            if not self.problems.at_once:
                self._raise_problems(freqs, horizon)
            raise

    def _raise_problems(self, freqs: list[str | None], horizon: int) -> None:
        """Raise the error of all items that cannot be used, with the steps after them as far as they are known."""
        rows, ids = self.rows, self.ids.array
        for item, freq in enumerate(freqs):
            if freq is None or item in self.problems:
                continue
            try:
                timestamps, _ = regular_timestamps(rows.timestamps[rows.span(item)], freq)  # type: ignore[arg-type]
                self._grid(rows, item, timestamps, freq=freq)
                if self.future is not None:
                    steps = self._next_steps(item, freq, horizon)
                    future_values(self.future, item, steps, ids[item], freq=freq, notes=[])
            except ValueError as error:
                self.problems.add(item, str(error))
        common = {freq for item, freq in enumerate(freqs) if freq is not None and item not in self.problems}
        for item in self.problems.reasons:
            freq = freqs[item] or (next(iter(common)) if len(common) == 1 else None)
            if freq is not None and rows.bounds[item + 1] > rows.bounds[item]:
                steps = self._next_steps(item, freq, horizon)
                self.problems.timestamps[item] = restore_steps(steps, numbered=rows.parsed.numbered)
        self.problems.check()

    def _next_steps(self, item: int, freq: str, horizon: int) -> pd.DatetimeIndex:
        """Return the steps after the last row of an item."""
        times = self.rows.timestamps[self.rows.span(item)]
        last, utc = regular_timestamps(times[-1:], freq)  # type: ignore[arg-type]
        steps = make_timestamps(last[0], freq, horizon + 1)[1:]
        return restore_timezone(steps, self.rows.timestamps.tz, absolute=utc, unit=self.rows.parsed.unit)

    def _all_series(
        self, rows: ItemRows, freqs: list[str], horizon: int, *, centre: bool, notes: list[str]
    ) -> list[ItemSeries]:
        """Return the items, all of which can be used; else the first that cannot is an error."""
        num_targets = len(self.targets)
        offsets = np.zeros((len(self.ids), num_targets))
        if centre:
            rows, offsets = subtract_levels(rows, num_targets, notes=notes, label=self.label)
        panel, ids = PanelTimes(rows.timestamps, rows.bounds), self.ids.array
        stamps = [panel.regular(item, freq) for item, freq in enumerate(freqs)]
        absolute = np.array([utc for _, utc in stamps])
        grids = self._grids(rows, [times for times, _ in stamps], freqs, panel.without_gaps(freqs, absolute))
        future_times = panel.after(
            [grid.start for grid in grids],
            np.array([grid.values.shape[1] for grid in grids]),
            freqs,
            absolute,
            horizon=horizon,
            unit=rows.parsed.unit,
        )
        series = []
        for item, (freq, grid, times) in enumerate(zip(freqs, grids, future_times, strict=True)):
            timestamps, utc = stamps[item]
            num_steps, last_past = grid.values.shape[1], num_targets + self.num_past
            known = np.full((self.num_known, num_steps + horizon), np.nan, np.float32)
            known[:, :num_steps] = grid.values[last_past:]
            if self.future is not None:
                values = future_values(self.future, item, times.index, ids[item], freq=freq, notes=notes)
                known[:, num_steps:] = values.T
            targets, past = grid.values[:num_targets], grid.values[num_targets:last_past]
            step_rows = self._step_rows(item, timestamps, grid, freq=freq)
            series.append(
                ItemSeries(ids[item], targets, grid.start, freq, past, known, times, step_rows, utc, offsets[item])
            )
        notes += self._describe(grids, freqs[0], horizon)
        return series

    def _grids(
        self, rows: ItemRows, timestamps: list[np.ndarray], freqs: list[str], without_gaps: Bool[np.ndarray, " N"]
    ) -> list[GriddedSeries]:
        """Return the values of all items on their regular grids; those without gaps are cut out of one array."""
        values = np.ascontiguousarray(rows.values.T, dtype=np.float32)
        num_observed = np.add.reduceat(~np.isnan(values[: len(self.targets)]), rows.bounds[:-1], axis=1, dtype=np.int64)
        simple = without_gaps & (num_observed > 0).all(axis=0) & (self.settings.grid != "keep")
        return [
            GriddedSeries(times[0], np.ascontiguousarray(values[:, rows.span(item)]), 0)
            if simple[item]
            else self._grid(rows, item, times, freq=freq)
            for item, (times, freq) in enumerate(zip(timestamps, freqs, strict=True))
        ]

    def _grid(self, rows: ItemRows, item: int, timestamps: np.ndarray, *, freq: str) -> GriddedSeries:
        """Return the values of one item on its regular grid; each target needs an observed value."""
        span, item_id = rows.span(item), self.ids.array[item]
        location: Any = {"item": str(item_id), "rows": rows.row[span]}
        try:
            if self.settings.grid == "keep":
                grid = equal_steps(timestamps, rows.values[span], freq=freq)
            else:
                grid = regular_grid(timestamps, rows.values[span], freq=freq, is_given=self.is_given, **location)
        except ValueError as error:
            raise ValueError(
                f"{self.label}: {without_advice(error)}; correct the timestamp or give another freq="
            ) from error
        missing = np.isnan(grid.values[: len(self.targets)]).all(1)
        if missing.any():
            raise ValueError(
                f"{self.label}: item {format_id(item_id)} has no observed value in "
                f"{self.targets[int(missing.argmax())]!r}; drop the item or fill it"
            )
        return grid

    def _step_rows(self, item: int, timestamps: np.ndarray, grid: GriddedSeries, *, freq: str) -> Int[np.ndarray, " L"]:
        """Return the row of the DataFrame at each step, -1 in a gap."""
        rows = self.rows.row[self.rows.span(item)]
        if not grid.inserted:
            return np.array(rows)
        step_rows = np.full(grid.values.shape[1], -1)
        step_rows[grid_index(timestamps, freq=freq, is_given=self.is_given)] = rows
        return step_rows

    def _describe(self, grids: list[GriddedSeries], freq: str, horizon: int) -> list[str]:
        """Return what was assumed when the items were put on their grids."""
        notes = []
        if self.future is not None and (num_beyond := int((self.future.code >= 0).sum()) - horizon * len(grids)):
            notes.append(f"future_df: {num_beyond} rows beyond the {horizon} requested steps are not used")
        if self.settings.grid == "keep":
            notes.append(f"{self.label}: rows are taken as equally spaced (grid='keep'), whatever their timestamps say")
        if num_inserted := sum(grid.inserted for grid in grids):
            notes.append(f"{self.label}: {num_inserted} steps without a row are taken as missing")
        if num_moved := sum(grid.moved for grid in grids):
            notes.append(f"{self.label}: " + describe_moves(num_moved, max(grid.largest_move for grid in grids), freq))
        return notes
