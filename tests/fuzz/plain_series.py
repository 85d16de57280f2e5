"""Read .ts, .tsf, .arff and UCR text strictly, as tests/fuzz/series_cases.py writes them, with the standard library."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from tests.fuzz.content import TSF_FREQS, Content, Item

PAIR = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),([^(),:]*)\)")
TAGS = ("problemname", "timestamps", "univariate", "dimensions", "equallength", "classlabel", "data")


def _split(text: str, comment: str) -> tuple[list[str], list[tuple[int, str]]] | None:
    """Return the header lines and the numbered data lines; None without @data."""
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    if any("\0" in line for line in lines if not line.startswith(comment)):
        return None
    at = next((i for i, line in enumerate(lines) if line.lower() == "@data"), None)
    if at is None:
        return None
    head = [line for line in lines[:at] if line and not line.startswith(comment)]
    if not all(line.startswith("@") for line in head):
        return None
    body = [(i + 1, line) for i, line in enumerate(lines) if i > at and line and not line.startswith(comment)]
    return head, body


def _header_tokens(head: list[str]) -> dict[str, str]:
    tokens = [line[1:].split() for line in head]
    return {token[0].lower(): " ".join(token[1:]).lower() for token in tokens if token}


def _item(dimensions: list[list[str]], freq: str, start: datetime) -> Item | None:
    from tests.fuzz.series_cases import cells_item

    item = cells_item("", dimensions)
    if item is None:
        return None
    times = pd.date_range(pd.Timestamp(start), periods=len(item.values), freq=freq, unit="us")
    return Item(np.asarray(times), item.values)


def _labelled(stem: str, items: list[Item | None], labels: list[str]) -> Content | None:
    whole = [item for item in items if item is not None]
    if not items or len(whole) < len(items) or len({item.values.shape[1] for item in whole}) > 1:
        return None
    return Content({f"{stem}/{i}": item for i, item in enumerate(whole)}, None, labels)


def ts(text: str) -> Content | None:
    """Return the cases of a .ts file."""
    parts = _split(text, "#")
    if parts is None or not parts[1]:
        return None
    tokens = _header_tokens(parts[0])
    if tokens.get("classlabel", "").split(" ")[0] != "true":
        return None
    items, labels = [], []
    for _, line in parts[1]:
        if tokens.get("timestamps", "false") == "true":
            item, label = _timed(line)
        else:
            *dimensions, label = line.split(":")
            item = _item([cells.split(",") for cells in dimensions], "s", datetime(1970, 1, 1)) if dimensions else None
        items.append(item)
        labels.append(label.strip())
    return _labelled("X_TRAIN", items, labels)


def ts_without_labels(text: str) -> Content | None:
    """Return the cases of a .ts file whose line about labels has another name, so that cases have none."""
    parts = _split(text, "#")
    tokens = {} if parts is None else _header_tokens(parts[0])
    odd = [name for name in tokens if name not in TAGS]
    if parts is None or not parts[1] or not odd or "classlabel" in tokens or tokens.get("timestamps") == "true":
        return None
    cells = [[dimension.split(",") for dimension in line.split(":")] for _, line in parts[1]]
    items = [_item(dimensions, "s", datetime(1970, 1, 1)) for dimensions in cells]
    content = _labelled("X_TRAIN", items, [])
    notes = tuple(f"the header line @{re.escape(name)} is not known" for name in odd)
    return None if content is None else replace(content, labels=None, notes=notes)


def _timed(line: str) -> tuple[Item | None, str]:
    body, _, label = line.rpartition(":")
    dimensions = body.split("):(")
    dimensions = [
        ("" if i == 0 else "(") + text + ("" if i == len(dimensions) - 1 else ")") for i, text in enumerate(dimensions)
    ]
    cells, times = [], []
    for text in dimensions:
        pairs = PAIR.findall(text)
        if ",".join(f"({t},{x})" for t, x in pairs) != text or not pairs:
            return None, label
        try:
            times.append(tuple(datetime.strptime(t, "%Y-%m-%d %H:%M:%S") for t, _ in pairs))
        except ValueError:
            return None, label
        cells.append([x for _, x in pairs])
    if len(set(times)) != 1 or len(set(times[0])) < len(times[0]):
        return None, label
    from tests.fuzz.series_cases import cells_item

    item = cells_item("", cells)
    return None if item is None else Item(np.array(times[0], "M8[us]"), item.values), label


def _frequency(name: str) -> str | None:
    """Return the name of a frequency in pandas."""
    match = re.fullmatch(r"([1-9]\d*)_minutes", name)
    return TSF_FREQS.get(name) if match is None else f"{match[1]}min"


def _tsf_start(text: str) -> datetime:
    """Return a start; minutes and seconds may be left out."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d( \d\d(-\d\d)?)?", text):
        text += "0000-00-00 00-00-00"[len(text) :]
    return datetime.strptime(text, "%Y-%m-%d %H-%M-%S")


def tsf_without_names(text: str) -> Content | None:
    """Return the series of a .tsf file whose attribute of names, or of starts, has another name."""
    lines = re.findall(r"(?mi)^@attribute (\S+) (string|date)[ \t]*\r?$", text)
    known = {"string": "series_name", "date": "start_timestamp"}
    odd = {kind for name, kind in lines if name != known[kind]}
    corrected = re.sub(
        r"(?mi)^(@attribute) \S+ (string|date)[ \t]*(?=\r?$)",
        lambda line: f"{line[1]} {known[line[2]]} {line[2]}",
        text,
    )
    content, parts = tsf(corrected), _split(text, "#")
    if content is None or parts is None or not odd:
        return None
    items, notes = content.items, []
    if "string" in odd:
        items = dict(zip([f"T{number}" for number, _ in parts[1]], items.values(), strict=True))
        notes.append("has no attribute series_name: the series are named after")
    if "date" in odd:
        freq = _frequency(_header_tokens(parts[0])["frequency"])
        for name, item in items.items():
            times = pd.date_range("1970-01-01", periods=len(item.values), freq=freq, unit="us")
            items[name] = Item(np.asarray(times), item.values)
        notes.append("series without a start stamp begin in 1970")
    return replace(content, items=items, notes=tuple(notes))


def tsf(text: str) -> Content | None:
    """Return the series of a .tsf file."""
    parts = _split(text, "#")
    if parts is None or not parts[1]:
        return None
    tokens = _header_tokens(parts[0])
    attributes = [line.split()[1:] for line in parts[0] if line.lower().startswith("@attribute")]
    if (
        attributes != [["series_name", "string"], ["start_timestamp", "date"]]
        or (freq := _frequency(tokens.get("frequency", ""))) is None
    ):
        return None
    items: dict[str, Item] = {}
    for _, line in parts[1]:
        cells = line.split(":")
        if len(cells) != 3 or cells[0] in items:
            return None
        try:
            start = _tsf_start(cells[1].strip())
        except ValueError:
            return None
        if pd.date_range(pd.Timestamp(start), periods=1, freq=freq, unit="us")[0] != start:
            return None  # a start beside the grid of months
        item = _item([cells[2].split(",")], freq, start)
        if item is None:
            return None
        items[cells[0]] = item
    return Content(items, None)


def arff(text: str) -> Content | None:
    """Return the cases of an .arff file."""
    parts = _split(text, "%")
    if parts is None or not parts[1]:
        return None
    head = [line for line in parts[0] if line.lower().startswith("@attribute")]
    relational = any(line.lower().endswith("relational") for line in head)
    if not head or head[-1] != "@attribute target {1,2}":
        return None
    count = 1 if relational else len(head) - 1
    items, labels = [], []
    for _, line in parts[1]:
        if relational:
            match = re.fullmatch(r"'([^']*)',([^,']*)", line)
            dimensions = [] if match is None else [cells.split(",") for cells in match[1].split("\\n")]
            label = "" if match is None else match[2]
        else:
            *cells, label = line.split(",")
            dimensions = [cells] if len(cells) == count and "'" not in line and '"' not in line else []
        items.append(_item(dimensions, "s", datetime(1970, 1, 1)) if dimensions else None)
        labels.append(label.strip())
    return _labelled("X_TRAIN", items, labels)


def ucr(text: str) -> Content | None:
    """Return the cases of UCR text."""
    if "\0" in text:
        return None
    items, labels = [], []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line.strip():
            continue
        line = line.strip(" ").rstrip("\t")
        cells = line.split(",") if "," in line else line.split("\t") if "\t" in line else line.split()
        try:
            labels.append(f"{float(cells[0]):g}")
        except ValueError:
            return None
        items.append(_item([cells[1:]], "s", datetime(1970, 1, 1)) if len(cells) > 1 else None)
    return _labelled("", items, labels)
