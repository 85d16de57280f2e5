"""Cells to numbers and stamps; a cell that is neither is named by file, item and row. L rows, C channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.store.number_text import DecimalRule
from tsfm.store.numbers import column_numbers, holds_dates
from tsfm.timestamps.parsing import ParsedTimestamps, TimestampOptions, parse_timestamps
from tsfm.timestamps.timezones import zone_name

if TYPE_CHECKING:
    from jaxtyping import Float

Location = Callable[[int], str]  # position in the block -> "file, item, row"


def parse_numbers(
    frame: Any,
    columns: Sequence[str],
    location: Location,
    sentinel: Sequence[float] = (),
    *,
    rule: DecimalRule | None = None,
) -> Float[np.ndarray, "L C"]:
    """Return the columns as float32, NaN where missing (or equal to a sentinel); text and infinities are errors.

    Parameters
    ----------
    rule
        How numbers in text are written; it remembers what earlier blocks of a table showed.
    """
    values = np.empty((len(frame), len(columns)), dtype=np.float64)
    for c, name in enumerate(columns):
        values[:, c] = _numeric(frame[name], name, location, rule or DecimalRule())
    if len(sentinel):
        values[np.isin(values, np.asarray(sentinel, dtype=np.float64))] = np.nan
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if np.isinf(single).any():
        row, c = np.argwhere(np.isinf(single))[0]
        problem = "infinite" if np.isinf(values[row, c]) else f"{values[row, c]:g}, too large for float32"
        raise ValueError(
            f"{location(int(row))}: column {columns[c]!r} is {problem}; correct the cell, or leave it empty"
        )
    return single


def _numeric(column: Any, name: str, location: Location, rule: DecimalRule) -> np.ndarray:
    if holds_dates(column):
        raise ValueError(
            f"{location(0)}: column {name!r} holds dates, not numbers; choose the columns with target=[...]"
        )
    values, bad = column_numbers(column, rule, label=location(0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{location(row)}: column {name!r} holds {str(column.iloc[row])[:40]!r}, which is not a number; "
            "correct it, choose the columns with target=[...], or name it in static=[...] if it labels the series"
        )
    return values


@dataclass
class TimestampParser:
    """Reads timestamps block by block; all blocks have the same kind and zone, and those of a file the same format."""

    options: TimestampOptions = field(default_factory=TimestampOptions)
    first: ParsedTimestamps | None = None  # of the first block
    notes: list[str] = field(default_factory=list)

    @property
    def zone(self) -> tzinfo | None:
        """Return the time zone, None where there is none."""
        return None if self.first is None else self.first.zone

    @property
    def numbered(self) -> bool:
        """Return whether the timestamps number steps."""
        return self.first is not None and self.first.numbered

    def new_file(self) -> None:
        """Files may write dates differently, but not in different zones."""
        if self.first is not None:
            self.first = replace(self.first, order="")

    def stamps(self, column: Any, location: Location, items: Any = None) -> np.ndarray:
        """Return a column as datetime64[us], in UTC where there is a zone. `items`: number of the item of each row."""
        parsed = parse_timestamps(
            column.reset_index(drop=True), items=items, like=self.first, **asdict(self.options),
            location=lambda row: f"{location(row)}: the timestamp",
        )  # fmt: skip
        if self.first is None and parsed.zone is not None:
            zone = f"timestamps are in the time zone {zone_name(parsed.zone)}"
            self.notes.append(f"{zone}: steps shorter than a day are kept in UTC, others in local time")
        self.notes += [note for note in parsed.notes if note not in self.notes]
        if self.first is None or not self.first.order:
            self.first = replace(self.first or parsed, order=parsed.order)
        return parsed.values
