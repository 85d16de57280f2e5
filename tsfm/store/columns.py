"""Which column is what: item, time, channels, static labels; what was guessed is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tsfm.messages import did_you_mean

ITEM, TIME = "item_id", "timestamp"
TIME_NAMES = ("date", "datetime", "time", "Date", "Datetime", "DateTime", "Time", "Timestamp", "DATE", "DATETIME")
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
    target: list[str]
    static: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> list[str]:
        """Columns to be read as text, so that "007" stays "007"."""
        return [name for name in (self.item, self.time, *self.static) if name is not None]


def plan_columns(columns: Sequence[str], options: ColumnOptions, *, file: str) -> ColumnPlan:
    """Return the plan for a table with these columns.

    Raises
    ------
    ValueError
        When a column occurs twice or has two roles, or a named or needed one is absent.
    """
    columns = [str(column) for column in columns]
    listed = ", ".join(columns[:30]) + (f", ... ({len(columns)} in all)" if len(columns) > 30 else "")
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(f"{file}: column {twice!r} occurs twice; rename one (found: {listed})")
    for requested in (*(options.target or ()), *options.static):
        if requested not in columns:
            raise ValueError(f"{file} has no column {requested!r}; {did_you_mean(requested, columns)}")
    notes: list[str] = []
    item = _item(columns, options, listed, file=file, notes=notes)
    time = _time(columns, options, listed, file=file, notes=notes)
    taken = {item, time, *options.static}
    target = list(options.target or ()) or [column for column in columns if column not in taken]
    if options.target is None:
        ignored = [c for c in target if c in NOT_CHANNELS or c.startswith("Unnamed:") or not c.strip()]
        target = [column for column in target if column not in ignored]
        notes += [f"column {column!r} was ignored: it is not a channel" for column in ignored]
    if clash := [column for column in target if column in taken]:
        raise ValueError(f"{file}: column {clash[0]!r} is asked for as target and as item, time or static; choose one")
    if not target:
        raise ValueError(f"{file} has no column of values beside item and time; found: {listed}")
    return ColumnPlan(item, time, target, list(options.static), notes)


def _item(columns: list[str], options: ColumnOptions, listed: str, *, file: str, notes: list[str]) -> str | None:
    if options.layout == "wide":
        return None
    if options.id_column in columns:
        return options.id_column
    if options.id_column == ITEM and "unique_id" in columns:
        notes.append("column 'unique_id' was taken as item_id")
        return "unique_id"
    if options.layout == "long" or options.id_column != ITEM:
        raise ValueError(
            f"{file} has no column {options.id_column!r} that names the items; found: {listed}; give id_column=..., or "
            "layout='wide' for one series whose channels are the columns"
        )
    return None


def _time(columns: list[str], options: ColumnOptions, listed: str, *, file: str, notes: list[str]) -> str | None:
    if options.timestamp_column in columns:
        return options.timestamp_column
    if options.timestamp_column == TIME:
        candidates = [name for name in ("ds", *TIME_NAMES) if name in columns and name not in (options.target or ())]
        if len(candidates) == 1:
            notes.append(f"column {candidates[0]!r} was taken as timestamp")
            return candidates[0]
        if options.freq is not None and not candidates:
            notes.append(f"there is no timestamp column: rows were numbered from 1970 on, one every {options.freq}")
            return None
        if candidates:
            raise ValueError(f"{file}: {candidates} could each be the time; say which with timestamp_column=...")
    raise ValueError(
        f"{file} has no column {options.timestamp_column!r}; found: {listed}; give timestamp_column=..., or "
        "freq=... to number the rows of a table without stamps"
    )
