"""Rows to row groups to Parquet shards of bounded size. C channels, L steps of a chunk.

The columns of a shard: item_id, offset (first step of the chunk in its series), start (its stamp), freq,
values (channels x steps, NaN where missing), then static_<name>.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm.store.arrow_memory import SMALL_PAGES
from tsfm.store.manifest import Shard

if TYPE_CHECKING:
    from jaxtyping import Float


class ChunkRow(NamedTuple):
    """One chunk of a series: a row of a shard."""

    item_id: str
    offset: int
    start: np.datetime64
    freq: str
    values: Float[np.ndarray, "C L"]
    static: Mapping[str, Any]


class ShardWriter:
    """Row groups hold at most `group_values` values, a shard at most `shard_values` (or one row, if that is longer)."""

    def __init__(self, folder: Path, *, group_values: int, shard_values: int):
        self.folder, self.group_values, self.shard_values = folder, group_values, shard_values
        self.shards: list[Shard] = []
        self.num_rows = 0
        self.kinds: dict[str, pa.DataType] = {}  # of the static columns
        self._rows: list[ChunkRow] = []  # the row group in the making
        self._held = 0  # values in it
        self._filled = 0  # values in the open shard
        self._parquet: pq.ParquetWriter | None = None

    def add(self, row: ChunkRow) -> None:
        """Add a row; a full row group is written."""
        if self._rows and self._held + row.values.size > self.group_values:
            self.flush()
        self._rows.append(row)
        self._held += row.values.size
        self.num_rows += 1

    def flush(self) -> None:
        """Write the gathered rows as one row group, in a new shard when the open one is full."""
        if not self._rows:
            return
        ids, offsets, starts, freqs, values, static = zip(*self._rows, strict=True)
        channels = len(values[0])
        lengths = np.repeat([value.shape[1] for value in values], channels)
        steps = pa.ListArray.from_arrays(
            pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32)),
            pa.array(np.concatenate([value.ravel() for value in values]), memory_pool=SMALL_PAGES),
        )
        rows = pa.array(np.arange(len(values) + 1, dtype=np.int32) * channels)
        columns: dict[str, Any] = {
            "item_id": pa.array(ids, pa.string()),
            "offset": pa.array(offsets, pa.int64()),
            "start": pa.array(np.array(starts, dtype="datetime64[us]")),
            "freq": pa.array(freqs, pa.string()),
            "values": pa.ListArray.from_arrays(rows, steps),
            **self.static_columns(ids, static),
        }
        self._write(pa.table(columns))
        self._rows, self._held = [], 0

    def _write(self, table: pa.Table) -> None:
        if self._parquet is None or self._filled + self._held > self.shard_values:
            self.close()
            file = f"part-{len(self.shards):05d}.parquet"
            self.shards.append(Shard(file, []))
            dictionary: Any = ["item_id", "freq"]  # not the values: a dictionary of floats costs time and saves nothing
            self._parquet = pq.ParquetWriter(
                self.folder / file, table.schema, compression="zstd", use_dictionary=dictionary, memory_pool=SMALL_PAGES
            )
        self._parquet.write_table(table, row_group_size=table.num_rows)
        self.shards[-1].rows.append(table.num_rows)
        self._filled += self._held

    def static_columns(self, ids: Sequence[str], static: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
        """Return the static values of some rows as typed columns; the first observed value decides the type."""
        columns = {}
        for key in static[0]:
            values = [plain(row[key]) for row in static]
            if pa.types.is_null(kind := self.kinds.get(key, pa.null())):
                self.kinds[key] = kind = next((_kind(v) for v in values if v is not None), pa.string())
            for item, value in zip(ids, values, strict=True):
                if value is not None and _kind(value) != kind:
                    raise ValueError(
                        f"item {item!r}: static {key!r} is {value!r}, and in the series before it was of type {kind}; "
                        "use one type for all series"
                    )
            columns[f"static_{key}"] = pa.array(values, kind)
        return columns

    def close(self) -> None:
        """Finish the open shard."""
        if self._parquet is not None:
            parquet, self._parquet = self._parquet, None
            parquet.close()
        self._filled = 0

    def abandon(self) -> None:
        """Let go of the open file; on a full disk even its footer cannot be written."""
        with suppress(Exception):
            self.close()


def plain(value: Any) -> Any:
    """Return a static value as Python has it; NaN and the NA of pandas are None."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def _kind(value: Any) -> pa.DataType:
    if isinstance(value, bool):
        return pa.bool_()
    return pa.float64() if isinstance(value, (int, float)) else pa.string()
