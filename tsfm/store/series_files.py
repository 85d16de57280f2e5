"""Files of whole series or labelled cases: .ts, .tsf, .arff, and the text of the UCR archive. C channels, L steps.

UCR: H. A. Dau et al., arXiv:1810.07758; a line is a case, its label first, without a header. .arff: the format of Weka,
as the UEA archive uses it (A. Bagnall et al., arXiv:1811.00075): the label last, dimensions as lines in quotes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.store.dialect import open_bytes
from tsfm.store.encoding import file_encoding
from tsfm.store.ts_files import (
    UNTIMED,
    FileSeries,
    add_anchor,
    check_label,
    note_untimed,
    official_split,
    read_number,
    read_values,
    ts_series,
    tsf_series,
)
from tsfm.timestamps.frequency import item_location
from tsfm.timestamps.offsets import default_start

ATTRIBUTE = re.compile(r"""@attribute\s+('[^']*'|"[^"]*"|\S+)\s+(.*)""", re.IGNORECASE)
TYPE = re.compile(r"numeric|real|integer|string|relational|date(\s.*)?|\{.*\}", re.IGNORECASE)
LABEL_NAMES = ("class", "classattribute", "target", "label")


def read_items(path: Path, kind: str, *, freq: str | None, notes: list[str]) -> Iterator[FileSeries]:
    """Yield the series of a file one at a time; `freq` overrides the file's own.

    Parameters
    ----------
    kind
        ts, tsf, arff or ucr.
    """
    reader = {"ts": ts_series, "tsf": tsf_series, "arff": _arff, "ucr": _ucr}[kind]
    count = 0
    try:
        with open(path, encoding=file_encoding(path, notes), errors="replace") as lines:
            for item in reader(path, lines, freq, notes):
                count += 1
                yield item
    except PermissionError:
        raise PermissionError(f"no permission to read {path}") from None
    if not count:
        raise ValueError(f"{path.name} has no series{'' if kind == 'ucr' else ' after @data'}; is it cut short?")


def is_ucr(path: Path) -> bool:
    """Return whether a file called <name>_TRAIN or <name>_TEST begins with a line of mostly numbers, a case."""
    if official_split(path) is None:
        return False
    with open_bytes(path) as stream:
        cells = _cells(stream.readline(2**20).decode("utf-8-sig", errors="replace"))
    number = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|\?"
    are_numbers = [re.fullmatch(number, cell) is not None for cell in cells]
    return len(cells) > 1 and are_numbers[0] and 2 * sum(are_numbers) >= len(cells)  # a wrong cell is named later


def _cells(line: str) -> list[str]:
    """Return the cells of a line, parted by commas, tabs or spaces."""
    line = line.strip(" \r\n").rstrip("\t")  # a tab at the start is an empty first cell
    separator = next((sign for sign in ",\t" if sign in line), None)
    return [cell.strip() for cell in line.split(separator)]


def _ucr(path: Path, lines: Iterator[str], freq: str | None, notes: list[str]) -> Iterator[FileSeries]:
    cases = ((number, _cells(line)) for number, line in enumerate(lines, start=1) if line.strip())
    for count, (number, cells) in enumerate(cases):
        location = _location(path, count, number)
        label = read_number(cells[0], location)
        if len(cells) < 2:
            raise ValueError(f"{location}: found {len(cells)} cell; expected a label and values")
        yield _case(path, count, number, [cells[1:]], f"{label:g}", freq, notes)


def _arff(path: Path, lines: Iterator[str], freq: str | None, notes: list[str]) -> Iterator[FileSeries]:
    attributes, relational, above = _arff_header(path, lines)
    if len(attributes) < 2 or not (attributes[-1][1].startswith("{") or attributes[-1][0].lower() in LABEL_NAMES):
        last = attributes[-1][0] if attributes else "none"
        raise ValueError(
            f"{path.name}: the last attribute, {last!r}, is not a class; expected @attribute class {{a,b}}"
        )
    classes = _classes(attributes[-1][1])
    rows = ((number, line) for number, line in enumerate(lines, start=above + 1) if line.strip(" \r\n\t"))
    for count, (number, line) in enumerate((n, text) for n, text in rows if not text.startswith("%")):
        location = _location(path, count, number)
        text = line.strip()
        if text.startswith("{"):
            raise ValueError(f"{location}: a sparse row; write all values of a case")
        quote = '"' if text.startswith('"') else "'"
        cells = next(csv.reader([text], quotechar=quote, skipinitialspace=True))
        if len(cells) != len(attributes):
            raise ValueError(f"{location}: found {len(cells)} cells, expected {len(attributes)} as in the header")
        dimensions = [text.split(",") for text in cells[0].split("\\n")] if relational else [cells[:-1]]
        label = cells[-1].strip().strip("'\"")
        check_label(label, classes, location)
        label = label if classes else read_number(label, location)
        yield _case(path, count, number, dimensions, label, freq, notes)


def _arff_header(path: Path, lines: Iterator[str]) -> tuple[list[tuple[str, str]], bool, int]:
    """Return name and type of each attribute, whether the first holds dimensions, and the number of the @data line."""
    attributes: list[tuple[str, str]] = []
    relational = inside = False
    for number, line in enumerate(lines, start=1):
        text = line.strip().lstrip("\ufeff")
        low = text.lower()
        if low.split()[:1] == ["@data"]:
            return attributes, relational, number
        if low.startswith("@end"):
            inside = False
        elif low.startswith("@attribute"):
            name, kind = _attribute(text, f"{path.name}, row {number}")
            attributes += [] if inside else [(name, kind)]
            inside = inside or kind.lower() == "relational"
            relational = relational or inside
        elif text and not text.startswith("%") and not low.startswith("@"):
            raise ValueError(f"{path.name}, row {number}: expected an @ line before @data, found {text[:40]!r}")
    raise ValueError(f"{path.name} has no @data line; it is not a complete .arff file")


def _attribute(text: str, location: str) -> tuple[str, str]:
    """Return name and type of an attribute."""
    match = ATTRIBUTE.fullmatch(text)
    if match is None or not TYPE.fullmatch(match[2].strip()):
        raise ValueError(
            f"{location}: {text[:60]!r} is not @attribute, a name and a type such as numeric or {{a,b}}; correct it"
        )
    return match[1].strip("'\""), match[2].strip()


def _classes(kind: str) -> list[str]:
    """Return the classes of a type such as {1,2}; none of a number."""
    if not kind.startswith("{"):
        return []
    cells = next(csv.reader([kind.strip("{}")], quotechar="'" if "'" in kind else '"', skipinitialspace=True))
    return [cell.strip() for cell in cells]


def _location(path: Path, count: int, number: int) -> str:
    return item_location(f"{path.name.rsplit('.', 1)[0]}/{count}", file=path.name, row=number)


def _case(
    path: Path, count: int, number: int, dimensions: list[list[str]], label: Any, freq: str | None, notes: list[str]
) -> FileSeries:
    """Return one labelled case without timestamps."""
    step, location = freq or UNTIMED, _location(path, count, number)
    note_untimed(step, notes)
    series = [read_values(cells, location) for cells in dimensions]
    if len({len(values) for values in series}) > 1:
        raise ValueError(
            f"{location}: dimensions have {[len(values) for values in series]} steps; expected as many in each"
        )
    start = default_start(step)
    static = {"label": label} | ({"split": split} if (split := official_split(path)) else {})
    channels = [f"dim_{d}" for d in range(len(series))]
    item = f"{path.name.rsplit('.', 1)[0]}/{count}"
    return FileSeries(item, np.stack(series), channels, start, add_anchor(step, start), static, path.name, number)
