"""Text after a closing quotation mark: readers of CSV join it to the cell, so that "4,5"0 becomes 4,50."""

from __future__ import annotations

import re
from typing import IO

import numpy as np

CHUNK_BYTES = 2**22
QUOTE = ord('"')


def text_after_quotes(stream: IO[bytes], separator: str) -> tuple[int, str] | None:
    r"""Return the first line with a cell that goes on after its closing quotation mark, and its number from 1.

    Files without newlines are not judged.

    Examples
    --------
    >>> import io
    >>> text_after_quotes(io.BytesIO(b'a,b\n"1","2"\n5" pipe,2\n3,"4,5"0\n'), ",")
    (4, '3,"4,5"0')
    """
    kept, first_line = b"", 1
    while data := stream.read(CHUNK_BYTES):
        data = kept + data
        cut = data.rfind(b"\n") + 1
        if not cut:
            return None
        if (line := _first(data[:cut], separator)) is not None:
            return first_line + line[0], line[1]
        kept, first_line = data[cut:], first_line + data.count(b"\n", 0, cut)
    line = _first(kept, separator)
    return None if line is None else (first_line + line[0], line[1])


def _first(data: bytes, separator: str) -> tuple[int, str] | None:
    """Return the first such line of whole lines, and how many lines are before it."""
    if QUOTE not in data:
        return None
    sign = separator.encode()
    escaped = re.escape(sign)
    quoted = rb'"(?:[^"]|"")*"[ \t]*'
    cell = rb'(?:%s|[^"%s][^%s]*|)' % (quoted, escaped, escaped)
    goes_on = re.compile(rb'(?:%s%s)*%s(?=[^"%s \t\r\n])' % (cell, escaped, quoted, escaped)).match
    done = 0
    for index in _inside(np.frombuffer(data, np.uint8), sign):
        if index < done:
            continue
        start = max(data.rfind(b"\n", 0, index), data.rfind(b"\r", 0, index)) + 1
        done = min(end for end in (data.find(b"\n", index), data.find(b"\r", index), len(data)) if end >= 0)
        line = data[start:done]
        if goes_on(line):
            return data.count(b"\n", 0, start), line.decode("utf-8", errors="replace")
    return None


def _inside(codes: np.ndarray, separator: bytes) -> np.ndarray:
    """Return where quotation marks are between two characters that neither end a cell nor are quotation marks."""
    at = np.flatnonzero(codes == QUOTE)
    is_edge = np.zeros(256, dtype=bool)
    is_edge[[QUOTE, *b"\r\n", *separator]] = True
    before = is_edge[codes[np.maximum(at - 1, 0)]] | (at == 0)
    after = is_edge[codes[np.minimum(at + 1, len(codes) - 1)]]
    return at[~before & ~after]
