"""The parts of a report, independent of how it is written: headings, paragraphs, tables, pictures and sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    text
        What it shows.
    mark
        "best", "published", "undefined", or empty.
    note
        What the mark means, for those who cannot see it.
    """

    text: str
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading of a level from 1 to 4; `anchor` is the target of links."""

    text: str
    level: int
    anchor: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` is "note" for remarks, "warning" for what limits a result."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes
    ----------
    header
        Names of the columns.
    rows
        Cells, or their texts.
    caption
        What the table holds.
    numeric
        Indices of the columns of numbers, which are aligned to the right.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A chart: SVG elements that refer to no file, their size, and what they show in words."""

    svg: str
    caption: str
    description: str


@dataclass(frozen=True)
class Preformatted:
    """Lines of text that are not wrapped, such as commands."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Links:
    """Links to headings: pairs of an anchor and a text."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Details:
    """Blocks that are folded until the reader opens them."""

    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = "Heading | Text | Table | Picture | Preformatted | Links | Details"


def as_cell(value: Cell | str) -> Cell:
    """Return a cell."""
    return value if isinstance(value, Cell) else Cell(value)


def count(number: int, noun: str) -> str:
    """Return a number and what it counts: "1 job", "2,000 jobs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_number(value: float | None, *, digits: int = 3) -> str:
    """Return a number with so many significant decimals as a table needs; "-" where there is none.

    Examples
    --------
    >>> [format_number(x) for x in (0.98765, 12.3456, 1234.5, 0.00012, 0.0, float("nan"))]
    ['0.988', '12.35', '1,234', '1.2e-04', '0.000', '-']
    """
    if value is None or value != value:
        return "-"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}" if size < 1e7 else f"{value:.3g}"
    if 0 < size < 10.0**-digits:
        return f"{value:.1e}"
    return f"{value:.{digits if size < 10 else max(0, digits - 1)}f}"
