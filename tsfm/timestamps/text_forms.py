"""Forms of timestamps in text: which digits of a cell are the year, the month, the day, the time and the offset.

Cells with the same *shape* (every digit written as 9) have the same form, so a regular expression is matched once per
shape, and the numbers of all its cells are read together. N cells of one shape, K characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int

DIGITS = str.maketrans("0123456789", "9" * 10)
NUMERIC_ORDERS = ("dmy", "mdy", "ymd")  # readings of three numbers, or of a day, a month's name and a year
MONTH_STARTS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = (
    "(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    "oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?"
)
WEEKDAY = "(?:(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\\.?,?\\s+)?"
GAP = "[-\\s./]*"
# a, b, c: numbers whose order has to be decided; y, m, d: year, month, day; q: quarter; t: half-year; w, k: ISO week
DATES: dict[str, str] = {
    "numbers": r"(?P<a>9{1,2})(?P<sep>[-/.])(?P<b>9{1,2})(?P=sep)(?P<c>9999|99)",
    "year first": r"(?P<y>9999)(?P<sep>[-/.])(?P<m>9{1,2})(?P=sep)(?P<d>9{1,2})",
    "compact": r"(?P<y>9999)(?P<m>99)(?P<d>99)",
    "year, month": r"(?P<y>9999)(?:[-/]|\.(?=99))(?P<m>9{1,2})",
    "month, year": r"(?P<m>9{1,2})[-/.](?P<y>9999)",
    "day of the year": r"(?P<y>9999)-(?P<j>999)",
    "named, day first": rf"{WEEKDAY}(?P<a>9{{1,2}})(?:st|nd|rd|th)?{GAP}{MONTH}{GAP},?\s*(?P<c>9999|99)",
    "named, month first": rf"{WEEKDAY}{MONTH}{GAP}(?P<d>9{{1,2}})(?:st|nd|rd|th)?(?:,\s*|[-\s/.]+)(?P<y>9999)",
    "named, year first": rf"(?P<y>9999){GAP}{MONTH}{GAP}(?P<d>9{{1,2}})",
    "named month, year": rf"{MONTH}[-\s./,']*(?P<y>9999)",
    "named month, short year": rf"{MONTH}(?:[-/']|\s')(?P<y>99)",
    "year, named month": rf"(?P<y>9999){GAP}{MONTH}",
    "quarter": r"(?P<y>9999)[-\s]?q(?P<q>9)|q(?P<q2>9)[-\s/]*(?P<y2>9999)|(?P<q3>9)q[-\s/]?(?P<y3>9999|99)",
    "month number": r"(?P<y>9999)[-\s]?m(?P<m>9{1,2})",
    "half-year": r"(?P<y>9999)[-\s]?[hs](?P<t>9)",
    "ISO week": r"(?P<y>9999)-?w(?P<w>99)(?:-?(?P<k>9))?",
}
TIME_OF_DAY = (
    r"(?:(?P<H>9{1,2})(?::(?P<M>99)(?::(?P<S>99)(?:[.,](?P<F>9{1,9}))?)?)?(?:\s*(?P<half>[ap])\.?m\.?)?"
    r"|(?P<H2>99)(?P<M2>99)(?P<S2>99)?(?:[.,](?P<F2>9{1,9}))?)"
)
ZONE = r"(?:\s*(?P<utc>z|utc|gmt)|\s*(?:utc|gmt)?(?P<sign>[-+])(?P<oh>9{1,2})(?::?(?P<om>99))?)"
AFTER = rf"(?:(?:t|[\s,_:]+|(?<=9{{8}})-){TIME_OF_DAY}{ZONE}?)?"
PATTERNS = {form: re.compile(rf"(?:{pattern}){AFTER}") for form, pattern in DATES.items()}
CTIME = re.compile(rf"{WEEKDAY}{MONTH}\s+(?P<d>9{{1,2}})\s+{TIME_OF_DAY}(?:\s*utc|\s*gmt)?\s+(?P<y>9999)")

NO_YEAR = re.compile(
    rf"{WEEKDAY}(?:{MONTH}(?:{GAP}9{{1,2}})?|9{{1,2}}{GAP}{MONTH.replace('name', 'other')}|9{{1,2}}[-/.]9{{1,2}})"
    rf"{AFTER}"
)
NO_DATE = re.compile(rf"(?:9{{1,2}}:99(?::99(?:[.,]9+)?)?(?:\s*[ap]\.?m\.?)?|9{{1,2}}\s*[ap]\.?m\.?){ZONE}?")
ABBREVIATION = re.compile(r"9\s*(?P<zone>(?!am\b|pm\b)[a-z]{2,5}|\[?[a-z]+/[a-z_/+-]+\]?)$")


@dataclass(frozen=True)
class Form:
    """The form of all cells of one shape.

    `spans` are the positions of the numbers, by the letters of `DATES` and `TIME_OF_DAY`; `month` is 0 where no month
    is named.
    """

    name: str
    spans: dict[str, tuple[int, int]]
    month: int = 0
    half_day: str = ""  # a or p
    sign: int = 0  # of the offset; 0 without an offset
    utc: bool = False

    @property
    def has_offset(self) -> bool:
        """Return whether cells of this form are instants."""
        return self.utc or self.sign != 0

    @property
    def is_span(self) -> bool:
        """Return whether cells name a quarter, a half-year or a week, of which the first day is taken."""
        return bool({"q", "t"} & set(self.spans)) or ("w" in self.spans and "k" not in self.spans)

    @property
    def has_short_year(self) -> bool:
        """Return whether the year has two digits."""
        start, stop = self.spans.get("y") or self.spans["c"]
        return stop - start <= 2

    @property
    def orders(self) -> tuple[str, ...]:
        """Return the readings of which one has to be chosen; empty where the form leaves no choice."""
        if "a" not in self.spans:
            return ()
        if "b" not in self.spans:
            return ("dmy", "ymd") if self.has_short_year else ("dmy",)
        return NUMERIC_ORDERS if self.has_short_year else NUMERIC_ORDERS[:2]


def shape_of(cell: str) -> str:
    """Return a cell in lower case with every digit as 9."""
    return cell.translate(DIGITS).lower()


def find_form(shape: str) -> Form | str:
    """Return the form of a shape, or what is wrong with it as the end of a message."""
    for name, pattern in [*PATTERNS.items(), ("named, month first", CTIME)]:
        if match := pattern.fullmatch(shape):
            groups = {key.rstrip("23"): match.span(key) for key, text in match.groupdict().items() if text is not None}
            month = MONTH_STARTS.index(match["name"][:3]) + 1 if "name" in groups else 0
            spans = {key: span for key, span in groups.items() if key not in ("name", "sep", "half", "utc", "sign")}
            named = match.groupdict()
            sign = {"+": 1, "-": -1}.get(named.get("sign") or "", 0)
            return Form(name, spans, month, named.get("half") or "", sign, bool(named.get("utc")))
    if NO_DATE.fullmatch(shape):
        return "a time without a date; put the date before it, such as 2020-01-31 14:30"
    if NO_YEAR.fullmatch(shape):
        return "a date without a year; write the year, such as 2020-01-31"
    if match := ABBREVIATION.search(shape):
        return (
            f"a timestamp in the time zone {match['zone'].upper()!r}, and names of zones are not read; write the "
            "offset from UTC (2020-01-31 14:30-05:00), or leave the zone out and give timezone=, e.g. "
            "timezone='America/New_York'"
        )
    return "not a timestamp; expected dates such as 2024-01-31 or 2024-01-31 14:30, or give date_format="


def read_numbers(cells: list[str], form: Form) -> dict[str, Int[np.ndarray, " N"]]:
    """Return the numbers of cells of one form by the letters of `DATES` and `TIME_OF_DAY`."""
    characters = np.array(cells).view(np.uint32).reshape(len(cells), -1).astype(np.int64) - ord("0")
    numbers: dict[str, Any] = {}
    for key, (start, stop) in form.spans.items():
        powers = 10 ** np.arange(stop - start - 1, -1, -1, dtype=np.int64)
        numbers[key] = characters[:, start:stop] @ powers
    if "F" in numbers:  # digits after the decimal point, to nanoseconds
        numbers["F"] = numbers["F"] * 10 ** (9 - (form.spans["F"][1] - form.spans["F"][0]))
    return numbers
