"""Worksheets of Excel: types of cells, sheets and rows around the table, faults, and damage to the file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz.cases import EITHER, READ, REFUSE, Case
from tests.fuzz.content import LongTable, Row, random_table
from tests.fuzz.csv_style import ID_NAMES, TARGET_NAMES, TIME_NAMES
from tests.fuzz.damage import damaged

Cells = list[list[Any]]
MISSING = (None, None, "NA", "?", "", "#N/A")


def sheet_case(rng: np.random.Generator) -> Case:
    """Return a table as an .xlsx file."""
    has_ids = rng.random() < 0.8
    table = random_table(rng, max_items=3 if has_ids else 1)
    rows, done, must = list(table.rows), [], READ
    if rng.random() < 0.2:
        rows, done = [rows[i] for i in rng.permutation(len(rows))], ["rows shuffled"]
    table, cells, names = _cells(rng, replace(table, rows=rows), has_ids, done)
    content = table.content()
    if rng.random() < 0.3:
        fault = list(FAULTS)[int(rng.integers(0, len(FAULTS)))]
        if FAULTS[fault](rng, cells, names):
            must, done = REFUSE, [*done, fault]
    if must == READ and not content.is_certain:
        must = EITHER
    done += ["empty rows"] if rng.random() < 0.15 else []
    data = _written(rng, cells, done)
    channels = [names[name] for name in table.channels]
    if rng.random() < 0.2:
        data, more = damaged(rng, data)
        must = REFUSE if must == REFUSE else EITHER
        return Case("xlsx damaged", "data.xlsx", data, content, must, channels, has_ids, [*done, *more])
    return Case("xlsx", "data.xlsx", data, content, must, channels, has_ids, done)


def _cells(
    rng: np.random.Generator, table: LongTable, has_ids: bool, done: list[str]
) -> tuple[LongTable, Cells, dict[str, str]]:
    """Return what the cells say, the cells with the header first, and the names of the columns by their roles."""
    roles = [*(["id"] if has_ids else []), "time", *table.channels]
    if rng.random() < 0.3:
        roles = [str(role) for role in rng.permutation(roles)]
    names = {name: name for name in table.channels} | {"target": str(rng.choice(TARGET_NAMES))}
    names |= {"id": str(rng.choice(ID_NAMES)), "time": str(rng.choice(TIME_NAMES))}
    time = str(rng.choice(["date", "date", "text", "day number"]))
    if time == "day number" and any(row.time != row.time.normalize() for row in table.rows):
        time = "date"
    missing = MISSING[int(rng.integers(0, len(MISSING)))]
    booleans = bool(rng.random() < 0.1)
    numbers_as_ids = bool(rng.random() < 0.5)
    done += [f"time {time}", f"missing {missing!r}", table.freq, *(["truth values"] if booleans else [])]
    rows, cells = [], [[names[role] for role in roles]]
    for row in table.rows:
        values = [float(value > 0) if booleans and not np.isnan(value) else value for value in row.values]
        item = row.item if has_ids else "data"
        written = int(item) if numbers_as_ids and item.isdigit() and str(int(item)) == item else item
        entry = {
            name: missing if np.isnan(v) else bool(v) if booleans else v
            for name, v in zip(table.channels, values, strict=True)
        }
        entry |= {"id": written, "time": _time(row.time, time)}
        cells.append([entry[role] for role in roles])
        rows.append(Row(item, row.time, values))
    return replace(table, rows=rows), cells, names


def _time(time: pd.Timestamp, kind: str) -> Any:
    if kind == "text":
        return time.strftime("%Y-%m-%d %H:%M:%S")
    return (time - pd.Timestamp("1899-12-30")).days if kind == "day number" else time.to_pydatetime()


def _written(rng: np.random.Generator, cells: Cells, done: list[str]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet: Any = book.active
    if rng.random() < 0.1:
        sheet.append([])
        sheet.append([])
        done.append("empty rows above")
    for number, row in enumerate(cells):
        sheet.append(row)
        if number and number % 7 == 0 and "empty rows" in done:
            sheet.append([])
    if rng.random() < 0.2:
        book.create_sheet("notes").append(["x", 1])
        done.append("another sheet")
    if rng.random() < 0.2:
        sheet.cell(sheet.max_row + 3, 1).number_format = "0.00"  # a cell that was used
        done.append("used cells below")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


Fault = Callable[[np.random.Generator, Cells, dict[str, str]], bool]


def _cell(role: str, *values: Any) -> Fault:
    """Return the fault that a cell of a role has one of some values."""

    def fault(rng: np.random.Generator, cells: Cells, names: dict[str, str]) -> bool:
        if names[role] not in cells[0]:
            return False
        row = int(rng.integers(1, len(cells)))
        if role == "time" and any(cell in MISSING for cell in cells[row]):  # a row that may say nothing
            return False
        cells[row][cells[0].index(names[role])] = values[int(rng.integers(0, len(values)))]
        return True

    return fault


def _no_header(rng: np.random.Generator, cells: Cells, names: dict[str, str]) -> bool:
    del rng, names
    del cells[0]
    return True


def _name_twice(rng: np.random.Generator, cells: Cells, names: dict[str, str]) -> bool:
    del names
    first, second = rng.choice(len(cells[0]), 2, replace=False)
    cells[0] = list(cells[0])
    cells[0][first] = cells[0][second]
    return True


def _title(rng: np.random.Generator, cells: Cells, names: dict[str, str]) -> bool:
    del rng, names
    cells.insert(0, ["Sales of the year"])
    return True


def _long_row(rng: np.random.Generator, cells: Cells, names: dict[str, str]) -> bool:
    del names
    cells[int(rng.integers(1, len(cells)))].append(7)
    return True


def _row_twice(rng: np.random.Generator, cells: Cells, names: dict[str, str]) -> bool:
    del names
    cells.append(list(cells[int(rng.integers(1, len(cells)))]))
    return True


FAULTS: dict[str, Fault] = {
    "text among numbers": _cell("target", "abc", "1.2.3", "#DIV/0!", "#VALUE!", "--"),
    "a date among numbers": _cell("target", pd.Timestamp("2024-01-01").to_pydatetime()),
    "no timestamp": _cell("time", "yesterday", "2024-13-45", True, "#REF!"),
    "missing timestamp": _cell("time", None, ""),
    "missing id": _cell("id", None, ""),
    "no header": _no_header,
    "a name twice": _name_twice,
    "a title above the header": _title,
    "a cell beyond the header": _long_row,
    "a row twice": _row_twice,
}
