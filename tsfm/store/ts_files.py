"""The two text formats of the archives: .tsf (Monash forecasting) and .ts (UCR/UEA, aeon). C channels, L steps.

.tsf: R. Godahewa et al., Monash Time Series Forecasting Archive, arXiv:2105.06643. A line is `name:start:values`.
.ts: A. Bagnall et al., arXiv:1811.00075. One case a line, dimensions parted by ":", the class or target value last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.store.number_text import check_digits
from tsfm.store.ts_headers import TsHeader
from tsfm.store.ts_timestamps import timed_case
from tsfm.timestamps.frequency import item_location
from tsfm.timestamps.offsets import DAY_NAMES, MONTH_NAMES, default_start, parse_freq

if TYPE_CHECKING:
    from jaxtyping import Float

TSF_FREQUENCIES = {"yearly": "YS", "quarterly": "QS", "monthly": "MS", "weekly": "W", "daily": "D", "hourly": "h"}
TSF_FREQUENCIES |= {"half_hourly": "30min", "minutely": "min", "secondly": "s"}
UNTIMED = "s"  # the step of .ts cases, which have no stamps


@dataclass
class FileSeries:
    """One whole series of a file."""

    item_id: str
    values: Float[np.ndarray, "C L"]  # float32, NaN where missing
    channels: list[str]
    start: np.datetime64
    freq: str
    static: dict[str, Any]
    file: str
    row: int  # line in the file


def add_anchor(freq: str, start: np.datetime64) -> str:
    """Return the alias with the anchor of the first timestamp: W from a Sunday is W-SUN, QS from January is QS-OCT."""
    step = parse_freq(freq)
    if step.anchor or step.unit not in ("W", "Q", "Y"):
        return str(step)
    month = int(start.astype("M8[M]").astype(np.int64)) % 12
    if step.unit == "W":
        return f"{step}-{DAY_NAMES[(int(start.astype('M8[D]').astype(np.int64)) + 3) % 7]}"
    if step.unit == "Q":
        return f"{step}-{MONTH_NAMES[9 + month % 3]}"
    return str(step) if (month, step.edge) in ((0, "S"), (11, "E")) else f"{step}-{MONTH_NAMES[month]}"


def read_values(cells: Sequence[str], location: str) -> Float[np.ndarray, " L"]:
    """Return numbers as float32, NaN where a cell is empty, ? or NaN."""
    try:
        check_digits("".join(cells))
        values = np.array([np.nan if cell.strip() in ("?", "") else float(cell) for cell in cells])
    except ValueError as error:
        raise ValueError(f"{location}: {error}; values are numbers, or ? where missing") from None
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if np.isinf(single).any():
        raise ValueError(f"{location}: value {int(np.isinf(single).argmax()) + 1} is infinite; use ? where missing")
    return single


def _header(path: Path, lines: Iterator[str]) -> tuple[list[list[str]], int]:
    """Return the words of every @ line up to @data, and that line's number."""
    tokens = []
    for number, line in enumerate(lines, start=1):
        line = line.strip().lstrip("\ufeff")
        if not line or line.startswith("#"):
            continue
        if not line.startswith("@"):
            raise ValueError(f"{path.name}, row {number}: expected an @ line before @data, found {line[:40]!r}")
        tokens.append(line[1:].split())
        if not tokens[-1]:
            raise ValueError(f"{path.name}, row {number}: an @ without a word; expected one such as @data")
        if tokens[-1][0].lower() == "data":
            return tokens, number
    raise ValueError(f"{path.name} has no @data line; it is not a complete {path.suffix} file")


def data_lines(lines: Iterator[str], above: int) -> Iterator[tuple[int, str]]:
    """Yield the lines below @data that are neither empty nor comments, with their numbers."""
    for number, line in enumerate(lines, start=above + 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def tsf_series(path: Path, lines: Iterator[str], freq: str | None, notes: list[str]) -> Iterator[FileSeries]:
    """Yield the series of a .tsf file."""
    header, above = _header(path, lines)
    attributes = _tsf_attributes(header, path)
    if "series_name" not in dict(attributes):
        notes.append(f"{path.name} has no attribute series_name: the series are named after their lines, such as T20")
    named = next((tokens[1].lower() for tokens in header if tokens[0].lower() == "frequency" and len(tokens) > 1), None)
    step = freq or (_tsf_freq(named) if named else None)
    if step is None:
        raise ValueError(f"{path.name} has no @frequency tsfm knows (found {named}); give freq, for example freq='D'")
    for number, line in data_lines(lines, above):
        parts = line.split(":")
        if len(parts) != len(attributes) + 1:
            raise ValueError(
                f"{path.name}, row {number}: {len(parts)} parts between colons; expected {len(attributes)} "
                "attribute(s) and the values"
            )
        known = dict(zip([name for name, _ in attributes], parts, strict=False))
        kinds = dict(attributes)
        item = known.pop("series_name", f"T{number}")
        location = item_location(item, file=path.name, row=number)
        stamp = known.pop("start_timestamp", None)
        if stamp is None and "series without a start stamp begin in 1970" not in notes:
            notes.append("series without a start stamp begin in 1970")
        start = default_start(step) if stamp is None else _tsf_stamp(stamp, location)
        static = {key: read_number(text, location) if kinds[key] == "numeric" else text for key, text in known.items()}
        values = read_values(parts[-1].split(","), location)[None]
        yield FileSeries(item, values, ["target"], start, add_anchor(step, start), static, path.name, number)


def _tsf_attributes(header: list[list[str]], path: Path) -> list[tuple[str, str]]:
    """Return name and type of each attribute."""
    attributes = [tokens[1:] for tokens in header if tokens[0].lower() == "attribute"]
    for tokens in attributes:
        if len(tokens) != 2 or tokens[1].lower() not in ("string", "numeric", "date"):
            raise ValueError(
                f"{path.name}: '@attribute {' '.join(tokens)}' is not a name and a type (string, numeric or date); "
                "correct the header"
            )
    return [(name, kind.lower()) for name, kind in attributes]


def _tsf_freq(name: str) -> str | None:
    """Monash words: yearly, half_hourly, 10_minutes, 4_seconds ..."""
    if name in TSF_FREQUENCIES:
        return TSF_FREQUENCIES[name]
    count, _, unit = name.partition("_")
    units = {"minutes": "min", "seconds": "s", "hours": "h", "days": "D"}
    return f"{int(count)}{units[unit]}" if count.isdigit() and unit in units else None


def _tsf_stamp(text: str, location: str) -> np.datetime64:
    day, _, time_of_day = text.strip().partition(" ")
    try:
        return np.datetime64(f"{day}T{time_of_day.replace('-', ':') or '00:00:00'}", "us")
    except ValueError:
        raise ValueError(f"{location}: start_timestamp {text!r} cannot be read; expected 2020-01-31 00-00-00") from None


def read_number(text: str, location: str) -> float:
    """Return a number of the header or of a label."""
    try:
        check_digits(text)
        return float(text)
    except ValueError:
        raise ValueError(f"{location}: {text!r} is not a number, as the header promises") from None


def check_label(label: str, classes: Sequence[str], location: str) -> None:
    """Refuse a label that is none of the classes of the header, if it names any; ? is a missing label."""
    if classes and label != "?" and label not in classes:
        raise ValueError(
            f"{location}: the label {label!r} is none of the classes of the header, {', '.join(classes[:10])}; correct "
            "the label, or add it to the header"
        )


def ts_series(path: Path, lines: Iterator[str], freq: str | None, notes: list[str]) -> Iterator[FileSeries]:
    """Yield the cases of a .ts file."""
    header, above = _header(path, lines)
    promised = TsHeader.read(header, path.name)
    timed, target = bool(promised.switch("timestamps")), bool(promised.switch("targetlabel"))
    labelled, classes = bool(promised.switch("classlabel")), promised.tokens.get("classlabel", [])[1:]
    step = freq or UNTIMED
    if not timed:
        note_untimed(step, notes)
    split = {"split": official} if (official := official_split(path)) else {}
    stem = path.name.rsplit(".", 1)[0]
    dimensions = None
    for count, (number, line) in enumerate(data_lines(lines, above)):
        item = f"{stem}/{count}"
        location = item_location(item, file=path.name, row=number)
        label = None
        if labelled or target:
            line, _, label = line.rpartition(":")
        if timed:
            values, start, own_freq = timed_case(line, location, freq=freq, notes=notes)
        else:
            values, start, own_freq = _untimed_case(line, location), default_start(step), step
        dimensions = dimensions or len(values)
        if len(values) != dimensions:
            raise ValueError(
                f"{location} has {len(values)} dimension(s), the cases before {dimensions}; is the label there?"
            )
        promised.check(values, location)
        static: dict[str, Any] = {}
        if label is not None:
            check_label(label.strip(), classes, location)
            static["label"] = read_number(label, location) if target else label.strip()
        channels = [f"dim_{d}" for d in range(dimensions)]
        series_freq = add_anchor(own_freq, start)
        yield FileSeries(item, values, channels, start, series_freq, static | split, path.name, number)
    notes += promised.differences()


def _untimed_case(line: str, location: str) -> np.ndarray:
    """Return the values of a case without timestamps, [C, L]."""
    series = [read_values(text.split(","), location) for text in line.split(":")]
    if len({len(values) for values in series}) > 1:
        raise ValueError(
            f"{location}: dimensions have {[len(values) for values in series]} steps; all dimensions of a case "
            "need the same number, ? where missing"
        )
    return np.stack(series)


def note_untimed(step: str, notes: list[str]) -> None:
    """Note that cases without timestamps were numbered."""
    note = f"cases have no stamps: steps were numbered from 1970 on, one every {step}"
    if note not in notes:
        notes.append(note)


def official_split(path: Path) -> str | None:
    """Return train or test for a file called <name>_TRAIN or <name>_TEST."""
    stem = path.name.rsplit(".", 1)[0]
    return {"train": "train", "test": "test"}.get(stem.rpartition("_")[2].lower()) if "_" in stem else None
