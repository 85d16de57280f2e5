"""Files of whole series and labelled cases: .ts, .tsf, .arff and UCR text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tests.fuzz.cases import EITHER, READ, REFUSE, Case
from tests.fuzz.content import TSF_FREQS, Content, Item, random_values
from tests.fuzz.damage import damaged

NO_NUMBERS = ("abc", "1.2.3", "--", "0x1F", "inf", "-Infinity", "1e400", "1_000", "١٢", "1;2")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass
class Cases:
    """Cases as they are written: values as text, a name or label each."""

    values: list[list[list[str]]]  # case, dimension, step
    labels: list[str]
    starts: list[pd.Timestamp]
    freq: str = "s"  # a name of Monash for .tsf, else of pandas
    timed: bool = False


def series_case(rng: np.random.Generator) -> Case:
    """Return a file of one of the formats, perhaps changed."""
    kind = str(rng.choice(list(FORMATS)))
    form = FORMATS[kind]
    cases = _random_cases(rng, kind)
    done: list[str] = []
    must = READ
    if rng.random() < 0.3:
        must, fault = _fault(rng, cases)
        done.append(fault)
    lines = form.lines(cases)
    if rng.random() < 0.08 and kind in HEADED:
        del lines[lines.index("@data")]
        must, done = REFUSE, [*done, "no @data"]
    text = _dialect(rng, lines, kind, done)
    data = text.encode("utf-8-sig" if rng.random() < 0.05 else "utf-8")
    content = form.content(data.decode("utf-8-sig"))
    if must == READ and content is None:
        raise AssertionError(f"{kind}: the strict reader does not read what was written: {text[:400]}")
    if rng.random() < 0.45:
        data, more = damaged(rng, data, "0123456789,:?.-()\n@")
        content, others = damaged_contents(form, data)
        return Case(kind + " damaged", form.name, data, content, EITHER, [], True, [*done, *more], {}, others)
    return Case(kind, form.name, data, content, must, [], True, done)


def damaged_contents(form: Format, data: bytes) -> tuple[Content | None, list[Content]]:
    """Return what a damaged file says, None if nothing, and what it may say if that is announced."""
    try:
        text, content = data.decode("utf-8-sig"), form.content(data.decode("utf-8-sig"))
        other = form.other(text) if content is None and form.other is not None else None
        return content, [] if other is None else [other]
    except UnicodeError:
        text = data.decode("cp1252", errors="replace")
    contents = [form.content(text), *([] if form.other is None else [form.other(text)])]
    latin = "is not UTF-8 and was read as"
    return None, [replace(content, notes=(*content.notes, latin)) for content in contents if content is not None]


def _random_cases(rng: np.random.Generator, kind: str) -> Cases:
    count, length = int(rng.integers(2, 6)), int(rng.integers(4, 20))
    dims = 1 if kind in ("tsf", "ucr tsv", "ucr txt") else int(rng.choice([1, 1, 2, 3]))
    missing = str(rng.choice(["?", "NaN"])) if kind != "tsf" else "?"
    values = []
    for _ in range(count):
        numbers = random_values(rng, (length, dims)).T
        values.append(
            [
                ["?" if np.isnan(x) and kind == "arff" else missing if np.isnan(x) else repr(float(x)) for x in row]
                for row in numbers
            ]
        )
    start = pd.Timestamp("2020-01-01") + pd.Timedelta(days=int(rng.integers(0, 1000)))
    freq = str(rng.choice(list(TSF_FREQS))) if kind == "tsf" else "s"
    if kind == "tsf":
        start = pd.date_range(start, periods=1, freq=TSF_FREQS[freq])[0]
    labels = [f"T{i + 1}" for i in range(count)] if kind == "tsf" else [str(i % 2 + 1) for i in range(count)]
    timed = kind == "ts" and rng.random() < 0.4
    return Cases(values, labels, [start] * count, "D" if timed else freq, timed)


def _fault(rng: np.random.Generator, cases: Cases) -> tuple[str, str]:
    case = int(rng.integers(0, len(cases.values)))
    row = cases.values[case][0]
    at = int(rng.integers(0, len(row)))
    if rng.random() < 0.6:
        row[at] = str(rng.choice(NO_NUMBERS))
        return REFUSE, f"{row[at]!r} among numbers"
    if len(cases.values[case]) > 1 and not cases.timed:
        del row[at]
        return REFUSE, "a dimension with a step less"
    cases.values[case] = [["?"] * len(dim) for dim in cases.values[case]]
    return EITHER, "a case without a value"


def _dialect(rng: np.random.Generator, lines: list[str], kind: str, done: list[str]) -> str:
    comment = {"arff": "%", "ts": "#", "tsf": "#"}.get(kind)
    if comment and rng.random() < 0.3:
        lines.insert(0, f"{comment} a comment: 1,2,3")
        done.append("comment")
    if kind in HEADED and rng.random() < 0.15:
        lines[:] = [line.upper() if line == "@data" else line for line in lines]
        done.append("@DATA")
    if rng.random() < 0.15:
        lines[:] = [piece for line in lines for piece in ((line, "") if rng.random() < 0.2 else (line,))]
        done.append("blank lines")
    newline = "\r\n" if rng.random() < 0.2 else "\n"
    return newline.join(lines) + (newline if rng.random() < 0.85 else "")


def _ts_lines(cases: Cases) -> list[str]:
    dims = len(cases.values[0])
    head = ["@problemName X", f"@timeStamps {str(cases.timed).lower()}", f"@univariate {str(dims == 1).lower()}"]
    if dims > 1:
        head.append(f"@dimensions {dims}")
    head += ["@equalLength true", "@classLabel true 1 2", "@data"]
    rows = []
    for values, label, start in zip(cases.values, cases.labels, cases.starts, strict=True):
        days = pd.date_range(start, periods=len(values[0]), freq="D").strftime("%Y-%m-%d %H:%M:%S")
        texts = [
            ",".join(f"({day},{x})" for day, x in zip(days, row, strict=True)) if cases.timed else ",".join(row)
            for row in values
        ]
        rows.append(":".join([*texts, label]))
    return head + rows


def _tsf_lines(cases: Cases) -> list[str]:
    head = ["@relation x", "@attribute series_name string", "@attribute start_timestamp date"]
    head += [f"@frequency {cases.freq}", "@horizon 3", "@missing true", "@equallength false", "@data"]
    rows = zip(cases.values, cases.labels, cases.starts, strict=True)
    return head + [f"{name}:{start:%Y-%m-%d %H-%M-%S}:{','.join(values[0])}" for values, name, start in rows]


def _arff_lines(cases: Cases) -> list[str]:
    dims, length = len(cases.values[0]), len(cases.values[0][0])
    steps = [f"@attribute att{i} numeric" for i in range(length)]
    if dims > 1:
        steps = ["@attribute x relational", *steps, "@end x"]
    head = ["@relation X", *steps, "@attribute target {1,2}", "", "@data"]
    rows = []
    for values, label in zip(cases.values, cases.labels, strict=True):
        text = "'" + "\\n".join(",".join(row) for row in values) + "'" if dims > 1 else ",".join(values[0])
        rows.append(f"{text},{label}")
    return head + rows


def _ucr_lines(separator: str) -> Callable[[Cases], list[str]]:
    return lambda cases: [
        separator.join([label, *values[0]]) for values, label in zip(cases.values, cases.labels, strict=True)
    ]


def cells_item(name: str, dimensions: list[list[str]], times: list[np.ndarray] | None = None) -> Item | None:
    """Return cells as an item; None where one is not a number."""
    rows = []
    for cells in dimensions:
        texts = [cell.strip() for cell in cells]
        if not all(text.lower() in ("?", "nan", "") or NUMBER.fullmatch(text) for text in texts):
            return None
        rows.append([np.nan if text.lower() in ("?", "nan", "") else float(text) for text in texts])
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        return None
    values = np.array(rows).T
    if (np.abs(values) > 3.4e38).any():
        return None
    return Item(None if times is None else times[0], values)


@dataclass(frozen=True)
class Format:
    """How cases are written, and read strictly."""

    name: str
    lines: Callable[[Cases], list[str]]
    content: Callable[[str], Content | None]
    other: Callable[[str], Content | None] | None = None  # with a note


def _formats() -> dict[str, Format]:
    from tests.fuzz import plain_series as plain

    return {
        "ts": Format("X_TRAIN.ts", _ts_lines, plain.ts, plain.ts_without_labels),
        "tsf": Format("x.tsf", _tsf_lines, plain.tsf, plain.tsf_without_names),
        "arff": Format("X_TRAIN.arff", _arff_lines, plain.arff),
        "ucr tsv": Format("X_TRAIN.tsv", _ucr_lines("\t"), plain.ucr),
        "ucr txt": Format("X_TEST.txt", _ucr_lines("  "), plain.ucr),
    }


HEADED = ("ts", "tsf", "arff")
FORMATS = _formats()
