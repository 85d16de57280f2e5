"""Text that is not UTF-8: Latin-1, or UTF-8 that was damaged."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

WESTERN = "cp1252"  # Latin-1 with the characters that Windows adds
BLOCK_BYTES = 2**20
_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")  # of UTF-8
_HIGH = re.compile(rb"[\x80-\xff]")


def western_text(data: bytes, *, file: str, first_row: int = 1, seen_utf8: bool = False) -> tuple[str, str]:
    """Return bytes that are not UTF-8 as Latin-1, and the note that says so.

    Parameters
    ----------
    first_row
        Number of the first line of `data` in the file.
    seen_utf8
        Whether the file has characters of several bytes before `data`.

    Raises
    ------
    ValueError
        When most of the characters outside ASCII are UTF-8, so that the file was damaged, or a byte is none of Latin-1.
    """
    rest = _SEQUENCE.sub(lambda match: b"u" * len(match[0]), data)
    odd = [match.start() for match in _HIGH.finditer(rest)]
    position = _line_around(data, odd[0], first_row) if odd else f"row {first_row}"
    if seen_utf8 or len(odd) <= len(_SEQUENCE.findall(data)):
        raise ValueError(
            f"{file} is not text in UTF-8 throughout ({position}): it is damaged, or made of files in two encodings; "
            "correct it, or give encoding=..."
        )
    try:
        text = data.decode(WESTERN)
    except UnicodeDecodeError as error:
        position = _line_around(data, error.start, first_row)
        raise ValueError(
            f"{file} is neither UTF-8 nor Latin-1 ({position}); save it as UTF-8, give encoding=..., or is it no table "
            "at all?"
        ) from None
    return text, f"{file} is not UTF-8 and was read as Latin-1 ({WESTERN}), first in {position}"


def _line_around(data: bytes, at: int, first_row: int) -> str:
    """Return the row of a byte, and some characters around it."""
    row = first_row + data.count(b"\n", 0, at)
    start, stop = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
    line = data[max(start, at - 15) : min(stop if stop >= 0 else len(data), at + 15)]
    return f"row {row}: {line.decode(WESTERN, errors='replace').strip()!r}"


def file_encoding(path: Path, notes: list[str]) -> str:
    """Return UTF-8, or Latin-1 where a file is not UTF-8: names in files of series often are not.

    Raises
    ------
    ValueError
        When the file holds a NUL character, or text in no encoding.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    row, seen_utf8 = 1, False
    with open(path, "rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            if b"\0" in block:
                row += block.count(b"\n", 0, block.index(b"\0"))
                raise ValueError(
                    f"{path.name}, row {row}: a NUL character; the file is damaged, or not UTF-8: save it as UTF-8"
                )
            try:
                text = decoder.decode(block)
            except UnicodeError:
                _, note = western_text(block, file=path.name, first_row=row, seen_utf8=seen_utf8)
                notes.append(note)
                return WESTERN
            row += block.count(b"\n")
            seen_utf8 = seen_utf8 or not text.removeprefix("\ufeff").isascii()
    return "utf-8-sig"
