"""Which column is what: item, time, channels, static labels; what was guessed is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tsfm.messages import did_you_mean
from tsfm.store.column_choice import NOT_VALUES, ColumnChooser, Sample
from tsfm.store.column_names import ITEM, TARGET, TIME, describe_choice, find_target, is_unnamed, listing


@dataclass(frozen=True)
class ColumnOptions:
    """How the columns of a table are to be taken; None means: find out."""

    layout: str = "auto"
    id_column: str = ITEM
    timestamp_column: str | None = TIME
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


class _Planner:
    """Plans the columns of one table, and notes what it assumes."""

    def __init__(self, columns: list[str], options: ColumnOptions, *, file: str, sample: Sample):
        self.options, self.file, self.notes = options, file, []
        self.listed = listing(columns)
        self.chooser = ColumnChooser(columns, label=file, sample=sample, notes=self.notes)

    def item(self, time: str | None) -> str | None:
        """Return the column that names the items; None where the table is one item."""
        options = self.options
        if options.layout == "wide":
            return None
        taken = [*(options.target or ()), *options.static]
        guess = options.layout == "auto" and options.target is None
        item = self.chooser.item(options.id_column, time=time, taken=taken, guess=guess)
        if item is None and options.layout == "long":
            raise ValueError(
                f"{self.file} has no column {options.id_column!r} that names the items; found: {self.listed}; give "
                "id_column=..., or layout='wide' for one series whose channels are the columns"
            )
        return item

    def time(self) -> str | None:
        """Return the column of timestamps; None where rows are numbered."""
        options = self.options
        time = self.chooser.time(options.timestamp_column, taken=[*(options.target or ()), *options.static])
        if time is None:
            count = "0, 1, 2, ..." if options.freq is None else f"from 1970 on, one every {options.freq}"
            self.notes.append(f"{self.file}: without a timestamp column the rows of each item are numbered {count}")
        return time

    def channels(self, others: list[str]) -> tuple[list[str], list[str]]:
        """Return the targets and the covariates among columns that are neither item, time nor static."""
        if self.options.target is not None:
            return list(self.options.target), []
        ignored = [column for column in others if column in NOT_VALUES or is_unnamed(column)]
        self.notes += [f"column {column!r} was ignored: it is not a channel" for column in ignored]
        channels = [column for column in others if column not in ignored]
        if not channels:
            raise ValueError(f"{self.file} has no column of values beside item and time; found: {self.listed}")
        target = None if self.options.layout == "wide" else find_target(channels)
        return (channels, []) if target is None else ([str(target)], self._covariates(str(target), channels))

    def _covariates(self, target: str, channels: list[str]) -> list[str]:
        """Return the numeric columns next to the target."""
        others = [name for name in channels if name != target]
        covariates = self.chooser.numeric(others)
        if target != TARGET:
            self.notes.append(describe_choice(target, TARGET, label=self.file))
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
    planner = _Planner(columns, options, file=file, sample=sample)
    time = planner.time()
    item = planner.item(time)
    others = [column for column in columns if column not in (item, time, *options.static)]
    target, covariates = planner.channels(others)
    if clash := [column for column in target if column in (item, time, *options.static)]:
        raise ValueError(f"{file}: column {clash[0]!r} is asked for as target and as item, time or static; choose one")
    return ColumnPlan(item, time, target + covariates, list(options.static), covariates, planner.notes)
