"""How a text table is written: encoding, separator, header. Found from its first bytes, or given by the user."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import csv
import gzip
import itertools
import lzma
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tsfm.store.encoding import WESTERN, western_text
from tsfm.store.header import MAX_ROWS, check_header

HEAD_BYTES = 2**20  # that the dialect is found from; a header is not longer
SEPARATORS = ";\t|,"  # the comma last: it is also a decimal sign
COMPRESSED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class TextOptions:
    """How a text table is written, as far as the user says; None is found from the file.

    Attributes
    ----------
    sep
        The character between cells.
    decimal
        The decimal sign of numbers: "." or ",".
    encoding
        Such as "utf-8" or "latin-1".
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.sep is not None and (not isinstance(self.sep, str) or len(self.sep) != 1 or self.sep in '"\n\r'):
            raise ValueError(f"sep is {self.sep!r}; expected one character, such as ';' or a tab")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"decimal is {self.decimal!r}; expected '.' or ','")
        if self.decimal is not None and self.decimal == self.sep:
            raise ValueError(f"sep and decimal are both {self.sep!r}; give two different characters")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except (LookupError, TypeError):
                raise ValueError(
                    f"encoding is {self.encoding!r}, which is not known; use a name such as utf-8 or latin-1"
                ) from None


@dataclass(frozen=True)
class Dialect:
    """How a text table is written."""

    separator: str
    encoding: str
    names: list[str]  # of the columns
    lines_above: int  # lines above the header
    notes: list[str] = field(default_factory=list)


def open_bytes(path: str | Path) -> IO[bytes]:
    """Open a file for reading, unpacked where its ending says that it is compressed; `path` may be a URL of fsspec."""
    text = str(path)
    if "://" in text:
        import fsspec

        return fsspec.open(text, "rb", compression="infer").open()  # type: ignore[return-value]
    opener = COMPRESSED.get(Path(text).suffix.lower())
    return open(text, "rb") if opener is None else opener(text, "rb")


def find_dialect(path: str | Path, options: TextOptions, *, file: str) -> Dialect:
    """Return how a text table is written.

    Raises
    ------
    ValueError
        When the file is empty or not text, or its first line is not a header.
    """
    with open_bytes(path) as stream:
        head = stream.read(HEAD_BYTES)
    notes: list[str] = []
    text, encoding = _decode(head, options, file=file, notes=notes)
    whole = len(head) < HEAD_BYTES
    if not text.strip():
        raise ValueError(f"{file} is empty; a table needs a header and rows")
    lines = text.splitlines(keepends=True)
    lines_above = next(i for i, line in enumerate(lines) if line.strip())
    separator = options.sep
    if match := re.fullmatch(r"sep=(.)", lines[lines_above].strip("\r\n")):  # Excel writes such a line
        separator, lines_above = separator or match[1], lines_above + 1
    lines = lines[lines_above:] if whole else lines[lines_above:-1]
    if not lines:
        raise ValueError(f"{file}: the header is longer than {HEAD_BYTES:,} bytes; is it a table of text?")
    separator = separator or find_separator(lines[:50])
    cells = csv.reader(lines, delimiter=separator)
    try:
        names = next(cells)
    except csv.Error as error:
        raise ValueError(f"{file}: the header cannot be read ({error}); is it a table of text?") from None
    names = [name.strip() for name in names]
    check_header(names, _next_rows(cells), file=file)
    return Dialect(separator, encoding, names, lines_above, notes)


def _decode(head: bytes, options: TextOptions, *, file: str, notes: list[str]) -> tuple[str, str]:
    """Return the first bytes as text, and the encoding."""
    encoding = options.encoding or next((name for bom, name in BOMS if head.startswith(bom)), None)
    whole = len(head) < HEAD_BYTES
    try:
        text = codecs.getincrementaldecoder(encoding or "utf-8")().decode(head, final=whole)
    except UnicodeError as error:
        if encoding is not None or b"\0" in head:
            assumed = encoding or "UTF-8"
            raise ValueError(
                f"{file} is not text in {assumed} ({error}); save it as UTF-8, give encoding=..., or is it no table at "
                "all?"
            ) from None
        text, note = western_text(head, file=file)
        encoding = WESTERN
        notes.append(f"{note}; encoding=... names another")
    if "\0" in text:
        raise ValueError(
            f"{file} is not text in {encoding or 'UTF-8'} (it holds a NUL character); save it as UTF-8, give "
            "encoding=..., or is it no table at all?"
        )
    return text.removeprefix("\ufeff"), encoding or "utf-8"


def _next_rows(cells: Iterator[list[str]]) -> list[list[str]]:
    """Return the rows below the header, as many as are looked at and can be read."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        rows.extend(row for row in itertools.islice(cells, MAX_ROWS) if row)
    return rows


def find_separator(lines: Sequence[str]) -> str:
    """Return the separator that cuts the header into several names and most rows into as many cells.

    Examples
    --------
    >>> find_separator(["a;b", "1,5;2", "1;2,5"])
    ';'
    """

    def fit(separator: str) -> tuple[float, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            return 0.0, 0
        if counts[0] < 2:
            return 0.0, 0
        return sum(count == counts[0] for count in counts) / len(counts), counts[0]

    return max(SEPARATORS, key=fit)  # the first of those that fit equally well
