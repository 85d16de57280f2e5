"""CSV: dialects whose meaning is known, faults of content, and damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.fuzz.cases import EITHER, READ, REFUSE, Case
from tests.fuzz.content import Content, LongTable, Row, random_table
from tests.fuzz.csv_style import MISSING, UNCLEAR, CsvStyle, cell_grid, random_style, write_cells
from tests.fuzz.damage import damaged
from tests.fuzz.plain_csv import plain_contents

Grid = list[list[str]]
NO_NUMBERS = ("abc", "1.2.3", "--", "0x1F", "1e", "inf", "-Infinity", "1e400", "1_000", "١٢", "½", "12 %", "1;2", "(5)")
NO_STAMPS = ("yesterday", "2024-13-45", "2024-02-30", "0000-00-00", "12:00", "31/31/2020", "?", "1e5", "")


def csv_case(rng: np.random.Generator) -> Case:
    """Return a table in some dialect, perhaps with changed content or damage."""
    has_ids = rng.random() < 0.8
    table = random_table(rng, max_items=4 if has_ids else 1)
    style = random_style(rng, table, has_ids=has_ids)
    if rng.random() < 0.35:
        return _damaged(rng, table, style, has_ids)
    table, done, must, changed = _changed_rows(rng, table)
    grid, texts = cell_grid(table, style), []
    if rng.random() < 0.25:
        kind = list(GRID_FAULTS)[int(rng.integers(0, len(GRID_FAULTS)))]
        must = GRID_FAULTS[kind](rng, grid, style) or must
        texts.append(kind)
    content = _content(table, style, changed)
    if must == READ and not _is_clear(content, table, style):
        must = EITHER
    return Case(
        "csv", _file_name(style), write_cells(grid, style), content, must, _channel_names(style, table), has_ids,
        [*style.describe(), *done, *texts], _options(rng, style),
    )  # fmt: skip


def _content(table: LongTable, style: CsvStyle, changed: bool) -> Content:
    """Return what the file says: timestamps have the zone of the style."""
    if style.zone is not None:
        table = replace(table, rows=[replace(row, time=row.time.tz_localize(style.zone)) for row in table.rows])
    return table.content(changed=changed)


def _is_clear(content: Content, table: LongTable, style: CsvStyle) -> bool:
    """Whether nothing in the file can be read in two ways."""
    if style.stamp in UNCLEAR or not content.is_certain or style.thousands:
        return False
    daily_in_zone = style.zone is not None and table.freq.split("-")[0] not in (
        "h",
        "15min",
        "30min",
        "s",
        "5min",
        "10s",
    )
    three_digits = style.decimal == "," or style.separator not in ",;"
    return not daily_in_zone and not three_digits


def _file_name(style: CsvStyle) -> str:
    return {"\t": "data.tsv"}.get(style.separator, "data.csv") + style.pack


def _channel_names(style: CsvStyle, table: LongTable) -> list[str]:
    return [style.names[style.order.index(name)] for name in table.channels]


def _options(rng: np.random.Generator, style: CsvStyle) -> dict[str, str]:
    options = {}
    if rng.random() < 0.15:
        options["sep"] = style.separator
    if style.decimal == "," and rng.random() < 0.5:
        options["decimal"] = ","
    if style.encoding == "cp1252" and rng.random() < 0.5:
        options["encoding"] = "cp1252"
    return options


def _changed_rows(rng: np.random.Generator, table: LongTable) -> tuple[LongTable, list[str], str, bool]:
    """Return the table with rows in another order, absent or repeated, and what that means."""
    rows, done, must, changed = list(table.rows), [], READ, False
    if rng.random() < 0.15:
        rows, done = [rows[i] for i in rng.permutation(len(rows))], ["rows shuffled"]
    elif rng.random() < 0.15:
        rows, done = sorted(rows, key=lambda row: row.time), ["rows sorted by time"]
    if rng.random() < 0.12:
        drop = set(rng.choice(len(rows), int(rng.integers(1, 4)), replace=False).tolist())
        rows, changed = [row for i, row in enumerate(rows) if i not in drop], True
        done.append("rows removed")
    if rng.random() < 0.06:
        at = int(rng.integers(0, len(rows)))
        values = list(rows[at].values) if rng.random() < 0.5 else [value + 1 for value in rows[at].values]
        rows.insert(int(rng.integers(at, len(rows))) + 1, Row(rows[at].item, rows[at].time, values))
        done, must = [*done, "a row twice"], REFUSE
    return replace(table, rows=rows), done, must, changed


def _cell(rng: np.random.Generator, grid: Grid, style: CsvStyle, role: str, text: str) -> None:
    grid[int(rng.integers(1, len(grid)))][style.order.index(role)] = text


def _no_number(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str:
    text = str(rng.choice(NO_NUMBERS))
    _cell(rng, grid, style, "target", text)
    return REFUSE


def _no_stamp(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str | None:
    row = grid[int(rng.integers(1, len(grid)))]
    if row[style.order.index("target")] in MISSING:  # a row that says nothing may be passed over
        return None
    row[style.order.index("time")] = str(rng.choice(NO_STAMPS))
    return REFUSE


def _no_id(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str | None:
    if "id" not in style.order:
        return None
    _cell(rng, grid, style, "id", "")
    return REFUSE


def _long_row(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str:
    grid[int(rng.integers(1, len(grid)))] += [str(rng.choice(["7", "", "x"]))]
    return REFUSE


def _short_row(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str:
    row = int(rng.integers(1, len(grid)))
    grid[row] = grid[row][:-1]
    return REFUSE


def _second_header(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str:
    grid.insert(int(rng.integers(1, len(grid))), list(grid[0]))
    return REFUSE


def _no_header(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str:
    del grid[0]
    return REFUSE


def _same_name(rng: np.random.Generator, grid: Grid, style: CsvStyle) -> str | None:
    if len(grid[0]) < 3:
        return None
    first, second = rng.choice(len(grid[0]), 2, replace=False)
    grid[0] = list(grid[0])
    grid[0][first] = grid[0][second]
    return REFUSE


GRID_FAULTS: dict[str, Callable[[np.random.Generator, Grid, CsvStyle], str | None]] = {
    "text among numbers": _no_number,
    "no timestamp": _no_stamp,
    "no id": _no_id,
    "a cell too many": _long_row,
    "a cell too few": _short_row,
    "a second header": _second_header,
    "no header": _no_header,
    "a name twice": _same_name,
}


def _damaged(rng: np.random.Generator, table: LongTable, style: CsvStyle, has_ids: bool) -> Case:
    """Return a file whose bytes were changed at random; what it says then is read by `plain_csv`."""
    order = sorted(style.order, key=lambda role: ["index", "id", "time", *table.channels, "region"].index(role))
    names = [style.names[style.order.index(role)] for role in order]
    style = replace(style, pack="", blank_lines=False, sep_line=False, order=order, names=names)
    data, done = damaged(
        rng, write_cells(cell_grid(table, style), style), style.separator + style.decimal + '0123456789"'
    )
    content, others = plain_contents(data, style, table)
    return Case(
        "csv damaged", _file_name(style), data, content, EITHER, [], has_ids, [*style.describe(), *done], {}, others
    )  # fmt: skip
