"""The end of a text file: whether it was cut inside a quoted cell, which readers of CSV pass over."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

from tsfm.store.dialect import COMPRESSED

KEPT_BYTES = 2**16  # of the end of a file


class Ending:
    """The last bytes of a file. Of one that is compressed, or behind a URL, they are kept while it is read."""

    def __init__(self, stream: Any):
        self._stream, self._kept, self._has_quotes = stream, b"", False
        self.closed = False

    @staticmethod
    def is_needed(path: str | Path) -> bool:
        """Return whether the end of a file cannot be read without reading all of it."""
        return "://" in str(path) or Path(path).suffix.lower() in COMPRESSED

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the stream."""
        data = self._stream.read(size)
        self._has_quotes = self._has_quotes or b'"' in data
        self._kept = (self._kept + data[-KEPT_BYTES:])[-KEPT_BYTES:]
        return data

    def readable(self) -> bool:
        """Return True: pyarrow asks."""
        return True

    def has_quotes(self, path: str | Path) -> bool:
        """Return whether there is a quotation mark in the file, all of which has been read."""
        if self.is_needed(path):
            return self._has_quotes
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(b'"') >= 0

    def bytes(self, path: str | Path) -> bytes:
        """Return the last bytes of the file, all of which has been read."""
        if self.is_needed(path):
            return self._kept
        with open(path, "rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - KEPT_BYTES))
            return stream.read()


def ends_in_quotes(ending: bytes, cell: str, separator: str, encoding: str) -> bool:
    r"""Return whether the last cell of a file begins with a quotation mark that is not closed.

    Examples
    --------
    >>> ends_in_quotes(b'a,b\n1,"2.5', "2.5", ",", "utf-8"), ends_in_quotes(b'a,b\n1,"2.5"', "2.5", ",", "utf-8")
    (True, False)
    """
    text = '"' + cell.replace('"', '""')
    return any(_ends_with(ending, before + text, encoding) for before in (separator, "\n", "\r"))


def _ends_with(ending: bytes, text: str, encoding: str) -> bool:
    encodings = ("utf-16-le", "utf-16-be") if encoding == "utf-16" else (encoding.replace("utf-8-sig", "utf-8"),)
    return any(ending.endswith(text.encode(name, errors="replace")) for name in encodings)
