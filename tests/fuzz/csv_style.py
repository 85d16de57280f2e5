"""Write a table as CSV in one of many dialects."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz.content import LongTable, Row

MISSING = ("", "NA", "NaN", "null", "?", "N/A", "#N/A", "nan", "None")
ID_NAMES = ("item_id", "item_id", "unique_id", "series_id", "id")
TIME_NAMES = ("timestamp", "timestamp", "ds", "date", "datetime", "time", "Date", "Timestamp")
TARGET_NAMES = ("target", "target", "y", "value", "Value")
PACK: dict[str, Any] = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
DAILY = ("D", "W", "MS", "QS", "YS", "B", "ME")

STAMPS = {  # style -> format; the rest is in `format_time`
    "iso": "%Y-%m-%d %H:%M:%S",
    "iso T": "%Y-%m-%dT%H:%M:%S",
    "iso minutes": "%Y-%m-%d %H:%M",
    "iso Z": "%Y-%m-%dT%H:%M:%SZ",
    "iso offset": "%Y-%m-%d %H:%M:%S+02:00",
    "slashes, year first": "%Y/%m/%d %H:%M:%S",
    "day first": "%d/%m/%Y %H:%M",
    "day first, points": "%d.%m.%Y %H:%M",
    "month first": "%m/%d/%Y %H:%M",
    "named month": "%d %b %Y %H:%M",
    "month named first": "%B %d, %Y %I:%M %p",
    "days": "%Y-%m-%d",
    "compact days": "%Y%m%d",
    "epoch s": "",
    "epoch ms": "",
    "excel": "",
}
UNCLEAR = ("day first", "day first, points", "month first")  # may be refused as ambiguous


@dataclass
class CsvStyle:
    """How a table is written."""

    separator: str = ","
    decimal: str = "."
    quote: str = "minimal"  # minimal or all
    newline: str = "\n"
    encoding: str = "utf-8"
    bom: bool = False
    pack: str = ""
    stamp: str = "iso"
    missing: str = ""
    thousands: str = ""
    number: str = "repr"  # repr, plus or exponent
    names: list[str] = field(default_factory=list)  # of the columns, in the order of the file
    order: list[str] = field(default_factory=list)  # roles of the columns: id, time, channels, and others
    final_newline: bool = True
    blank_lines: bool = False
    sep_line: bool = False
    spaces: bool = False

    @property
    def zone(self) -> str | None:
        """Return the time zone of the timestamps."""
        return {"iso Z": "UTC", "iso offset": "UTC+02:00"}.get(self.stamp)

    def describe(self) -> list[str]:
        """Return what differs from the plainest CSV."""
        plain = CsvStyle()
        return [f"{key}={value!r}" for key, value in vars(self).items() if value != getattr(plain, key)]


def random_style(rng: np.random.Generator, table: LongTable, *, has_ids: bool) -> CsvStyle:
    """Return a style that can write the table without loss."""

    def pick(*choices: Any, often: float = 0.5) -> Any:
        return choices[0] if rng.random() < often else choices[int(rng.integers(0, len(choices)))]

    style = CsvStyle(
        separator=pick(",", ";", "\t", "|"),
        quote=pick("minimal", "all", often=0.8),
        newline=pick("\n", "\r\n", often=0.7),
        encoding=pick("utf-8", "utf-16", "cp1252", often=0.8),
        bom=rng.random() < 0.15,
        pack=pick(*PACK, often=0.8),
        missing=str(rng.choice(MISSING)),
        number=pick("repr", "plus", "exponent", often=0.8),
        final_newline=rng.random() < 0.85,
        blank_lines=rng.random() < 0.1,
        spaces=rng.random() < 0.1,
    )
    style.stamp = _pick_stamp(rng, table)
    style.sep_line = style.encoding == "utf-8" and not style.bom and rng.random() < 0.05
    if rng.random() < 0.25:
        style.decimal = ","
    if style.number == "repr" and rng.random() < 0.1:
        style.thousands = "." if style.decimal == "," else str(rng.choice([",", " ", "'", "\u00a0"]))
    if not _encodable(style.encoding, table):
        style.encoding = "utf-8"
    if style.bom and style.encoding != "utf-8":
        style.bom = False
    _name_columns(style, rng, table, has_ids=has_ids)
    return style


def _pick_stamp(rng: np.random.Generator, table: LongTable) -> str:
    daily = table.freq.split("-")[0] in DAILY
    styles = [name for name in STAMPS if (daily or "days" not in name)]
    if any(row.time.second for row in table.rows):
        styles = [name for name in styles if "%S" in STAMPS[name] or "epoch" in name]
    styles = [name for name in styles if name != "excel" or daily]
    return "iso" if rng.random() < 0.4 else str(rng.choice(styles))


def _encodable(encoding: str, table: LongTable) -> bool:
    try:
        "".join(row.item for row in table.rows).encode(encoding)
    except UnicodeError:
        return False
    return True


def _name_columns(style: CsvStyle, rng: np.random.Generator, table: LongTable, *, has_ids: bool) -> None:
    roles = (["id"] if has_ids else []) + ["time", *table.channels]
    names = {"id": str(rng.choice(ID_NAMES)), "time": str(rng.choice(TIME_NAMES))}
    names |= {name: name for name in table.channels} | {"target": str(rng.choice(TARGET_NAMES))}
    if has_ids and rng.random() < 0.15:
        roles.append("region")
        names["region"] = "region"
    if rng.random() < 0.1:
        roles.insert(0, "index")
        names["index"] = str(rng.choice(["", "Unnamed: 0"]))
    if rng.random() < 0.4:
        roles = [str(role) for role in rng.permutation(roles)]
    style.order, style.names = roles, [names[role] for role in roles]


def format_time(time: pd.Timestamp, stamp: str) -> str:
    """Return a timestamp as text."""
    if stamp.startswith("epoch"):
        return str(time.value // (10**9 if stamp == "epoch s" else 10**6))
    if stamp == "excel":
        return str((time - pd.Timestamp("1899-12-30")).days)
    return time.strftime(STAMPS[stamp])


def format_number(value: float, style: CsvStyle) -> str:
    """Return a number as text."""
    if np.isnan(value):
        return style.missing
    text = f"{value:.8e}" if style.number == "exponent" else repr(value)
    if style.number == "exponent" and float(np.float32(float(text))) != float(np.float32(value)):
        text = repr(value)
    if style.thousands and abs(value) >= 1000 and "e" not in text:
        whole, _, rest = text.partition(".")
        text = f"{int(whole):,}".replace(",", "\0") + (f".{rest}" if rest else "")
        text = text.replace(".", style.decimal).replace("\0", style.thousands)
    else:
        text = text.replace(".", style.decimal)
    return f"+{text}" if style.number == "plus" and value >= 0 else text


def cell_grid(table: LongTable, style: CsvStyle) -> list[list[str]]:
    """Return all cells as text, the header first."""

    def cells(number: int, row: Row) -> list[str]:
        numbers = dict(zip(table.channels, row.values, strict=True))
        texts = {
            "id": row.item, "time": format_time(row.time, style.stamp), "region": f"r{row.item}", "index": str(number)
        }  # fmt: skip
        return [texts[role] if role in texts else format_number(numbers[role], style) for role in style.order]

    return [style.names, *(cells(number, row) for number, row in enumerate(table.rows))]


def write_cells(grid: list[list[str]], style: CsvStyle) -> bytes:
    """Return the file."""
    out = io.StringIO()
    if style.sep_line:
        out.write(f"sep={style.separator}{style.newline}")
    for number, cells in enumerate(grid):
        pads = [" " if style.spaces and number and role not in ("id", "region") else "" for role in style.order]
        line = style.separator.join(
            _quoted(cell, style, pad) for cell, pad in itertools.zip_longest(cells, pads[: len(cells)], fillvalue="")
        )
        out.write(line + style.newline)
        if style.blank_lines and number % 5 == 1:
            out.write(style.newline)
    text = out.getvalue()
    if not style.final_newline:
        text = text.rstrip("\r\n")
    data = text.encode("utf-8-sig" if style.bom else style.encoding, errors="replace")
    return PACK[style.pack](data)


def _quoted(cell: str, style: CsvStyle, pad: str) -> str:
    if style.quote == "all" or any(sign in cell for sign in (style.separator, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell if cell == "" else cell + pad
