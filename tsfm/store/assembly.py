"""From rows to a store: collect the rows of each item, infer its frequency, put it on a regular grid.

C channels, T steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.store.columns import ColumnOptions
from tsfm.store.ingest_report import IngestReport
from tsfm.store.readers import RowBlock
from tsfm.store.regroup import ItemRows, joined_rows, static_of
from tsfm.store.sources import Table
from tsfm.store.ts_files import FileSeries, add_anchor
from tsfm.store.value_parsing import TimestampParser
from tsfm.store.writer import StoreWriter
from tsfm.timestamps.frequency import (
    base_freq,
    describe_moves,
    infer_freq,
    item_location,
    parse_freq,
    regular_grid,
)
from tsfm.timestamps.grid import are_steps
from tsfm.timestamps.offsets import default_start
from tsfm.timestamps.sessions import describe_sessions
from tsfm.timestamps.timezones import in_timezone, local_times, regular_timestamps, zone_name

MAX_VALUES = 10**8  # of an item, which is put together in memory: about 4 GB
MAX_WAITING = 100  # items held in memory because no item has shown its frequency yet


class ScatteredRows(Exception):
    """The rows of an item are not together."""


class SeriesAssembly:
    """Collects the rows of each item and passes complete series to a `StoreWriter`."""

    def __init__(
        self, out: Path, *, options: ColumnOptions, grid: str, labels: dict[str, Any], overwrite: bool, mixed: bool,
        timestamps: TimestampParser, errors: str = "raise",
    ):  # fmt: skip
        self.errors = errors
        self.unread: dict[str, str] = {}  # items with rows that cannot be read, and why
        self.out, self.options, self.grid, self.mixed, self.timestamps = out, options, grid, mixed, timestamps
        self.labels, self.overwrite = labels, overwrite
        self.writer: StoreWriter | None = None
        self.report = IngestReport(out)
        self.freq, self.freq_item = options.freq, ""  # of the first item, which the others must share
        self._waiting: list[ItemRows] = []  # items of unknown frequency, until another item has one
        self._pieces: list[ItemRows] = []  # of the item being read
        self._num_rows = 0  # of these
        self._item: str | None = None
        self._seen: set[str] = set()
        self._dropped: set[str] = set()  # of the unread items
        self._failure: ValueError | None = None  # the first; raised at close unless rows are scattered
        self._unsorted: list[str] = []  # items whose rows were not in time order
        self._tables: dict[str, Table] = {}  # that are one item each
        self._observed = np.zeros(0, dtype=bool)  # channels with any value
        self._moved = self._largest_move = 0  # rows moved to a grid, and microseconds

    def open(self, channels: list[str], table: Table, *, whole: bool, covariates: Sequence[str] = ()) -> StoreWriter:
        """Return the writer for these channels. `whole`: the table is one item, whose name no other table may have."""
        if whole and self._tables.setdefault(table.item, table) is not table:
            raise ValueError(
                f"{self._tables[table.item].data} and {table.data} would both be item {table.item!r}; rename one file"
            )
        if self.writer is None:
            self.writer = StoreWriter(self.out, channels=channels, overwrite=self.overwrite, **self.labels)
            self.writer.covariates = list(covariates)
            self.report.channels, self._observed = channels, np.zeros(len(channels), dtype=bool)
        elif channels != self.report.channels:
            odd = sorted(set(channels) ^ set(self.report.channels))[:5] or "in another order"
            raise ValueError(
                f"{table.file} has {len(channels)} channel(s), the files before it {len(self.report.channels)} "
                f"(differing: {odd}); the series of a store share their channels: choose them with target=[...], or "
                "make two stores"
            )
        return self.writer

    def take(self, block: RowBlock) -> None:
        """Add rows in file order, item after item."""
        self._drop_unread()
        cuts = np.flatnonzero(np.diff(block.code)) + 1
        for low, high in zip([0, *cuts], [*cuts, len(block.code)], strict=True):
            item = block.items[block.code[low]]
            if item != self._item:
                self.finish_item()
                if item in self.unread:
                    self._item = None
                    continue
                if item in self._seen:
                    raise ScatteredRows
                self._seen.add(item)
                self._item = item
            if self._failure is not None or item in self.unread:
                continue
            chunk = slice(low, high)
            self._num_rows += int(high - low)
            if self._num_rows * block.values.shape[1] > MAX_VALUES:
                raise ValueError(
                    f"{item_location(item, file=block.file)} has more than {MAX_VALUES:,} values; split it into "
                    "several items, or use a coarser time step"
                )
            static = {}
            if block.static:
                static = static_of(block, chunk, item, self._pieces[0].static if self._pieces else None)
            times = None if block.times is None else block.times[chunk]
            values = block.values[chunk]
            self._pieces.append(ItemRows(item, block.file, block.rows[chunk], times, values, static))

    def finish_item(self) -> None:
        """Hand on the item whose rows have all been read."""
        pieces, self._pieces, self._num_rows = self._pieces, [], 0
        if pieces:
            self.finish(joined_rows(pieces))

    def finish(self, rows: ItemRows) -> None:
        """Add an item with all its rows; if it is wrong, read on, for more rows of it may follow."""
        if rows.item_id in self.unread:
            return
        try:
            self.item(rows)
        except ValueError as error:
            self._reject(rows.item_id, error)

    def _reject(self, item: str, error: ValueError) -> None:
        """Leave an item out, or keep the first error for the end."""
        if self.errors == "raise":
            self._failure = self._failure or error
        else:
            self.report.failed_items[item] = str(error)

    def _drop_unread(self) -> None:
        """Drop the rows of items of which other rows could not be read."""
        for item in self.unread.keys() - self._dropped:
            if item == self._item:
                self._pieces, self._num_rows, self._item = [], 0, None
            elif item in self._seen:
                raise ScatteredRows
            self._dropped.add(item)

    def item(self, rows: ItemRows) -> None:
        """One item with all its rows; until a frequency is known, items that do not tell theirs wait."""
        rows = self._sorted(rows)
        if rows.times is None:
            freq = self.options.freq or "1"  # numbered steps
            self._write(rows, default_start(freq), freq)
        elif self.options.freq is not None:
            self._write(rows, rows.times[0], add_anchor(self.options.freq, self._local(rows.times)[0]))
        elif (freq := self._own_freq(rows)) is not None:
            self._agree(freq, rows.item_id, rows.file)
            waiting, self._waiting = self._waiting, []
            for earlier in waiting:
                self.finish(earlier)
            self._write(rows, rows.times[0], freq)
        elif self.freq is not None:
            step = parse_freq(self.freq)
            freq = base_freq(self.freq) if step.micros and not step.sessions else self.freq
            self._write(rows, rows.times[0], add_anchor(freq, self._local(rows.times)[0]))
        else:
            self._waiting.append(rows)
            if len(self._waiting) > MAX_WAITING:
                self._give_up()

    def _own_freq(self, rows: ItemRows) -> str | None:
        """Infer the frequency from the item's timestamps; None if they are too few or too irregular."""
        times = self._local(rows.times)
        if self.freq and (micros := parse_freq(self.freq).micros) and are_steps(times, micros):
            return add_anchor(base_freq(self.freq), times[0]) if len(times) > 1 else None
        try:
            return infer_freq(times, item=rows.item_id, file=rows.file, steps=self.timestamps.numbered)
        except ValueError:
            return None

    def _local(self, times: np.ndarray) -> np.ndarray:
        """Timestamps of the rows as local times."""
        return times if self.timestamps.zone is None else local_times(in_timezone(times, self.timestamps.zone))

    def _give_up(self) -> None:
        """No item has a frequency: explain what is wrong with each."""
        waiting, self._waiting = self._waiting, []
        for rows in waiting:
            try:
                infer_freq(self._local(rows.times), item=rows.item_id, file=rows.file, steps=self.timestamps.numbered)
            except ValueError as error:
                self._reject(rows.item_id, error)

    def _agree(self, freq: str, item: str, file: str) -> None:
        """Check that the steps of all items are equally long, unless mixed frequencies are allowed."""
        if self.freq is None:
            self.freq, self.freq_item = freq, item
        if not self.mixed and base_freq(freq) != base_freq(self.freq):
            raise ValueError(
                f"{item_location(item, file=file)} has a step every {freq}, item {self.freq_item!r} every "
                f"{self.freq}; give "
                "allow_mixed_freq=True to keep both in one store, or freq to lay all on one grid"
            )

    def _write(self, rows: ItemRows, start: np.datetime64, freq: str) -> None:
        inserted, values, times = 0, rows.values.T, rows.times
        if times is not None and self.timestamps.zone is not None:
            times, _ = regular_timestamps(in_timezone(times, self.timestamps.zone), freq)
            start = times[0]
        if times is not None and self.grid == "fill":
            grid = regular_grid(
                times, rows.values, freq=freq, item=rows.item_id, file=rows.file, rows=rows.rows,
                is_given=self.options.freq is not None,
            )  # fmt: skip
            start, values, inserted = grid.start, grid.values, grid.inserted
            self._moved, self._largest_move = self._moved + grid.moved, max(self._largest_move, grid.largest_move)
        self._agree(freq, rows.item_id, rows.file)
        self._add(rows.item_id, values, start, freq, rows.static, rows.file, inserted)

    def _sorted(self, rows: ItemRows) -> ItemRows:
        """Return the rows in time order."""
        if rows.times is None or (rows.times[1:] >= rows.times[:-1]).all():
            return rows
        order = np.argsort(rows.times, kind="stable")
        self._unsorted.append(rows.item_id)
        return replace(rows, rows=rows.rows[order], times=rows.times[order], values=rows.values[order])

    def add_item(self, item: FileSeries, table: Table) -> None:
        """Add a series that its file held as a whole."""
        self.open(item.channels, table, whole=False)
        try:
            self._agree(item.freq, item.item_id, item.file)
            self._add(item.item_id, item.values, item.start, item.freq, item.static, item.file, 0)
        except ValueError as error:
            if self.errors == "raise":
                raise
            self._reject(item.item_id, error)

    def _add(
        self, item: str, values: np.ndarray, start: Any, freq: str, static: dict, file: str, inserted: int
    ) -> None:
        assert self.writer is not None
        missing = np.isnan(values).sum(axis=1)
        if missing.sum() == values.size:
            raise ValueError(
                f"{item_location(item, file=file)}: all {values.shape[1]} values are missing; leave the item out of "
                "the file"
            )
        self.writer.add(item, values, start, freq, static)
        self._observed |= missing < values.shape[1]
        self.report.missing += int(missing.sum()) - inserted * len(values)
        self.report.inserted += inserted
        self.report.series += 1
        self.report.steps += values.shape[1]

    def close(self, notes: Sequence[str], source: str) -> IngestReport:
        """Finish the store."""
        self._drop_unread()
        self.finish_item()
        self._give_up()
        if self._failure is not None:
            raise self._failure
        self.report.failed_items = {**self.unread, **self.report.failed_items}
        if self.writer is None or not self.report.series:
            reasons = f": {self.report.describe_failed()}" if self.report.failed_items else ""
            raise ValueError(f"{source} holds no series; nothing is written{reasons}")
        if not self._observed.all():
            empty = self.report.channels[int((~self._observed).argmax())]
            raise ValueError(f"{source}: column {empty!r} has no value at all; leave it out with target=[...]")
        if self.freq is not None and (sessions := parse_freq(self.freq).sessions):
            notes = [*notes, f"closed hours are left out; steps are {describe_sessions(sessions)} (freq {self.freq})"]
        moves = [describe_moves(self._moved, self._largest_move, str(self.freq))] if self._moved else []
        if self._unsorted:
            moves.append(f"rows of {len(self._unsorted)} items (first {self._unsorted[0]!r}) were sorted by time")
        self.report.notes = [*notes, *moves]
        self.writer.notes = [*self.report.notes, *self.report.left_out]
        self.writer.timezone = None if self.timestamps.zone is None else zone_name(self.timestamps.zone)
        manifest = self.writer.close()
        self.report.frequency, self.report.fingerprint = manifest.frequency, manifest.fingerprint
        return self.report
