"""Bring together the rows of items that lie scattered through a file, as in tables sorted by time. L rows, C channels.

Rows go to temporary files, ITEMS_PER_FILE items to each in the order of their first rows; then one file at a time is
sorted in memory. So memory holds the series of ITEMS_PER_FILE items at most, however large the table is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.store.readers import RowBlock
from tsfm.timestamps.frequency import item_location

ITEMS_PER_FILE = 256


@dataclass
class ItemRows:
    """All rows of one item, in file order."""

    item_id: str
    file: str
    rows: np.ndarray  # [L] row numbers, or texts that name the file too
    times: Any  # [L] datetime64[us], or None
    values: np.ndarray  # [L, C] float32
    static: dict[str, Any]


def joined_rows(pieces: list[ItemRows]) -> ItemRows:
    """Return the rows of an item that came in pieces, perhaps of several files."""
    whole = pieces[0]
    if len(pieces) == 1:
        return whole
    files = list(dict.fromkeys(piece.file for piece in pieces))
    return ItemRows(
        whole.item_id,
        files[0] if len(files) == 1 else f"{len(files)} files",
        np.concatenate([piece.rows if len(files) == 1 else _labels(piece) for piece in pieces]),
        None if whole.times is None else np.concatenate([piece.times for piece in pieces]),
        np.concatenate([piece.values for piece in pieces]),
        whole.static,
    )


def _labels(rows: ItemRows) -> np.ndarray:
    return np.array([f"{row} of {rows.file}" for row in rows.rows], dtype=object)


def static_of(block: RowBlock, chunk: slice, item: str, known: dict[str, Any] | None) -> dict[str, Any]:
    """Return the static values of rows of one item; a value that changes within the item is an error."""
    static = {}
    for name, column in block.static.items():
        cells = column[chunk]
        first = known[name] if known is not None else cells[0]
        for at, cell in enumerate(cells):
            if cell != first and not (cell != cell and first != first):
                location = item_location(item, file=block.file, row=block.rows[chunk][at])
                raise ValueError(
                    f"{location}: static column {name!r} changes from {first!r} to {cell!r}; it has to be constant "
                    "within an item"
                )
        static[name] = first
    return static


class Regroup:
    """`add` every block, then read `items`; `folder` holds the temporary files."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._items: dict[str, int] = {}
        self._static: list[dict[str, Any]] = []
        self._files: dict[str, int] = {}
        self._timed = True
        self._dtype = np.dtype([])
        folder.mkdir()

    def add(self, block: RowBlock) -> None:
        """Append the rows of a block to the temporary files."""
        file = self._files.setdefault(block.file, len(self._files))
        self._timed = block.times is not None
        channels = block.values.shape[1]
        self._dtype = np.dtype(
            [("item", "i8"), ("file", "i4"), ("row", "i8"), ("time", "M8[us]"), ("values", "f4", (channels,))]
        )
        numbers = np.array([self._items.setdefault(name, len(self._items)) for name in block.items])
        record = np.zeros(len(block.rows), dtype=self._dtype)
        record["item"], record["file"], record["row"] = numbers[block.code], file, block.rows
        record["values"] = block.values
        if block.times is not None:
            record["time"] = block.times
        if block.static:
            self._check_static(block)
        order = np.argsort(record["item"], kind="stable")
        record = record[order]
        parts = record["item"] // ITEMS_PER_FILE
        for chunk in np.unique(parts):
            low, high = np.searchsorted(parts, [chunk, chunk + 1])
            with open(self.folder / f"{chunk}.rows", "ab") as out:
                out.write(record[low:high].tobytes())

    def _check_static(self, block: RowBlock) -> None:
        for at, code in enumerate(block.code):
            number = self._items[block.items[code]]
            known = self._static[number] if number < len(self._static) else None
            static = static_of(block, slice(at, at + 1), block.items[code], known)
            if known is None:
                self._static.append(static)

    def items(self) -> Iterator[ItemRows]:
        """Every item with all its rows, in the order of first appearance."""
        names, files = list(self._items), list(self._files)
        for chunk in range(-(-len(names) // ITEMS_PER_FILE)):
            path = self.folder / f"{chunk}.rows"
            record = np.fromfile(path, dtype=self._dtype)
            path.unlink()
            record = record[np.argsort(record["item"], kind="stable")]
            cuts = np.flatnonzero(np.diff(record["item"])) + 1
            for rows in np.split(record, cuts):
                number, used = int(rows["item"][0]), np.unique(rows["file"])
                labels = rows["row"]
                if len(used) > 1:
                    labels = np.array(
                        [f"{row} of {files[file]}" for row, file in zip(labels, rows["file"], strict=True)],
                        dtype=object,
                    )
                yield ItemRows(
                    names[number],
                    files[used[0]] if len(used) == 1 else f"{len(used)} files",
                    labels,
                    rows["time"] if self._timed else None,
                    rows["values"].copy(),
                    self._static[number] if self._static else {},
                )
