"""The lengths of column chunks from the footer of a Parquet file, without `RowGroupMetaData.column` of pyarrow.

That method ends the process where the statistics of a damaged file do not fit its schema (Definition level histogram
size mismatch), because the exception does not reach Python. The footer is Thrift in its compact protocol: structs of
numbered fields, whose numbers are written as the difference to the field before.

References
----------
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (FileMetaData, RowGroup,
ColumnChunk, ColumnMetaData) and https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

TAIL = struct.Struct("<I4s")  # bytes of the footer, and PAR1
ROW_GROUPS, COLUMNS, META_DATA, NUM_VALUES = 4, 1, 3, 5  # numbers of fields
TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12  # types; others are integers


def chunk_lengths(path: str | Path) -> list[list[int]]:
    """Return the number of values, with those of lists, of each leaf column of each row group.

    Raises
    ------
    ValueError
        When the footer is not one.
    """
    try:
        footer = _Thrift(_footer(path)).struct()
        return [[chunk[META_DATA][NUM_VALUES] for chunk in group[COLUMNS]] for group in footer.get(ROW_GROUPS, [])]
    except (IndexError, KeyError, TypeError, struct.error, RecursionError, OverflowError) as error:
        raise ValueError(f"the footer of {Path(path).name} cannot be read ({type(error).__name__} {error})") from None


def _footer(path: str | Path) -> bytes:
    with open(path, "rb") as stream:
        end = stream.seek(-TAIL.size, 2)
        size, _ = TAIL.unpack(stream.read())
        if size > end:
            raise IndexError("longer than the file")
        stream.seek(-TAIL.size - size, 2)
        return stream.read(size)


class _Thrift:
    """Reads structs of the compact protocol as dicts of field number -> value."""

    def __init__(self, content: bytes):
        self.content, self.at = content, 0

    def struct(self) -> dict[int, Any]:
        """Return the struct that begins here."""
        fields, number = {}, 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):  # truth values of a list have a byte
            return self._byte()
        if kind in (DOUBLE, BINARY):
            return self._bytes(8 if kind == DOUBLE else self._varint())
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15) for _ in range(count)]
        if kind == MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            return [(self._value(kinds >> 4), self._value(kinds & 15)) for _ in range(count)]
        return self.struct() if kind == STRUCT else self._integer()

    def _byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.content):
            raise IndexError("beyond its end")
        return self.content[self.at - count : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value, shift = value | (byte & 127) << shift, shift + 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)  # zigzag
