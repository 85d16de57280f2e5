"""Which column is what: item, time, channels, static labels; what was guessed is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tsfm.messages import did_you_mean
from tsfm.store.column_names import (
    ITEM,
    TARGET,
    TIME,
    find_item,
    find_target,
    find_time,
    guess_item,
    is_row_number,
    is_unnamed,
    listing,
)
from tsfm.store.numbers import holds_dates, is_numeric

NOT_CHANNELS = ("split",)  # official train/test marks beside the values of known benchmark files


@dataclass(frozen=True)
class ColumnOptions:
    """How the columns of a table are to be taken; None means: find out."""

    layout: str = "auto"
    id_column: str = ITEM
    timestamp_column: str = TIME
    target: tuple[str, ...] | None = None
    static: tuple[str, ...] = ()
    freq: str | None = None
    sentinel: tuple[float, ...] = ()


@dataclass
class ColumnPlan:
    """The columns of one table."""

    item: str | None  # None: the whole table is one item
    time: str | None  # None: rows are numbered
    target: list[str]  # the channels; covariates last
    static: list[str]
    covariates: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> list[str]:
        """Columns to be read as text, so that "007" stays "007"."""
        return [name for name in (self.item, self.time, *self.static) if name is not None]


Sample = Callable[[Sequence[str]], Any]  # columns -> their first rows


class _Finder:
    """Finds the columns of one table, and notes what it assumes."""

    def __init__(self, columns: list[str], options: ColumnOptions, *, file: str, sample: Sample):
        self.columns, self.options, self.file, self.sample = columns, options, file, sample
        self.listed = listing(columns)
        self.notes: list[str] = []

    def item(self) -> str | None:
        """Return the column that names the items; None where the table is one item."""
        options = self.options
        if options.layout == "wide":
            return None
        free = [column for column in self.columns if column not in (options.target or ())]
        column = find_item(
            free, options.id_column, numbers_rows=lambda name: is_row_number(self.sample([str(name)])[str(name)])
        )
        if column is not None:
            if column != options.id_column:
                self.notes.append(f"column {column!r} was taken as item_id")
            return str(column)
        if options.layout == "long" or options.id_column != ITEM:
            raise ValueError(
                f"{self.file} has no column {options.id_column!r} that names the items; found: {self.listed}; give "
                "id_column=..., or layout='wide' for one series whose channels are the columns"
            )
        return None

    def time(self) -> str | None:
        """Return the column of timestamps; None where rows are numbered."""
        options = self.options
        candidates = find_time(self.columns, options.timestamp_column, taken=options.target or ())
        if len(candidates) == 1:
            if candidates[0] != options.timestamp_column:
                self.notes.append(f"column {candidates[0]!r} was taken as timestamp")
            return str(candidates[0])
        if candidates:
            raise ValueError(f"{self.file}: {candidates} could each be the time; say which with timestamp_column=...")
        if options.timestamp_column == TIME and options.freq is not None:
            self.notes.append(
                f"there is no timestamp column: rows were numbered from 1970 on, one every {options.freq}"
            )
            return None
        raise ValueError(
            f"{self.file} has no column {options.timestamp_column!r}; found: {self.listed}; give timestamp_column=..., "
            "or freq=... to number the rows of a table without stamps"
        )

    def only_text(self, time: str, others: list[str]) -> str | None:
        """Return the only text column, where it names the items."""
        frame = self.sample([time, *others])
        texts = [name for name in others if len(frame) and not is_numeric(frame[name]) and not holds_dates(frame[name])]
        item = guess_item(frame, time, [name for name in texts if not is_unnamed(name) and name not in NOT_CHANNELS])
        if item is not None:
            self.notes.append(f"column {item!r}, the only one of text, was taken as item_id")
        return None if item is None else str(item)

    def channels(self, others: list[str]) -> tuple[list[str], list[str]]:
        """Return the targets and the covariates among columns that are neither item, time nor static."""
        if self.options.target is not None:
            return list(self.options.target), []
        ignored = [column for column in others if column in NOT_CHANNELS or is_unnamed(column)]
        self.notes += [f"column {column!r} was ignored: it is not a channel" for column in ignored]
        channels = [column for column in others if column not in ignored]
        if not channels:
            raise ValueError(f"{self.file} has no column of values beside item and time; found: {self.listed}")
        target = None if self.options.layout == "wide" else find_target(channels)
        return (channels, []) if target is None else ([str(target)], self._covariates(str(target), channels))

    def _covariates(self, target: str, channels: list[str]) -> list[str]:
        """Return the numeric columns next to the target."""
        others = [name for name in channels if name != target]
        frame = self.sample(others) if others else {}
        covariates = [name for name in others if is_numeric(frame[name])]
        if target != TARGET:
            self.notes.append(f"column {target!r} was taken as target")
        if covariates:
            self.notes.append(f"{', '.join(covariates)} are covariates, because {target!r} is the target")
        if unused := [name for name in others if name not in covariates]:
            self.notes.append(f"not used, because not numeric: {', '.join(unused)}")
        return covariates


def plan_columns(columns: Sequence[str], options: ColumnOptions, *, file: str, sample: Sample) -> ColumnPlan:
    """Return the plan for a table with these columns.

    Parameters
    ----------
    sample
        Returns the first rows of some columns, for what the names alone do not tell.

    Raises
    ------
    ValueError
        When a column occurs twice or has two roles, or a named or needed one is absent.
    """
    columns = [str(column) for column in columns]
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(f"{file}: column {twice!r} occurs twice; rename one (found: {listing(columns)})")
    for requested in (*(options.target or ()), *options.static):
        if requested not in columns:
            option = "static" if requested in options.static else "target"
            advice = f"name another with {option}="
            raise ValueError(f"{file} has no column {requested!r}; {did_you_mean(requested, columns)}; {advice}")
    finder = _Finder(columns, options, file=file, sample=sample)
    item, time = finder.item(), finder.time()
    others = [column for column in columns if column not in (item, time, *options.static)]
    if item is None and time is not None and options.layout == "auto" and options.target is None:
        item = finder.only_text(time, others)
        others = [column for column in others if column != item]
    target, covariates = finder.channels(others)
    if clash := [column for column in target if column in (item, time, *options.static)]:
        raise ValueError(f"{file}: column {clash[0]!r} is asked for as target and as item, time or static; choose one")
    return ColumnPlan(item, time, target + covariates, list(options.static), covariates, finder.notes)
