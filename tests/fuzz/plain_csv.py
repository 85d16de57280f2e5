"""Read a damaged CSV file in the dialect that it was written in, strictly, with the standard library alone."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz.content import Content, LongTable, Row
from tests.fuzz.csv_style import MISSING, STAMPS, CsvStyle

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def plain_contents(data: bytes, style: CsvStyle, table: LongTable) -> tuple[Content | None, list[Content]]:
    """Return what the file says, None where a strict reader would refuse it, and what it may say if that is announced.

    A file that is not UTF-8 may be read as Latin-1, a covariate that is not numeric be left out, and the points and
    commas of a column be read in the other way.
    """
    encoding = "utf-8-sig" if style.bom or style.encoding == "utf-8" else style.encoding
    with contextlib.suppress(UnicodeError):
        cells = _cells(data.decode(encoding), style)
        return _content(cells, style, table), _others(cells, style, table, ())
    if style.encoding != "utf-8":
        return None, []
    text = data.decode("cp1252", errors="replace")
    return None, _others(_cells(text, style), style, table, ("is not UTF-8 and was read as",))


Cells = list[list[str]]


def _cells(text: str, style: CsvStyle) -> Cells | None:
    """Return the cells of the lines that are not blank, the header first."""
    text = re.sub(r'"[ \t]+(?=\r?\n|$)', '"', text)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=style.separator, strict=True))
    except csv.Error:
        return None
    if not lines or "\0" in text:
        return None
    lines = [lines[0], *(cells for cells in lines[1:] if any(cell.strip() for cell in cells))]
    return lines if len(lines) > 1 and all(len(cells) == len(style.order) for cells in lines) else None


def _content(cells: Cells | None, style: CsvStyle, table: LongTable) -> Content | None:
    signs = dict.fromkeys(table.channels, (style.decimal, style.thousands))
    return None if cells is None else _read(cells, style, table, signs)


def _others(cells: Cells | None, style: CsvStyle, table: LongTable, notes: tuple[str, ...]) -> list[Content]:
    """Return what the cells may say as well, each with its notes."""
    if cells is None:
        return []
    readings: dict[str, list[Any]] = {}
    for name in table.channels:
        title = re.escape(cells[0][style.order.index(name)])
        readings[name] = [((style.decimal, style.thousands), ())]
        readings[name] += [((sign, other), (f"column '{title}': .* is read as",)) for sign, other in (".,", ",.")]
        if name != table.channels[0]:
            readings[name].append((None, (f"not used, because not numeric: (.*, )?{title}(,|$)",)))
        elif "id" in style.order:  # the name of the column was damaged
            readings["id"] = [(None, ()), ((style.decimal, style.thousands), ("so all rows are one series",))]
    local = [cells, *([] if style.zone is None else [[line[:] for line in cells]])]
    for line in [] if style.zone is None else local[1][1:]:
        at = style.order.index("time")
        line[at] = re.sub(r"(Z|[+-]\d\d(:?\d\d)?)\s*$", "", line[at]).replace("T", " ")
    out = []
    for chosen, own in itertools.product(itertools.product(*readings.values()), local):
        more = tuple(note for _, needed in chosen for note in needed)
        more += () if own is cells else ("read as local days without a zone",)
        signs = {name: sign for name, (sign, _) in zip(readings, chosen, strict=True) if sign is not None}
        plain = style if own is cells else replace(style, stamp="iso")
        if (notes or more) and (content := _read(own, plain, table, signs)) is not None:
            out.append(replace(content, notes=(*notes, *more)))
    return out


def _read(cells: Cells, style: CsvStyle, table: LongTable, signs: dict[str, tuple[str, str]]) -> Content | None:
    """Return what the rows say with a decimal sign and thousands separator for each channel; None if they cannot."""
    rows = []
    for line in cells[1:]:
        texts = dict(zip(style.order, line, strict=True))
        item = "data" if "id" in signs else texts.get("id", "data")
        time = _time(texts["time"], style)
        values = [_number(texts[name], *sign) for name, sign in signs.items()]
        if time is None or any(value is None for value in values) or not item:
            return None
        rows.append(Row(item, time, [value for value in values if value is not None]))
    if len({(row.item, row.time) for row in rows}) < len(rows):
        return None
    return LongTable(rows, list(signs), table.freq).content(changed=True)


def _time(text: str, style: CsvStyle) -> pd.Timestamp | None:
    text = " ".join(text.split())
    if "," not in STAMPS[style.stamp]:  # a comma may be between date and time
        text = " ".join(text.replace(",", " ").split())
    if style.stamp == "iso offset":  # the same offset as +0200 and +02
        text = re.sub(r"(?<=:\d\d)[+]02(00)?$", "+02:00", text)
    try:
        if style.stamp in ("epoch s", "epoch ms", "excel"):
            number = int(text)
            unit = {"epoch s": timedelta(seconds=1), "epoch ms": timedelta(milliseconds=1), "excel": timedelta(days=1)}
            origin = datetime(1899, 12, 30) if style.stamp == "excel" else datetime(1970, 1, 1)
            return pd.Timestamp(origin + number * unit[style.stamp])
        text = re.sub(r"(?<= \d\d)(\d\d)$", r":\1", text)  # 0000 for 00:00
        time = pd.Timestamp(_parsed(text, STAMPS[style.stamp]))
    except (ValueError, OverflowError):
        return None
    return time if style.zone is None else time.tz_localize(style.zone)


def _parsed(text: str, form: str) -> datetime:
    """Return a date, also where the seconds of ISO are left out."""
    try:
        return datetime.strptime(text, form)
    except ValueError:
        if ":%S" in form:
            return datetime.strptime(text, form.replace(":%S", ""))
        raise


def _number(text: str, decimal: str, thousands: str) -> float | None:
    text = text.strip()
    if text in MISSING:
        return np.nan
    if thousands:
        text = text.replace(thousands, "")
    text = text.replace(decimal, ".") if decimal not in thousands else text
    if not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return None if abs(value) > 3.4e38 else value
