"""Read a damaged CSV file in the dialect that it was written in, strictly, with the standard library alone."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from tests.fuzz.content import Content, LongTable, Row
from tests.fuzz.csv_style import MISSING, STAMPS, CsvStyle

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def plain_content(data: bytes, style: CsvStyle, table: LongTable) -> Content | None:
    """Return what the file says; None where a strict reader would refuse it."""
    try:
        text = data.decode("utf-8-sig" if style.bom or style.encoding == "utf-8" else style.encoding)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=style.separator, strict=True))
    except (UnicodeError, csv.Error):
        return None
    if not lines or len(lines[0]) != len(style.order) or "\0" in text:
        return None
    rows = []
    for cells in lines[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        if (
            len(cells) != len(style.order)
            or (row := _row(dict(zip(style.order, cells, strict=True)), style, table)) is None
        ):
            return None
        rows.append(row)
    if not rows or len({(row.item, row.time) for row in rows}) < len(rows):
        return None
    return LongTable(rows, table.channels, table.freq).content(changed=True)


def _row(cells: dict[str, str], style: CsvStyle, table: LongTable) -> Row | None:
    time = _time(cells["time"], style)
    values = [_number(cells[name], style) for name in table.channels]
    if time is None or any(value is None for value in values) or cells.get("id") == "":
        return None
    return Row(cells.get("id", "data"), time, [value for value in values if value is not None])


def _time(text: str, style: CsvStyle) -> pd.Timestamp | None:
    text = " ".join(text.split())
    if style.stamp == "iso offset":  # the same offset as +0200 and +02
        text = re.sub(r"(?<=:\d\d)[+]02(00)?$", "+02:00", text)
    try:
        if style.stamp in ("epoch s", "epoch ms", "excel"):
            number = int(text)
            unit = {"epoch s": timedelta(seconds=1), "epoch ms": timedelta(milliseconds=1), "excel": timedelta(days=1)}
            origin = datetime(1899, 12, 30) if style.stamp == "excel" else datetime(1970, 1, 1)
            return pd.Timestamp(origin + number * unit[style.stamp])
        time = pd.Timestamp(datetime.strptime(text, STAMPS[style.stamp]))
    except (ValueError, OverflowError):
        return None
    return time if style.zone is None else time.tz_localize(style.zone)


def _number(text: str, style: CsvStyle) -> float | None:
    text = text.strip()
    if text in MISSING:
        return np.nan
    if style.thousands:
        text = text.replace(style.thousands, "")
    text = text.replace(style.decimal, ".") if style.decimal not in style.thousands else text
    if not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return None if abs(value) > 3.4e38 else value
