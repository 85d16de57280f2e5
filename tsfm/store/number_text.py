"""Text to numbers: decimal point or comma, thousands separators, missing cells. L cells of a column.

Every column decides by its own cells, for 1,234 alone may be either: `DecimalRule` keeps what was decided.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tsfm.store.arrow_memory import SMALL_PAGES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MISSING = ["", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN"]
MISSING += ["null", "NULL", "Null", "None", "none", "?", "-1.#IND", "1.#QNAN", "1.#IND", "-1.#QNAN"]
SPACES = " '’\u00a0\u2009\u202f"  # thousands separators beside the comma and the point
INFINITE = r"|[+-]?(inf|Inf|INF|infinity|Infinity)"
DECIMALS = (".", ",")
_GROUPS = r"[1-9]\d{0,2}(?:%s\d{3})"  # 1,234 and so on
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_CLEAR = {  # decimal sign -> cells that show it: 1,234.5 and 1,234,567 and 0.5 and 1.234e5 show the point
    sign: rf"^[+-]?(?:{_GROUPS % other}+{sign}\d*|{_GROUPS % other}{{2,}}|(?:\d+{sign}\d*|{sign}\d+){_EXPONENT})$"
    for sign, other in ((r"\.", ","), (",", r"\."))
}
_CLEAR = {sign.strip("\\"): pattern for sign, pattern in _CLEAR.items()}
_compute: Any = pc  # the stubs of pyarrow lack most functions


@dataclass
class DecimalRule:
    """Which of the point and the comma is the decimal sign of each column.

    Parameters
    ----------
    decimal
        The decimal sign of all columns, from the user; None: found from the cells.
    separator
        Between the cells of the file: where it is the semicolon, a single comma is the decimal sign.
    """

    decimal: str | None = None
    separator: str = ","
    notes: list[str] = field(default_factory=list)
    signs: dict[str, str] = field(default_factory=dict)

    def sign(self, name: str, cells: pa.Array, location: Callable[[int], str]) -> str:
        """Return the decimal sign of a column.

        Raises
        ------
        ValueError
            When the cells can be read both ways and nothing shows which is meant.
        """
        if self.decimal is not None:
            return self.decimal
        if name not in self.signs:
            evidence, row = _evidence(cells)
            if evidence is None:
                return "."  # no cell has a separator yet
            if evidence == "?":
                evidence = self._guess(name, cells[row].as_py(), lambda: location(row))
            self.signs[name] = evidence
        return self.signs[name]

    def expects_points(self, name: str) -> bool:
        """Return whether nothing speaks for another decimal sign than the point in a column."""
        if self.decimal is not None or name in self.signs:
            return (self.decimal or self.signs[name]) == "."
        return "," not in self.signs.values()

    def look(self, columns: Mapping[str, pa.Array]) -> None:
        """Decide the columns with commas that leave no doubt, before those that take the sign of the others."""
        if self.decimal is None:
            for name, cells in columns.items():
                if name not in self.signs and _compute.any(_compute.match_substring(cells, ",")).as_py():
                    sign, _ = _evidence(cells)
                    if sign in DECIMALS:
                        self.signs[name] = sign

    def _guess(self, name: str, cell: str, location: Callable[[], str]) -> str:
        """Return the sign for a column whose separators all have three digits behind them."""
        others = set(self.signs.values())
        if "." in cell:
            sign = "," if others == {","} else "."
        elif len(others) == 1:
            sign = others.pop()
        elif self.separator in ",;":
            sign = "." if self.separator == "," else ","
        else:
            number = cell.replace(",", "")
            raise ValueError(
                f"{location()}: column {name!r} holds {cell!r}, which may be {number} or {cell.replace(',', '.')}; say "
                "which with decimal='.' or decimal=','"
            )
        if sign not in cell:
            self.notes.append(f"column {name!r}: {cell} is read as {re.sub('[.,]', '', cell)}")
        elif sign == ",":
            self.notes.append(f"column {name!r}: {cell} is read as {cell.replace(',', '.')}")
        return sign


def _evidence(cells: pa.Array) -> tuple[str | None, int]:
    """Return the decimal sign that the cells show; "?" if they can be read both ways, None if they have no separator.

    Also the index of a cell that shows it.
    """
    cells = _compute.replace_substring_regex(cells, f"[{SPACES}]", "")
    unclear = _matches(cells, r"^[+-]?[1-9]\d{0,2}[.,]\d{3}$")
    rows = {sign: np.flatnonzero(_matches(cells, pattern) & ~unclear) for sign, pattern in _CLEAR.items()}
    if len(rows["."]) or len(rows[","]):
        sign = "," if len(rows[","]) > len(rows["."]) else "."
        return sign, int(rows[sign][0])
    return ("?", int(unclear.argmax())) if unclear.any() else (None, 0)


def _matches(cells: pa.Array, pattern: str) -> np.ndarray:
    return np.asarray(_compute.match_substring_regex(cells, pattern).fill_null(False))


def missing_cells(cells: pa.Array) -> pa.Array:
    """Return which text cells mean a missing number."""
    return _compute.is_in(_compute.utf8_trim_whitespace(cells), value_set=pa.array(MISSING, pa.string())).fill_null(
        True
    )


def text_numbers(
    cells: pa.Array, *, name: str, rule: DecimalRule, location: Callable[[int], str]
) -> tuple[Float[np.ndarray, " L"], Bool[np.ndarray, " L"]]:
    """Return text cells as float64, NaN where missing, and which cells are no numbers (NaN too)."""
    if rule.expects_points(name):
        values = plain_numbers(cells)
        if values is not None:
            if name not in rule.signs and _compute.any(_compute.match_substring(cells, ".")).as_py():
                rule.signs[name] = "."  # so that a comma further down is an error
            return values, np.zeros(len(cells), bool)
    trimmed = _compute.replace_substring(_compute.utf8_trim_whitespace(cells), "−", "-")
    sign = rule.sign(name, trimmed, location)
    missing = missing_cells(cells)
    decimal, thousands = re.escape(sign), f"[{re.escape('.' if sign == ',' else ',')}{SPACES}]"
    plain = rf"^([+-]?(\d+{decimal}?\d*|{decimal}\d+)([eE][+-]?\d+)?{INFINITE})$"
    grouped = _compute.match_substring_regex(trimmed, rf"^[+-]?\d{{1,3}}({thousands}\d{{3}})+({decimal}\d*)?$")
    valid = _compute.or_(grouped, _compute.match_substring_regex(trimmed, plain)).fill_null(False)
    joined = _compute.replace_substring_regex(trimmed, thousands, "")
    cleaned = _compute.if_else(grouped, joined, trimmed)
    if sign == ",":
        cleaned = _compute.replace_substring(cleaned, ",", ".")
    cleaned = _compute.utf8_ltrim(cleaned, "+")
    blank = _compute.or_(_compute.invert(valid), missing)
    bad = np.asarray(_compute.and_(_compute.invert(valid), _compute.invert(missing)))
    return _float64(_compute.cast(_blank(cleaned, blank), pa.float64())), bad


def plain_numbers(cells: pa.Array) -> Float[np.ndarray, " L"] | None:
    """Return cells in the form that a parser in C++ reads, NaN where missing; None if a cell has another form."""
    for nothing_missing in (True, False):  # Arrow reads the missing cells that it knows (nan) as NaN, too
        try:
            blanked = cells if nothing_missing else _blank(cells, missing_cells(cells))
            return _float64(_compute.cast(blanked, pa.float64(), memory_pool=SMALL_PAGES))
        except pa.ArrowInvalid:
            continue
    return None


def check_digits(text: str) -> None:
    """Raise a ValueError for what only Python reads as a number: 1_000, and digits of other scripts."""
    if not text.isascii() or "_" in text:
        odd = next(sign for sign in text if sign == "_" or not sign.isascii())
        raise ValueError(f"a number holds {odd!r}")


def _blank(cells: pa.Array, mask: pa.Array) -> pa.Array:
    """Return the cells with null where the mask is true."""
    return _compute.if_else(mask, pa.scalar(None, pa.string()), cells, memory_pool=SMALL_PAGES)


def _float64(numbers: pa.Array) -> np.ndarray:
    values = np.array(numbers.to_numpy(zero_copy_only=False), np.float64)
    return values
